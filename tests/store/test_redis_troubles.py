"""A Redis that answers, but not as it should: refuses what is written, holds what others wrote, moves, or is none."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from config.settings import load_settings
from store import redis_state as redis_module
from store.redis_state import RedisState
from store.shared import Lease, SharedState
from tests.databases import Server
from tests.servers import StoppableServer, redis_environ, stoppable_redis

TTL_S = 30.0
LEASE = "callboard:lease:"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_module, "RETRY_S", 0.02)
    monkeypatch.setattr(redis_module, "ANSWER_S", 2.0)  # a busy machine is no outage


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StoppableServer]:
    with stoppable_redis(tmp_path) as made:
        yield made


@pytest.fixture
def client(server: StoppableServer) -> Iterator[redis.Redis]:
    with redis.Redis(server.login.host, server.login.port, decode_responses=True) as client:
        yield client


@pytest.fixture
async def state(server: StoppableServer) -> AsyncIterator[SharedState]:
    made = connected(server.login)
    yield made
    await made.close()


def connected(server: Server) -> SharedState:
    return SharedState.from_settings(load_settings(redis_environ(server)))


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await holds():  # noqa: ASYNC110 (Redis tells nobody)
            await asyncio.sleep(0.01)


async def everything(state: SharedState, owner: str = "node/0") -> None:
    """All that a worker asks, with the answers that it needs, whoever gives them."""
    epoch = await state.lease("c", owner, TTL_S)
    assert epoch is not None
    lease = Lease(owner, epoch)
    assert await state.renew("c", lease, TTL_S)
    assert await state.owner_of("c") == lease
    assert await state.count("calls", 1) >= 1
    assert await state.allow("k", 1_000_000, 60)
    await state.beat("n", {"calls": 7}, TTL_S)
    assert [(node.name, node.info) for node in await state.nodes()] == [("n", {"calls": 7})]
    await state.release("c", lease)
    assert await state.owner_of("c") is None


# --- it takes nothing that is written --------------------------------------------------------------------------------


def be_replica(client: redis.Redis, folder: Path) -> Callable[[], Any]:
    client.replicaof("127.0.0.1", 1)  # type: ignore[no-untyped-call]
    return lambda: client.replicaof("NO", "ONE")  # type: ignore[no-untyped-call]


def be_without_memory(client: redis.Redis, folder: Path) -> Callable[[], Any]:
    client.config_set("maxmemory", "1")
    return lambda: client.config_set("maxmemory", "0")


def be_without_disk(client: redis.Redis, folder: Path) -> Callable[[], Any]:
    (folder / "dump.rdb" / "in the way").mkdir(parents=True)
    client.config_set("save", "3600 1000000")
    client.bgsave()
    while client.info("persistence")["rdb_last_bgsave_status"] == "ok":
        pass
    return lambda: client.config_set("save", "")


def let_us_read_only(client: redis.Redis, folder: Path) -> Callable[[], Any]:
    client.execute_command("ACL SETUSER default -set -hset")  # type: ignore[no-untyped-call]
    return lambda: client.execute_command("ACL SETUSER default +set +hset")  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("refuse", "word"),
    [
        (be_replica, "read only replica"),
        (be_without_memory, "maxmemory"),
        (be_without_disk, "MISCONF"),
        (let_us_read_only, "user"),  # Redis 7: "the user ... can't run this command", 8: "User ... has no permissions"
    ],
)
async def test_a_redis_that_takes_nothing_is_away_until_it_does(
    client: redis.Redis,
    state: SharedState,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    refuse: Callable[[redis.Redis, Path], Callable[[], Any]],
    word: str,
) -> None:
    await everything(state)
    mend = refuse(client, tmp_path)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            await everything(state)
            await asyncio.sleep(0.03)  # readiness is the next that tries Redis
            assert word in await state.health()
            await asyncio.sleep(0.03)
        assert [record.levelname for record in caplog.records] == ["ERROR"], caplog.text

        async def is_well() -> bool:
            return await state.health() == "ok"

        mend()
        await until(is_well)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    await everything(state)


# --- it holds what others wrote --------------------------------------------------------------------------------------

KEYS = [f"{LEASE}c", "callboard:epoch", "callboard:count:calls", "callboard:limit:k", "callboard:nodes"]
WRITTEN: dict[str, Callable[[redis.Redis, str], Any]] = {
    "another type": lambda client, key: client.rpush(key, "x"),
    "a text": lambda client, key: client.set(key, "what is this"),
    "no text": lambda client, key: client.set(key, b"\xff\x00\xfe"),
    "no number": lambda client, key: client.set(key, "nan"),
    "far too large": lambda client, key: client.set(key, "9" * 400),
    "a field of theirs": lambda client, key: client.hset(key, "theirs", "nan"),
    "a field like ours": lambda client, key: client.hset(key, "theirs", f"1 {10**15 * 9} [1, {{"),
}


@pytest.mark.parametrize("written", WRITTEN)
async def test_keys_of_ours_that_others_wrote_fail_nothing(
    client: redis.Redis, state: SharedState, caplog: pytest.LogCaptureFixture, written: str
) -> None:
    for key in KEYS:
        WRITTEN[written](client, key)
    with caplog.at_level(logging.WARNING):
        await everything(state)
        await everything(state)
    assert not caplog.records
    assert await state.health() == "ok"


async def test_one_such_key_costs_no_other_call_its_lease(client: redis.Redis, state: SharedState) -> None:
    calls = [f"call-{number}" for number in range(20)]
    epochs = await state.lease_all(calls, "node/0", TTL_S)
    client.delete(f"{LEASE}call-7")
    client.rpush(f"{LEASE}call-7", "x")
    assert not await state.renew_all({call: Lease("node/0", epochs[call]) for call in calls}, TTL_S)
    for call in calls:
        assert client.get(f"{LEASE}{call}") == f"{epochs[call]} node/0"


# --- its clock goes back ---------------------------------------------------------------------------------------------


async def test_a_clock_that_was_ahead_refuses_nobody_and_keeps_no_dead_node(
    client: redis.Redis, state: SharedState
) -> None:
    in_an_hour = int(client.time()[0] + 3600) * 1_000_000
    client.set("callboard:limit:k", str(in_an_hour))
    client.hset("callboard:nodes", "dead", f"{in_an_hour} {in_an_hour + 6_000_000} {{}}")
    assert [await state.allow("k", 2, 60) for _ in range(3)] == [True, True, False]
    assert await state.nodes() == []


# --- nothing is left for ever ----------------------------------------------------------------------------------------


async def test_what_is_written_ends_by_itself(client: redis.Redis, state: SharedState) -> None:
    await everything(state)
    await state.count("calls of a node that is only looked at", 0)
    lasting = {key for key in client.scan_iter() if client.ttl(key) < 0}
    assert lasting == {"callboard:epoch", "callboard:nodes"}
    assert "callboard:count:calls of a node that is only looked at" not in set(client.scan_iter())


# --- it moves --------------------------------------------------------------------------------------------------------


class Name:
    """What a name leads to: connections that are open stay where they are."""

    def __init__(self) -> None:
        self.target = Server("", 0)
        self.connections = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Server]:
        async with await asyncio.start_server(self._accept, "127.0.0.1", 0) as listener:
            yield Server(*listener.sockets[0].getsockname()[:2])

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there, back = await asyncio.open_connection(self.target.host, self.target.port)
        await asyncio.gather(self._pass_on(reader, back), self._pass_on(there, writer))

    @staticmethod
    async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()


async def test_a_failover_behind_a_name_is_followed(
    server: StoppableServer, client: redis.Redis, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with stoppable_redis(tmp_path_factory.mktemp("new")) as new:
        name = Name()
        name.target = server.login
        async with name.open() as address:
            state = connected(address)
            await asyncio.gather(*(state.count("calls") for _ in range(20)))  # several connections
            lease = Lease("node/0", await state.lease("c", "node/0", TTL_S) or 0)
            be_replica(client, Path())
            name.target = new.login

            async def is_leased_there() -> bool:
                assert await state.renew("c", lease, TTL_S)
                with redis.Redis(new.login.host, new.login.port) as other:
                    return other.get(f"{LEASE}c") is not None

            await until(is_leased_there)
            assert await state.health() == "ok"
            await state.close()


# --- it is none ------------------------------------------------------------------------------------------------------

ANSWERS = {
    "nothing": b"",
    "half an answer": b"*3\r\n$5\r\nhel",
    "a length without end": b"$999999999999\r\n",
    "ok, whatever it is asked": b"+OK\r\n" * 50,
    "nil": b"$-1\r\n" * 50,
    "numbers": b":7\r\n" * 50,
    "HTTP": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "noise": bytes(range(256)) * 20,
    "LOADING": b"-LOADING Redis is loading the dataset in memory\r\n" * 50,
    "NOAUTH": b"-NOAUTH Authentication required.\r\n" * 50,
    "a long complaint": b"-ERR " + b"x" * 100_000 + b"\r\n",
}


@pytest.mark.parametrize("answer", ANSWERS)
async def test_whatever_answers_in_its_place_this_process_goes_on(
    answer: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(redis_module, "ANSWER_S", 0.1)
    tried = 0

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tried
        tried += 1
        with suppress(OSError):
            while await reader.read(65536):
                writer.write(ANSWERS[answer])
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as listener:
        state = connected(Server(*listener.sockets[0].getsockname()[:2]))
        assert isinstance(state, RedisState)
        while tried < 9:  # more than the client has connections
            await everything(state)
            assert await state.health() != "ok"
            assert len(await state.health()) < 300
            await asyncio.sleep(0.02)
        await state.close()
    assert [record.levelname for record in caplog.records] == ["ERROR"], caplog.text[:2000]

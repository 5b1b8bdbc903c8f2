"""Shared state: one contract for both implementations, and what Redis's absence means."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
import redis

from config.settings import load_settings
from store import redis_state as redis_module
from store.redis_state import RedisState
from store.shared import Expiring, InProcessState, Lease, SharedState
from tests.databases import Server
from tests.servers import StoppableServer, redis_environ, stoppable_redis

TTL_S = 30.0


def connected(server: Server) -> SharedState:
    return SharedState.from_settings(load_settings(redis_environ(server)))


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no outage."""
    monkeypatch.setattr(redis_module, "ANSWER_S", 5.0)


@pytest.fixture(params=["in process", "redis"])
async def state(request: pytest.FixtureRequest, patience: None) -> AsyncIterator[SharedState]:
    if request.param == "in process":
        made = SharedState.from_settings(load_settings({}))
    else:
        server: Server = request.getfixturevalue("redis_server")
        with redis.Redis(server.host, server.port) as client:
            client.flushdb()
        made = connected(server)
    yield made
    await made.close()


async def leased(state: SharedState, call: str, owner: str, ttl_s: float = TTL_S) -> Lease:
    epoch = await state.lease(call, owner, ttl_s)
    assert epoch is not None
    return Lease(owner, epoch)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(5):
        while not await holds():  # noqa: ASYNC110 (Redis tells nobody)
            await asyncio.sleep(0.01)


async def until_gone(state: SharedState, call: str) -> None:
    async def is_gone() -> bool:
        return await state.owner_of(call) is None

    await until(is_gone)


# --- the contract ------------------------------------------------------------------------------------------------


async def test_it_is_well(state: SharedState) -> None:
    assert await state.health() == "ok"


async def test_a_call_has_one_owner(state: SharedState) -> None:
    assert await state.owner_of("c") is None
    lease = await leased(state, "c", "node/0/a b")
    assert await state.owner_of("c") == lease
    assert await state.lease("c", "node/1/x", TTL_S) is None
    assert await state.owner_of("c") == lease
    assert (await leased(state, "d", "node/1/x")).owner == "node/1/x"


async def test_of_many_who_ask_at_once_one_gets_it(state: SharedState) -> None:
    epochs = await asyncio.gather(*(state.lease("c", f"node/{n}", TTL_S) for n in range(20)))
    assert len([epoch for epoch in epochs if epoch]) == 1


async def test_epochs_rise_whoever_leases(state: SharedState) -> None:
    epochs = []
    for n in range(30):
        lease = await leased(state, "c", f"node/{n // 2}")
        epochs.append(lease.epoch)
        if n % 2:
            await state.release("c", lease)
    assert epochs == sorted(set(epochs))


async def test_only_the_holder_of_this_lease_renews_and_releases(state: SharedState) -> None:
    old = await leased(state, "c", "node/0")
    new = await leased(state, "c", "node/0")
    for stranger in (old, Lease("node/1", new.epoch), Lease("node/1", new.epoch + 1)):
        assert not await state.renew("c", stranger, TTL_S)
        await state.release("c", stranger)
        assert await state.owner_of("c") == new
    assert await state.renew("c", new, TTL_S)
    await state.release("c", new)
    assert await state.owner_of("c") is None


async def test_a_lease_ends_and_a_renewal_keeps_it(state: SharedState) -> None:
    short, kept = await leased(state, "short", "node/0", 0.05), await leased(state, "kept", "node/0", 0.05)
    assert await state.renew("kept", kept, TTL_S)
    await until_gone(state, "short")
    assert await state.owner_of("kept") == kept
    assert (await leased(state, "short", "node/1")).epoch > short.epoch


async def test_a_lease_that_has_ended_is_restored_unless_another_has_it(state: SharedState) -> None:
    mine = await leased(state, "c", "node/0", 0.02)
    await until_gone(state, "c")
    assert await state.renew("c", mine, 0.02)
    assert await state.owner_of("c") == mine
    await until_gone(state, "c")
    theirs = await leased(state, "c", "node/1")
    assert not await state.renew("c", mine, TTL_S)
    assert await state.owner_of("c") == theirs


async def test_counters(state: SharedState) -> None:
    assert [await state.count("a"), await state.count("b", 5), await state.count("a", 2)] == [1, 5, 3]
    assert await state.count("a", 0) == 3


async def test_a_rate_is_limited_for_each_key(state: SharedState) -> None:
    assert [await state.allow("a", 3, 60) for _ in range(5)] == [True] * 3 + [False] * 2
    assert await state.allow("b", 3, 60)


async def test_a_rate_comes_back_evenly(state: SharedState) -> None:
    begin, allowed = time.monotonic(), 0
    while (elapsed := time.monotonic() - begin) < 0.5:
        allowed += await state.allow("a", 10, 0.2)
        await asyncio.sleep(0.001)
    assert 10 + elapsed * 50 - 4 <= allowed <= 10 + elapsed * 50


@pytest.mark.parametrize(("limit", "period_s"), [(0, 1.0), (-1, 1.0), (1, 0.0)])
async def test_a_limit_that_is_none(state: SharedState, limit: int, period_s: float) -> None:
    with pytest.raises(ValueError, match="legal: above 0"):
        await state.allow("a", limit, period_s)


async def test_nodes_that_beat(state: SharedState) -> None:
    await state.beat("b", {"calls": 7, "at": "10.0.0.5:1900", "text": "line\n%s \N{SNOWMAN}"}, TTL_S)
    await state.beat("a", {}, TTL_S)
    await state.beat("a", {"calls": 2}, TTL_S)
    found = await state.nodes()
    assert [(node.name, node.info.get("calls")) for node in found] == [("a", 2), ("b", 7)]
    assert found[1].info["text"] == "line\n%s \N{SNOWMAN}"
    assert all(0 <= node.age_s < 5 for node in found)


async def test_a_node_that_is_silent_is_gone(state: SharedState) -> None:
    await state.beat("a", {}, 0.02)
    await state.beat("b", {}, TTL_S)

    async def is_gone() -> bool:
        return [node.name for node in await state.nodes()] == ["b"]

    await until(is_gone)


async def test_close_may_be_repeated(state: SharedState) -> None:
    await state.health()
    await state.close()
    await state.close()


# --- in process --------------------------------------------------------------------------------------------------


async def test_what_has_ended_does_not_pile_up() -> None:
    now = 0.0
    entries: Expiring[int] = Expiring()
    for n in range(10_000):
        now += 1
        entries.set(str(n), n, now, now + 50)
    assert len(entries) < 200
    assert [value for _, value in entries.items(now)] == list(range(9_950, 10_000))


async def test_time_is_injected() -> None:
    now = 100.0
    state = InProcessState(lambda: now)
    await state.lease("c", "node/0", 10)
    now = 109.9
    assert await state.owner_of("c")
    now = 110.0
    assert await state.owner_of("c") is None


# --- several processes at one Redis ------------------------------------------------------------------------------


@pytest.fixture
async def pair(redis_server: Server, patience: None) -> AsyncIterator[list[SharedState]]:
    with redis.Redis(redis_server.host, redis_server.port) as client:
        client.flushdb()
    states = [connected(redis_server) for _ in range(2)]
    yield states
    for state in states:
        await state.close()


async def test_both_see_the_same(pair: list[SharedState]) -> None:
    first, second = pair
    lease = await leased(first, "c", "node/0")
    assert await second.owner_of("c") == lease
    assert await second.lease("c", "node/1", TTL_S) is None
    assert [await first.count("a", 2), await second.count("a", 3), await first.count("a")] == [2, 5, 6]
    assert sum([await state.allow("k", 5, 60) for _ in range(5) for state in pair]) == 5
    await first.beat("n", {}, TTL_S)
    assert [node.name for node in await second.nodes()] == ["n"]


# --- Redis is away -----------------------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoppableServer]:
    with stoppable_redis(tmp_path_factory.mktemp("redis")) as made:
        yield made


@pytest.fixture
async def both(server: StoppableServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[SharedState]]:
    monkeypatch.setattr(redis_module, "RETRY_S", 0.05)
    states = [connected(server.login) for _ in range(2)]
    yield states
    for state in states:
        await state.close()


async def until_well(state: SharedState) -> None:
    async def is_well() -> bool:
        return await state.health() == "ok"

    await until(is_well)


@pytest.mark.parametrize("how", ["hangs", "is killed"])
async def test_an_outage_is_answered_locally_and_ends_by_itself(
    server: StoppableServer, both: list[SharedState], how: str, caplog: pytest.LogCaptureFixture
) -> None:
    state, other = both
    before = await leased(state, "before", "node/0")
    await state.count("a", 10)
    (server.pause if how == "hangs" else server.kill)()
    with caplog.at_level(logging.WARNING):
        begin = time.monotonic()
        assert await state.owner_of("before") == before
        during = await leased(state, "during", "node/0")
        for _ in range(200):
            assert await state.renew("before", before, TTL_S)
            assert await state.renew("during", during, TTL_S)
        assert await state.lease("during", "node/1", TTL_S) is None
        assert await state.count("a", 5) == 15
        assert [await state.allow("k", 2, 60) for _ in range(3)] == [True, True, False]
        await state.beat("n", {}, TTL_S)
        assert [node.name for node in await state.nodes()] == ["n"]
        assert time.monotonic() - begin < 4 * redis_module.ANSWER_S + 1
        assert (await state.health()).startswith(f"redis 127.0.0.1:{server.login.port}/0: ")
        server.resume() if how == "hangs" else server.start()
        await until_well(state)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    for call, lease in (("before", before), ("during", during)):
        assert await state.renew(call, lease, TTL_S)
        assert await other.owner_of(call) == lease
    assert (await leased(other, "new", "node/1")).epoch > during.epoch
    assert [await state.count("a"), await other.count("a")] == [16, 17]


async def test_nobody_waits_long_or_often(
    server: StoppableServer, both: list[SharedState], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_module, "RETRY_S", 30.0)
    state = both[0]
    await state.health()
    server.pause()
    begin = time.monotonic()
    await asyncio.gather(*(state.count("a") for _ in range(300)))
    assert time.monotonic() - begin < 3 * redis_module.ANSWER_S
    begin = time.monotonic()
    for _ in range(1000):
        await state.allow("k", 2000, 60)
    assert time.monotonic() - begin < redis_module.ANSWER_S
    server.resume()


async def test_a_wrong_password_is_an_outage_that_is_not_repeated(redis_server: Server) -> None:
    environ = redis_environ(redis_server) | {"REDIS__USER": "nobody", "REDIS__PASSWORD": "geheim"}
    state = SharedState.from_settings(load_settings(environ))
    assert isinstance(state, RedisState)
    reason = await state.health()
    await state.close()
    assert "invalid username-password pair" in reason
    assert "geheim" not in reason


@pytest.mark.parametrize(
    "error", [RuntimeError("read() called while another coroutine"), AttributeError("_loop"), EOFError()]
)
async def test_whatever_the_client_raises_this_process_answers(
    redis_server: Server, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    state = connected(redis_server)
    assert isinstance(state, RedisState)

    async def broken(*args: object) -> None:
        raise error

    monkeypatch.setattr(state, "_scripts", dict.fromkeys(state._scripts, broken))
    lease = await leased(state, "c", "node/0")
    assert await state.renew("c", lease, TTL_S)
    assert type(error).__name__ in await state.health()
    await state.close()

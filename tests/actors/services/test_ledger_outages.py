"""The ledger while the database is away, slow, or comes back after the worker has died: exactly once, in order."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from thespian.actors import ActorAddress

from actors.loop.local import Local
from actors.loop.system import LoopSystem
from actors.services import ledger as ledger_module
from actors.services.ledger import BATCH_ROWS, Flush, Flushed, Ledger, OpenLedger
from store import engine as engine_module
from store import spool as spool_module
from store.contexts import ContextRepository
from store.conversations import ConversationRepository
from store.engine import Database
from store.records import CallContext, ConversationEnd, LedgerRow, OwnerLost
from store.spool import spool_folder
from tests.actors.services.test_ledger import Writes, rows, written
from tests.databases import execute, migrated, postgres_environ
from tests.servers import StoppableServer, stoppable_postgres
from tests.store.factories import START, open_context


@pytest.fixture(scope="module")
def server(server_folder: Path) -> Iterator[StoppableServer]:
    folder = server_folder / "stoppable"
    folder.mkdir()
    with stoppable_postgres(folder) as made:
        yield made


@pytest.fixture
def environ(server: StoppableServer, tmp_path: Path) -> Iterator[dict[str, str]]:
    name = f"test_{os.urandom(4).hex()}"
    execute(server.login, f"CREATE DATABASE {name}")
    yield postgres_environ(server.login, name) | {"DATA_DIR": str(tmp_path)}
    execute(server.login, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def away(environ: dict[str, str]) -> Iterator[Database]:
    """The database of a server that may go away."""
    opened = migrated(environ)
    yield opened
    opened.close()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "ANSWER_S", 0.5)
    monkeypatch.setattr(engine_module, "CONNECT_S", 0.5)
    monkeypatch.setattr(ledger_module, "LAST_RETRY_S", 0.5)


@pytest.fixture
async def system() -> AsyncIterator[LoopSystem]:
    made = LoopSystem(asyncio.get_running_loop())
    yield made
    await made.shutdown_async()


def open_ledger(system: LoopSystem, database: Database, data_dir: Path, incarnation: str) -> ActorAddress:
    ledger = system.createActor(Ledger)
    system.tell(ledger, OpenLedger(Local(database), spool_folder(data_dir, incarnation)))
    return ledger


async def flush(system: LoopSystem, ledger: ActorAddress) -> None:
    assert isinstance(await system.ask_async(ledger, Flush(), 20), Flushed)


def spooled(data_dir: Path) -> list[Path]:
    return sorted((data_dir / "spool").glob("*/*.jsonl"))


def spooled_turns(data_dir: Path) -> list[int]:
    written = [path.read_text().rpartition("\n")[0] for path in spooled(data_dir)]  # the last line may be under way
    lines = [line for text in written for line in text.splitlines()]
    return [values["turn"] for line in lines for _, values in json.loads(line[9:])["rows"]]


async def until_spooled(data_dir: Path, turn: int) -> None:
    async with asyncio.timeout(5):
        while turn not in spooled_turns(data_dir):  # noqa: ASYNC110 (a file tells nobody)
            await asyncio.sleep(0.01)


async def until_no_spool(data_dir: Path) -> None:
    async with asyncio.timeout(10):
        while spooled(data_dir):  # noqa: ASYNC110 (a file tells nobody)
            await asyncio.sleep(0.01)


class Stream:
    """Rows for the ledger, 500 a second, until told to stop."""

    def __init__(self, system: LoopSystem, ledger: ActorAddress, context: CallContext) -> None:
        self.sent = 0
        self._system, self._ledger, self._context = system, ledger, context
        self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        while True:
            for row in rows(self._context, 10, first=self.sent):
                self._system.tell(self._ledger, row)
            self.sent += 10
            await asyncio.sleep(0.02)

    async def until(self, sent: int) -> None:
        while self.sent < sent:  # noqa: ASYNC110 (time is what is tested here)
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


# --- a real server goes away -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["hangs", "is killed"])
async def test_a_stream_of_rows_survives_an_outage(
    system: LoopSystem,
    server: StoppableServer,
    away: Database,
    tmp_path: Path,
    how: str,
    hurried: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(ledger_module, "WAITING_ROWS", 250)  # else rows are lost
    context = open_context(away)
    ledger = open_ledger(system, away, tmp_path, "node/0/a")
    stream = Stream(system, ledger, context)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            begin = stream.sent
            await stream.until(begin + 200)
            server.pause() if how == "hangs" else server.kill()
            await stream.until(begin + 1000)
            assert len(spooled_turns(tmp_path)) > 300
            server.resume() if how == "hangs" else server.start()
            await stream.until(begin + 1200)
        await stream.stop()
        await flush(system, ledger)
    assert written(away, context) == list(range(stream.sent))
    await until_no_spool(tmp_path)
    levels = [record.levelname for record in caplog.records if record.name == ledger_module.__name__]
    assert levels == ["ERROR", "WARNING"] * 2
    assert "rows wait on disk: database 127.0.0.1:" in caplog.text


CHILD = """
import asyncio, os, sys
from pathlib import Path
from actors.loop.system import LoopSystem
from config.settings import load_settings
from store.engine import Database
from store.records import MessageRow
from tests.actors.services.test_ledger_outages import START, open_ledger

async def main(conversation: int) -> None:
    settings = load_settings(os.environ)
    system = LoopSystem(asyncio.get_running_loop())
    ledger = open_ledger(system, Database.from_settings(settings), settings.data_dir, "node/0/killed")
    for turn in range(100_000):
        system.tell(ledger, MessageRow(conversation, turn, "user", f"line {turn}", START))
        print(turn, flush=True)
        await asyncio.sleep(0.002)

asyncio.run(main(int(sys.argv[1])))
"""


@pytest.mark.parametrize("how", ["hangs", "is killed"])
async def test_a_worker_killed_during_an_outage_loses_its_last_moment_only(
    system: LoopSystem,
    server: StoppableServer,
    away: Database,
    environ: dict[str, str],
    tmp_path: Path,
    how: str,
    hurried: None,
) -> None:
    context = open_context(away)
    command = [sys.executable, "-c", CHILD, str(context.conversation_id)]
    child = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.PIPE, env={**os.environ, **environ}, limit=1 << 20
    )
    assert child.stdout

    async def told(turn: int) -> None:
        assert child.stdout
        while int(await child.stdout.readline()) < turn:
            pass

    async with asyncio.timeout(30):
        await told(300)
        server.pause() if how == "hangs" else server.kill()
        await told(900)
        child.send_signal(signal.SIGKILL)
        last = int((b"900\n" + await child.stdout.read()).split()[-1])
        await child.wait()
    server.resume() if how == "hangs" else server.start()
    open_ledger(system, away, tmp_path, "node/0/next")
    await until_no_spool(tmp_path)
    found = written(away, context)
    assert found == list(range(len(found)))
    assert last - 100 <= found[-1] <= last  # 100 rows: a period, the rows under way to the disk, a busy machine


async def test_an_orderly_end_during_an_outage_loses_nothing(
    server: StoppableServer, away: Database, tmp_path: Path, hurried: None, caplog: pytest.LogCaptureFixture
) -> None:
    context = open_context(away)
    server.pause()
    first = LoopSystem(asyncio.get_running_loop())
    ledger = open_ledger(first, away, tmp_path, "node/0/a")
    for row in rows(context, 777):
        first.tell(ledger, row)
    await first.shutdown_async()
    assert spooled_turns(tmp_path) == list(range(777))
    server.resume()
    second = LoopSystem(asyncio.get_running_loop())
    with caplog.at_level(logging.WARNING):
        open_ledger(second, away, tmp_path, "node/0/b")
        async with asyncio.timeout(10):
            while "that node_0_a had left on disk" not in caplog.text:  # noqa: ASYNC110 (a log tells nobody)
                await asyncio.sleep(0.01)
    await second.shutdown_async()
    assert written(away, context) == list(range(777))


# --- the rest on any database ------------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = migrated({"DATA_DIR": str(tmp_path)})
    yield opened
    opened.close()


@pytest.fixture
async def writes(monkeypatch: pytest.MonkeyPatch) -> Writes:
    return Writes(monkeypatch)


async def test_what_is_late_is_on_disk_after_a_period_and_written_once(
    system: LoopSystem, database: Database, tmp_path: Path, writes: Writes
) -> None:
    context = open_context(database)
    ledger = open_ledger(system, database, tmp_path, "node/0/a")
    writes.gate.clear()
    system.tell(ledger, rows(context, 1)[0])
    await until_spooled(tmp_path, 0)
    for row in rows(context, 500, first=1):
        system.tell(ledger, row)
    await until_spooled(tmp_path, 500)
    writes.gate.set()
    for row in rows(context, 100, first=501):
        system.tell(ledger, row)
    await flush(system, ledger)
    assert written(database, context) == list(range(601))
    await until_no_spool(tmp_path)


async def test_a_database_that_keeps_up_needs_no_disk(
    system: LoopSystem, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "BATCH_EVERY_S", 10.0)
    context = open_context(database)
    ledger = open_ledger(system, database, tmp_path, "node/0/a")
    for row in rows(context, 1000):
        system.tell(ledger, row)
    await flush(system, ledger)
    assert not (tmp_path / "spool").exists()


@pytest.mark.parametrize("trouble", ["no folder", "full"])
async def test_without_a_disk_rows_wait_in_memory(
    system: LoopSystem,
    database: Database,
    tmp_path: Path,
    writes: Writes,
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if trouble == "no folder":
        (tmp_path / "spool").touch()
    else:
        monkeypatch.setattr(spool_module.Spool.__init__, "__defaults__", (100,))
    monkeypatch.setattr(ledger_module, "WAITING_ROWS", 1000)
    context = open_context(database)
    ledger = open_ledger(system, database, tmp_path, "node/0/a")
    writes.gate.clear()
    writes.failures = ["before"] * 2
    with caplog.at_level(logging.WARNING):
        for row in rows(context, 200):
            system.tell(ledger, row)
        await asyncio.wait_for(writes.changed.wait(), 5)
        for row in rows(context, 1300, first=200):
            system.tell(ledger, row)
        async with asyncio.timeout(5):
            while "cannot spool" not in caplog.text:  # noqa: ASYNC110 (a log tells nobody)
                await asyncio.sleep(0.01)
        asked = asyncio.ensure_future(flush(system, ledger))
        await asyncio.sleep(0)
        writes.gate.set()
        await asked
    found = written(database, context)
    first = writes.sizes[0]  # was being written: what waited behind it was bounded, and lost its oldest
    kept = len(found) - first
    assert found == [*range(first), *range(1500 - kept, 1500)]
    assert 1000 - BATCH_ROWS < kept <= 1000
    assert f"{1500 - first - kept} rows were lost" in caplog.text
    assert caplog.text.count("cannot spool") == 1


async def test_several_dead_workers_are_written_and_the_living_are_left_alone(
    system: LoopSystem, database: Database, tmp_path: Path, writes: Writes
) -> None:
    contexts = [open_context(database) for _ in range(3)]
    writes.gate.clear()
    workers = [LoopSystem(asyncio.get_running_loop()) for _ in contexts]
    for worker, context, name in zip(workers, contexts, "abc", strict=True):
        ledger = open_ledger(worker, database, tmp_path, f"node/{name}")
        for row in rows(context, 300):
            worker.tell(ledger, row)
        await until_spooled(tmp_path, 299)
    async with asyncio.timeout(5):
        while len(spooled(tmp_path)) < 3:  # noqa: ASYNC110 (a file tells nobody)
            await asyncio.sleep(0.01)
    for worker in workers[:2]:
        await worker.shutdown_async()
    writes.gate.set()
    ledger = open_ledger(system, database, tmp_path, "node/next")
    await until_no_spool(tmp_path)
    await flush(system, ledger)
    await workers[2].shutdown_async()
    assert [written(database, context) for context in contexts] == [list(range(300))] * 3


async def test_a_lost_worker_is_closed_through_the_ledger_and_its_own_end_is_better(
    system: LoopSystem, database: Database, tmp_path: Path
) -> None:
    contexts = [open_context(database) for _ in range(2)]
    for context in contexts:
        ContextRepository(database).claim(context.id, "twilio", owner="node/0/dead")
    ledger = open_ledger(system, database, tmp_path, "node/0/next")
    own_end = ConversationEnd(contexts[1].conversation_id, "success", "caller_hung_up", "", START)
    sent: list[LedgerRow] = [OwnerLost("node/0/dead", "worker_lost", START), own_end]
    for row in sent:
        system.tell(ledger, row)
        await flush(system, ledger)
    ends = [ConversationRepository(database).transcript(context.id).termination for context in contexts]
    assert [(end.result, end.reason) for end in ends if end] == [
        ("server_error", "worker_lost"),
        ("success", "caller_hung_up"),
    ]

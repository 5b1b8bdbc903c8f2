"""The ledger: batches, order, outages, and nothing twice."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from thespian.actors import ActorAddress

from actors.loop.local import Local
from actors.loop.system import LoopSystem
from actors.services import ledger as ledger_module
from actors.services.ledger import BATCH_ROWS, Flush, Flushed, Ledger, OpenLedger
from store.conversations import ConversationRepository
from store.engine import Database
from store.errors import StoreUnavailable
from store.records import CallContext, MessageRow
from tests.databases import Server, execute
from tests.store.factories import START, open_context


@pytest.fixture(params=["reference", "pickle"])
async def system(request: pytest.FixtureRequest) -> AsyncIterator[LoopSystem]:
    made = LoopSystem(asyncio.get_running_loop(), message_copy=request.param)
    yield made
    await made.shutdown_async()


@pytest.fixture
def context(database: Database) -> CallContext:
    return open_context(database)


@pytest.fixture
def ledger(system: LoopSystem, database: Database) -> ActorAddress:
    address = system.createActor(Ledger)
    system.tell(address, OpenLedger(Local(database)))
    return address


def rows(context: CallContext, count: int, first: int = 0) -> list[MessageRow]:
    return [MessageRow(context.conversation_id, n, "user", f"line {n}", START) for n in range(first, first + count)]


async def flush(system: LoopSystem, ledger: ActorAddress) -> None:
    assert isinstance(await system.ask_async(ledger, Flush(), 10), Flushed)


def written(database: Database, context: CallContext) -> list[int]:
    return [row.turn for row in ConversationRepository(database).transcript(context.id).messages]


class Writes:
    """Stands before `ConversationRepository.write`: counts, and fails as told, before or after the real write."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        self.failures: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        real = ConversationRepository.write

        def write(repository: ConversationRepository, batch: Any, name: Any = None) -> None:
            self.sizes.append(len(batch))
            self._loop.call_soon_threadsafe(self.changed.set)
            assert self.gate.wait(10)
            failure = self.failures.pop(0) if self.failures else None
            if failure == "before":
                raise StoreUnavailable("away")
            real(repository, batch, name)
            if failure == "after":
                raise StoreUnavailable("the answer to COMMIT was lost")

        monkeypatch.setattr(ConversationRepository, "write", write)
        monkeypatch.setattr(ledger_module, "FIRST_RETRY_S", 0.01)


@pytest.fixture
async def writes(monkeypatch: pytest.MonkeyPatch) -> Writes:
    return Writes(monkeypatch)


async def test_rows_are_written_soon_and_in_order(
    system: LoopSystem, ledger: ActorAddress, database: Database, context: CallContext
) -> None:
    for row in rows(context, 1000):
        system.tell(ledger, row)
    await flush(system, ledger)
    assert written(database, context) == list(range(1000))


async def test_a_row_is_written_without_a_flush(
    system: LoopSystem, ledger: ActorAddress, context: CallContext, writes: Writes
) -> None:
    for row in rows(context, 3):
        system.tell(ledger, row)
    await asyncio.wait_for(writes.changed.wait(), 5)
    assert writes.sizes == [3]


async def test_batches_are_bounded_and_one_is_under_way(
    system: LoopSystem, ledger: ActorAddress, database: Database, context: CallContext, writes: Writes
) -> None:
    writes.gate.clear()
    for row in rows(context, 2 * BATCH_ROWS + 50):
        system.tell(ledger, row)
    await asyncio.wait_for(writes.changed.wait(), 5)
    assert writes.sizes == [BATCH_ROWS]
    writes.gate.set()
    await flush(system, ledger)
    assert writes.sizes == [BATCH_ROWS, BATCH_ROWS, 50]


async def test_rows_that_come_before_the_database_wait(
    system: LoopSystem, database: Database, context: CallContext
) -> None:
    early = system.createActor(Ledger)
    for row in rows(context, 3):
        system.tell(early, row)
    system.tell(early, OpenLedger(Local(database)))
    await flush(system, early)
    assert written(database, context) == [0, 1, 2]


async def test_a_flush_of_nothing_is_answered(system: LoopSystem, ledger: ActorAddress) -> None:
    await flush(system, ledger)


@pytest.mark.parametrize("failure", ["before", "after"])
async def test_nothing_is_lost_or_written_twice_by_an_outage(
    system: LoopSystem,
    ledger: ActorAddress,
    database: Database,
    context: CallContext,
    writes: Writes,
    failure: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    writes.failures = [failure] * 4
    with caplog.at_level(logging.WARNING):
        for row in rows(context, 500):
            system.tell(ledger, row)
        await flush(system, ledger)
    assert written(database, context) == list(range(500))
    assert [record.levelname for record in caplog.records if "ledger:" in record.message] == ["ERROR", "WARNING"]


async def test_memory_is_bounded_and_the_loss_is_told(
    system: LoopSystem,
    ledger: ActorAddress,
    database: Database,
    context: CallContext,
    writes: Writes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(ledger_module, "WAITING_ROWS", 300)
    writes.gate.clear()
    writes.failures = ["before"]
    for row in rows(context, BATCH_ROWS):
        system.tell(ledger, row)
    await asyncio.wait_for(writes.changed.wait(), 5)
    for row in rows(context, 400, first=BATCH_ROWS):
        system.tell(ledger, row)
    asked = asyncio.ensure_future(flush(system, ledger))
    await asyncio.sleep(0)
    writes.gate.set()
    with caplog.at_level(logging.WARNING):
        await asked
    assert written(database, context) == [*range(BATCH_ROWS), *range(BATCH_ROWS + 100, BATCH_ROWS + 400)]
    assert "100 rows were lost" in caplog.text


async def test_what_is_left_is_written_at_the_end(
    system: LoopSystem, ledger: ActorAddress, database: Database, context: CallContext
) -> None:
    for row in rows(context, 500):
        system.tell(ledger, row)
    await system.shutdown_async()
    assert written(database, context) == list(range(500))


async def test_a_batch_under_way_at_the_end_is_written_once(
    system: LoopSystem, ledger: ActorAddress, database: Database, context: CallContext, writes: Writes
) -> None:
    writes.gate.clear()
    for row in rows(context, BATCH_ROWS + 10):
        system.tell(ledger, row)
    await asyncio.wait_for(writes.changed.wait(), 5)
    threading.Timer(0.1, writes.gate.set).start()
    await system.shutdown_async()
    await database.run(database.ping)
    assert written(database, context) == list(range(BATCH_ROWS + 10))


async def test_the_end_does_not_wait_for_ever(
    system: LoopSystem,
    ledger: ActorAddress,
    database: Database,
    context: CallContext,
    writes: Writes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(ledger_module, "EXIT_S", 0.05)
    writes.gate.clear()
    for row in rows(context, 7):
        system.tell(ledger, row)
    await system.shutdown_async()
    writes.gate.set()
    assert "7 rows may be lost at the end: too slow" in caplog.text


@pytest.mark.parametrize("database_environ", ["postgresql"], indirect=True)
async def test_a_real_outage_of_postgresql(
    system: LoopSystem,
    ledger: ActorAddress,
    database: Database,
    context: CallContext,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ledger_module, "FIRST_RETRY_S", 0.01)
    server: Server = request.getfixturevalue("postgres_server")
    name = database.url.database
    await asyncio.to_thread(execute, server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    await asyncio.to_thread(execute, server, cut)
    with pytest.raises(StoreUnavailable):
        await database.run(database.ping)
    for row in rows(context, 500):
        system.tell(ledger, row)
    asked = asyncio.ensure_future(flush(system, ledger))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(asked), 0.3)
    await asyncio.to_thread(execute, server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    await asked
    assert written(database, context) == list(range(500))

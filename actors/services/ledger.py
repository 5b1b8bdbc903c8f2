"""Writes behind: calls tell the ledger what happened and go on; it reaches the database in batches, in a thread.

One batch is under way at a time, so the order stays. What the database has not taken within one period (it is away, or
hangs, or is slow) goes to the spool on disk, so memory stays bounded and a killed worker loses no more than its last
period; from then on all rows go through the spool until it is empty again. A batch that fails is offered again with
back-off; its number makes sure that it is written once, even if only the answer was lost, or a dead worker's spool is
written by the next one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

from thespian.actors import ActorAddress, ActorExitRequest

from actors.loop.actor import LoopActor, TaskFailed
from actors.loop.local import Local
from actors.loop.timers import Timer
from actors.services.files import SpoolFiles
from store.conversations import Batch, ConversationRepository
from store.engine import Database
from store.errors import FolderNotPrivate, SpoolFull, StoreUnavailable
from store.records import CarrierEvent, ConversationEnd, EventRow, LedgerRow, MessageRow, MetricRow, OwnerLost
from store.spool import NumberedRows

log = logging.getLogger(__name__)

BATCH_ROWS = 200
BATCH_EVERY_S = 0.1
FIRST_RETRY_S, LAST_RETRY_S = 0.2, 5.0
WAITING_ROWS = 5_000  # about 2.5 MB; without a spool, or with a full one, the oldest beyond that are lost
EXIT_S = 2.0


@dataclass(frozen=True, slots=True)
class OpenLedger:
    """worker -> Ledger: write into this `Database`; `spool` is the folder of this worker's incarnation.

    Its neighbours are the spools of other workers; those whose worker is dead are written, too.
    """

    database: Local
    spool: Path | None = None


@dataclass(frozen=True, slots=True)
class Flush:
    """worker, tests -> Ledger: write what came so far; `Flushed` answers once it is in the database."""


@dataclass(frozen=True, slots=True)
class Flushed:
    """Ledger -> who asked: everything that came before your `Flush` is in the database."""


@dataclass(frozen=True, slots=True)
class _Due:
    """timer -> Ledger: a period is over."""


class Ledger(LoopActor):
    """Takes `LedgerRow`s from anybody, `Flush`, and `OpenLedger` once, before or after the first rows."""

    mailbox_limit = 50_000

    def __init__(self) -> None:
        self._database: Database | None = None
        self._files: SpoolFiles | None = None
        self._writer = uuid4()
        self._cut = self._written = 0  # numbers of batches: the last one made, the last one in the database
        # Rows are first waiting, then numbered, then on disk if need be: the oldest are on disk.
        self._waiting: deque[LedgerRow] = deque()
        self._numbered: deque[NumberedRows] = deque()
        self._under_way: NumberedRows | None = None
        self._order = asyncio.Lock()  # held while rows move to the disk, or the next batch is chosen
        self._work = asyncio.Event()
        self._timer: Timer | None = None
        self._flushes: deque[tuple[int, ActorAddress]] = deque()  # answered when this batch is written
        self._lost = 0  # rows, in this outage
        self._rows_written = self._rows_lost = 0  # since the start, for operators
        self._is_away = self._disk_fails = False  # as told in the log

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:
        match message:
            case MessageRow() | MetricRow() | EventRow() | CarrierEvent() | ConversationEnd() | OwnerLost():
                self._keep(message)
            case _Due():
                self._on_due()
            case Flush():
                self._flushes.append((self._cut + -(-len(self._waiting) // BATCH_ROWS), sender))
                self._answer_flushes()
                self._work.set()
            case OpenLedger(database=database, spool=folder):
                self._open(database.value, folder)
            case TaskFailed(name=name, error=error):
                self._on_bug(name, error)
            case ActorExitRequest():
                self._finish()

    def _open(self, database: Database, folder: Path | None) -> None:
        self._database = database
        if folder:
            self._files = SpoolFiles(folder)
            self.start_task(self._adopt(self._files, folder.parent), "adopt")
        self.start_task(self._write_for_ever(), "write")
        self._work.set()

    def _on_bug(self, task: str, error: BaseException) -> None:
        log.error("ledger: %s failed: %r", task, error)
        if task == "write":  # goes on with the next rows
            self._under_way = None
            self.start_task(self._write_for_ever(), "write")

    def inspect(self) -> dict[str, Any]:
        """What operators see of it; rows that wait are in memory, those on disk are told in bytes."""
        return {
            "state": "away" if self._is_away else "running",
            "waiting": len(self._waiting) + sum(len(batch.rows) for batch in self._numbered),
            "spool_bytes": self._on_disk,
            "written": self._rows_written,
            "lost": self._rows_lost,
        }

    # --- collecting ----------------------------------------------------------------------------------------------

    def _keep(self, row: LedgerRow) -> None:
        self._waiting.append(row)
        self._bound()
        self._arm()
        if len(self._waiting) >= BATCH_ROWS:
            self._work.set()

    def _bound(self) -> None:
        held = len(self._waiting) + sum(len(batch.rows) for batch in self._numbered if batch is not self._under_way)
        if held <= WAITING_ROWS:
            return
        if self._numbered and self._numbered[-1] is not self._under_way:
            oldest = 1 if self._numbered[0] is self._under_way else 0
            self._lose(len(self._numbered[oldest].rows))
            del self._numbered[oldest]
        else:
            self._waiting.popleft()
            self._lose(1)

    def _lose(self, rows: int) -> None:
        self._lost += rows
        self._rows_lost += rows

    def _number(self) -> None:
        """Move the oldest waiting rows into a batch."""
        rows = tuple(islice(self._waiting, BATCH_ROWS))
        for _ in rows:
            self._waiting.popleft()
        self._cut += 1
        self._numbered.append(NumberedRows(Batch(self._writer, self._cut), rows))

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = self.call_later(BATCH_EVERY_S, _Due())

    def _on_due(self) -> None:
        self._timer = None
        if self._under_way is None:
            self._work.set()
            return
        self._arm()
        if self._files and not self._order.locked():
            self.start_task(self._spill(self._files), "spill")

    async def _spill(self, files: SpoolFiles) -> None:
        """The database is late: whatever is in memory goes to disk, behind what is there."""
        async with self._order:
            while self._waiting:
                self._number()
            if not self._numbered:
                return
            batches = list(self._numbered)
            try:
                await files.run(files.spool.append, batches)
            except (OSError, SpoolFull, FolderNotPrivate) as error:
                if not self._disk_fails:
                    log.error("ledger: cannot spool, rows wait in memory: %s", error)
                self._disk_fails = True
                return
            self._disk_fails = False
            last = batches[-1].batch.sequence
            self._numbered = deque(batch for batch in self._numbered if batch.batch.sequence > last)

    # --- writing -------------------------------------------------------------------------------------------------

    async def _write_for_ever(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            batch = await self._next()
            while batch:
                self._under_way = batch
                self._arm()
                await self._put(batch)
                self._on_written(batch)
                batch = await self._next() if self._is_behind() else None

    def _is_behind(self) -> bool:
        """Whether the next batch need not wait for the timer."""
        return bool(self._on_disk or self._numbered or self._flushes or len(self._waiting) >= BATCH_ROWS)

    @property
    def _on_disk(self) -> int:
        return self._files.spool.size_bytes if self._files else 0

    async def _next(self) -> NumberedRows | None:
        async with self._order:
            if self._files and self._on_disk:
                found = await self._files.run(self._files.spool.next, self._written)
                if found:
                    return found
                self._pass_over()
            if self._waiting and not self._numbered:
                self._number()
            return self._numbered[0] if self._numbered else None

    def _pass_over(self) -> None:
        """Nothing is on disk any more: what was there and is not written was damaged, and nobody waits for it."""
        self._written = max(self._written, self._numbered[0].batch.sequence - 1 if self._numbered else self._cut)
        self._answer_flushes()

    async def _put(self, batch: NumberedRows) -> None:
        """Offer a batch until it is written."""
        assert self._database
        repository, retry_s = ConversationRepository(self._database), FIRST_RETRY_S
        while True:
            try:
                return await self._database.run(repository.write, batch.rows, batch.batch)
            except Exception as error:
                self._on_failed(error)
            await asyncio.sleep(retry_s)
            retry_s = min(retry_s * 2, LAST_RETRY_S)

    def _on_failed(self, error: Exception) -> None:
        if not self._is_away:
            reason = error if isinstance(error, StoreUnavailable) else type(error).__name__
            log.error("ledger: cannot write, rows wait %s: %s", "on disk" if self._files else "in memory", reason)
        self._is_away = True

    def _on_written(self, batch: NumberedRows) -> None:
        self._under_way = None
        self._written = batch.batch.sequence
        self._rows_written += len(batch.rows)
        while self._numbered and self._numbered[0].batch.sequence <= self._written:
            self._numbered.popleft()
        if self._is_away:
            log.warning(
                "ledger: the database is back; %d bytes wait on disk, %d rows were lost", self._on_disk, self._lost
            )
            self._is_away, self._lost = False, 0
        self._answer_flushes()

    def _answer_flushes(self) -> None:
        while self._flushes and self._flushes[0][0] <= self._written:
            self.send(self._flushes.popleft()[1], Flushed())

    async def _adopt(self, files: SpoolFiles, root: Path) -> None:
        """Write what dead workers have left on disk."""
        for spool in await files.run(files.find_dead, root):
            batches = last = 0
            while found := await files.run(spool.next, last):
                await self._put(found)
                batches, last = batches + 1, found.batch.sequence
            await files.run(spool.close)
            if batches:
                log.warning("ledger: wrote %d batches that %s had left on disk", batches, spool.name)

    # --- the end -------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Blocks the loop, up to a few times `EXIT_S`: who can wait sends a `Flush` first."""
        while self._waiting:
            self._number()
        rest = list(self._numbered)
        self._numbered.clear()
        failure = self._write_rest(rest) if rest else ""
        if failure and self._files:
            failure = self._files.keep(rest, EXIT_S)
        if failure:
            log.error("ledger: %d rows may be lost at the end: %s", sum(len(batch.rows) for batch in rest), failure)
        if self._files:
            self._files.close()

    def _write_rest(self, rest: list[NumberedRows]) -> str:
        """Why it could not be done."""
        if self._database is None or self._on_disk or (self._is_away and self._files):
            return "the database is away"
        repository = ConversationRepository(self._database)
        # The first may be under way, or even written: its number tells.
        try:
            self._database.submit(_write_all, repository, rest).result(EXIT_S)
        except (StoreUnavailable, TimeoutError) as error:
            return str(error) or "too slow"
        return ""


def _write_all(repository: ConversationRepository, batches: list[NumberedRows]) -> None:
    for batch in batches:
        repository.write(batch.rows, batch.batch)

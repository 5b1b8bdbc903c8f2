"""Writes behind: calls tell the ledger what happened and go on; it reaches the database in batches, in a thread.

One batch is under way at a time, so the order stays. While the database is away the rows wait in memory, and the same
batch is offered again with back-off; its number makes sure that it is written once, even if only the answer was lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import uuid4

from thespian.actors import ActorAddress, ActorExitRequest

from actors.loop.actor import LoopActor, TaskFailed
from actors.loop.local import Local
from actors.loop.timers import Timer
from store.conversations import Batch, ConversationRepository
from store.engine import Database
from store.errors import StoreUnavailable
from store.records import ConversationEnd, EventRow, LedgerRow, MessageRow, MetricRow

log = logging.getLogger(__name__)

BATCH_ROWS = 200
BATCH_EVERY_S = 0.1
FIRST_RETRY_S, LAST_RETRY_S = 0.2, 10.0
WAITING_ROWS = 50_000  # about 25 MB; beyond that the oldest are lost
EXIT_S = 2.0


@dataclass(frozen=True, slots=True)
class OpenLedger:
    """worker -> Ledger: write into this `Database`."""

    database: Local


@dataclass(frozen=True, slots=True)
class Flush:
    """worker, tests -> Ledger: write what came so far; `Flushed` answers once it is in the database."""


@dataclass(frozen=True, slots=True)
class Flushed:
    """Ledger -> who asked: everything that came before your `Flush` is in the database."""


@dataclass(frozen=True, slots=True)
class _Due:
    """timer -> Ledger: write what is there."""


@dataclass(frozen=True, slots=True)
class _Written:
    """task -> Ledger: the batch is in the database."""


class Ledger(LoopActor):
    """Takes `LedgerRow`s from anybody, `Flush`, and `OpenLedger` once, before or after the first rows."""

    mailbox_limit = WAITING_ROWS

    def __init__(self) -> None:
        self._repository: ConversationRepository | None = None
        self._database: Database | None = None
        self._writer, self._sequence = uuid4(), 0
        self._batch: tuple[LedgerRow, ...] = ()  # under way, or to be offered again
        self._waiting: deque[LedgerRow] = deque()
        self._timer: Timer | None = None
        self._received = self._settled = self._lost = 0  # rows
        self._flushes: deque[tuple[int, ActorAddress]] = deque()  # answered when so many rows are settled
        self._retry_s = 0.0  # 0: the database is there

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:
        match message:
            case MessageRow() | MetricRow() | EventRow() | ConversationEnd():
                self._keep(message)
            case _Due():
                self._timer = None
                self._write_next()
            case _Written():
                self._on_written()
            case TaskFailed(error=error):
                self._on_failed(error)
            case Flush():
                self._flushes.append((self._received, sender))
                self._hurry()
            case OpenLedger(database=database):
                self._database = database.value
                self._repository = ConversationRepository(database.value)
                self._hurry()
            case ActorExitRequest():
                self._write_rest()

    # --- collecting ----------------------------------------------------------------------------------------------

    def _keep(self, row: LedgerRow) -> None:
        self._received += 1
        self._waiting.append(row)
        if len(self._waiting) > WAITING_ROWS:
            self._waiting.popleft()
            self._lost += 1
            self._settled += 1
        if self._timer is None and not self._batch:
            self._timer = self.call_later(BATCH_EVERY_S, _Due())
        if len(self._waiting) >= BATCH_ROWS:
            self._hurry()

    def _hurry(self) -> None:
        """Do not wait for the timer; an outage's back-off is not cut short."""
        if not self._batch:
            self._cancel_timer()
            self._write_next()
            self._answer_flushes()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- writing -------------------------------------------------------------------------------------------------

    def _write_next(self) -> None:
        if self._repository is None or self._database is None:
            return
        if not self._batch:
            if not self._waiting:
                return
            self._batch = tuple(islice(self._waiting, BATCH_ROWS))
            for _ in self._batch:
                self._waiting.popleft()
            self._sequence += 1
        writing = self._database.submit(self._repository.write, self._batch, Batch(self._writer, self._sequence))
        self.start_task(self._await(writing), "write")

    async def _await(self, writing: Future[None]) -> None:
        await asyncio.wrap_future(writing)
        self.send(self.myAddress, _Written())

    def _on_written(self) -> None:
        if self._retry_s:
            log.warning("ledger: the database is back; %d rows waited, %d were lost", len(self._waiting), self._lost)
        self._retry_s, self._lost = 0.0, 0
        self._settled += len(self._batch)
        self._batch = ()
        self._answer_flushes()
        if len(self._waiting) >= BATCH_ROWS or self._flushes:
            self._hurry()
        elif self._waiting:
            self._timer = self.call_later(BATCH_EVERY_S, _Due())

    def _on_failed(self, error: BaseException) -> None:
        if not self._retry_s:
            reason = error if isinstance(error, StoreUnavailable) else type(error).__name__
            log.error("ledger: cannot write, rows wait in memory: %s", reason)
        self._retry_s = min(self._retry_s * 2, LAST_RETRY_S) or FIRST_RETRY_S
        self._timer = self.call_later(self._retry_s, _Due())

    def _answer_flushes(self) -> None:
        while self._flushes and self._flushes[0][0] <= self._settled:
            self.send(self._flushes.popleft()[1], Flushed())

    # --- the end -------------------------------------------------------------------------------------------------

    def _write_rest(self) -> None:
        """Blocks the loop, up to `EXIT_S`: who can wait sends a `Flush` first."""
        left = self._batch + tuple(self._waiting)
        if not left or self._repository is None or self._database is None:
            return
        try:
            self._database.submit(self._write_all, self._repository, self._batch, tuple(self._waiting)).result(EXIT_S)
        except (StoreUnavailable, TimeoutError) as error:
            log.error("ledger: %d rows may be lost at the end: %s", len(left), str(error) or "too slow")
        self._batch = ()
        self._waiting.clear()

    def _write_all(
        self, repository: ConversationRepository, batch: tuple[LedgerRow, ...], rest: tuple[LedgerRow, ...]
    ) -> None:
        if batch:  # it may be under way, or even written: its number tells
            repository.write(batch, Batch(self._writer, self._sequence))
        if rest:
            repository.write(rest, Batch(self._writer, self._sequence + 1))

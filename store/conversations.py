"""What was said, measured and happened in calls: written in batches by the ledger, read back as a transcript."""

from __future__ import annotations

import logging
from collections.abc import Sequence, Set
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from itertools import groupby
from typing import Any, TypeVar, Unpack
from uuid import UUID

from sqlalchemy import ColumnElement, CursorResult, insert, select, update
from sqlalchemy.orm import Session

from store.callbacks import note
from store.contexts import record
from store.engine import Clock, Database, is_outage, utc_now
from store.errors import StoreUnavailable, UnknownContext
from store.history import ambiguous_call, filters, meant, status_of, summaries, unknown_call
from store.records import (
    LOST_REASONS,
    CallHistory,
    CallSummary,
    CarrierEvent,
    ConversationEnd,
    EventRow,
    LedgerRow,
    LostReason,
    MessageRow,
    MetricRow,
    OwnerLost,
    Transcript,
    Wanted,
)
from store.tables import (
    CallContextTable,
    ConversationTable,
    EventTable,
    LedgerWriterTable,
    MessageTable,
    MetricTable,
)

log = logging.getLogger(__name__)

_TABLES: dict[type[Any], type[MessageTable | MetricTable | EventTable]] = {
    MessageRow: MessageTable,
    MetricRow: MetricTable,
    EventRow: EventTable,
}
_KINDS: list[type[Any]] = [*_TABLES, CarrierEvent, ConversationEnd, OwnerLost]
Row = TypeVar("Row", MessageRow, MetricRow, EventRow)


@dataclass(frozen=True, slots=True)
class Batch:
    """Names a batch of a ledger, so that it may be offered again: `sequence` grows with each new batch of `writer`."""

    writer: UUID
    sequence: int


class ConversationRepository:
    """Conversations and what belongs to them."""

    def __init__(self, database: Database, now: Clock = utc_now) -> None:
        self._database, self._now = database, now

    def write(self, rows: Sequence[LedgerRow], batch: Batch | None = None) -> None:
        """Write `rows` in order, all in one transaction; a `batch` that is there already is not written again.

        A row that the database refuses is left out with a log line, and keeps no other row from being written.
        Raises `StoreUnavailable`.
        """
        try:
            with self._database.write() as session:
                if _is_new(session, batch, self._now()):
                    for kind, group in groupby(sorted(rows, key=_order), key=type):
                        _insert(session, kind, list(group))
        except StoreUnavailable:
            raise
        except Exception:  # whatever it is, it is a row's fault: one bad row must not hold up the others for ever
            self._write_one_by_one(rows, batch)

    def close_lost(self, owner: str, reason: LostReason = "worker_lost") -> int:
        """End every call that this incarnation of a worker has left open; how many there were."""
        with self._database.write() as session:
            return _close(session, ConversationTable.owner == owner, reason, self._now())

    def close_lost_of_node(self, node_prefix: str, alive: Set[str], reason: LostReason = "node_lost") -> int:
        """At a node's start: end what earlier incarnations of its workers left open; how many calls there were.

        `node_prefix` is what the node's incarnations begin with, "callboard/"; those of `alive` are spared.
        """
        is_dead = ConversationTable.owner.startswith(node_prefix, autoescape=True)
        if alive:
            is_dead &= ConversationTable.owner.not_in(alive)
        with self._database.write() as session:
            return _close(session, is_dead, reason, self._now())

    def list(self, limit: int = 20, **wanted: Unpack[Wanted]) -> list[CallSummary]:
        """The newest calls first. Raises `BadInput`."""
        with self._database.read() as session:
            return summaries(session, self._now(), filters(self._now(), wanted), limit)

    def show(self, which: str | int | UUID) -> CallHistory:
        """One call, by its conversation's number or its context id, of which the beginning will do.

        Raises `UnknownCall`, `AmbiguousCall`.
        """
        for meaning in meant(which):
            with self._database.read() as session:
                found = summaries(session, self._now(), [meaning], 2)
            if len(found) > 1:
                raise ambiguous_call(which)
            if found:
                return CallHistory(found[0], self.transcript(found[0].context_id))
        raise unknown_call(which)

    def transcript(self, context_id: UUID) -> Transcript:
        """All that has been written of the call of this context. Raises `UnknownContext`."""
        with self._database.read() as session:
            context = session.get(CallContextTable, context_id)
            if context is None:
                raise UnknownContext(f"context {context_id}: not there")
            conversation = session.get_one(ConversationTable, context.conversation_id)
            return Transcript(
                context=record(context),
                status=status_of(context, conversation, self._now()),
                created_at=conversation.created_at,
                messages=_read(session, MessageRow, conversation.id),
                metrics=_read(session, MetricRow, conversation.id),
                events=_read(session, EventRow, conversation.id),
                termination=_termination(conversation),
            )

    def _write_one_by_one(self, rows: Sequence[LedgerRow], batch: Batch | None) -> None:
        with self._database.write() as session:
            if _is_new(session, batch, self._now()):
                for row in sorted(rows, key=_order):
                    _insert_or_leave_out(session, row)


def _order(row: LedgerRow) -> int:
    """Rows of a kind go into their table together; the order within a kind stays."""
    return _KINDS.index(type(row))


def _is_new(session: Session, batch: Batch | None, now: datetime) -> bool:
    """Whether the batch is not there yet; that it is from now on is noted in the transaction of its rows."""
    if batch is None:
        return True
    table, connection = LedgerWriterTable, session.connection()
    is_writer = table.id == batch.writer
    written = connection.scalar(select(table.sequence).where(is_writer).with_for_update())
    if written is not None and written >= batch.sequence:
        return False
    changing = insert(table).values(id=batch.writer) if written is None else update(table).where(is_writer)
    connection.execute(changing.values(sequence=batch.sequence, at=now))
    return True


def _insert(session: Session, kind: type[LedgerRow], rows: Sequence[LedgerRow]) -> None:
    if kind in _TABLES:
        # not by way of the ORM, and without `asdict`, which copies: three times as quick
        names = [field.name for field in fields(kind)]
        values = [{name: getattr(row, name) for name in names} for row in rows]
        session.connection().execute(insert(_TABLES[kind]), values)
    for row in rows:
        match row:
            case CarrierEvent():
                note(session, row)
            case ConversationEnd():
                _end(session, row)
            case OwnerLost(owner=owner, reason=reason, at=at):
                _close(session, ConversationTable.owner == owner, reason, at)


def _end(session: Session, row: ConversationEnd) -> None:
    """The first end stays, unless it was only presumed: a spool of the dead may hold the true one."""
    table, values = ConversationTable, asdict(row)
    number, at = values.pop("conversation_id"), values.pop("at")
    is_open = table.ended_at.is_(None) | table.reason.in_(LOST_REASONS)
    session.execute(update(table).where(table.id == number, is_open).values(ended_at=at, **values))


def _close(session: Session, is_theirs: ColumnElement[bool], reason: LostReason, at: datetime) -> int:
    table = ConversationTable
    values = {"ended_at": at, "result": "server_error", "reason": reason, "detail": table.owner}
    closing = update(table).where(is_theirs, table.ended_at.is_(None)).values(values)
    done: CursorResult[Any] = session.connection().execute(closing)
    return done.rowcount


def _insert_or_leave_out(session: Session, row: LedgerRow) -> None:
    try:
        with session.begin_nested():
            _insert(session, type(row), [row])
    except Exception as error:
        if is_outage(error):
            raise
        of = getattr(row, "conversation_id", "-")
        log.error("%s of conversation %s left out: %s", type(row).__name__, of, type(error).__name__)


def _read(session: Session, kind: type[Row], conversation_id: int) -> tuple[Row, ...]:
    table = _TABLES[kind]
    found = session.scalars(select(table).where(table.conversation_id == conversation_id).order_by(table.id))
    return tuple(kind(**{field.name: getattr(row, field.name) for field in fields(kind)}) for row in found)


def _termination(row: ConversationTable) -> ConversationEnd | None:
    if row.ended_at is None:
        return None
    return ConversationEnd(row.id, row.result or "", row.reason or "", row.detail or "", row.ended_at)

"""What was said, measured and happened in calls: written in batches by the ledger, read back as a transcript."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from itertools import groupby
from typing import TypeVar
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from store.contexts import record
from store.engine import Clock, Database, is_outage, utc_now
from store.errors import StoreUnavailable, UnknownContext
from store.records import ConversationEnd, EventRow, LedgerRow, MessageRow, MetricRow, Transcript
from store.tables import (
    CallContextTable,
    ConversationTable,
    EventTable,
    LedgerWriterTable,
    MessageTable,
    MetricTable,
)

log = logging.getLogger(__name__)

_TABLES: dict[type[LedgerRow], type[MessageTable | MetricTable | EventTable]] = {
    MessageRow: MessageTable,
    MetricRow: MetricTable,
    EventRow: EventTable,
}
_KINDS: list[type[LedgerRow]] = [*_TABLES, ConversationEnd]
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

    def transcript(self, context_id: UUID) -> Transcript:
        """All that has been written of the call of this context. Raises `UnknownContext`."""
        with self._database.read() as session:
            context = session.get(CallContextTable, context_id)
            if context is None:
                raise UnknownContext(f"context {context_id}: not there")
            conversation = session.get_one(ConversationTable, context.conversation_id)
            return Transcript(
                context=record(context),
                status=_status(context, conversation, self._now()),
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
    writer = session.get(LedgerWriterTable, batch.writer, with_for_update=True)
    if writer is None:
        session.add(LedgerWriterTable(id=batch.writer, sequence=batch.sequence, at=now))
    elif writer.sequence >= batch.sequence:
        return False
    else:
        writer.sequence, writer.at = batch.sequence, now
    session.flush()
    return True


def _insert(session: Session, kind: type[LedgerRow], rows: Sequence[LedgerRow]) -> None:
    if kind is ConversationEnd:
        for row in rows:
            _end(session, row)
    else:
        session.execute(insert(_TABLES[kind]), [asdict(row) for row in rows])


def _end(session: Session, row: LedgerRow) -> None:
    values = asdict(row)
    number, at = values.pop("conversation_id"), values.pop("at")
    is_open = (ConversationTable.id == number) & ConversationTable.ended_at.is_(None)
    session.execute(update(ConversationTable).where(is_open).values(ended_at=at, **values))


def _insert_or_leave_out(session: Session, row: LedgerRow) -> None:
    try:
        with session.begin_nested():
            _insert(session, type(row), [row])
    except Exception as error:
        if is_outage(error):
            raise
        log.error("%s of conversation %s left out: %s", type(row).__name__, row.conversation_id, type(error).__name__)


def _read(session: Session, kind: type[Row], conversation_id: int) -> tuple[Row, ...]:
    table = _TABLES[kind]
    found = session.scalars(select(table).where(table.conversation_id == conversation_id).order_by(table.id))
    return tuple(kind(**{field.name: getattr(row, field.name) for field in fields(kind)}) for row in found)


def _status(context: CallContextTable, conversation: ConversationTable, now: datetime) -> str:
    if conversation.ended_at:
        return "ended"
    if context.claimed_at:
        return "active"
    return "pending" if context.expires_at > now else "expired"


def _termination(row: ConversationTable) -> ConversationEnd | None:
    if row.ended_at is None:
        return None
    return ConversationEnd(row.id, row.result or "", row.reason or "", row.detail or "", row.ended_at)

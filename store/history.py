"""The history of calls as operators read it: which calls there were, how long, how fast, how they ended."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from statistics import median
from typing import Any, get_args
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from config.errors import BadInput
from store.endings import in_words
from store.errors import AmbiguousCall, UnknownCall
from store.records import CallSummary, Status, Wanted
from store.tables import AssistantTable, CallContextTable, ConversationTable, MessageTable, MetricTable

MAX_CALLS = 1000
LATENCY = "turn_latency_ms"
MIN_DIGITS = 4
_NUMBER = re.compile(r"[0-9]{1,18}")
_BEGINNING = re.compile(rf"[0-9a-f]{{{MIN_DIGITS},32}}")


def filters(now: datetime, wanted: Wanted) -> list[ColumnElement[bool]]:
    """What narrows a list of calls down; `BadInput` for a status that is none."""
    found: list[ColumnElement[bool]] = []
    if status := wanted.get("status"):
        found.append(_has_status(status, now))
    if assistant := wanted.get("assistant"):
        is_number = AssistantTable.id == int(assistant) if _NUMBER.fullmatch(assistant) else None
        is_name = AssistantTable.name == assistant
        found.append(is_name if is_number is None else is_name | is_number)
    if caller := wanted.get("caller"):
        found.append(CallContextTable.caller == caller)
    if how := wanted.get("ended"):
        found.append((ConversationTable.result == how) | (ConversationTable.reason == how))
    if since := wanted.get("since"):
        found.append(ConversationTable.created_at >= since)
    return found


def meant(which: str | int | UUID) -> list[ColumnElement[bool]]:
    """What `which` may mean, the likeliest first: a conversation's number, a context id or the beginning of one."""
    text = str(which).lower()
    found = [ConversationTable.id == int(text)] if _NUMBER.fullmatch(text) else []
    digits = text.replace("-", "")
    if _BEGINNING.fullmatch(digits):
        found.append(CallContextTable.id.between(UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))))
    return found


def unknown_call(which: object) -> UnknownCall:
    legal = f"a conversation's number, or a context id or {MIN_DIGITS} and more digits of its beginning"
    return UnknownCall(f"call {str(which)[:40]!r}: not there; legal: {legal}")


def ambiguous_call(which: object) -> AmbiguousCall:
    return AmbiguousCall(f"call {str(which)[:40]!r}: several calls; give more of the context id")


def summaries(
    session: Session, now: datetime, conditions: Sequence[ColumnElement[bool]], limit: int
) -> list[CallSummary]:
    """The calls that fulfil every condition, newest first."""
    if not 1 <= limit <= MAX_CALLS:
        raise BadInput(f"limit = {limit}: legal: 1 to {MAX_CALLS}")
    query = (
        select(CallContextTable, ConversationTable, AssistantTable.name)
        .join(ConversationTable, ConversationTable.id == CallContextTable.conversation_id)
        .join(AssistantTable, AssistantTable.id == CallContextTable.assistant_id)
        .where(*conditions)
        .order_by(ConversationTable.id.desc())
        .limit(limit)
    )
    rows = session.execute(query).all()
    numbers = [conversation.id for _, conversation, _ in rows]
    turns, latencies = _turns(session, numbers), _latencies(session, numbers)
    return [_summary(*row, now, turns.get(n, 0), latencies.get(n, [])) for n, row in zip(numbers, rows, strict=True)]


def status_of(context: CallContextTable, conversation: ConversationTable, now: datetime) -> Status:
    if conversation.ended_at:
        return "ended"
    if context.claimed_at:
        return "active"
    return "pending" if context.expires_at > now else "expired"


def _has_status(status: str, now: datetime) -> ColumnElement[bool]:
    is_ended, is_claimed = ConversationTable.ended_at.is_not(None), CallContextTable.claimed_at.is_not(None)
    is_waiting, is_fresh = and_(~is_ended, ~is_claimed), CallContextTable.expires_at > now
    conditions = {
        "pending": and_(is_waiting, is_fresh),
        "expired": and_(is_waiting, ~is_fresh),
        "active": and_(~is_ended, is_claimed),
        "ended": is_ended,
    }
    if status not in conditions:
        raise BadInput(f"status = {status[:20]!r}: legal: {', '.join(get_args(Status))}")
    return conditions[status]


def _turns(session: Session, numbers: Iterable[int]) -> dict[int, int]:
    table = MessageTable
    said = table.conversation_id.in_(numbers) & (table.role == "user")
    count = func.count(table.turn.distinct())
    query = select(table.conversation_id, count).where(said).group_by(table.conversation_id)
    return dict(session.execute(query).all())


def _latencies(session: Session, numbers: Iterable[int]) -> dict[int, list[float]]:
    table = MetricTable
    is_latency = table.conversation_id.in_(numbers) & (table.name == LATENCY)
    found: dict[int, list[float]] = {}
    for number, value in session.execute(select(table.conversation_id, table.value).where(is_latency)):
        found.setdefault(number, []).append(value)
    return found


def _summary(
    context: CallContextTable,
    conversation: ConversationTable,
    assistant: str,
    now: datetime,
    turns: int,
    latencies_ms: list[float],
) -> CallSummary:
    ended_at, claimed_at = conversation.ended_at, context.claimed_at
    ending: dict[str, Any] = {name: getattr(conversation, name) for name in ("result", "reason", "detail", "owner")}
    return CallSummary(
        conversation_id=conversation.id,
        context_id=context.id,
        status=status_of(context, conversation, now),
        provider=context.provider,
        direction=context.direction,
        assistant=assistant,
        caller=context.caller,
        callee=context.callee,
        started_at=conversation.created_at,
        connected_at=claimed_at,
        ended_at=ended_at,
        duration_s=((ended_at or now) - claimed_at).total_seconds() if claimed_at else None,
        turns=turns,
        latency_p50_ms=median(latencies_ms) if latencies_ms else None,
        ending=in_words(conversation.reason) if conversation.reason else None,
        **ending,
    )

"""Call contexts: what a webhook agrees on, for the one media connection that follows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import CursorResult, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from config.errors import BadInput
from store.engine import Clock, Database, utc_now
from store.errors import ContextExpired, ContextLost, ContextUsed, KeyRevoked, UnknownContext
from store.records import LOST_REASONS, Assistant, CallContext
from store.tables import ApiKeyTable, CallContextTable, ConversationTable

MAX_FIELD_CHARS = 256


@dataclass(frozen=True, slots=True)
class _Call:
    """What makes a context, beside its times; the fields are columns."""

    project_id: int
    assistant_id: int
    assistant_version: int
    provider: str
    direction: str
    caller: str
    callee: str
    provider_call_id: str | None
    api_key_id: int | None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, str) and len(value) > MAX_FIELD_CHARS:
                raise BadInput(f"{name} = {value[:16]!r}...: legal: at most {MAX_FIELD_CHARS} characters")


class ContextRepository:
    """Call contexts, each good for one media connection within `ttl_s` of its webhook."""

    def __init__(self, database: Database, ttl_s: float = 120.0, now: Clock = utc_now) -> None:
        self._database, self._ttl, self._now = database, timedelta(seconds=ttl_s), now

    def open_context(
        self,
        assistant: Assistant,
        provider: str,
        caller: str,
        callee: str = "",
        provider_call_id: str | None = None,
        direction: str = "inbound",
        api_key_id: int | None = None,
    ) -> CallContext:
        """A context and its conversation; for a repeated `provider_call_id` the ones that are there already.

        A repeat counts for the same project, assistant and provider only, and renews the time of a context that no
        media connection has claimed yet; the key that it came with is the one that counts. An anonymous caller is "".
        Raises `BadInput` for a text that is too long.
        """
        owner = (assistant.project_id, assistant.id, assistant.version)
        call = _Call(*owner, provider, direction, caller, callee, provider_call_id, api_key_id)
        try:
            return self._open(call)
        except IntegrityError:  # the carrier's other attempt has made it since we looked
            return self._open(call)

    def claim(self, context_id: UUID, provider: str, owner: str = "", project_id: int | None = None) -> CallContext:
        """The context, which from now on belongs to whoever called this, and to nobody else.

        `owner` (a worker's incarnation) is noted in the conversation, so that `close_lost` finds it.
        `project_id` is that of the key that was shown, if one was.
        Raises `UnknownContext` (also for another provider's and another project's), `ContextUsed`, `ContextLost`,
        `ContextExpired`, and `KeyRevoked` where the key that announced the call is of no use any more.
        """
        now, table = self._now(), CallContextTable
        is_it = (table.id == context_id) & (table.provider == provider)
        if project_id is not None:
            is_it &= table.project_id == project_id
        is_open = table.claimed_at.is_(None) & (table.expires_at > now)
        with self._database.write() as session:
            done: CursorResult[Any] = session.connection().execute(
                update(table).where(is_it, is_open).values(claimed_at=now)
            )
            row = session.scalars(select(table).where(is_it)).one_or_none()
            if row is None:
                raise _unknown(context_id, provider)
            conversation = session.get_one(ConversationTable, row.conversation_id)
            if done.rowcount == 1:
                if row.api_key_id is not None:
                    _check_key(session, row)
                conversation.owner = owner or None
                return record(row)
            if row.claimed_at:
                raise _used(row, row.claimed_at, conversation)
            raise ContextExpired(f"context {context_id}: expired at {_clock(row.expires_at)}")

    def known(self, ids: Collection[UUID]) -> set[UUID]:
        """Which of these (a few hundred) are contexts, in whatever state."""
        with self._database.read() as session:
            return set(session.scalars(select(CallContextTable.id).where(CallContextTable.id.in_(ids))))

    def get(self, context_id: UUID, provider: str) -> CallContext:
        """The context, in whatever state. Raises `UnknownContext`, also for another provider's."""
        with self._database.read() as session:
            row = session.get(CallContextTable, context_id)
            if row is None or row.provider != provider:
                raise _unknown(context_id, provider)
            return record(row)

    def _open(self, call: _Call) -> CallContext:
        now = self._now()
        expires_at = now + self._ttl
        with self._database.write() as session:
            row = _repeated(session, call) or _insert(session, call, now, expires_at)
            if row.claimed_at is None:
                row.expires_at, row.api_key_id = expires_at, call.api_key_id
            return record(row)


def _repeated(session: Session, call: _Call) -> CallContextTable | None:
    if call.provider_call_id is None:
        return None
    table = CallContextTable
    is_same = (table.provider == call.provider) & (table.provider_call_id == call.provider_call_id)
    is_owned = (table.project_id == call.project_id) & (table.assistant_id == call.assistant_id)
    return session.scalars(select(table).where(is_same, is_owned)).one_or_none()


def _insert(session: Session, call: _Call, now: datetime, expires_at: datetime) -> CallContextTable:
    conversation = ConversationTable(project_id=call.project_id, assistant_id=call.assistant_id, created_at=now)
    session.add(conversation)
    session.flush()
    times = {"created_at": now, "expires_at": expires_at}
    row = CallContextTable(id=uuid4(), conversation_id=conversation.id, **asdict(call), **times)
    session.add(row)
    session.flush()
    return row


def record(row: CallContextTable) -> CallContext:
    return CallContext(
        id=row.id,
        project_id=row.project_id,
        assistant_id=row.assistant_id,
        assistant_version=row.assistant_version,
        conversation_id=row.conversation_id,
        provider=row.provider,
        direction=row.direction,
        caller=row.caller,
        callee=row.callee,
        provider_call_id=row.provider_call_id,
        expires_at=row.expires_at,
        api_key_id=row.api_key_id,
    )


def _check_key(session: Session, row: CallContextTable) -> None:
    """What is raised here undoes the claim."""
    revoked_at = session.scalar(select(ApiKeyTable.revoked_at).where(ApiKeyTable.id == row.api_key_id))
    if revoked_at is not None:
        raise KeyRevoked(f"context {row.id}: the API key that announced it was revoked at {_clock(revoked_at)}")


def _unknown(context_id: UUID, provider: str) -> UnknownContext:
    return UnknownContext(f"context {context_id}: not there for provider {provider[:32]!r}")


def _used(row: CallContextTable, claimed_at: datetime, conversation: ConversationTable) -> ContextUsed:
    if conversation.ended_at and conversation.reason in LOST_REASONS:
        return ContextLost(
            f"context {row.id}: its call was lost at {_clock(conversation.ended_at)}: {conversation.reason}"
        )
    return ContextUsed(f"context {row.id}: claimed already, at {_clock(claimed_at)}")


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"

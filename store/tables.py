"""The tables. Times are UTC; every text is safe for PostgreSQL, whatever a peer sent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Integer,
    MetaData,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC; SQLite forgets the zone, so it is put back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC))


class CleanText(TypeDecorator[str]):
    """Text without NUL and lone surrogates, which PostgreSQL refuses."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else clean(value)


class CleanJson(TypeDecorator[dict[str, Any]]):
    """A JSON object, cleaned like `CleanText`."""

    impl = JSON().with_variant(JSONB, "postgresql")
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return clean_json(value)


def clean(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def clean_json(value: Any) -> Any:
    """Every text in a JSON value as PostgreSQL takes it."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(str(key)): clean_json(item) for key, item in value.items()}
    return [clean_json(item) for item in value] if isinstance(value, list | tuple) else value


# SQLite counts only INTEGER keys up by itself.
BigId = BigInteger().with_variant(Integer, "sqlite")


class Table(DeclarativeBase):
    """Base of the tables; constraints get names, so that migrations can drop them on both databases."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime, str: CleanText, int: BigId, float: Double, dict[str, Any]: CleanJson}


class OrganisationTable(Table):
    """Whoever runs projects."""

    __tablename__ = "organisations"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]


class ProjectTable(Table):
    """Owner of assistants, keys and calls."""

    __tablename__ = "projects"
    __table_args__ = (UniqueConstraint("organisation_id", "name"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    name: Mapped[str]
    created_at: Mapped[datetime]


class ApiKeyTable(Table):
    """The key itself is nowhere: a SHA-256 is enough for a secret of 256 random bits."""

    __tablename__ = "api_keys"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), index=True)
    name: Mapped[str]
    sha256: Mapped[str] = mapped_column(unique=True)
    hint: Mapped[str]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class AssistantTable(Table):
    """An assistant; `version` is the one that new calls get."""

    __tablename__ = "assistants"
    __table_args__ = (UniqueConstraint("project_id", "name"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]
    version: Mapped[int]
    created_at: Mapped[datetime]


class AssistantVersionTable(Table):
    """What an assistant's file said; never changed, since calls refer to it."""

    __tablename__ = "assistant_versions"
    assistant_id: Mapped[int] = mapped_column(ForeignKey("assistants.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    config: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class ConversationTable(Table):
    """One call, from its webhook on; `result` and what follows are set when it is over."""

    __tablename__ = "conversations"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), index=True)
    assistant_id: Mapped[int] = mapped_column(ForeignKey("assistants.id"), index=True)
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    result: Mapped[str | None]
    reason: Mapped[str | None]
    detail: Mapped[str | None]
    owner: Mapped[str | None] = mapped_column(index=True)  # the worker's incarnation that took the media


class CallContextTable(Table):
    """The agreement between a webhook and the media connection that follows; used once."""

    __tablename__ = "call_contexts"
    # A carrier repeats a webhook that it got no answer to: the same call of the same owner is the same context.
    __table_args__ = (
        UniqueConstraint("project_id", "assistant_id", "provider", "provider_call_id", name="uq_call_contexts_call"),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    assistant_id: Mapped[int] = mapped_column(ForeignKey("assistants.id"))
    assistant_version: Mapped[int]
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversations.id"), unique=True)
    provider: Mapped[str]
    direction: Mapped[str]
    caller: Mapped[str]
    callee: Mapped[str]
    provider_call_id: Mapped[str | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    claimed_at: Mapped[datetime | None]
    api_key_id: Mapped[int | None]  # None: its carrier signed, or nobody had to show a key


class MessageTable(Table):
    """What was said, as it was heard."""

    __tablename__ = "messages"
    id: Mapped[int] = mapped_column(primary_key=True)
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversations.id"), index=True)
    turn: Mapped[int]
    role: Mapped[str]
    text: Mapped[str]
    at: Mapped[datetime]
    interrupted: Mapped[bool]
    began_at: Mapped[datetime | None]


class MetricTable(Table):
    """What was measured."""

    __tablename__ = "metrics"
    id: Mapped[int] = mapped_column(primary_key=True)
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversations.id"), index=True)
    turn: Mapped[int]
    name: Mapped[str]
    value: Mapped[float]
    at: Mapped[datetime]


class EventTable(Table):
    """What happened to a call, told by its carrier or by ourselves."""

    __tablename__ = "telephony_events"
    id: Mapped[int] = mapped_column(primary_key=True)
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversations.id"), index=True)
    name: Mapped[str]
    at: Mapped[datetime]
    data: Mapped[dict[str, Any]]


class LedgerWriterTable(Table):
    """How far each ledger has come, so that a batch whose commit was not confirmed is not written twice."""

    __tablename__ = "ledger_writers"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int]
    at: Mapped[datetime]


class OperatorAuditTable(Table):
    """What operators have changed on a running node."""

    __tablename__ = "operator_audit"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    who: Mapped[str]
    verb: Mapped[str]
    arguments: Mapped[dict[str, Any]]
    result: Mapped[str]

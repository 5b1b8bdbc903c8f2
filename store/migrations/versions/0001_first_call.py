"""Organisations, projects, keys, assistants, call contexts, conversations and what is written behind."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Time = sa.DateTime(timezone=True)
Json = sa.JSON().with_variant(JSONB(), "postgresql")


def _table(name: str, *items: sa.schema.SchemaItem) -> sa.Table:
    return op.create_table(name, *items)


def _numbered(name: str, *items: sa.schema.SchemaItem) -> sa.Table:
    key = sa.PrimaryKeyConstraint("id", name=f"pk_{name}")
    return _table(name, sa.Column("id", Id, nullable=False), *items, key)


def _col(name: str, type_: Any, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, type_, nullable=nullable)


def _refers(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{target}.id"], name=f"fk_{table}_{column}")


def _index(table: str, column: str) -> None:
    op.create_index(f"ix_{table}_{column}", table, [column])


def upgrade() -> None:
    _owners()
    _assistants()
    _calls()
    _ledger()


def _owners() -> None:
    organisations = _numbered(
        "organisations",
        _col("name", sa.Text),
        _col("created_at", Time),
        sa.UniqueConstraint("name", name="uq_organisations_name"),
    )
    projects = _numbered(
        "projects",
        _col("organisation_id", Id),
        _col("name", sa.Text),
        _col("created_at", Time),
        _refers("projects", "organisation_id", "organisations"),
        sa.UniqueConstraint("organisation_id", "name", name="uq_projects_organisation_id_name"),
    )
    _numbered(
        "api_keys",
        _col("project_id", Id),
        _col("name", sa.Text),
        _col("sha256", sa.Text),
        _col("hint", sa.Text),
        _col("created_at", Time),
        _col("last_used_at", Time, nullable=True),
        _col("revoked_at", Time, nullable=True),
        _refers("api_keys", "project_id", "projects"),
        sa.UniqueConstraint("sha256", name="uq_api_keys_sha256"),
    )
    _index("api_keys", "project_id")
    now = datetime.now(UTC)
    # The first rows of fresh tables: both get the number 1, which is store.records.DEFAULT_PROJECT_ID.
    op.execute(organisations.insert().values(name="default", created_at=now))
    op.execute(projects.insert().values(organisation_id=1, name="default", created_at=now))


def _assistants() -> None:
    _numbered(
        "assistants",
        _col("project_id", Id),
        _col("name", sa.Text),
        _col("version", Id),
        _col("created_at", Time),
        _refers("assistants", "project_id", "projects"),
        sa.UniqueConstraint("project_id", "name", name="uq_assistants_project_id_name"),
    )
    _table(
        "assistant_versions",
        _col("assistant_id", Id),
        sa.Column("version", Id, nullable=False, autoincrement=False),
        _col("config", Json),
        _col("created_at", Time),
        _refers("assistant_versions", "assistant_id", "assistants"),
        sa.PrimaryKeyConstraint("assistant_id", "version", name="pk_assistant_versions"),
    )


def _calls() -> None:
    _numbered(
        "conversations",
        _col("project_id", Id),
        _col("assistant_id", Id),
        _col("created_at", Time),
        _col("ended_at", Time, nullable=True),
        *(_col(name, sa.Text, nullable=True) for name in ("result", "reason", "detail")),
        _refers("conversations", "project_id", "projects"),
        _refers("conversations", "assistant_id", "assistants"),
    )
    _index("conversations", "project_id")
    _index("conversations", "assistant_id")
    _table(
        "call_contexts",
        _col("id", sa.Uuid),
        *(_col(name, Id) for name in ("project_id", "assistant_id", "assistant_version", "conversation_id")),
        *(_col(name, sa.Text) for name in ("provider", "direction", "caller", "callee")),
        _col("provider_call_id", sa.Text, nullable=True),
        _col("created_at", Time),
        _col("expires_at", Time),
        _col("claimed_at", Time, nullable=True),
        _refers("call_contexts", "project_id", "projects"),
        _refers("call_contexts", "assistant_id", "assistants"),
        _refers("call_contexts", "conversation_id", "conversations"),
        sa.PrimaryKeyConstraint("id", name="pk_call_contexts"),
        sa.UniqueConstraint("conversation_id", name="uq_call_contexts_conversation_id"),
        sa.UniqueConstraint("project_id", "assistant_id", "provider", "provider_call_id", name="uq_call_contexts_call"),
    )


def _ledger() -> None:
    _table(
        "ledger_writers",
        _col("id", sa.Uuid),
        _col("sequence", Id),
        _col("at", Time),
        sa.PrimaryKeyConstraint("id", name="pk_ledger_writers"),
    )
    _of_conversation(
        "messages",
        _col("turn", Id),
        _col("role", sa.Text),
        _col("text", sa.Text),
        _col("at", Time),
        _col("interrupted", sa.Boolean),
    )
    _of_conversation("metrics", _col("turn", Id), _col("name", sa.Text), _col("value", sa.Double), _col("at", Time))
    _of_conversation("telephony_events", _col("name", sa.Text), _col("at", Time), _col("data", Json))


def _of_conversation(name: str, *items: sa.schema.SchemaItem) -> None:
    owner = _col("conversation_id", Id)
    _numbered(name, owner, *items, _refers(name, "conversation_id", "conversations"))
    _index(name, "conversation_id")

"""With which API key a call was announced."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    # No foreign key: SQLite cannot add one to a table, and keys are revoked, never deleted.
    op.add_column("call_contexts", sa.Column("api_key_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite")))

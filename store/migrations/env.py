"""Run by Alembic: the steps go through the connection, and into the transaction, of `store.migrations.migrate`."""

from __future__ import annotations

from alembic import context

from store.tables import Table

context.configure(connection=context.config.attributes["connection"], target_metadata=Table.metadata)
context.run_migrations()

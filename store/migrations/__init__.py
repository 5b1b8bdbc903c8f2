"""The schema's history: numbered steps in `versions/`, applied at start.

A database that is up to date is told by one SELECT, so that a start does not pay for importing Alembic. A new step:
change `store/tables.py`, add `versions/NNNN_what.py` (`revision` = its number); a test compares the two.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from store.engine import Database, patient
from store.errors import SchemaMismatch

VERSIONS = Path(__file__).with_name("versions")
_LOCK = 0x0CA11B0A2D  # any number, so long as every Callboard takes the same


def head_revision() -> str:
    """The newest step that this program knows, such as "0001"."""
    return revisions()[-1]


def revisions() -> list[str]:
    """Every step that this program knows, the oldest first."""
    return sorted(path.name[:4] for path in VERSIONS.glob("[0-9]*_*.py"))


def current_revision(database: Database) -> str | None:
    """The step at which the database is; None when it is empty. Raises `StoreUnavailable`."""
    with database.connect() as connection:
        return _revision(connection)


def migrate(database: Database) -> None:
    """Bring the database to this program's schema; processes that start together take turns.

    The first step makes the default organisation and project. Raises `StoreUnavailable`, and `SchemaMismatch` for a
    database that a newer program has written.
    """
    head = head_revision()
    if (current := current_revision(database)) == head:
        return
    if current is not None and current > head:
        raise SchemaMismatch(f"database {database.place} is at step {current}, this program knows steps up to {head}")
    with patient(), database.connect(writes=True) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        _upgrade(connection)
        connection.commit()


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:  # a step that nobody has written
        raise SchemaMismatch(f"database {connection.engine.url.database}: {error}") from None

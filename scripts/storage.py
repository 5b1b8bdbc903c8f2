"""Opens the database for a command that reads or writes it, migrated first."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from config.errors import ConfigError
from scripts.nodes import DATABASE_FILE, guessed_data_dir, lives_in, node

if TYPE_CHECKING:
    from config.settings import Settings
    from store.engine import Database


@contextmanager
def open_database(settings: Settings) -> Iterator[Database]:
    """The configured database at its newest schema; closed at the end.

    Raises `ConfigError` if the node of its data folder uses another one, `StoreUnavailable` if the node's has gone:
    an empty one in its place would be no answer.
    """
    used, ours = node(settings.data_dir).get("database", ""), database_name(settings)
    if used and used != ours:
        raise ConfigError(f"POSTGRES__*: here they say {ours}, but the node of {settings.data_dir} uses {used}")
    from store.engine import Database
    from store.errors import StoreUnavailable
    from store.migrations import migrate

    if (trouble := lost_database(settings)) and lives_in(settings.data_dir):
        raise StoreUnavailable(trouble)
    database = Database.from_settings(settings)
    try:
        migrate(database)
        yield database
    finally:
        database.close()


def database_name(settings: Settings) -> str:
    """Which database it is, without user and password."""
    postgres = settings.postgres
    return f"PostgreSQL at {postgres.host}:{postgres.port}/{postgres.db_name}" if postgres.host else "SQLite"


def lost_database(settings: Settings) -> str:
    """What is wrong if SQLite's file is not there; else ""."""
    path = settings.data_dir / DATABASE_FILE
    if settings.postgres.host or os.path.lexists(path):
        return ""
    return f"database {path}: it is not there, but the node that uses it runs; was it moved or removed?"


def load_environment(overrides: Mapping[str, str | None] | None = None, *, own_node: bool = False) -> Settings:
    """The settings of this process's environment, with the command line's `overrides` above them.

    Where nobody has named DATA_DIR it is the folder of the node that runs here; not for who starts an `own_node`.
    """
    from config.settings import load_settings

    environ = {**os.environ, **{name: value for name, value in (overrides or {}).items() if value is not None}}
    if not own_node and (folder := guessed_data_dir(environ)):
        environ["DATA_DIR"] = str(folder)
    return load_settings(environ)

"""Opens the database for a command that reads or writes it, migrated first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from config.settings import Settings
    from store.engine import Database


@contextmanager
def open_database(settings: Settings) -> Iterator[Database]:
    """The configured database at its newest schema; closed at the end."""
    from store.engine import Database
    from store.migrations import migrate

    database = Database.from_settings(settings)
    try:
        migrate(database)
        yield database
    finally:
        database.close()


def load_environment(**overrides: str | None) -> Settings:
    """The settings of this process's environment, with the command line's `overrides` above them."""
    import os

    from config.settings import load_settings

    return load_settings({**os.environ, **{name: value for name, value in overrides.items() if value is not None}})

"""What would keep a call from being written down: looked at from outside, without changing anything. All of it blocks.

Each function answers "" or what is wrong, in one line.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from sqlalchemy import text

from store.engine import Database, open_sqlite, sqlite_reason
from store.errors import StoreUnavailable
from store.tables import Table

ROOM_BYTES = 1 << 20  # a disk with less room than this counts as full: the next calls would not fit
CHECK_STEPS = 2_000_000  # of SQLite's virtual machine: a large file's check ends after about a second, unfinished


def database_trouble(database: Database) -> str:
    """Whether a call could be found and written: takes the write lock, reads where rows are added, writes, undoes it.

    SQLite is asked over a connection of its own, since others answer from their caches what the file no longer holds.
    """
    if database.is_sqlite:
        return _sqlite_trouble(Path(database.url.database or ""))
    try:
        with database.connect() as connection:
            connection.execute(text("SELECT version_num FROM alembic_version")).all()
            read_only = connection.scalar(text("SHOW transaction_read_only"))
    except StoreUnavailable as error:
        return str(error)
    return f"database {database.place}: takes no writes (a standby, or set to read-only)" if read_only == "on" else ""


def _sqlite_trouble(path: Path) -> str:
    try:
        with closing(open_sqlite(path)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            for table in Table.metadata.sorted_tables:
                connection.execute(f'SELECT * FROM "{table.name}" ORDER BY rowid DESC LIMIT 1').fetchall()
            connection.execute("UPDATE alembic_version SET version_num = version_num")
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        return f"database {path}: {sqlite_reason(str(error), path)}"
    return ""


def damage(database: Database) -> str:
    """What SQLite's own check finds in the file, as far as it comes in a second; PostgreSQL looks after its own."""
    if not database.is_sqlite:
        return ""
    path = Path(database.url.database or "")
    try:
        with closing(open_sqlite(path)) as connection:
            connection.set_progress_handler(lambda: 1, CHECK_STEPS)
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError as error:
        found = "ok" if "interrupted" in str(error) else str(error)
    except sqlite3.Error as error:
        found = str(error)
    return "" if found == "ok" else f"database {path}: {sqlite_reason(found.partition(chr(10))[0], path)}"


def disk_trouble(data_dir: Path) -> str:
    """Whether DATA_DIR and the spool in it take more; a folder that is not there is what its parent is."""
    for folder in (data_dir, data_dir / "spool"):
        existing = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
        try:
            with tempfile.TemporaryFile(dir=existing) as file:
                os.posix_fallocate(file.fileno(), 0, ROOM_BYTES)
        except OSError as error:
            return f"{existing}: {error.strerror}"
    return ""

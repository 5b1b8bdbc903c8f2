"""Migrations: from nothing, from data, at head, and the same schema as the model."""

from __future__ import annotations

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from config.settings import load_settings
from store.engine import Database, log_ahead
from store.errors import SchemaMismatch
from store.migrations import VERSIONS, current_revision, head_revision, migrate
from store.tables import Table


@pytest.fixture
def empty(empty_database_environ: dict[str, str]):  # type: ignore[no-untyped-def]
    opened = Database.from_settings(load_settings(empty_database_environ))
    yield opened
    opened.close()


def test_makes_the_schema_and_the_default_project(empty: Database) -> None:
    assert current_revision(empty) is None
    migrate(empty)
    assert current_revision(empty) == head_revision()
    with empty.read() as session:
        rows = session.execute(
            text("SELECT p.id, p.name, o.name FROM projects p JOIN organisations o ON o.id = p.organisation_id")
        ).all()
    assert [tuple(row) for row in rows] == [(1, "default", "default")]


def test_data_of_the_first_step_survive(empty: Database) -> None:
    config = Config()
    config.set_main_option("script_location", str(VERSIONS.parent))
    with empty.connect(writes=True) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(text("INSERT INTO assistants VALUES (1, 1, 'a', 1, CURRENT_TIMESTAMP)"))
        connection.execute(
            text("INSERT INTO conversations (project_id, assistant_id, created_at) VALUES (1, 1, CURRENT_TIMESTAMP)")
        )
        connection.execute(
            text(
                "INSERT INTO messages (conversation_id, turn, role, text, at, interrupted)"
                " VALUES (1, 1, 'user', 'hello', CURRENT_TIMESTAMP, FALSE)"
            )
        )
        connection.commit()
    migrate(empty)
    with empty.read() as session:
        rows = session.execute(text("SELECT id, assistant_id, owner, ended_at FROM conversations")).all()
        said = session.execute(text("SELECT text, began_at FROM messages")).all()
    assert [tuple(row) for row in rows] == [(1, 1, None, None)]
    assert [tuple(row) for row in said] == [("hello", None)]


def test_a_second_start_changes_nothing(database: Database) -> None:
    with database.write() as session:
        session.execute(text("UPDATE projects SET name = 'ours'"))
    migrate(database)
    with database.read() as session:
        assert session.scalars(text("SELECT name FROM projects")).all() == ["ours"]


def test_model_and_migrations_agree(database: Database) -> None:
    with database.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []


def test_the_head_told_by_names_is_alembics() -> None:
    config = Config()
    config.set_main_option("script_location", str(VERSIONS.parent))
    assert ScriptDirectory.from_config(config).get_current_head() == head_revision()


def test_processes_that_start_together_take_turns(empty: Database) -> None:
    others = [Database(empty.url) for _ in range(3)]
    with ThreadPoolExecutor() as threads:
        list(threads.map(migrate, [empty, *others]))
    for other in others:
        other.close()
    assert current_revision(empty) == head_revision()


def test_a_newer_database_is_refused(database: Database) -> None:
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaMismatch, match=f"step 9999, this program knows steps up to {head_revision()}"):
        migrate(database)


def test_a_start_at_head_is_fast(database_environ: dict[str, str]) -> None:
    times_s = []
    for _ in range(3):
        begin = time.perf_counter()
        opened = Database.from_settings(load_settings(database_environ))
        migrate(opened)
        times_s.append(time.perf_counter() - begin)
        opened.close()
    assert min(times_s) < 0.1


class Contested(sqlite3.Connection):
    """Another process has the lock when this one wants to change the mode, twice."""

    refusals = 2

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        if "journal_mode" in statement and self.refusals:
            self.refusals -= 1
            busy = sqlite3.OperationalError("database is locked")
            busy.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise busy
        return super().execute(statement, *parameters)


def test_a_new_file_that_others_open_too_is_waited_for(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "new.db", factory=Contested)
    assert log_ahead(connection) == "wal"
    assert connection.refusals == 0
    connection.close()

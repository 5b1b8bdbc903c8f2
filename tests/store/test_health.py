"""What is said of a database or a disk that would lose the next call."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import DateTime, text

from config.settings import load_settings
from store.engine import Database, sqlite_reason
from store.errors import StoreUnavailable
from store.health import damage, database_trouble, disk_trouble
from store.migrations import migrate
from tests.databases import Server, execute, migrated, postgres_environ
from tests.disks import full_disk

__all__ = ["full_disk"]


def overwrite(path: Path, start: int, end: int | None = None) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\x5a" * ((end or size) - start))


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 2 // 3)


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()


def lose_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE api_keys")


def become_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], None]] = {
    "another file": lambda path: path.write_text("a letter to my aunt, of more than a hundred bytes\n" * 4) and None,
    "a broken head": lambda path: overwrite(path, 0, 100),
    "truncated": truncate,
    "a broken body": lambda path: overwrite(path, 4096),
    "a folder": become_folder,
    "a lost table": lose_table,
    "gone": lambda path: path.unlink(),
    "empty": lambda path: os.truncate(path, 0),
}


@pytest.fixture
def file(sqlite_template: Path, tmp_path: Path) -> Path:
    """A migrated database that nobody has open."""
    path = tmp_path / "callboard.db"
    path.write_bytes(sqlite_template.read_bytes())
    return path


def test_a_sound_database_has_no_trouble_and_is_not_changed(database: Database) -> None:
    assert database_trouble(database) == "" and damage(database) == ""
    assert database.outage() == ""


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_told_in_one_line(name: str, file: Path) -> None:
    database = Database(f"sqlite:///{file}")
    with database.read():
        pass  # a connection with a cache of its own: a server that was running before
    DAMAGES[name](file)
    try:
        said = database_trouble(database)
        assert str(file) in said and said.count("\n") == 0
    finally:
        database.close()


@pytest.mark.parametrize("name", ["another file", "a broken head", "truncated", "a broken body", "a folder"])
def test_who_opens_a_damaged_file_gets_store_unavailable(name: str, file: Path) -> None:
    DAMAGES[name](file)
    database = Database(f"sqlite:///{file}")
    try:
        with pytest.raises(StoreUnavailable, match=r"damaged|folder") as raised:
            migrate(database)
            if found := damage(database):
                raise StoreUnavailable(found)
        assert "\n" not in str(raised.value)
    finally:
        database.close()


def test_a_row_that_cannot_be_read_is_the_stores_fault(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE projects SET created_at = 'yesterday'")
        connection.commit()
    database = Database(f"sqlite:///{file}")
    try:
        with pytest.raises(StoreUnavailable, match="holds what no Callboard wrote"), database.read() as session:
            session.execute(text("SELECT created_at FROM projects").columns(created_at=DateTime())).all()
    finally:
        database.close()


def test_a_database_that_is_locked(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.engine.BUSY_TIMEOUT_S", 0.05)
    database = Database(f"sqlite:///{file}")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "locked" in database_trouble(database)
        other.execute("ROLLBACK")
    assert database_trouble(database) == ""
    database.close()


def test_a_read_only_postgresql(postgres_server: Server, postgres_database: str) -> None:
    database = migrated(postgres_environ(postgres_server, postgres_database))
    try:
        execute(postgres_server, f"ALTER DATABASE {postgres_database} SET default_transaction_read_only = on")
        database.engine.dispose()
        assert "takes no writes" in database_trouble(database)
    finally:
        database.close()


def test_two_lost_transactions_of_a_few_are_an_outage(file: Path) -> None:
    database = Database(f"sqlite:///{file}")
    with closing(sqlite3.connect(file)) as other:
        original = other.execute("SELECT version_num FROM alembic_version").fetchone()[0]
        other.execute("ALTER TABLE alembic_version RENAME TO elsewhere")
        other.commit()
        for count in (1, 2):
            with pytest.raises(StoreUnavailable), database.read() as session:
                session.connection().exec_driver_sql("SELECT * FROM alembic_version")
            assert bool(database.outage()) == (count == 2)
        other.execute("ALTER TABLE elsewhere RENAME TO alembic_version")
        other.commit()
    for count in range(7):
        assert bool(database.outage()) == (count < 7)
        with database.read() as session:
            assert session.connection().exec_driver_sql("SELECT * FROM alembic_version").scalar() == original
    assert database.outage() == ""
    database.close()


def test_disks(tmp_path: Path, full_disk: Path) -> None:
    assert disk_trouble(tmp_path) == ""
    assert disk_trouble(tmp_path / "not" / "there") == ""
    assert not (tmp_path / "not").exists()
    (tmp_path / "spool").touch()
    assert disk_trouble(tmp_path) == f"{tmp_path / 'spool'}: Not a directory"
    assert disk_trouble(full_disk) == f"{full_disk}: No space left on device"


def test_a_database_on_a_full_disk(full_disk: Path) -> None:
    database = Database.from_settings(load_settings({"DATA_DIR": str(full_disk / "data")}))
    try:
        with pytest.raises(StoreUnavailable):
            migrate(database)
    finally:
        database.close()


@pytest.fixture(autouse=True)
def _no_file_left_open(tmp_path: Path) -> Iterator[None]:
    yield
    links = (f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd"))
    assert not [target for link in links if os.path.islink(link) and str(tmp_path) in (target := os.readlink(link))]


def test_a_file_that_is_moved_away_under_a_server_is_not_written_any_more(file: Path) -> None:
    database = Database(f"sqlite:///{file}")
    database.ping()
    file.rename(file.with_name("elsewhere.db"))
    with pytest.raises(StoreUnavailable, match="is not there"):
        database.ping()
    assert "is not there" in database_trouble(database) and not file.exists()
    file.with_name("elsewhere.db").rename(file)
    database.ping()
    database.close()


def test_a_file_that_is_put_in_place_of_another_under_a_server_is_used_from_then_on(file: Path) -> None:
    database = Database(f"sqlite:///{file}")
    other = file.with_name("other.db")
    other.write_bytes(file.read_bytes())
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("UPDATE projects SET name = 'restored'")
        connection.commit()
    database.ping()
    for suffix in ("-wal", "-shm"):
        file.with_name(f"{file.name}{suffix}").unlink(missing_ok=True)
    other.replace(file)
    with database.read() as session:
        assert session.scalar(text("SELECT name FROM projects")) == "restored"
    database.close()


_ANOTHER_WORKER = """
import sys
from tests.store.test_health import Database, note
database = Database(f"sqlite:///{sys.argv[1]}")
database.ping()
for line in iter(input, "end"):
    print(note(database, line), flush=True)
database.close()
"""


def note(database: Database, name: str) -> str:
    """Write, at the first try: a call that comes is not refused."""
    with database.write() as session:
        session.execute(text("INSERT INTO notes VALUES (:name)"), {"name": name})
    return name


@pytest.mark.parametrize("gone", [("-wal", "-shm"), ("-wal",)])
def test_a_log_that_is_removed_under_a_server_costs_no_row(file: Path, gone: tuple[str, ...]) -> None:
    """Somebody tidies up. SQLite would write on into the log that has no name any more, for nobody to read."""
    database = Database(f"sqlite:///{file}")
    with database.read(), database.write() as session:  # the connections of one process share an index
        session.execute(text("CREATE TABLE notes (name TEXT)"))
    command = [sys.executable, "-c", _ANOTHER_WORKER, str(file)]
    with subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None and other.stdout is not None
        for number, name in enumerate(["a", "b", "c", "d", "e", "f"]):
            if number == 2:
                for suffix in gone:
                    file.with_name(f"{file.name}{suffix}").unlink()
                database_trouble(database)  # readiness looks with a connection of its own
            if number % 2:
                assert note(database, name) == name
            else:
                print(name, file=other.stdin, flush=True)
                assert other.stdout.readline().strip() == name
        assert not database_trouble(database)
        with closing(sqlite3.connect(file)) as connection:  # somebody else, such as `callboard calls`
            assert [name for (name,) in connection.execute("SELECT name FROM notes")] == ["a", "b", "c", "d", "e", "f"]
        print("end", file=other.stdin, flush=True)
    assert not damage(database)
    database.close()


def test_an_index_that_is_removed_under_a_server_costs_no_row(file: Path) -> None:
    """Whoever comes later makes an index of his own, and the two would write over each other's rows in one log."""
    database = Database(f"sqlite:///{file}")
    with database.write() as session:
        session.execute(text("CREATE TABLE notes (name TEXT)"))
    assert note(database, "a") == "a"
    file.with_name(f"{file.name}-shm").unlink()
    command = [sys.executable, "-c", _ANOTHER_WORKER, str(file)]
    with subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as later:
        assert later.stdin is not None and later.stdout is not None
        for theirs, ours in ("bc", "de", "fg"):
            print(theirs, file=later.stdin, flush=True)
            assert later.stdout.readline().strip() == theirs
            assert note(database, ours) == ours
        with closing(sqlite3.connect(file)) as connection:
            assert [name for (name,) in connection.execute("SELECT name FROM notes")] == list("abcdefg")
        print("end", file=later.stdin, flush=True)
    assert not damage(database)
    database.close()


def test_a_pipe_in_place_of_the_database_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "callboard.db")
    with pytest.raises(StoreUnavailable, match=r"callboard\.db"):
        Database.from_settings(load_settings({"DATA_DIR": str(tmp_path)}))


def test_a_file_that_may_only_be_read_is_told_at_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(f"sqlite:///{file}")
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)  # root may write what it likes
    assert "may not be written" in database_trouble(database)
    with pytest.raises(StoreUnavailable, match="may not be written"):
        database.ping()
    database.close()


@pytest.mark.parametrize("said", ["database is locked", "no such table: contexts"])
def test_a_file_that_was_emptied_under_a_server_is_told_as_that(tmp_path: Path, said: str) -> None:
    (tmp_path / "callboard.db").touch()
    assert sqlite_reason(said, tmp_path / "callboard.db").startswith("is empty, 0 bytes")


def test_a_folder_that_takes_no_files_is_named(file: Path) -> None:
    assert f"{file.parent} may not be written" in sqlite_reason("attempt to write a readonly database", file)


def test_an_io_error_of_a_full_disk_is_told_as_that(full_disk: Path) -> None:
    if not full_disk.is_mount():
        pytest.skip("nobody but root can mount a disk")
    assert "the disk is full" in sqlite_reason("disk I/O error", full_disk / "callboard.db")

"""The engine, the threads, what happens when the database is away, and the servers of the fixtures."""

from __future__ import annotations

import asyncio
import itertools
import threading
from pathlib import Path

import pytest
import redis
from sqlalchemy import text

from config.settings import load_settings
from scripts.child_server import free_port
from store import engine as engine_module
from store.engine import Database, patient
from store.errors import NoThreads, StoreUnavailable
from tests.databases import Server, postgres_environ
from tests.servers import stoppable_postgres


def test_answers_a_ping(database: Database) -> None:
    database.ping()


async def test_runs_work_in_its_own_threads(database: Database) -> None:
    assert (await database.run(threading.current_thread)).name.startswith("store")


async def test_no_thread_is_needed_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(f"sqlite:///{tmp_path / 'callboard.db'}")
    database.start_threads()
    monkeypatch.setattr(threading.Thread, "start", _no_thread)
    assert await asyncio.gather(*(database.run(lambda: 1) for _ in range(20))) == [1] * 20
    monkeypatch.undo()
    database.close()


@pytest.mark.parametrize("first", [0, 2])
def test_a_thread_that_cannot_be_had_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    start, starts = threading.Thread.start, itertools.count()
    monkeypatch.setattr(
        threading.Thread, "start", lambda thread: start(thread) if next(starts) < first else _no_thread(thread)
    )
    database = Database(f"sqlite:///{tmp_path / 'callboard.db'}")
    with pytest.raises(NoThreads, match="the store's 4 threads: can't start new thread: a limit on processes"):
        database.start_threads()
    monkeypatch.undo()
    database.close()


def _no_thread(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


async def test_gives_exceptions_back(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        await database.run(divmod, 1, 0)


async def test_keeps_the_loop_free(database: Database) -> None:
    gate = threading.Event()
    waiting = asyncio.ensure_future(database.run(gate.wait, 10))
    await database.run(database.ping)
    gate.set()
    assert await waiting


def test_rolls_a_failed_block_back(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.write() as session:
        session.execute(text("UPDATE projects SET name = 'changed'"))
        raise ZeroDivisionError
    with database.read() as session:
        assert session.scalar(text("SELECT name FROM projects")) == "default"


def test_a_missing_table_is_an_outage(database: Database) -> None:
    with pytest.raises(StoreUnavailable, match="nowhere"), database.read() as session:
        session.execute(text("SELECT * FROM nowhere"))


def test_close_ends_the_threads_and_may_be_repeated(tmp_path: Path) -> None:
    opened = Database.from_settings(load_settings({"DATA_DIR": str(tmp_path)}))
    assert opened.submit(int, "7").result() == 7
    opened.close()
    opened.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("store")]


def test_sqlite_is_in_wal_mode_with_foreign_keys(tmp_path: Path) -> None:
    opened = Database.from_settings(load_settings({"DATA_DIR": str(tmp_path / "new" / "folder")}))
    with opened.read() as session:
        values = [session.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys")]
    opened.close()
    assert values == ["wal", 1, 1]


def test_a_data_dir_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match=r"DATA_DIR .*file"):
        Database.from_settings(load_settings({"DATA_DIR": str(tmp_path / "file" / "data")}))


def test_a_data_dir_that_is_a_file_is_told_as_that(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="it is no folder"):
        Database.from_settings(load_settings({"DATA_DIR": str(tmp_path / "file")}))


def test_an_unreachable_server_is_named_without_its_password() -> None:
    port = free_port(0)
    environ = {"POSTGRES__HOST": "127.0.0.1", "POSTGRES__PORT": str(port), "POSTGRES__PASSWORD": "geheim"}
    opened = Database.from_settings(load_settings(environ))
    with pytest.raises(StoreUnavailable, match=rf"127.0.0.1:{port}/callboard") as caught:
        opened.ping()
    opened.close()
    assert "geheim" not in str(caught.value)


def test_a_wrong_password_is_not_repeated(postgres_server: Server) -> None:
    environ = {"POSTGRES__HOST": postgres_server.host, "POSTGRES__PORT": str(postgres_server.port)}
    opened = Database.from_settings(load_settings(environ | {"POSTGRES__PASSWORD": "geheim"}))
    with pytest.raises(StoreUnavailable, match="password authentication failed") as caught:
        opened.ping()
    opened.close()
    assert "geheim" not in str(caught.value)


def test_a_server_that_hangs_is_noticed(server_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "ANSWER_S", 0.2)
    monkeypatch.setattr(engine_module, "CONNECT_S", 0.3)
    folder = server_folder / "hangs"
    folder.mkdir()
    with stoppable_postgres(folder) as server:
        opened = Database.from_settings(load_settings(postgres_environ(server.login, "postgres")))
        opened.ping()
        server.pause()
        with pytest.raises(StoreUnavailable, match=r"/postgres: no answer within 0.[23] s"):
            opened.ping()
        with pytest.raises(StoreUnavailable, match=r"/postgres: no answer within 0.3 s"):
            opened.ping()
        server.resume()
        opened.ping()
        with patient(), opened.read() as session:
            session.execute(text("SELECT pg_sleep(0.5)"))
        with pytest.raises(StoreUnavailable), opened.read() as session:
            session.execute(text("SELECT pg_sleep(0.5)"))
        opened.close()


def test_redis_answers(redis_server: Server) -> None:
    with redis.Redis(redis_server.host, redis_server.port) as client:
        assert client.ping()

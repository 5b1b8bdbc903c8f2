"""The database: SQLite in a file, or PostgreSQL. Everything here blocks; event loops come in by `Database.run`."""

from __future__ import annotations

import asyncio
import os
import select
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar
from urllib.parse import quote

import psycopg2.extensions
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import (
    DatabaseError,
    DBAPIError,
    DisconnectionError,
    OperationalError,
    SQLAlchemyError,
    TimeoutError,
)
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from config.settings import Settings
from store.errors import NoThreads, StoreUnavailable
from store.private import DATABASE, make_private_file, open_data_dir

P = ParamSpec("P")
R = TypeVar("R")

Clock = Callable[[], datetime]
BUSY_TIMEOUT_S = 5.0
LOCK_POLL_S = 0.01
SMALLEST_BYTES = 32 << 10  # of SQLite's files: the index of its write-ahead log
CONNECT_S, ANSWER_S = 3.0, 10.0  # PostgreSQL's time for a connection, for the answer to one statement
OUTAGE_S, OUTCOMES = 10.0, 40  # how long, and of how many transactions, a loss says something about the next
_POSTGRES = {"application_name": "callboard"}
_LOG_LOST = "its log (-wal, -shm) was removed while it was open"
_LOG_LOST_TRIES = 20  # more than the pool has connections
_Identity = tuple[int, int] | None
_Files = tuple[_Identity, ...]
_patience = threading.local()


def utc_now() -> datetime:
    return datetime.now(UTC)


class Database:
    """One database, its connections and a few threads in which event loops let the repositories work.

    A `read` or `write` block is one transaction; whatever loses the database raises `StoreUnavailable`.
    """

    def __init__(self, url: str | URL, *, connections: int = 10, threads: int = 4) -> None:
        self.url = make_url(url)
        self.engine = _sqlite(self.url) if self.is_sqlite else _postgres(self.url, connections)
        self._threads, self._size = ThreadPoolExecutor(threads, thread_name_prefix="store"), threads
        # When the last transactions ended, and why they were lost.
        self._outcomes: deque[tuple[float, str]] = deque(maxlen=OUTCOMES)

    @classmethod
    def from_settings(cls, settings: Settings) -> Database:
        """PostgreSQL where POSTGRES__HOST is set, else callboard.db in DATA_DIR, which is made, for us alone."""
        if settings.postgres.host:
            return cls(_postgres_url(settings), connections=settings.postgres.max_open_connection)
        return cls(URL.create("sqlite", database=str(open_data_dir(settings.data_dir) / DATABASE)))

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @property
    def place(self) -> str:
        """Where it is, without user and password."""
        return f"{self.url.database}" if self.is_sqlite else f"{self.url.host}:{self.url.port}/{self.url.database}"

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that changes nothing."""
        with self.connect() as connection, Session(connection) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that is committed at the end of the block, and rolled back by an exception."""
        with self.connect(writes=True) as connection, Session(connection) as session:
            yield session
            session.flush()
            connection.commit()

    @contextmanager
    def connect(self, writes: bool = False) -> Iterator[Connection]:
        """A connection in a transaction; `writes` takes SQLite's one write lock at once, not at its first use."""
        try:
            with self._connected() as connection:
                connection.execution_options(callboard_writes=writes).begin()
                yield connection
        except SQLAlchemyError as error:
            if not is_outage(error):
                raise
            raise self._lost(f"database {self.place}: {self._reason(error)}") from error
        except (ValueError, LookupError) as error:  # BadInput is neither
            if writes or not self.is_sqlite:  # there it is what was given, not what was found
                raise
            text = f"database {self.place}: holds what no Callboard wrote: {type(error).__name__}: {error}"
            raise self._lost(text.partition("\n")[0]) from error
        self._outcomes.append((time.monotonic(), ""))

    def _connected(self) -> Connection:
        """Where SQLite's log was removed each try closes one of the idle connections that have it open."""
        for _ in range(_LOG_LOST_TRIES):
            try:
                return self.engine.connect()
            except OperationalError as error:
                if _LOG_LOST not in str(error):
                    raise
                time.sleep(0.02)  # another thread may be about to finish with its own
        return self.engine.connect()

    def _lost(self, text: str) -> StoreUnavailable:
        self._outcomes.append((time.monotonic(), text))
        return StoreUnavailable(text)

    def _reason(self, error: Exception) -> str:
        line = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        return sqlite_reason(line, Path(self.url.database or "")) if self.is_sqlite else line

    def outage(self) -> str:
        """Why more than a few of the last transactions were lost, while that is news; else ""."""
        since = time.monotonic() - OUTAGE_S
        lately = [text for at_s, text in tuple(self._outcomes) if at_s > since]
        lost = [text for text in lately if text]
        return lost[-1] if len(lost) > 1 and len(lost) * 4 >= len(lately) else ""

    def ping(self) -> None:
        """Ask the database for an answer; raises `StoreUnavailable`."""
        with self.read() as session:
            session.execute(text("SELECT 1"))

    def start_threads(self) -> None:
        """All of them now: later there may be none to be had. Raises `NoThreads`."""
        all_run = threading.Barrier(self._size)
        try:
            for _ in range(self._size):
                self._threads.submit(all_run.wait)
        except RuntimeError as error:
            all_run.abort()
            raise NoThreads(f"the store's {self._size} threads: {error}: a limit on processes, or memory") from None

    def submit(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Do blocking `work` in one of the store's threads."""
        return self._threads.submit(partial(work, *args, **kwargs))

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Do blocking `work` (a repository's method) in one of the store's threads, off the event loop."""
        return await asyncio.wrap_future(self.submit(work, *args, **kwargs))

    def close(self) -> None:
        """Wait for the threads' work and close every connection. A second call does nothing."""
        self._threads.shutdown(cancel_futures=True)
        self.engine.dispose()


def _postgres_url(settings: Settings) -> URL:
    postgres = settings.postgres
    return URL.create(
        "postgresql+psycopg2",
        username=postgres.user,
        password=postgres.password.get_secret_value() or None,
        host=postgres.host,
        port=postgres.port,
        database=postgres.db_name,
        query={"sslmode": postgres.ssl_mode},
    )


def _postgres(url: URL, connections: int) -> Engine:
    psycopg2.extensions.set_wait_callback(_wait)
    # A connection more than `connections` is never made; who waits 5 s for one gets StoreUnavailable.
    return create_engine(
        url, pool_pre_ping=True, pool_size=connections, max_overflow=0, pool_timeout=5, connect_args=_POSTGRES
    )


@contextmanager
def patient() -> Iterator[None]:
    """In this block and thread PostgreSQL may take its time over a statement: a migration of a large table."""
    _patience.answer_s = None
    try:
        yield
    finally:
        del _patience.answer_s


def _wait(connection: psycopg2.extensions.connection) -> None:
    """Called by psycopg2 for each answer. A server that hangs acknowledges TCP still: only our clock notices it.

    psycopg2 closes a connection whose wait has raised.
    """
    is_new = connection.status == psycopg2.extensions.STATUS_SETUP
    limit_s = CONNECT_S if is_new else getattr(_patience, "answer_s", ANSWER_S)
    deadline = None if limit_s is None else time.monotonic() + limit_s
    try:
        while (state := connection.poll()) != psycopg2.extensions.POLL_OK:
            poll = select.poll()
            reads = state == psycopg2.extensions.POLL_READ
            poll.register(connection.fileno(), select.POLLIN if reads else select.POLLOUT)
            if not poll.poll(None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000):
                raise psycopg2.OperationalError(f"no answer within {limit_s:g} s")
    finally:
        del connection  # else an error that somebody keeps would keep its socket


def _sqlite(url: URL) -> Engine:
    path = Path(url.database or "")
    try:
        make_private_file(path)  # its -wal and -shm get the same mode, by SQLite
    except IsADirectoryError:
        pass  # which is told to whoever asks
    except OSError as error:
        raise StoreUnavailable(f"database {path}: {error.strerror}") from None

    files = _OpenFiles(path)
    engine = create_engine(url, creator=files.open)
    event.listen(engine, "connect", files.prepare)
    event.listen(engine, "checkout", files.check)
    event.listen(engine, "close", files.forget)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


class _OpenFiles:
    """SQLite's file, its log and the log's index, as this process's connections have them open.

    SQLite would go on with files that have no name any more, and what it wrote there would be lost. Where another file
    stands in the first one's place, the pool opens that. Where only log or index were removed, what the log held is
    saved first; and since SQLite shares an index among the connections of a process, all of them must have been closed
    before one is opened: until then the database is away.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._all = (path, *(Path(f"{path}{ending}") for ending in ("-wal", "-shm")))
        self._open: dict[int, _Files] = {}  # by connection

    def open(self) -> sqlite3.Connection:
        file, *logs = self._found()
        if any(files[0] == file and files != (file, *logs) for files in tuple(self._open.values())):
            raise sqlite3.OperationalError(_LOG_LOST)
        return open_sqlite(self._path)

    def prepare(self, connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        file = _identity(self._path)
        mode = log_ahead(connection)
        for pragma in ("synchronous=NORMAL", "foreign_keys=ON", "schema_version"):
            connection.execute(f"PRAGMA {pragma}")  # the last one reads: now log and index are open
        logs = self._found()[1:]
        if mode == "wal" and None in logs:
            raise sqlite3.OperationalError(_LOG_LOST)
        self._open[id(connection)] = (file, *logs)

    def check(self, connection: sqlite3.Connection, _: ConnectionPoolEntry, __: object) -> None:
        ours, found = self._open[id(connection)], self._found()
        if ours == found:
            return
        if ours[0] == found[0] and (found[1] in (None, ours[1]) or _is_empty(self._all[1])):  # nobody wrote another log
            with suppress(sqlite3.Error):
                connection.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
        raise DisconnectionError("another file stands there")

    def forget(self, connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        self._open.pop(id(connection), None)

    def _found(self) -> _Files:
        return tuple(map(_identity, self._all))


def open_sqlite(path: Path) -> sqlite3.Connection:
    """The file that is there; none is made. Transactions are begun by who needs them, not by the driver's guess."""
    if path.is_file() and not os.access(path, os.R_OK | os.W_OK):
        # SQLite would open it for reading, and then wait for locks that nobody can have.
        raise sqlite3.OperationalError("may not be written (its mode, its owner or a read-only disk)")
    address = f"file:{quote(os.fsencode(path))}?mode=rw"
    return sqlite3.connect(address, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, uri=True)


def log_ahead(connection: sqlite3.Connection) -> str:
    """Its journal's mode. SQLite waits for no lock where it changes the mode: whoever opens a new file at the same time
    as others does (https://sqlite.org/wal.html, busy)."""
    give_up_at = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            return str(connection.execute("PRAGMA journal_mode=WAL").fetchone()[0])
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= give_up_at:
                raise
        time.sleep(LOCK_POLL_S)


def _identity(path: Path) -> _Identity:
    """Which file has this name."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that writes after it has read fails at once when another one wrote meanwhile.
    writes = connection.get_execution_options().get("callboard_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def is_outage(error: Exception) -> bool:
    """Whether the database itself is the trouble (away, full, locked, without our tables), not what it was given."""
    if isinstance(error, OperationalError | TimeoutError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if type(error) is DatabaseError:  # and nothing more exact: SQLite's file is damaged, or none of SQLite's
        return True
    # PostgreSQL's classes: 25 read-only after a failover, 42 no such table or not permitted.
    return error.connection_invalidated or str(getattr(error.orig, "pgcode", None))[:2] in ("25", "42")


def is_full(folder: Path) -> bool:
    """Whether not even SQLite's smallest file has room there."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < SMALLEST_BYTES or (found.f_files > 0 and found.f_favail == 0)


def _is_empty(path: Path) -> bool:
    with suppress(OSError):
        return path.stat().st_size == 0
    return False


def sqlite_reason(said: str, path: Path) -> str:
    """SQLite's words, and what they hide about the file."""
    if path.is_dir():
        return "is a folder, not a file"
    if _is_empty(path):  # somebody's open index still says otherwise: "locked", "no such table"
        return "is empty, 0 bytes: it was cut off; stop the server, put a copy back or move the file away"
    if "readonly" in said:
        return f"{said}: {path.name} or {path.parent} may not be written (mode, owner or a read-only disk)"
    if "unable to open" in said and not path.parent.is_dir():
        return f"{said}: {path.parent} is not there"
    if "unable to open" in said and not path.exists():
        return f"{said}: it is not there; was it moved or removed?"
    if "disk I/O error" in said and is_full(path.parent):
        return f"{said}: the disk is full"
    if "disk I/O error" in said:
        return f"{said}: the disk fails, or somebody changed the file while it was open"
    if "malformed" in said or "not a database" in said:
        return f"{said}: it is damaged; stop the server, put a copy back or move the file away"
    return said

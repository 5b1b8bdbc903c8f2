"""Fixtures with real servers: every test that takes `database` runs on SQLite and on PostgreSQL.

The servers are started once a session, on loopback, in temporary folders; each test gets a fresh copy of a migrated
database. A server that is not installed is a failure that says what to install, never a skip.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest
import redis

from config.settings import load_settings
from scripts.child_server import free_port
from store.engine import Database
from store.migrations import migrate

START_S = 20.0
TEMPLATE = "callboard_template"
# Nothing of a test has to survive a power cut.
POSTGRES_OPTIONS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "60"}


session_pids: set[int] = set()  # servers that outlive the test which was the first to need them


@dataclass(frozen=True, slots=True)
class Server:
    """A server of this session and how to log in."""

    host: str
    port: int
    user: str = ""
    password: str = ""


# --- starting and stopping ---------------------------------------------------------------------------------------


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGQUIT)  # PR_SET_PDEATHSIG


def start(command: list[str], log: Path, user: str | None = None) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, user=user, preexec_fn=_die_with_parent
        )
    session_pids.add(process.pid)
    return process


def wait_until(answers: Callable[[], object], process: subprocess.Popen[bytes], log: Path) -> None:
    """Until `answers` raises nothing; a server that has ended or is too slow is an error with its log."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            answers()
            return
        except (psycopg2.OperationalError, redis.ConnectionError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{process.args}: did not start:\n{log.read_text()}") from None
            time.sleep(0.02)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)  # PostgreSQL: a fast shutdown
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    session_pids.discard(process.pid)


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A folder that the servers' users may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="callboard-tests-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


# --- PostgreSQL --------------------------------------------------------------------------------------------------


def postgres_programs() -> Path:
    """The folder of initdb and postgres, of the newest version that is installed."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3].split(".")[0]))
    found = versions[-1] if versions else shutil.which("initdb")
    if found is None:
        pytest.fail("PostgreSQL is missing: apt-get install postgresql, or scripts/test as root", pytrace=False)
    return Path(found).parent


def new_postgres(folder: Path, server: Server, **options: str) -> tuple[list[str], str | None]:
    """A fresh cluster below `folder`: its command, and as whom to run it: as root postgres, since it refuses root."""
    programs, data, password_file = postgres_programs(), folder / "postgres", folder / "password"
    user = "postgres" if os.geteuid() == 0 else None
    password_file.write_text(server.password)
    data.mkdir()
    if user:
        owner = pwd.getpwnam(user)
        os.chown(data, owner.pw_uid, owner.pw_gid)
    initdb = [str(programs / "initdb"), "-D", str(data), "-U", server.user, "--pwfile", str(password_file)]
    flags = ["-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"]
    subprocess.run([*initdb, *flags], check=True, capture_output=True, user=user, cwd="/")
    options = POSTGRES_OPTIONS | {"listen_addresses": server.host, "unix_socket_directories": ""} | options
    settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    return [str(programs / "postgres"), "-D", str(data), "-p", str(server.port), *settings], user


@pytest.fixture(scope="session")
def postgres_server(server_folder: Path) -> Iterator[Server]:
    """A PostgreSQL with passwords."""
    server, log = Server("127.0.0.1", free_port(0), "callboard", secrets.token_hex(8)), server_folder / "postgres.log"
    command, user = new_postgres(server_folder, server)
    process = start(command, log, user)
    try:
        wait_until(lambda: _admin(server).close(), process, log)
        yield server
    finally:
        stop(process)


def _admin(server: Server) -> psycopg2.extensions.connection:
    connection = psycopg2.connect(
        host=server.host, port=server.port, user=server.user, password=server.password, dbname="postgres"
    )
    connection.autocommit = True
    return connection


def execute(server: Server, statement: str) -> None:
    """Run one statement as administrator."""
    connection = _admin(server)
    try:
        connection.cursor().execute(statement)
    finally:
        connection.close()


def postgres_environ(server: Server, db_name: str) -> dict[str, str]:
    return {
        "POSTGRES__HOST": server.host,
        "POSTGRES__PORT": str(server.port),
        "POSTGRES__USER": server.user,
        "POSTGRES__PASSWORD": server.password,
        "POSTGRES__DB_NAME": db_name,
        "POSTGRES__SSL_MODE": "disable",
    }


@pytest.fixture(scope="session")
def postgres_template(postgres_server: Server) -> str:
    """A migrated database, which is copied for each test."""
    execute(postgres_server, f"CREATE DATABASE {TEMPLATE}")
    migrated(postgres_environ(postgres_server, TEMPLATE)).close()
    return TEMPLATE


# --- one database a test -----------------------------------------------------------------------------------------


def migrated(environ: dict[str, str]) -> Database:
    database = Database.from_settings(load_settings(environ))
    migrate(database)
    return database


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a migrated database, which is copied for each test."""
    folder = tmp_path_factory.mktemp("sqlite")
    migrated({"DATA_DIR": str(folder)}).close()
    return folder / "callboard.db"


@pytest.fixture
def postgres_database(postgres_server: Server) -> Iterator[str]:
    """The name of an empty database of PostgreSQL."""
    yield from _temporary(postgres_server, "template0")


def _temporary(server: Server, template: str) -> Iterator[str]:
    name = f"test_{secrets.token_hex(6)}"
    execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield name
    execute(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_environ(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The environment that makes Callboard use an empty database."""
    if request.param == "sqlite":
        return {"DATA_DIR": str(tmp_path / "data")}
    return postgres_environ(request.getfixturevalue("postgres_server"), request.getfixturevalue("postgres_database"))


@pytest.fixture(params=["sqlite", "postgresql"])
def database_environ(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment that makes Callboard (a process of its own, too) use a migrated database of this test alone."""
    if request.param == "sqlite":
        (tmp_path / "data").mkdir()
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "data")
        yield {"DATA_DIR": str(tmp_path / "data")}
        return
    server: Server = request.getfixturevalue("postgres_server")
    for name in _temporary(server, request.getfixturevalue("postgres_template")):
        yield postgres_environ(server, name) | {"DATA_DIR": str(tmp_path / "data")}


@pytest.fixture
def database(database_environ: dict[str, str]) -> Iterator[Database]:
    """A migrated database of this test alone."""
    opened = Database.from_settings(load_settings(database_environ))
    yield opened
    opened.close()


# --- Redis -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def redis_server(server_folder: Path) -> Iterator[Server]:
    """A Redis that keeps nothing on disk."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.fail("Redis is missing: apt-get install redis-server, or scripts/test as root", pytrace=False)
    server, log = Server("127.0.0.1", free_port(0)), server_folder / "redis.log"
    options = ["--bind", server.host, "--port", str(server.port), "--save", "", "--dir", str(server_folder)]
    process = start([program, *options], log)
    try:
        with redis.Redis(server.host, server.port) as client:
            wait_until(client.ping, process, log)
        yield server
    finally:
        stop(process)

"""What this machine needs to serve calls, looked at one by one without changing anything."""

from __future__ import annotations

import errno
import importlib.metadata
import platform
import re
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from config.errors import CallboardError
from config.settings import RedisSettings, Settings

_WAIT_S = 2.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One part of the machine; `hint` says what to do where it fails."""

    part: str
    ok: bool
    detail: str
    hint: str = ""


def findings(settings: Settings) -> list[Finding]:
    """Every part, in the order in which a newcomer would mend them."""
    return [
        _python(),
        _packages(),
        *_voice_parts(),
        _port("HTTP", settings.http.host, settings.http.port, "HTTP__PORT"),
        _port("AudioSocket", settings.audiosocket.host, settings.audiosocket.port, "AUDIOSOCKET__PORT"),
        _data_dir(settings.data_dir),
        _database(settings),
        *_redis(settings.redis),
    ]


def _python() -> Finding:
    ok = sys.version_info >= (3, 11)
    return Finding("Python", ok, platform.python_version(), "" if ok else "install Python 3.11 or newer")


def _packages() -> Finding:
    try:
        required = importlib.metadata.requires("callboard") or []
    except importlib.metadata.PackageNotFoundError:
        return Finding("packages", False, "callboard is not installed", "pip install -e .")
    names = [re.split(r"[\s<>=!~;\[]", line, maxsplit=1)[0] for line in required if "extra ==" not in line]
    missing = [name for name in names if not _installed(name)]
    hint = f"pip install {' '.join(missing)}" if missing else ""
    return Finding("packages", not missing, f"{len(names) - len(missing)} of {len(names)}", hint)


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _voice_parts() -> Iterator[Finding]:
    from actors.engines.parts import check_voice_parts

    for name, ok, hint in check_voice_parts():
        yield Finding(f"voice: {name}", ok, "there" if ok else "missing", hint)


def _port(what: str, host: str, port: int, option: str) -> Finding:
    part, address = f"{what} port", f"{host}:{port}"
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
            probe.listen(1)
    except OSError as error:
        busy = error.errno == errno.EADDRINUSE
        hint = f"callboard serves already? else set {option} to a free port" if busy else f"mend host or {option}"
        return Finding(part, False, f"{address}: {error.strerror or error}", hint)
    return Finding(part, True, f"{address} is free")


def _data_dir(folder: Path) -> Finding:
    """A folder that is not there yet is fine where it can be made."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return Finding("data folder", False, f"{existing}: {error.strerror}", "set DATA_DIR to a folder you may write")
    return Finding("data folder", True, str(folder) if existing == folder else f"{folder} (will be made)")


def _database(settings: Settings) -> Finding:
    from store.engine import Database
    from store.migrations import current_revision, head_revision

    if not settings.postgres.host and not (settings.data_dir / "callboard.db").exists():
        return Finding("database", True, "SQLite, will be made at the first start")
    try:
        database = Database.from_settings(settings)
        try:
            database.ping()
            current, head = current_revision(database) or "none", head_revision()
        finally:
            database.close()
    except CallboardError as error:
        return Finding("database", False, str(error), "start PostgreSQL, or mend POSTGRES__*; unset: SQLite")
    if current.isdecimal() and current > head:
        return Finding("database", False, f"at step {current}, this program knows {head}", "update Callboard")
    detail = "its schema is the newest" if current == head else f"step {current}, goes to {head} at the next start"
    return Finding("database", True, f"{database.place}: {detail}")


def _redis(settings: RedisSettings) -> Iterator[Finding]:
    if not settings.host:
        return
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    client = redis.Redis(
        settings.host,
        settings.port,
        settings.db,
        username=settings.user or None,
        password=settings.password.get_secret_value() or None,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=_WAIT_S,
        socket_connect_timeout=_WAIT_S,
    )
    try:
        client.ping()
        yield Finding("Redis", True, f"{settings.host}:{settings.port} answers")
    except redis.RedisError as error:
        yield Finding("Redis", False, f"{settings.host}:{settings.port}: {error}", "start Redis, or mend REDIS__*")
    finally:
        client.close()

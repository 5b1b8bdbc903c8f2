"""What this machine needs to serve calls, looked at one by one without changing anything."""

from __future__ import annotations

import errno
import importlib.metadata
import json
import platform
import re
import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.errors import CallboardError
from config.settings import RedisSettings, Settings
from scripts.nodes import lives_in, node
from scripts.storage import lost_database
from store.health import damage, database_trouble, disk_trouble

_WAIT_S = 2.0
_ANSWER_S = 5.0  # longer than a node looks for what it lacks


@dataclass(frozen=True, slots=True)
class Finding:
    """One part of the machine; `hint` says what to do where it fails."""

    part: str
    ok: bool
    detail: str
    hint: str = ""


def findings(settings: Settings) -> list[Finding]:
    """Every part, in the order in which a newcomer would mend them."""
    running = node(settings.data_dir)
    return [
        _python(),
        _packages(),
        *_voice_parts(),
        _port("HTTP", settings.http.host, settings.http.port, "HTTP__PORT", running.get("http", "")),
        _port(
            *("AudioSocket", settings.audiosocket.host, settings.audiosocket.port, "AUDIOSOCKET__PORT"),
            running.get("audiosocket", ""),
        ),
        *_node(running),
        _descriptors(settings.limits.max_calls),
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
    names = {re.split(r"[\s<>=!~;\[]", line, maxsplit=1)[0] for line in required if "extra ==" not in line}
    missing = sorted(name for name in names if not _installed(name))
    hint = f"missing: {', '.join(missing)}; scripts/demo installs them" if missing else ""
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


def _descriptors(max_calls: int) -> Finding:
    """`callboard serve` raises the soft limit by itself; the hard one is the machine's."""
    from transports.capacity import WANTED, Capacity

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    capacity = Capacity(WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED))
    calls = capacity.calls(max_calls)
    detail = f"{capacity.descriptors} a process carry {calls} of LIMITS__MAX_CALLS = {max_calls} calls a worker"
    hint = f"raise the hard limit (LimitNOFILE=, ulimit -Hn) to {Capacity.descriptors_for(max_calls)}"
    return Finding("open files", calls == max_calls, detail, "" if calls == max_calls else hint)


def _port(what: str, host: str, port: int, option: str, ours: str) -> Finding:
    """`ours`: where the node of our data folder listens, with a scheme or without; it needs no other port."""
    part, address = f"{what} port", f"{host}:{port}"
    if ours:
        return Finding(part, True, f"{ours.rpartition('/')[2]}: the node of this data folder listens there")
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


def _node(running: dict[str, Any]) -> Iterator[Finding]:
    """What the node of our data folder says of itself, where one runs."""
    if not running:
        return
    from http.client import HTTPConnection, HTTPException

    where = f"process {running['pid']}"
    try:
        with closing(HTTPConnection(running["http"].removeprefix("http://"), timeout=_ANSWER_S)) as connection:
            connection.request("GET", "/readiness/")
            parts: dict[str, str] = json.loads(connection.getresponse().read())["parts"]
    except (OSError, HTTPException, ValueError, KeyError) as error:
        yield Finding("node", False, f"{where} does not answer: {error or type(error).__name__}", "see its log")
        return
    failing = "; ".join(f"{part}: {said}" for part, said in parts.items() if said != "ok")
    yield Finding(
        "node", not failing, f"{where}: {failing or 'takes calls'}", "mend it, or see its log" * bool(failing)
    )


def _data_dir(folder: Path) -> Finding:
    """A folder that is not there yet is fine where it can be made."""
    if trouble := disk_trouble(folder):
        return Finding("data folder", False, trouble, "make room, or set DATA_DIR to a folder that you may write")
    return Finding("data folder", True, f"{folder}{'' if folder.exists() else ' (will be made)'}")


def _database(settings: Settings) -> Finding:
    from store.engine import Database
    from store.migrations import current_revision, head_revision, revisions

    if trouble := lost_database(settings):
        if lives_in(settings.data_dir):
            return Finding("database", False, trouble, "put it back, or stop the node")
        return Finding("database", True, "SQLite, will be made at the first start")
    hint = "start PostgreSQL, or mend POSTGRES__*" if settings.postgres.host else "see DATA_DIR"
    try:
        with closing(Database.from_settings(settings)) as database:
            current, head = current_revision(database) or "none", head_revision()
            trouble = "" if current == "none" else damage(database) or database_trouble(database)
    except CallboardError as error:
        return Finding("database", False, str(error), hint)
    if current not in ("none", *revisions()):
        return Finding("database", False, f"{database.place}: at step {current}, unknown here", "update Callboard")
    if trouble and current == head:
        return Finding("database", False, trouble, hint)
    detail = "its schema is the newest" if current == head else f"step {current}, goes to {head} at the next start"
    return Finding("database", True, f"{database.place}: {detail}")


def _redis(settings: RedisSettings) -> Iterator[Finding]:
    if not settings.host:
        return
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    from store.redis_state import PROBE_KEY

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
        client.set(PROBE_KEY, 1, px=1000)  # a replica, one without memory and one without a disk answer a PING
        yield Finding("Redis", True, f"{settings.host}:{settings.port} answers")
    except redis.RedisError as error:
        yield Finding("Redis", False, f"{settings.host}:{settings.port}: {error}", "start Redis, or mend REDIS__*")
    finally:
        client.close()

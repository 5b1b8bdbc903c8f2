"""Servers of one test alone, which it may stop, kill and start again."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from scripts.child_server import free_port
from tests.databases import Server, execute, new_postgres, start, stop, wait_until


class StoppableServer:
    """A PostgreSQL or a Redis, with all of its processes; its data survive a `kill`."""

    def __init__(
        self, login: Server, command: list[str], log: Path, answers: Callable[[], object], user: str | None = None
    ) -> None:
        self.login = login
        self._command, self._log, self._answers, self._user = command, log, answers, user
        self.start()

    def start(self) -> None:
        """Start it (again), until it answers. For the main thread: a server ends with the thread that started it."""
        self._process = start(self._command, self._log, self._user)
        wait_until(self._answers, self._process, self._log)

    def pause(self) -> None:
        """Let it hang: its kernel still accepts connections and acknowledges what comes."""
        for pid in self._pids():
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        for pid in self._pids():
            os.kill(pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kill -9 everything at once."""
        for pid in self._pids():
            os.kill(pid, signal.SIGKILL)
        stop(self._process)

    def close(self) -> None:
        if self._process.poll() is None:
            self.resume()
            stop(self._process)

    def _pids(self) -> list[int]:
        """The server first, so that it does not see its children go."""
        tasks = Path(f"/proc/{self._process.pid}/task").iterdir()
        children = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
        return [self._process.pid, *children]


def redis_environ(server: Server) -> dict[str, str]:
    return {"REDIS__HOST": server.host, "REDIS__PORT": str(server.port)}


@contextmanager
def stoppable_redis(folder: Path) -> Iterator[StoppableServer]:
    """A Redis that forgets everything when it is killed."""
    login = Server("127.0.0.1", free_port(0))
    command = ["redis-server", "--bind", login.host, "--port", str(login.port), "--save", "", "--dir", str(folder)]
    with redis.Redis(login.host, login.port) as client:
        server = StoppableServer(login, command, folder / "log", client.ping)
        try:
            client.close()
            yield server
        finally:
            server.close()


@contextmanager
def stoppable_postgres(folder: Path) -> Iterator[StoppableServer]:
    """A PostgreSQL without databases of ours; `folder` must be one that the server's user may enter."""
    login = Server("127.0.0.1", free_port(0), "callboard", secrets.token_hex(8))
    command, user = new_postgres(folder, login, synchronous_commit="on")  # what is committed survives a kill
    server = StoppableServer(login, command, folder / "log", lambda: execute(login, "SELECT 1"), user)
    try:
        yield server
    finally:
        server.close()

"""A `callboard serve` in a child process, for the demo: it says when it listens and never outlives its parent."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import orjson

from config.errors import CallboardError
from store.health import disk_trouble
from store.private import make_private_file, open_data_dir

HOST = "127.0.0.1"
START_S, STOP_S = 30.0, 10.0
QUIET_PORTS = range(10240, 32768)  # Linux gives out 32768 to 60999 by itself: ip(7), ip_local_port_range
# The demo stands by itself: what the user's environment says about databases and hosts is not for it.
_UNSET = (
    *("CALLBOARD_CONFIG", "POSTGRES__HOST", "REDIS__HOST", "PUBLIC_ASSISTANT_HOST", "AUTH__MODE"),
    *("NODE__CONVENTION", "NODE__CONTROL_HOST", "NODE__CLUSTER_SECRET", "OPERATOR__HOST", "OPERATOR__TOKEN"),
)
ALONE = {**dict.fromkeys(_UNSET, ""), "NODE__CONTROL_PORT": "0", "OPERATOR__PORT": "0"}


class ServerFailed(CallboardError):
    """The server ended before it listened; the text says where its log is."""

    code = "server_failed"


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """What the child serves, where, and where its data and its log go."""

    assistant: Path
    data_dir: Path
    http_port: int
    audiosocket_port: int
    environment: tuple[tuple[str, str], ...] = ()  # further settings
    cpu: int | None = None  # the only one that the server may use
    more: tuple[Path, ...] = ()  # further assistants
    workers: int | None = None  # None: the number of cores; 0: in the child itself, without a node

    @property
    def log(self) -> Path:
        return self.data_dir / "serve.log"

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.http_port}"


class ChildServer:
    """Started by `async with`, ended at its exit; with its parent gone its standard input ends, and so does it."""

    def __init__(self, plan: ServerPlan) -> None:
        self.plan = plan

    async def __aenter__(self) -> ChildServer:
        plan = self.plan
        make_private_file(open_data_dir(plan.data_dir) / plan.log.name)
        with plan.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "scripts.callboard", "serve", "--json", "--until-eof"),
                *("--host", HOST, "--port", str(plan.http_port), "--audiosocket-host", HOST),
                *("--audiosocket-port", str(plan.audiosocket_port), "--data-dir", str(plan.data_dir)),
                *(part for path in (plan.assistant, *plan.more) for part in ("--assistant", str(path))),
                *(() if plan.workers is None else ("--workers", str(plan.workers))),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**os.environ, **ALONE, **dict(plan.environment)},
                start_new_session=True,  # Ctrl-C is the parent's: it ends the child in good order
            )
        if plan.cpu is not None:
            os.sched_setaffinity(self._process.pid, {plan.cpu})
        return self

    @property
    def pid(self) -> int:
        return self._process.pid

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.returncode is not None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_S)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def listening(self) -> None:
        """Wait until it takes calls; raises `ServerFailed`."""
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), START_S)
        except TimeoutError:
            raise ServerFailed(f"the server did not start within {START_S:.0f} s; see {self.plan.log}") from None
        if not line or orjson.loads(line).get("event") != "listening":
            raise ServerFailed(f"the server did not start: {self._last_words()}")

    async def ended(self) -> None:
        """Wait until it ends by itself, which it should not."""
        await self._process.wait()
        raise ServerFailed(f"the server has ended: {self._last_words()}")

    def _last_words(self) -> str:
        lines = self.plan.log.read_text("utf-8", "replace").strip().splitlines()
        # Where nothing more fits nothing could be said, either.
        return f"{lines[-1] if lines else disk_trouble(self.plan.data_dir) or 'it said nothing'} ({self.plan.log})"


def free_port(wanted: int) -> int:
    """`wanted` if nobody listens there, else any free port that the kernel gives to nobody by itself.

    Between this answer and its use the kernel would give a port of its own range to whoever asks for any, or connects.
    """
    for port in (wanted or _quiet_port(), *(_quiet_port() for _ in range(100)), 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ServerFailed(f"no port is free at {HOST}")


def _quiet_port() -> int:
    return secrets.choice(QUIET_PORTS)

"""A whole node in processes of its own, callers who reach it, and an operator who looks into it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import sys
import termios
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPResponse

from scripts.caller.plan import CallPlan, Sentence
from scripts.child_server import ALONE
from tests.fakes.recorded import recorded

PROVIDERS = "tests.fakes.steady,tests.fakes.harmful"
START_S, END_S = 20.0, 10.0
ASSISTANTS = {"steady": "steady", "blocking": "blocking", "hoarding": "hoarding"}  # name -> its LLM


class NodeProcess:
    """A running `callboard serve`."""

    def __init__(self, process: asyncio.subprocess.Process, said: dict[str, Any], folder: Path) -> None:
        self.process, self.said, self.folder = process, said, folder
        self.url: str = said["http"]
        host, _, port = said["audiosocket"].rpartition(":")
        self.audiosocket = (host, int(port))
        self._operator = json.loads((folder / "operator.json").read_text())

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text("utf-8", "replace")

    async def get(self, path: str, headers: dict[str, str] | None = None) -> HTTPResponse:
        """Ask the HTTP listener, on a connection of its own."""
        return await _fetch(self.url + path, headers=headers)

    async def ask(self, path: str, method: str = "GET") -> Any:
        """Ask as an operator."""
        headers = {"Authorization": f"Bearer {self._operator['token']}"}
        body = "{}" if method == "POST" else None
        deadline_s = time.monotonic() + START_S
        while True:
            try:
                response = await _fetch(self._operator["url"] + path, method=method, headers=headers, body=body)
                if b"node_silent" in response.body:  # the manager hangs, or is gone
                    raise ConnectionError(response.body)
                assert response.code == 200, response.body
                return json.loads(response.body)
            except OSError:  # a worker that has just died, or hangs, had taken the connection
                assert time.monotonic() < deadline_s
                await asyncio.sleep(0.01)

    async def workers(self) -> list[dict[str, Any]]:
        return await self.ask("/v1/workers")

    async def exits(self) -> list[dict[str, Any]]:
        return await self.ask("/v1/exits")

    async def pids(self) -> list[int]:
        """Of the workers, by number."""
        return [row["pid"] for row in await self.workers()]

    async def manager(self) -> int:
        return parent((await self.pids())[0])

    def plan(self, assistant: str, sentences: tuple[Sentence, ...], via: str = "twilio", **more: Any) -> CallPlan:
        turns = more.pop("turns", len(sentences))
        more.setdefault("follow", False)
        return CallPlan(
            to=self.url,
            assistant=assistant,
            via=via,
            sentences=sentences,
            turns=turns,
            audiosocket=self.audiosocket,
            **more,
        )

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self, within_s: float = END_S) -> int:
        return await asyncio.wait_for(self.process.wait(), within_s)


async def _fetch(url: str, **more: Any) -> HTTPResponse:
    client = AsyncHTTPClient(force_instance=True)
    try:
        return await client.fetch(url, raise_error=False, request_timeout=5, connect_timeout=5, **more)
    except HTTPClientError as error:  # 599: it did not answer
        raise ConnectionError(str(error)) from None
    finally:
        client.close()


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def descendants(pid: int) -> set[int]:
    """All processes below this one, zombies too."""
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                below.setdefault(parent(int(entry.name)), []).append(int(entry.name))
            except OSError:
                continue
    found, todo = set(), [pid]
    while todo:
        for child in below.get(todo.pop(), []):
            found.add(child)
            todo.append(child)
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def until(holds: Callable[[], Awaitable[bool] | bool], within_s: float = 15.0) -> None:
    """Another process's state has no event for us: look often."""
    async with asyncio.timeout(within_s):
        while True:
            result = holds()
            if result if isinstance(result, bool) else await result:
                return
            await asyncio.sleep(0.02)


StartNode = Callable[..., Awaitable[NodeProcess]]


@pytest.fixture
async def start_node(tmp_path: Path) -> AsyncIterator[StartNode]:
    """Start nodes; at the end of the test nothing of them is left, or the test fails."""
    nodes: list[NodeProcess] = []
    pids: set[int] = set()

    async def start(
        *options: str, folder: str = "node", descriptors: int = 0, terminal: int | None = None, **environment: str
    ) -> NodeProcess:
        data = tmp_path / folder
        data.mkdir(mode=0o700, exist_ok=True)
        node = await _serve(data, options, environment, descriptors, terminal)
        nodes.append(node)
        pids.update(descendants(node.process.pid))
        return node

    yield start
    for node in nodes:
        if node.process.returncode is None:
            pids.update(below := descendants(node.process.pid))
            node.process.kill()
            for pid in below:  # workers with calls would finish them
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        await node.process.wait()
    await until(lambda: not any(map(alive, pids)), 3.0)


async def _serve(
    folder: Path, options: tuple[str, ...], environment: dict[str, str], descriptors: int, terminal: int | None
) -> NodeProcess:
    """`terminal`: a descriptor of one, which becomes the terminal of the node's session."""
    limited = ["sh", "-c", f'ulimit -n {descriptors}; exec "$0" "$@"'] if descriptors else []
    command = [*limited, sys.executable, "-m", "scripts.callboard", "serve", "--json"]
    command += ["--port", "0", "--audiosocket-port", "0"]
    for name, llm in ASSISTANTS.items():
        file = folder / f"{name}.yaml"
        file.write_text(
            f"name: {name}\ngreeting: Hello, how may I help you?\ngoodbye_message: Goodbye now.\n"
            f"stt: steady\nllm: {llm}\ntts: steady\n"
        )
        command += ["--assistant", str(file)]
    base = {"AUTH__MODE": "open", "EXTRA_PROVIDERS": PROVIDERS, "PYTHONPATH": os.getcwd(), "DATA_DIR": str(folder)}
    base["LIMITS__SHED"] = "false"  # other tests want the cores, too
    with (folder / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *command,
            *options,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env={**os.environ, **ALONE, **base, **environment},
            start_new_session=True,
            stdin=terminal,
            preexec_fn=None if terminal is None else lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), START_S)
    if not line:
        await process.wait()
        pytest.fail((folder / "log").read_text())
    return NodeProcess(process, json.loads(line), folder)


@pytest.fixture
def sentences() -> tuple[Sentence, ...]:
    return recorded("hello, when are you open", "and on the weekend", "thank you very much")

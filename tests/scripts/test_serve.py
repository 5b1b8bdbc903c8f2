"""`callboard serve` as a process: it says where it listens, applies assistants, and leaves in good order."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from tornado.httpclient import AsyncHTTPClient

from scripts.child_server import ALONE, HOST, ChildServer, ServerFailed, ServerPlan, free_port
from scripts.commands.demo import ASSISTANT
from store.assistants import AssistantRepository
from store.engine import Database


@asynccontextmanager
async def serving(
    folder: Path, *options: str, stderr: int = asyncio.subprocess.PIPE
) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, str]]]:
    """A server on free ports and what it said on its first line."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scripts.callboard", "serve", "--json", "--port", "0", "--audiosocket-port", "0"),
        *("--data-dir", str(folder), *options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, **ALONE},
    )
    assert process.stdout is not None
    try:
        yield process, json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def get(url: str) -> int:
    client = AsyncHTTPClient(force_instance=True)
    try:
        return (await client.fetch(url, raise_error=False)).code
    finally:
        client.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_until_a_signal(number: signal.Signals, tmp_path: Path) -> None:
    async with serving(tmp_path, "--assistant", str(ASSISTANT)) as (process, said):
        assert said["event"] == "listening"
        assert await get(f"{said['http']}/healthz/") == 200
        assert await get(f"{said['http']}/readiness/") == 200
        host, _, port = said["audiosocket"].rpartition(":")
        with socket.create_connection((host, int(port)), 2):
            pass
        process.send_signal(number)
        assert await asyncio.wait_for(process.wait(), 10) == 0
    database = Database(f"sqlite:///{tmp_path / 'callboard.db'}")
    assert [assistant.config.name for assistant in AssistantRepository(database).list()] == ["reception"]
    database.close()


async def test_it_ends_with_its_standard_input_if_told_so(tmp_path: Path) -> None:
    async with serving(tmp_path, "--until-eof") as (process, _):
        assert process.stdin is not None
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), 10) == 0


@pytest.mark.parametrize("workers", ["1", "0"])
async def test_a_log_that_nobody_reads_stops_nothing(tmp_path: Path, workers: str) -> None:
    ours, theirs = os.pipe()
    async with serving(tmp_path, "--workers", workers, stderr=theirs) as (process, said):
        os.set_blocking(theirs, False)
        with suppress(BlockingIOError):
            while os.write(theirs, b"x" * 64):
                pass
        os.set_blocking(theirs, True)  # for the server, too
        for _ in range(3):
            process.send_signal(signal.SIGHUP)  # the main process logs
            assert await get(f"{said['http']}/v1/talk/twilio/call/nobody") in (401, 404)  # and so does the worker
        assert await get(f"{said['http']}/healthz/") == 200
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0
    os.close(theirs)
    os.close(ours)


async def test_open_authentication_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ALONE, "AUTH__MODE", "open")
    async with serving(tmp_path) as (process, _):
        process.send_signal(signal.SIGTERM)
        _, err = await asyncio.wait_for(process.communicate(), 10)
    assert b"AUTH__MODE is open" in err


async def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "scripts.callboard", "serve", "--port", str(port), "--data-dir", str(tmp_path)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **ALONE},
        )
        out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1 and out == b""
    assert err.decode().splitlines()[-1].startswith("callboard: system_error: ")
    assert b"Traceback" not in err


async def test_the_child_server_listens_and_ends_with_its_block(tmp_path: Path) -> None:
    plan = ServerPlan(ASSISTANT, tmp_path, free_port(0), free_port(0))
    async with ChildServer(plan) as server:
        await server.listening()
        assert await get(f"{plan.url}/healthz/") == 200
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, plan.http_port), 1)


async def test_a_child_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("name: wrong")
    async with ChildServer(ServerPlan(wrong, tmp_path, free_port(0), free_port(0))) as server:
        with pytest.raises(ServerFailed, match=r"wrong\.yaml:1: .*Field required"):
            await server.listening()


def test_a_free_port_is_the_wanted_one_unless_it_is_taken() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        assert free_port(port) != port
    assert free_port(port) == port

"""SIGHUP: a running node takes other settings, or keeps what it has and says why."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import sys
import time
from pathlib import Path

import pytest

from config.yaml_file import SILENCE_S
from scripts.child_server import ALONE
from tests.node.conftest import NodeProcess, StartNode, until
from tests.node.test_recovery import hold_calls

WEBHOOK = "/v1/talk/twilio/call/steady?From=%2B15550100&To=%2B15550199&CallSid=CA1"


async def start(start_node: StartNode, folder: Path, workers: str, text: str) -> tuple[NodeProcess, Path]:
    config = folder / "callboard.yaml"
    write(config, text)
    return await start_node("--workers", workers, CALLBOARD_CONFIG=str(config)), config


def write(config: Path, text: str) -> None:
    config.write_text(text)


async def hang_up(node: NodeProcess, config: Path, text: str, expected: str) -> str:
    """SIGHUP with other settings; what the log says then."""
    write(config, text)
    before = len(node.log)
    node.signal(signal.SIGHUP)
    await until(lambda: expected in node.log[before:])
    return node.log[before:]


@pytest.mark.parametrize("workers", ["2", "0"])
async def test_limits_change_while_calls_go_on(start_node: StartNode, sentences, tmp_path: Path, workers: str) -> None:
    node, config = await start(start_node, tmp_path, workers, "limits: {max_calls: 1}")
    tasks = await hold_calls(node, sentences[:1], 1)

    async def is_taken() -> bool:
        return b"<Reject" not in (await node.get(WEBHOOK)).body

    async def is_refused() -> bool:
        return not await is_taken()

    await until(is_refused)  # by the one worker, or by the one of two that has the call
    await hang_up(node, config, "limits: {max_calls: 5}\nlog_format: json", "LIMITS__MAX_CALLS = '5', was '1'")

    async def are_all_taken() -> bool:
        return all([await is_taken() for _ in range(12)])

    await until(are_all_taken)
    reports = await asyncio.gather(*tasks)
    assert all(report.answered for report in reports)
    await until(lambda: "ended, success" in node.log)
    ended = next(line for line in node.log.splitlines() if "ended, success" in line)
    assert json.loads(ended)["logger"] == "actors.call.switchboard"


async def test_a_worker_that_is_started_later_has_the_new_settings(start_node: StartNode, tmp_path: Path) -> None:
    node, config = await start(start_node, tmp_path, "1", "auth: {}")
    text = "public_assistant_host: calls.example.com"
    await hang_up(node, config, text, "PUBLIC_ASSISTANT_HOST = 'calls.example.com'")

    async def is_told() -> bool:
        try:
            return b"wss://calls.example.com/" in (await node.get(WEBHOOK)).body
        except OSError:
            return False

    await until(is_told)
    os.kill((await node.pids())[0], signal.SIGKILL)
    await until(is_told)
    os.kill(await node.manager(), signal.SIGKILL)
    await until(lambda: "the node is up again" in node.log)
    await until(is_told)


async def test_what_is_wrong_or_needs_a_restart_is_one_line_and_the_old_settings_stay(
    start_node: StartNode, tmp_path: Path
) -> None:
    node, config = await start(start_node, tmp_path, "1", "limits: {max_calls: 7}")
    said = await hang_up(node, config, "limits: {max_calls: many}", "SIGHUP: ")
    (line,) = [line for line in said.splitlines() if "SIGHUP" in line]
    assert "LIMITS__MAX_CALLS = 'many'" in line
    assert "a whole number" in line
    said = await hang_up(node, config, "redis: {db: 5}\nlimits: {max_calls: 8}", "restart")
    assert "SIGHUP: REDIS__DB needs a restart" in said
    assert "LIMITS__MAX_CALLS = '8', was '7'" in said
    await hang_up(node, config, "redis: {db: 0}\nlimits: {max_calls: 8}", "no setting that can change has changed")
    write(config, "limits: [")
    node.signal(signal.SIGHUP)
    await until(lambda: node.log.count("the settings stay as they are") == 2)
    assert (await node.get("/healthz/")).code == 200
    assert "Traceback" not in node.log


@pytest.mark.parametrize("workers", ["1", "0"])
async def test_a_file_that_cannot_be_read_holds_nobody_up(start_node: StartNode, tmp_path: Path, workers: str) -> None:
    node, config = await start(start_node, tmp_path, workers, "limits: {max_calls: 7}")

    async def refused(says: str) -> None:
        before, begun_s = len(node.log), time.monotonic()
        node.signal(signal.SIGHUP)
        await until(lambda: says in node.log[before:])
        assert time.monotonic() - begun_s < SILENCE_S / 2
        assert (await node.get("/readiness/")).code == 200

    config.unlink()
    await refused("No such file or directory")
    config.mkdir()
    await refused("is no file")
    config.rmdir()
    with config.open("wb") as file:
        file.truncate(50 << 20)
    await refused("is larger than 65,536 bytes")
    write(config, "limits: {" + ", ".join(f"k{number}: 1" for number in range(4000)) + "}")
    await refused("and 3990 more")
    assert max(map(len, node.log.splitlines())) < 4000
    config.unlink()
    os.mkfifo(config)
    silent = os.open(config, os.O_RDWR)  # somebody has it open for writing, and says nothing
    try:
        await refused("is no file, and cannot be read a second time")
    finally:
        os.close(silent)
    await refused("is no file, and cannot be read a second time")  # without a writer it would be empty
    config.unlink()
    await hang_up(node, config, "limits: {max_calls: 8}", "LIMITS__MAX_CALLS = '8', was '7'")


async def test_a_terminal_that_is_closed_drains(tmp_path: Path, start_node: StartNode) -> None:
    ours, theirs = pty.openpty()
    try:
        node = await start_node("--workers", "1", terminal=theirs)
        os.close(theirs)
    finally:
        os.close(ours)
    assert await node.ended(20) == 0


async def test_who_was_started_to_outlive_the_terminal_does(start_node: StartNode) -> None:
    """`nohup callboard serve &`: the signal comes all the same, and is one to read the settings."""
    ours, theirs = pty.openpty()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the node inherits it
    try:
        node = await start_node("--workers", "1", terminal=theirs)
    finally:
        signal.signal(signal.SIGHUP, before)
        os.close(theirs)
        os.close(ours)
    await until(lambda: "SIGHUP: no setting" in node.log)
    assert (await node.get("/healthz/")).code == 200
    assert "drains" not in node.log


@pytest.mark.parametrize("workers", ["1", "0"])
async def test_a_signal_while_it_starts_does_not_end_it(tmp_path: Path, workers: str) -> None:
    """A service manager that reloads what it has just started."""
    command = [sys.executable, "-m", "scripts.callboard", "serve", "--json", "--port", "0", "--audiosocket-port", "0"]
    environment = {**os.environ, **ALONE, "AUTH__MODE": "open", "DATA_DIR": str(tmp_path)}  # a warning as it starts
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, "--workers", workers, stdout=pipe, stderr=pipe, env=environment
    )
    assert process.stdout is not None and process.stderr is not None
    assert b"AUTH__MODE is open" in await process.stderr.readline()
    process.send_signal(signal.SIGHUP)
    assert b"listening" in await asyncio.wait_for(process.stdout.readline(), 20)
    process.send_signal(signal.SIGTERM)
    _, said = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    assert b"SIGHUP: no setting that can change has changed" in said

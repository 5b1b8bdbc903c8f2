"""A second terminal finds the node that runs here, its data and its ports."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from scripts import nodes
from scripts.child_server import ALONE
from scripts.commands.demo import ASSISTANT

pytestmark = pytest.mark.timeout(300)  # a dozen processes, which a busy machine may take ten times as long for

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Nobody has named a data folder."""
    kept = {name: value for name, value in os.environ.items() if "__" not in name and name != "DATA_DIR"}
    return kept | {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_DATA_HOME": str(tmp_path / "share")}


@pytest.fixture
def callboard(environ: dict[str, str]) -> Run:
    """A second terminal."""

    def run(*argv: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "scripts.callboard", *argv]
        return subprocess.run(command, env=environ | more, capture_output=True, text=True, timeout=120)

    return run


@asynccontextmanager
async def serving(
    folder: Path, environ: dict[str, str]
) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, str]]]:
    """A worker without a node, on free ports, and what it said on its first line."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scripts.callboard", "serve", "--json", "--port", "0", "--audiosocket-port", "0"),
        *("--data-dir", str(folder), "--workers", "0", "--assistant", str(ASSISTANT)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environ | {name: value for name, value in ALONE.items() if name.endswith("PORT")},
    )
    assert process.stdout is not None
    try:
        yield process, json.loads(await asyncio.wait_for(process.stdout.readline(), 120))
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def test_every_command_finds_the_node(environ: dict[str, str], callboard: Run, tmp_path: Path) -> None:
    folder = tmp_path / "some where"
    run = asyncio.to_thread
    async with serving(folder, environ) as (process, said):
        actors = await run(callboard, "ps", "--json")
        assert (actors.returncode, actors.stderr) == (0, "") and "ledger" in actors.stdout
        assert "reception" in (await run(callboard, "assistant", "list")).stdout
        key = json.loads((await run(callboard, "key", "create", "laptop", "--json")).stdout)["secret"]
        spoken = ("call", "--assistant", "reception", "--say", "what are your opening hours", "--json")
        call = await run(callboard, *spoken, CALLBOARD_API_KEY=key)
        assert call.returncode == 0, call.stderr
        (found,) = json.loads((await run(callboard, "calls", "--json")).stdout)
        assert found["context_id"] == json.loads(call.stdout)["context_id"]
        checked = json.loads(
            (await run(callboard, "check", "--json", HTTP__PORT=said["http"].rpartition(":")[2])).stdout
        )
        parts = {part["part"]: part for part in checked}
        assert parts["node"]["detail"] == f"process {process.pid}: takes calls"
        assert parts["HTTP port"]["ok"] and "node of this data folder" in parts["HTTP port"]["detail"]
        named = await run(callboard, "key", "list", "--data-dir", str(folder), "--json")
        before = await run(callboard, "--data-dir", str(folder), "key", "list", "--json")
        assert named.stdout == before.stdout and "laptop" in named.stdout
    assert not list((tmp_path / "state/callboard/nodes").iterdir()) and not (folder / nodes.FILE).exists()
    gone = await run(callboard, "ps")
    assert gone.returncode == 1 and f"no node runs here: {tmp_path / 'share/callboard'}" in gone.stderr


async def test_of_two_nodes_the_last_is_meant_and_told(environ: dict[str, str], callboard: Run, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(tmp_path / "first", environ))
        last, _ = await stack.enter_async_context(serving(tmp_path / "last", environ))
        made = await asyncio.to_thread(callboard, "key", "create", "k", "--json")
        assert made.stderr == (
            f"callboard: this is about {tmp_path / 'last'}, whose node was started last, not about"
            f" {tmp_path / 'first'}; --data-dir says which\n"
        )
        assert json.loads(made.stdout)["name"] == "k"
        other = await asyncio.to_thread(callboard, "key", "list", "--data-dir", str(tmp_path / "first"), "--json")
        assert (other.stdout, other.stderr) == ("[]\n", "")
        last.send_signal(signal.SIGKILL)  # leaves its files behind
        await last.wait()
        assert (tmp_path / "last" / nodes.FILE).exists()
        left = await asyncio.to_thread(callboard, "key", "list", "--json")
        assert (left.stdout, left.stderr) == ("[]\n", "")
        dead = await asyncio.to_thread(callboard, "ps", "--data-dir", str(tmp_path / "last"))
        assert dead.returncode == 1 and dead.stderr.startswith("callboard: no_node: ") and dead.stderr.count("\n") == 1


async def test_another_database_than_the_nodes_is_refused(
    environ: dict[str, str], callboard: Run, tmp_path: Path
) -> None:
    async with serving(tmp_path / "data", environ):
        said = await asyncio.to_thread(callboard, "calls", POSTGRES__HOST="127.0.0.1", POSTGRES__PORT="1")
    assert said.returncode == 2 and "uses SQLite" in said.stderr and said.stderr.count("\n") == 1


async def test_a_nodes_folder_that_has_gone_is_not_made_anew(
    environ: dict[str, str], callboard: Run, tmp_path: Path
) -> None:
    async with serving(tmp_path / "data", environ):
        (tmp_path / "data").rename(tmp_path / "elsewhere")
        for command in (["key", "list"], ["calls"], ["check"]):
            said = await asyncio.to_thread(callboard, *command, "--data-dir", str(tmp_path / "data"))
            assert said.returncode == 1 and "moved or removed" in said.stdout + said.stderr
        assert not (tmp_path / "data").exists()
        (tmp_path / "elsewhere").rename(tmp_path / "data")
        assert (await asyncio.to_thread(callboard, "key", "list", "--data-dir", str(tmp_path / "data"))).returncode == 0


def test_a_number_that_another_process_has_now_is_no_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with nodes.announced(tmp_path, {"url": "http://127.0.0.1:1"}):
        assert nodes.node(tmp_path)["url"] == "http://127.0.0.1:1" and nodes.living(os.environ) == [tmp_path]
        for path in (tmp_path / nodes.FILE, *(tmp_path / "callboard/nodes").iterdir()):
            assert path.stat().st_mode & 0o077 == 0
            path.write_text(json.dumps({**json.loads(path.read_text()), "started": 1}))
        assert nodes.node(tmp_path) == {} and nodes.living(os.environ) == []
    us = f'"pid": {os.getpid()}, "started": {nodes._started(os.getpid())}'
    nonsenses = ("", "{", "[]", "[" * 100_000, '{"pid": "x"}', '{"pid": -1, "started": 2}', f'{{{us}, "http": 7}}')
    for nonsense in nonsenses:
        (tmp_path / nodes.FILE).write_text(nonsense)
        assert nodes.node(tmp_path) == {}


def test_a_pointer_that_no_node_has_written_is_passed_over(tmp_path: Path) -> None:
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    folder = tmp_path / "callboard/nodes"
    folder.mkdir(parents=True)
    process = {"pid": os.getpid(), "started": nodes._started(os.getpid())}
    for number, at_s in enumerate(("x", None, [], 5.0)):
        (folder / f"{number}.json").write_text(json.dumps({**process, "data_dir": f"/{number}", "at_s": at_s}))
    os.mkfifo(folder / "5.json")
    assert nodes.living(environ) == [Path("/3")]


@pytest.mark.parametrize("what", ["operator.json", "callboard.db"])
def test_a_pipe_in_place_of_a_file_holds_no_command_up(callboard: Run, tmp_path: Path, what: str) -> None:
    os.mkfifo(tmp_path / what)
    for command in (["calls"], ["ps"], ["check"]):
        said = callboard(*command, "--data-dir", str(tmp_path))
        assert said.stderr.count("\n") <= 2 and "internal_error" not in said.stderr


def test_a_user_without_a_home(callboard: Run, environ: dict[str, str], tmp_path: Path) -> None:
    environ.pop("XDG_DATA_HOME")
    said = callboard("calls", XDG_DATA_HOME="~nobody-of-this-name/share")
    assert said.returncode == 2 and "set HOME" in said.stderr and said.stderr.count("\n") == 1
    assert callboard("calls", XDG_STATE_HOME="~nobody-of-this-name", DATA_DIR=str(tmp_path / "d")).returncode == 0
    assert callboard("calls", "--data-dir", "").returncode == 2


def test_a_node_that_ends_leaves_the_file_of_its_successor(tmp_path: Path) -> None:
    with nodes.announced(tmp_path, {}):
        (tmp_path / nodes.FILE).write_text(json.dumps({"pid": os.getppid(), "started": nodes._started(os.getppid())}))
    assert (tmp_path / nodes.FILE).exists()


@pytest.mark.parametrize(
    ("host", "reached"),
    [("127.0.0.1", "127.0.0.1:1"), ("0.0.0.0", "127.0.0.1:1"), ("::", "[::1]:1"), ("::1", "[::1]:1")],
)
def test_a_listener_is_reached_from_here(host: str, reached: str) -> None:
    assert nodes.reach(host, 1) == reached

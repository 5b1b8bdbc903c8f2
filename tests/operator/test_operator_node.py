"""The operators' commands against a node of two workers: whichever takes the request, both answer."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient

from scripts.caller.call import place_call
from scripts.caller.plan import Connected, Sentence
from tests.node.conftest import NodeProcess, StartNode, sentences, start_node, until  # noqa: F401  # by their names

ASKED = 8  # so many connections reach both workers, but once in 128 times


async def callboard(node: NodeProcess, *argv: str) -> tuple[int, str]:
    """Run a command line in a process of its own: exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scripts.callboard", *argv),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "DATA_DIR": str(node.folder)},
    )
    out, _ = await asyncio.wait_for(process.communicate(), 20)
    return process.returncode or 0, out.decode()


@contextmanager
def callers(node: NodeProcess, count: int, words: tuple[Sentence, ...]) -> Iterator[asyncio.Queue[str]]:
    """So many people on the phone; the queue gets their calls' ids."""
    connected: asyncio.Queue[str] = asyncio.Queue()

    def observe(event: object) -> None:
        if isinstance(event, Connected):
            connected.put_nowait(str(event.context_id))

    plan = node.plan("steady", words[:1], via="audiosocket", turns=20)
    tasks = [asyncio.create_task(place_call(plan, observe)) for _ in range(count)]
    try:
        yield connected
    finally:
        for task in tasks:
            task.cancel()


async def rows(node: NodeProcess, *options: str) -> list[dict[str, Any]]:
    code, out = await callboard(node, "ps", "--json", *options)
    assert code == 0, out
    found: list[dict[str, Any]] = json.loads(out)
    return found


async def test_every_worker_is_seen_and_reached_through_any(
    start_node: StartNode,  # noqa: F811
    sentences: tuple[Sentence, ...],  # noqa: F811
) -> None:
    node = await start_node("--workers", "2")
    with callers(node, 6, sentences) as connected:
        calls = {await connected.get() for _ in range(6)}
        for _ in range(ASKED):
            seen = await rows(node)
            assert {row["worker"] for row in seen} == {0, 1}
            assert {row["call"] for row in seen if row["role"] == "call"} == calls
        code, shown = await callboard(node, "tree")
        pids = await node.pids()
        assert code == 0
        assert all(f"worker {number} (up, process {pid})" in shown for number, pid in enumerate(pids))
        for call in sorted(calls)[:4]:
            *lines, last = (await callboard(node, "trace", call, "--json", "--limit", "5"))[1].splitlines()
            assert len(lines) >= 5 and json.loads(last) == {"over": "count_limit"}
            (speaker,) = [row["address"] for row in await rows(node, "--call", call) if row["role"] == "speaker"]
            assert (await callboard(node, "restart", speaker))[0] == 0
            assert json.loads((await callboard(node, "inspect", speaker.rpartition(":")[0] + ":4"))[1])["state"]
            assert (await callboard(node, "hangup", call))[1] == f"call {call} is being ended\n"
        left = set(sorted(calls)[4:])

        async def only_the_others() -> bool:
            return {row["call"] for row in await rows(node) if row["role"] == "call"} == left

        await until(only_the_others)


async def test_the_figures_of_both_workers_are_one_answer(start_node: StartNode) -> None:  # noqa: F811
    node = await start_node("--workers", "2")
    operator = json.loads((node.folder / "operator.json").read_text())
    authorization = {"Authorization": f"Bearer {operator['token']}"}
    with closing(AsyncHTTPClient(force_instance=True)) as client:
        text = (await client.fetch(f"{operator['url']}/metrics", headers=authorization)).body.decode()
    assert text.count("# TYPE callboard_actors gauge") == 1
    for worker in (0, 1):
        assert f'callboard_actors{{class="Switchboard",worker="{worker}"}} 1.0' in text
        assert f'callboard_loop_lag_seconds_count{{worker="{worker}"}}' in text


async def test_an_exit_is_told_and_the_node_is_drained(start_node: StartNode) -> None:  # noqa: F811
    node = await start_node("--workers", "2")
    first, _ = await node.pids()
    os.kill(first, signal.SIGKILL)

    async def replaced() -> bool:
        workers = await node.workers()
        return len(workers) == 2 and first not in [w["pid"] for w in workers] and workers[0]["state"] == "up"

    await until(replaced)
    code, table = await callboard(node, "exits")
    assert code == 0
    header, line = table.splitlines()
    assert header.split()[:2] == ["at", "worker"] and str(first) in line and "killed" in line and "SIGKILL" in line
    code, said = await callboard(node, "drain")
    assert (code, said) == (0, "the node takes no more calls and stops when the last one has ended\n")
    assert await node.ended() == 0
    code, said = await callboard(node, "ps")
    assert code == 1 and said.startswith("callboard: no_node: ")


@pytest.mark.parametrize("name", ["ps", "tree", "exits", "deadletters"])
async def test_where_no_node_ran_it_says_so(name: str, tmp_path: Path) -> None:
    node = NodeProcess.__new__(NodeProcess)
    node.folder = tmp_path
    code, said = await callboard(node, name)
    assert code == 1 and said.startswith(f"callboard: no_node: no node runs here: {tmp_path}/operator.json")

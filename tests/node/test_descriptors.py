"""A node whose descriptors are few, and a crowd that says nothing."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from scripts.caller.call import place_call
from tests.node.conftest import NodeProcess, StartNode, descendants, until
from transports.capacity import Capacity, raise_descriptor_limit

CROWD = 700  # on two workers: more for each than `FEW` would allow it
FEW = 384


@pytest.fixture(autouse=True)
def descriptors_of_our_own() -> Iterator[None]:
    """The crowd is ours."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if raise_descriptor_limit() < CROWD + 200:
        pytest.skip("this user may not open enough connections")
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def _are_live(node: NodeProcess, count: int) -> bool:
    return sum(row["class"] == "Call" for row in await node.ask("/v1/actors")) == count


async def test_a_silent_crowd_costs_no_call(start_node: StartNode, sentences) -> None:
    node = await start_node("--workers", "2", descriptors=FEW)
    assert f"carries {Capacity(FEW).calls(400)} calls" in node.log
    pids = await node.pids()
    plans = [node.plan("steady", sentences[:2], via=via) for via in ("twilio", "audiosocket")]
    calls = [asyncio.create_task(place_call(plan)) for plan in plans]
    await until(lambda: _are_live(node, len(calls)))
    host, _, port = node.url.removeprefix("http://").partition(":")
    crowd = await asyncio.gather(*(asyncio.open_connection(host, int(port)) for _ in range(CROWD // 2)))
    crowd += await asyncio.gather(*(asyncio.open_connection(*node.audiosocket) for _ in range(CROWD // 2)))
    reports = await asyncio.gather(*calls)
    assert all(report.answered for report in reports), reports
    assert (await place_call(node.plan("steady", sentences[:1]))).answered  # beside the crowd
    assert await node.pids() == pids and not await node.exits()
    for _, writer in crowd:
        writer.close()
    assert (await node.get("/readiness/")).code == 200


def _control_ports(node: NodeProcess) -> list[int]:
    """Where Thespian's processes listen: what is open there, but for the listeners that are announced."""
    inodes = set()
    for pid in descendants(node.process.pid):
        with suppress(OSError):
            inodes |= {os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ports = {int(row[1].partition(":")[2], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes}
    announced = (node.url, str(node.audiosocket[1]), str(node.said["operator"]))
    return sorted(ports - {int(address.rpartition(":")[2]) for address in announced})


async def test_a_silent_crowd_at_the_control_ports_costs_no_call(start_node: StartNode, sentences) -> None:
    """Thespian would keep them all, and end with its last descriptor: admin, manager and both workers."""
    node = await start_node("--workers", "2", descriptors=256)
    pids, ports = await node.pids(), _control_ports(node)
    assert len(ports) > 4  # of the admin, the manager, each worker
    call = asyncio.create_task(place_call(node.plan("steady", sentences[:1])))
    await until(lambda: _are_live(node, 1))
    crowd = []
    for port in ports:
        crowd += await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(100)))
    assert (await call).answered
    assert (await place_call(node.plan("steady", sentences[:1]))).answered
    assert await node.pids() == pids and not await node.exits()
    for _, writer in crowd:
        writer.close()


async def test_too_few_for_anything_is_one_line(start_node: StartNode) -> None:
    with pytest.raises(pytest.fail.Exception, match="`ulimit -n` is too low for any call: at least") as failure:
        await start_node("--workers", "1", descriptors=128)
    assert "Traceback" not in str(failure.value)

"""Manager, admin or the main process are lost while workers have calls: the calls go on, and so does the node."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from scripts.caller.call import place_call
from tests.node.conftest import NodeProcess, StartNode, alive, descendants, parent, until
from tests.node.test_recovery import ended_conversations, hold_calls


async def victim(node: NodeProcess, who: str) -> int:
    manager = await node.manager()
    return manager if who == "manager" else parent(manager)


async def successor(node: NodeProcess, before: list[int]) -> list[int]:
    """The workers' processes of the next node, when they are up."""
    rows: list[dict[str, object]] = []

    async def there() -> bool:
        rows[:] = [row for row in await node.workers() if row["state"] == "up"]
        return len(rows) == len(before) and not {row["pid"] for row in rows} & set(before)

    await until(there, 20.0)
    return [int(str(row["pid"])) for row in rows]


@pytest.mark.parametrize("who", ["manager", "admin"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_the_loss_of_manager_or_admin_costs_no_call(
    start_node: StartNode, sentences, who: str, number: signal.Signals
) -> None:
    node = await start_node("--workers", "2", NODE__WATCHDOG_S="1")
    before = await node.pids()
    tasks = await hold_calls(node, sentences[:1], 6)
    target = await victim(node, who)
    os.kill(target, number)
    await until(lambda: not alive(target), 15.0)
    reports = await asyncio.gather(*tasks)
    assert all(report.answered for report in reports)
    after = await successor(node, before)
    assert (await place_call(node.plan("steady", sentences[:1]))).answered
    await until(lambda: not any(map(alive, before)))  # their last call has ended
    reasons = [c.termination.reason for c in await ended_conversations(node, 7)]
    assert reasons == ["caller_hung_up"] * 7
    assert await node.pids() == after  # and nobody was replaced
    node.signal(signal.SIGTERM)
    assert await node.ended(15) == 0


async def test_orphans_are_seen_and_what_a_killed_one_leaves_is_closed(start_node: StartNode, sentences) -> None:
    node = await start_node("--workers", "1")
    (before,) = await node.pids()
    tasks = await hold_calls(node, sentences * 3, 2)
    os.kill(await node.manager(), signal.SIGKILL)

    async def orphaned() -> bool:
        rows = await node.workers()
        return [(r["pid"], r["state"]) for r in rows][:1] == [(before, "orphaned")] and len(rows) == 2

    await until(orphaned, 20.0)
    os.kill(before, signal.SIGKILL)
    await asyncio.gather(*tasks, return_exceptions=True)
    reasons = {c.termination.reason for c in await ended_conversations(node, 2)}
    assert reasons == {"worker_lost"}


async def test_without_a_main_process_calls_are_finished_and_the_ports_are_free_at_once(
    start_node: StartNode, sentences
) -> None:
    node = await start_node("--workers", "2")
    pids = descendants(node.process.pid)
    tasks = await hold_calls(node, sentences[:1], 3)
    node.signal(signal.SIGKILL)
    await node.ended()
    ports = {
        "HTTP__PORT": node.url,
        "OPERATOR__PORT": node.said["operator"],
        "AUDIOSOCKET__PORT": node.said["audiosocket"],
    }
    ports = {name: url.rpartition(":")[2] for name, url in ports.items()}
    options = ("--port", ports.pop("HTTP__PORT"), "--audiosocket-port", ports.pop("AUDIOSOCKET__PORT"))
    again = await start_node("--workers", "1", *options, folder="again", **ports)
    assert (await again.get("/healthz/")).code == 200
    reports = await asyncio.gather(*tasks)
    assert all(report.answered for report in reports)
    await until(lambda: not any(map(alive, pids)))
    reasons = [c.termination.reason for c in await ended_conversations(node, 3)]
    assert reasons == ["caller_hung_up"] * 3


async def test_orders_that_a_stopped_manager_does_not_take_hold_nobody_up(start_node: StartNode) -> None:
    """Its channel is full of them: the main process must still see that it is stopped."""
    node = await start_node("--workers", "1", NODE__WATCHDOG_S="3")
    os.kill(await node.manager(), signal.SIGSTOP)
    for number in range(1, 100):
        node.signal(signal.SIGHUP)
        await until(lambda number=number: node.log.count("no setting that can change") >= number, 10.0)
        if "is stopped" in node.log:
            break
    await until(lambda: "the node is up again" in node.log, 30.0)
    assert (await node.get("/healthz/")).code == 200


async def test_an_order_to_end_is_heard_while_there_is_no_manager(start_node: StartNode, sentences) -> None:
    node = await start_node("--workers", "1")
    tasks = await hold_calls(node, sentences[:1], 2)
    target = await victim(node, "admin")
    os.kill(target, signal.SIGKILL)
    await until(lambda: not alive(target))
    node.signal(signal.SIGTERM)
    reports = await asyncio.gather(*tasks)
    assert all(report.answered for report in reports)
    assert await node.ended(20) == 0
    reasons = [c.termination.reason for c in await ended_conversations(node, 2)]
    assert reasons == ["caller_hung_up"] * 2


@pytest.mark.parametrize("who", ["worker", "manager"])
async def test_a_process_that_cannot_be_forked_is_tried_again_until_it_can(
    start_node: StartNode, tmp_path: Path, who: str
) -> None:
    forbidden = tmp_path / "no-forks"
    node = await start_node("--workers", "2", HARMFUL_FORK=str(forbidden))
    before = await node.pids()
    forbidden.touch()
    target = before[1] if who == "worker" else await node.manager()
    os.kill(target, signal.SIGKILL)
    said = "no process can be started" if who == "worker" else "Resource temporarily unavailable"
    await until(lambda: said in node.log)
    assert (await node.get("/healthz/")).code == 200  # the other worker, or those who have lost their manager
    forbidden.unlink()

    async def whole() -> bool:
        rows = [row for row in await node.workers() if row["state"] == "up"]
        return [row["worker"] for row in rows] == [0, 1] and target not in {row["pid"] for row in rows}

    await until(whole, 30.0)
    assert node.log.count(said) == 1
    assert "Traceback" not in node.log


async def test_the_end_of_a_worker_that_nobody_tells_is_noticed(start_node: StartNode) -> None:
    """A manager that was stopped when its worker died may not hear of it."""
    node = await start_node("--workers", "2")
    before, manager = await node.pids(), await node.manager()
    os.kill(manager, signal.SIGSTOP)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    os.kill(manager, signal.SIGCONT)
    after = await successor(node, before)
    assert len(after) == 2
    assert alive(manager)

"""Workers of a real node die, hang and grow, while others have calls."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from typing import Any

from scripts.caller.call import place_call
from scripts.caller.plan import CallReport
from store.conversations import ConversationRepository
from store.engine import Database
from tests.node.conftest import NodeProcess, StartNode, alive, descendants, parent, until


async def calls_by_worker(node: NodeProcess) -> Counter[int]:
    """How many calls each worker has."""
    return Counter(row["worker"] for row in await node.ask("/v1/actors") if row["role"] == "call")


async def hold_calls(
    node: NodeProcess, sentences: tuple, number: int, turns: int = 1
) -> list[asyncio.Task[CallReport]]:
    """Begin so many calls; returns when all are under way. A turn takes some eight seconds."""
    tasks = [asyncio.create_task(place_call(node.plan("steady", sentences, turns=turns))) for _ in range(number)]

    async def under_way() -> bool:
        return (await calls_by_worker(node)).total() == number

    await until(under_way)
    return tasks


async def new_worker(node: NodeProcess, number: int, old_pid: int) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    async def there() -> bool:
        found[:] = [r for r in await node.workers() if r["worker"] == number and r["pid"] != old_pid]
        return any(row["state"] == "up" for row in found)

    await until(there, 10.0)
    return found[-1]


async def time_until_http(node: NodeProcess) -> float:
    """Seconds until HTTP has answered."""
    began_s = time.monotonic()
    while True:
        try:
            if (await node.get("/healthz/")).code == 200:
                return time.monotonic() - began_s
        except OSError:
            await asyncio.sleep(0.005)
        assert time.monotonic() - began_s < 10


async def test_http_answers_again_within_a_second_even_with_one_worker(start_node: StartNode) -> None:
    node = await start_node("--workers", "1")
    (pid,) = await node.pids()
    silences_s = []
    for _ in range(3):
        os.kill(pid, signal.SIGKILL)
        silences_s.append(await time_until_http(node))
        pid = (await new_worker(node, 0, pid))["pid"]
    assert min(silences_s) < 1.0 and max(silences_s) < 5.0  # the machine that runs the tests may be busy
    exits = await node.exits()
    assert [(e["reason"], e["ending"]) for e in exits] == [("killed", "SIGKILL")] * 3
    assert exits[0]["decision"] == "restarted at once"
    assert exits[1]["decision"] == "restarted after 0.1 s"


async def test_calls_on_other_workers_do_not_notice_a_kill(start_node: StartNode, sentences) -> None:
    node = await start_node("--workers", "2")
    tasks = await hold_calls(node, sentences, 12)  # by chance on one worker only: once in 2,000 times
    before = await calls_by_worker(node)
    victim = await node.pids()
    os.kill(victim[0], signal.SIGKILL)
    await new_worker(node, 0, victim[0])
    reports = await asyncio.gather(*tasks, return_exceptions=True)
    unharmed = [r for r in reports if isinstance(r, CallReport) and r.answered]
    assert len(unharmed) == before[1] > 0
    # who had lost the worker would miss seconds; a busy machine costs a frame here and there
    assert sum(report.audio.late_frames for report in unharmed) <= 0.05 * sum(r.audio.frames for r in unharmed)
    conversations = await ended_conversations(node, 12)
    assert Counter(c.termination.reason for c in conversations)["worker_lost"] == before[0]
    lost = next(c for c in conversations if c.termination.reason == "worker_lost")
    handshake = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    late = await node.get(
        f"/v1/talk/twilio/ctx/{lost.context.id}", headers={**handshake, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    )
    assert late.code == 410
    assert b"worker_lost" in late.body


async def ended_conversations(node: NodeProcess, number: int) -> list[Any]:
    """All conversations, when they have ended."""
    database = Database(f"sqlite:///{node.folder / 'callboard.db'}")
    repository = ConversationRepository(database)

    def ended() -> bool:
        return len(repository.list(100, status="ended")) == number

    try:
        await until(ended)
        return [repository.show(row.context_id).transcript for row in repository.list(100)]
    finally:
        database.close()


async def test_a_stopped_worker_is_killed_and_replaced(start_node: StartNode) -> None:
    node = await start_node("--workers", "2", NODE__WATCHDOG_S="1")
    pid = (await node.pids())[1]
    os.kill(pid, signal.SIGSTOP)

    async def replaced() -> bool:
        return any(e["pid"] == pid for e in await node.exits())

    await until(replaced, 15.0)
    (ending,) = await node.exits()
    assert (ending["reason"], ending["ending"], ending["worker"]) == ("unresponsive", "SIGKILL", 1)
    await new_worker(node, 1, pid)
    assert not alive(pid)


async def test_a_blocked_loop_is_noticed_and_replaced(start_node: StartNode, sentences) -> None:
    node = await start_node("--workers", "1", NODE__WATCHDOG_S="1")
    (pid,) = await node.pids()
    await place_call(node.plan("blocking", sentences[:1]))  # its answer never comes: the process ends
    await new_worker(node, 0, pid)
    (ending,) = await node.exits()
    assert (ending["reason"], ending["ending"]) == ("loop_hung", "exit 75")
    line = next(line for line in node.log.splitlines() if "has been silent" in line)
    assert "harmful.py" in line  # it says where


async def test_a_worker_that_grows_too_much_drains_and_is_replaced(start_node: StartNode, sentences) -> None:
    node = await start_node("--workers", "1", NODE__WORKER_MEMORY_MB="350")
    (row,) = await node.workers()
    assert 50 < row["memory_mb"] < 300 or row["memory_mb"] == 0
    report = await place_call(node.plan("hoarding", sentences[:1]))
    assert report.answered  # the call goes on where it is
    fresh = await new_worker(node, 0, row["pid"])
    await until(lambda: not alive(row["pid"]), 10.0)
    (ending,) = await node.exits()
    assert (ending["reason"], ending["ending"], ending["decision"]) == ("memory", "exit 0", "was replaced before")
    assert fresh["memory_mb"] < 300


async def test_sigterm_to_a_worker_drains_it_alone(start_node: StartNode, sentences) -> None:
    node = await start_node("--workers", "2")
    tasks = await hold_calls(node, sentences, 4)
    pid = (await node.pids())[0]
    os.kill(pid, signal.SIGTERM)
    reports = await asyncio.gather(*tasks)
    assert all(report.answered for report in reports)
    await new_worker(node, 0, pid)
    (ending,) = await node.exits()
    assert (ending["reason"], ending["ending"]) == ("terminated", "exit 0")


async def test_a_dead_logger_is_of_no_consequence(start_node: StartNode) -> None:
    """Thespian's logger is forked by the admin; nothing of ours needs it."""
    node = await start_node("--workers", "1")
    manager = await node.manager()
    (logger,) = {p for p in descendants(node.process.pid) if parent(p) == parent(manager)} - {manager}
    os.kill(logger, signal.SIGKILL)
    await asyncio.sleep(0.3)
    assert (await node.get("/healthz/")).code == 200
    assert await node.exits() == []


async def test_calls_of_a_dead_node_are_closed_by_the_next_one(start_node: StartNode, sentences) -> None:
    node = await start_node("--workers", "1")
    tasks = await hold_calls(node, sentences, 2)
    for pid in (node.process.pid, *descendants(node.process.pid)):  # a machine that loses its power
        os.kill(pid, signal.SIGKILL)
    await node.ended()
    reports = await asyncio.gather(*tasks, return_exceptions=True)
    assert not any(isinstance(report, CallReport) and report.answered for report in reports)
    again = await start_node("--workers", "1")
    conversations = await ended_conversations(again, 2)
    assert {c.termination.reason for c in conversations} == {"node_lost"}


async def test_calls_of_another_node_with_our_name_are_left_alone_as_long_as_it_lives(
    start_node: StartNode, sentences
) -> None:
    """Somebody starts a second server and forgets NODE__NAME, or the first has lost its main process."""
    first = await start_node("--workers", "1")
    tasks = await hold_calls(first, sentences, 2)
    second = await start_node("--workers", "1", OPERATOR__PORT="0")
    await until(lambda: "workers of another node with the name 'callboard' live" in second.log)
    database = Database(f"sqlite:///{first.folder / 'callboard.db'}")
    assert len(ConversationRepository(database).list(100, status="active")) == 2
    database.close()
    for pid in (first.process.pid, *descendants(first.process.pid)):
        os.kill(pid, signal.SIGKILL)
    await asyncio.gather(*tasks, return_exceptions=True)
    conversations = await ended_conversations(second, 2)
    assert {c.termination.reason for c in conversations} == {"node_lost"}

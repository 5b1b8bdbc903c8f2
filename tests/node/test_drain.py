"""A node is told to leave while it has calls."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest

from scripts.caller.call import place_call
from tests.node.conftest import NodeProcess, StartNode, alive, descendants, until
from tests.node.test_recovery import ended_conversations, hold_calls


async def not_ready(node: NodeProcess) -> None:
    async def is_draining() -> bool:
        answer = await node.get("/readiness/")
        return answer.code == 503 and b"draining" in answer.body

    await until(is_draining)


async def test_running_calls_end_by_themselves_and_no_new_one_is_taken(start_node: StartNode, sentences) -> None:
    node = await start_node("--workers", "2")
    tasks = await hold_calls(node, sentences, 4)
    node.signal(signal.SIGTERM)
    await not_ready(node)
    refused = await node.get("/v1/talk/twilio/call/steady?From=%2B15550100&To=%2B15550199&CallSid=CA1")
    assert b"<Reject" in refused.body or refused.code == 503
    reports = await asyncio.gather(*tasks)
    assert all(report.answered for report in reports)
    assert await node.ended(15) == 0
    reasons = {c.termination.reason for c in await ended_conversations(node, 4)}
    assert reasons == {"caller_hung_up"}


async def test_at_the_limit_callers_hear_a_goodbye(start_node: StartNode, sentences) -> None:
    node = await start_node("--workers", "2", NODE__DRAIN_S="0.5")
    tasks = await hold_calls(node, sentences * 5, 2)
    node.signal(signal.SIGTERM)
    reports = await asyncio.gather(*tasks)
    assert all(report.ended_by == "assistant" for report in reports)
    assert await node.ended(15) == 0
    conversations = await ended_conversations(node, 2)
    assert {c.termination.reason for c in conversations} == {"drained"}
    assert all(c.messages[-1].text == "Goodbye now." for c in conversations)


@pytest.mark.parametrize("workers", ["2", "0"])
async def test_the_second_signal_ends_it_at_once_and_the_calls_are_closed(
    start_node: StartNode, sentences, workers: str
) -> None:
    node = await start_node("--workers", workers)
    pids = descendants(node.process.pid)
    tasks = await hold_calls(node, sentences, 2)
    node.signal(signal.SIGTERM)
    await not_ready(node)
    began_s = time.monotonic()
    node.signal(signal.SIGTERM)
    assert await node.ended(20) == 0
    assert time.monotonic() - began_s < 15.0  # not the minute that the calls would have
    await until(lambda: not any(map(alive, pids)), 5.0)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert {c.termination.reason for c in await ended_conversations(node, 2)} == {"shutdown"}
    assert "Traceback" not in node.log


async def test_a_second_signal_does_not_wait_for_a_worker_that_is_stopped(start_node: StartNode, sentences) -> None:
    node = await start_node("--workers", "1", NODE__WATCHDOG_S="60")
    pids = descendants(node.process.pid)
    (pid,) = await node.pids()
    os.kill(pid, signal.SIGSTOP)
    node.signal(signal.SIGTERM)
    await until(lambda: "the node drains" in node.log)
    node.signal(signal.SIGTERM)
    await until(lambda: "the node ends now" in node.log)
    node.signal(signal.SIGTERM)  # a third one waits for nothing
    assert await node.ended() == 0
    await until(lambda: not any(map(alive, pids)), 5.0)


async def test_an_operator_drains_it(start_node: StartNode) -> None:
    node = await start_node("--workers", "2")
    await node.ask("/v1/drain", "POST")
    assert await node.ended(15) == 0


async def test_a_call_that_begins_while_the_node_drains_finds_no_place(start_node: StartNode, sentences) -> None:
    node = await start_node("--workers", "1")
    tasks = await hold_calls(node, sentences, 1)
    node.signal(signal.SIGTERM)
    await not_ready(node)
    try:
        late = await place_call(node.plan("steady", sentences[:1], via="audiosocket"))
        assert not late.answered
    except Exception as error:  # the simulated caller says that it was refused
        assert "refused" in type(error).__name__.lower() or "Broken" in type(error).__name__
    await asyncio.gather(*tasks)
    assert await node.ended(15) == 0


async def test_one_process_closes_what_the_one_before_has_left_open(start_node: StartNode, sentences) -> None:
    node = await start_node("--workers", "0")
    tasks = await hold_calls(node, sentences, 2)
    node.signal(signal.SIGKILL)
    await node.ended()
    await asyncio.gather(*tasks, return_exceptions=True)
    after = await start_node("--workers", "0")
    assert {c.termination.reason for c in await ended_conversations(after, 2)} == {"node_lost"}

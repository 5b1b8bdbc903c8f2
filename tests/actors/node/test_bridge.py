"""The bridge between a worker's threads, and the questions that cross it."""

from __future__ import annotations

import asyncio
import select
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from actors.node.bridge import AnswerFailed, Bridge, BridgeLink
from actors.node.messages import MANAGER, Answer, AnswerError, Asked, AskManager, AskWorkers

ME = "node/0/x"


@pytest.fixture
def bridge() -> Iterator[Bridge]:
    made = Bridge()
    yield made
    made.close()


def readable(bridge: Bridge, timeout_s: float = 0.0) -> bool:
    return bool(select.select([bridge], [], [], timeout_s)[0])


def test_a_burst_rings_once_and_comes_in_order(bridge: Bridge) -> None:
    assert not readable(bridge)
    for number in range(1000):
        bridge.post(number)
    assert readable(bridge)
    assert bridge.collect() == list(range(1000))
    assert not readable(bridge)
    assert bridge.collect() == []


def test_nothing_is_lost_between_two_threads(bridge: Bridge) -> None:
    def post() -> None:
        for number in range(20_000):
            bridge.post(number)

    thread = threading.Thread(target=post)
    thread.start()
    got: list[int] = []
    while len(got) < 20_000:
        assert readable(bridge, 2.0)
        got += bridge.collect()
    thread.join()
    assert got == list(range(20_000))


async def asked(bridge: Bridge) -> Any:
    """The question that is on the bridge."""
    while not (items := bridge.collect()):  # noqa: ASYNC110
        await asyncio.sleep(0)
    return items[0]


async def test_workers_answer_by_number(bridge: Bridge) -> None:
    link = BridgeLink(0, ME, bridge)
    gathering = asyncio.create_task(link.ask_workers("ps", {"call": ""}))
    question = await asked(bridge)
    assert question == AskWorkers(1, ME, "ps", {"call": ""})
    link.deliver(Answer(1, ME, 1, "one"))  # before it is known who was asked
    link.deliver(Asked(1, (0, 1)))
    assert not gathering.done()
    link.deliver(Answer(1, ME, 0, None))
    assert await gathering == {0: None, 1: "one"}


async def test_who_does_not_answer_in_time_is_left_out(bridge: Bridge) -> None:
    link = BridgeLink(0, ME, bridge)
    gathering = asyncio.create_task(link.ask_workers("ps", {}, 0.05))
    await asked(bridge)
    link.deliver(Asked(1, (0, 1)))
    link.deliver(Answer(1, ME, 0, "zero"))
    assert await gathering == {0: "zero"}
    link.deliver(Answer(1, ME, 1, "too late"))


async def test_answers_for_another_process_are_dropped(bridge: Bridge) -> None:
    link = BridgeLink(0, ME, bridge)
    gathering = asyncio.create_task(link.ask_workers("ps", {}, 0.05))
    await asked(bridge)
    link.deliver(Asked(1, (0,)))
    link.deliver(Answer(1, "node/0/dead", 0, "not for us"))
    assert await gathering == {}


async def test_a_refusal_of_all_is_raised(bridge: Bridge) -> None:
    link = BridgeLink(0, ME, bridge)
    gathering = asyncio.create_task(link.ask_workers("nonsense", {}))
    await asked(bridge)
    link.deliver(Asked(1, (0,)))
    link.deliver(Answer(1, ME, 0, None, AnswerError("unknown_verb", "verb 'nonsense'", 409)))
    with pytest.raises(AnswerFailed, match="nonsense") as failure:
        await gathering
    assert (failure.value.code, failure.value.http_status) == ("unknown_verb", 409)


async def test_the_manager_answers_or_not(bridge: Bridge) -> None:
    link = BridgeLink(0, ME, bridge)
    asking = asyncio.create_task(link.ask_manager("exits", {}))
    assert await asked(bridge) == AskManager(1, ME, "exits", {})
    link.deliver(Answer(1, ME, MANAGER, []))
    assert await asking == []
    with pytest.raises(TimeoutError, match="exits"):
        await link.ask_manager("exits", {}, 0.01)

"""What a peer may send, in virtual time, and how the connections with a rest take turns."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from transports.budget import TURN_S, Turns
from transports.connection import Limits

Reads = Iterator[tuple[float, int, int]]  # when, how many messages, how many bytes


def live(seconds: float, per_s: int, size: int, extra: int = 0) -> Reads:
    """A stream in real time: one message a read, and `extra` further ones each second."""
    for number in range(int(seconds * per_s)):
        yield number / per_s, 1 + (extra if number % per_s == 0 else 0), size


def caught_up(stall_s: float, per_s: int, size: int) -> Reads:
    """A minute of stream, each ten seconds a stall after which all that was missed comes at once."""
    for stall in range(6):
        yield 10 * stall + stall_s, int(stall_s * per_s), int(stall_s * per_s * size)
        yield from ((10 * stall + stall_s + at, 1, size) for at, _, _ in live(10 - stall_s, per_s, size))


def kept(reads: Reads) -> bool:
    budget = Limits().budget()
    return all(budget.spend(messages, size, now) for now, messages, size in reads)


@pytest.mark.parametrize(
    "reads",
    [
        pytest.param(live(600, 50, 300), id="twilio"),
        pytest.param(live(60, 50, 330, extra=50), id="twilio, a mark a frame"),
        pytest.param(caught_up(3, 100, 300), id="twilio and marks after 3 s of nothing"),
        pytest.param(caught_up(9.9, 100, 300), id="twilio and marks, every 10 s at once"),
        pytest.param(caught_up(9.9, 50, 646), id="vonage, 16 kHz, every 10 s at once"),
        pytest.param(caught_up(9.9, 100, 1000), id="a browser at 48 kHz, 10 ms a frame"),
        pytest.param(live(60, 375, 280), id="a browser that sends every block of an AudioWorklet"),
        pytest.param(caught_up(9.9, 50, 7683), id="asterisk at 192 kHz"),
        pytest.param(live(60, 300, 20), id="20 ms frames that the network cuts into six pieces"),
    ],
)
def test_what_a_carrier_or_a_browser_sends_is_within_the_budget(reads: Reads) -> None:
    assert kept(reads)


@pytest.mark.parametrize(
    "reads",
    [
        pytest.param(live(10, 2400, 60), id="2,400 messages a second"),
        pytest.param(iter([(0.0, 11_000, 65536)]), id="one read full of empty frames"),
        pytest.param(live(20, 100, 65536), id="the longest messages all the time"),
    ],
)
def test_a_flood_is_not(reads: Reads) -> None:
    assert not kept(reads)


def test_the_bytes_of_a_deaf_connection_count_alone() -> None:
    budget = Limits().budget()
    assert not budget.spend(100_000, 0, 0.0)
    assert budget.discard(10_000_000, 0.0) and not budget.discard(1_000_000, 0.0)


async def test_connections_with_a_rest_take_turns() -> None:
    now = 0.0
    done: list[str] = []

    def work(name: str, slices: int, cost_s: float) -> None:
        left = slices

        def go_on() -> bool:
            nonlocal now, left
            now, left = now + cost_s, left - 1
            done.append(name)
            return left > 0

        turns.add(go_on)

    turns = Turns(asyncio.get_running_loop(), lambda: now)
    work("a", 4, TURN_S / 4)
    work("b", 2, TURN_S / 4)
    turns.run()  # what is left goes on in the next turn of the loop
    assert done == ["a", "b", "a", "b"]
    await asyncio.sleep(0)
    assert done == ["a", "b", "a", "b", "a", "a"]


async def test_the_queue_of_a_loop_is_forgotten_when_it_is_empty() -> None:
    loop = asyncio.get_running_loop()
    calls: list[int] = []
    Turns.queue(loop, lambda: bool(calls.append(1)))
    assert calls == []
    await asyncio.sleep(0)
    assert calls == [1] and loop not in Turns._of

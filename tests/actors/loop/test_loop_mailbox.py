"""The mailbox: what gives way when it is full, in which order the rest stays, and what each message costs."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import pytest

from actors.loop.actor import LoopActor
from actors.loop.cell import Cell
from actors.loop.local import Local
from actors.loop.mailbox import MAILBOX_LIMIT
from actors.loop.system import LoopSystem
from actors.loop.tap import Tap
from tests.actors.loop.cast import Audio, Recorder, Take


class Hall(LoopActor):
    """Has room for 1,000 messages and does nothing."""

    mailbox_limit = 1000

    def receiveMessage(self, message: Any, sender: Any) -> None: ...


def cell_of(address: Any) -> Cell:
    receiver = address.receiver
    assert isinstance(receiver, Cell)
    return receiver


class Plain:
    """What a mailbox of this limit keeps, worked out the slow way."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.waiting: list[Any] = []

    def accept(self, message: Any) -> None:
        if len(self.waiting) >= self.limit:
            oldest = next((index for index, one in enumerate(self.waiting) if isinstance(one, Audio)), None)
            if oldest is not None:
                del self.waiting[oldest]
            elif isinstance(message, Audio):
                return
        self.waiting.append(message)


@pytest.mark.parametrize("seed", range(20))
async def test_it_keeps_what_a_slow_and_simple_one_keeps(system: LoopSystem, seed: int) -> None:
    recorder = system.createActor(Recorder)  # which has room for 3
    record: list[Any] = []
    system.tell(recorder, Take(Local(record)))
    await asyncio.sleep(0)
    cell, plain, rng, handled = cell_of(recorder), Plain(Recorder.mailbox_limit), random.Random(seed), 0
    expected: list[Any] = []
    for number in range(400):
        message: Any = Audio(number) if rng.random() < 0.7 else f"words {number}"
        plain.accept(message)
        cell.accept(message, recorder)
        assert [waiting for waiting, _ in cell.waiting()] == plain.waiting and cell.depth == len(plain.waiting)
        if rng.random() < 0.1:  # its turn comes
            while cell.depth:  # noqa: ASYNC110 - a turn of the loop has a budget: a busy machine needs more than one
                await asyncio.sleep(0)
            expected += plain.waiting
            plain.waiting.clear()
            handled = len(expected)
            assert record == expected and cell.received == 1 + handled and cell.depth == 0


def cost_s(cell: Cell, waiting: int, count: int) -> float:
    """CPU time of `count` messages to a mailbox in which so many wait that may not be dropped."""
    for number in range(waiting):
        cell.accept(("words", number), cell.address)
    for number in range(count):
        cell.accept(Audio(number), cell.address)
    best = float("inf")
    for _ in range(3):
        began_s = time.thread_time()
        for number in range(count):
            cell.accept(Audio(number), cell.address)
            cell.accept(("words", number), cell.address)
        best = min(best, time.thread_time() - began_s)
    return best


async def test_a_message_costs_the_same_however_many_wait(system: LoopSystem) -> None:
    few, many = cell_of(system.createActor(Hall)), cell_of(system.createActor(Hall))
    small_s, large_s = cost_s(few, MAILBOX_LIMIT, 300), cost_s(many, 300_000, 300)
    assert large_s < 20 * small_s + 0.02  # a walk along the queue takes 300 times as long, and 3 s
    few.queue.clear()
    many.queue.clear()


async def test_an_actor_that_does_not_work_holds_a_bounded_number_of_entries(system: LoopSystem) -> None:
    cell = cell_of(system.createActor(Hall))
    for number in range(50_000):
        cell.accept(Audio(number), cell.address)
    assert cell.depth == Hall.mailbox_limit and len(cell.queue) <= 2 * Hall.mailbox_limit + 1
    assert [audio.number for audio, _ in cell.waiting()] == list(range(49_000, 50_000))
    assert cell.dropped == 49_000 and cell.max_depth == Hall.mailbox_limit


async def test_nobody_is_told_of_what_was_dropped(system: LoopSystem) -> None:
    recorder = system.createActor(Recorder)
    record: list[Any] = []
    system.tell(recorder, Take(Local(record)))
    await asyncio.sleep(0)
    seen: list[Any] = []
    tap = Tap(lambda message, sender, receiver: seen.append(message))
    cell = cell_of(recorder)
    tap.add(cell)
    for number in range(5):
        cell.accept(Audio(number), recorder)
    await asyncio.sleep(0)
    tap.close()
    assert seen == record == [Audio(2), Audio(3), Audio(4)]
    assert (cell.received, cell.dropped, cell.depth) == (4, 2, 0)


async def test_the_letters_of_a_dead_actor_take_turns_with_the_loop(system: LoopSystem) -> None:
    cell = cell_of(system.createActor(Hall))
    for number in range(5_000):
        cell.accept(number, cell.address)
    base = cell.base
    cell.exit()
    turns = 0
    async with asyncio.timeout(5):
        while base.dead_letters < 5_000:
            before = base.dead_letters
            await asyncio.sleep(0)
            turns += base.dead_letters > before
    assert turns >= 4

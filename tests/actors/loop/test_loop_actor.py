"""Timers, tasks, mailboxes, children and watched descriptors of one actor."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from typing import Any

import pytest
from thespian.actors import (
    ActorExitRequest,
    ActorTypeDispatcher,
    ChildActorExited,
    PoisonMessage,
    ThespianWatch,
    WakeupMessage,
    WatchMessage,
)
from thespian.initmsgs import initializing_messages

from actors.loop.actor import LoopActor, TaskFailed
from actors.loop.errors import WrongThread
from actors.loop.local import Local
from actors.loop.system import LoopSystem
from actors.loop.timers import Timer, whole_ms

from .cast import Audio, Do, Player, Recorder, Take, settle


class Unborn(LoopActor):
    def __init__(self) -> None:
        raise RuntimeError("stillborn")


class Family(LoopActor):
    """Creates a child of a class it is told; passes on what it hears of it."""

    def receiveMessage(self, message: Any, sender: Any) -> None:
        match message:
            case ("create", cls):
                self.asker = sender
                self.child = self.createActor(cls)
                self.send(self.child, "hello")
            case "end":
                self.asker = sender
                self.send(self.child, ActorExitRequest())
            case ChildActorExited() | PoisonMessage():
                self.send(self.asker, (type(message).__name__, getattr(message, "details", None)))
            case ActorExitRequest():
                pass
            case _:
                self.send(self.asker, message)


class Dispatcher(LoopActor, ActorTypeDispatcher):  # type: ignore[misc]
    def receiveMsg_str(self, message: str, sender: Any) -> None:
        self.asker = sender
        self.call_later(0, 7)

    def receiveMsg_int(self, message: int, sender: Any) -> None:
        self.send(self.asker, (message, sender == self.myAddress))


class Listener(LoopActor):
    """Watches one descriptor and tells the asker what it reads from it."""

    fileno: int | None = None

    def receiveMessage(self, message: Any, sender: Any) -> Any:
        match message:
            case ("watch", int(fileno)):
                self.fileno, self.asker = fileno, sender
            case WatchMessage():
                for fileno in message.ready:
                    self.send(self.asker, os.read(fileno, 100))
            case "stop":
                self.fileno = None
        return ThespianWatch([self.fileno]) if self.fileno is not None else None


@initializing_messages([("line", str)], initdone="ready")
class Prompted(LoopActor):
    def ready(self) -> None:
        self.started = True

    def receiveMessage(self, message: Any, sender: Any) -> None:
        if isinstance(message, int):
            self.send(sender, (message, self.line))


async def perform(system: LoopSystem, work: Any, timeout_s: float = 1) -> Any:
    """Let a new Player do this; its next message to the asker."""
    return await system.ask_async(system.createActor(Player), Do(work), timeout_s)


async def recording(system: LoopSystem) -> tuple[Any, list[Any]]:
    recorder, record = system.createActor(Recorder), []
    system.tell(recorder, Take(Local(record)))
    await settle()
    return recorder, record


# --- timers ------------------------------------------------------------------------------------------------------


async def test_timers_fire_in_the_order_of_their_deadlines(system: LoopSystem) -> None:
    recorder, record = await recording(system)

    def work(actor: Player, sender: Any) -> None:
        for delay_ms in (90, 30, 60):  # a pause between two lines here moves a deadline
            actor.call_later(delay_ms / 1000, Do(lambda actor, _, d=delay_ms: actor.send(recorder, d)))
        actor.call_later(0.12, Do(lambda actor, _: actor.send(sender, "end")))

    await perform(system, work)
    await settle()
    assert record == [30, 60, 90]


async def test_a_cancelled_timer_is_silent(system: LoopSystem) -> None:
    recorder, record = await recording(system)

    def work(actor: Player, sender: Any) -> None:
        timer = actor.call_later(0, Do(lambda actor, _: actor.send(recorder, "cancelled")))
        timer.cancel()
        timer.cancel()
        assert not timer.pending
        actor.call_later(0.005, Do(lambda actor, _: actor.send(sender, "end")))

    await perform(system, work)
    await settle()
    assert record == []


async def test_a_timer_cancelled_while_its_message_is_queued_is_silent(system: LoopSystem) -> None:
    record: list[str] = []
    timers: list[Timer] = []

    def late(actor: Player, sender: Any) -> None:
        record.append("late")

    def busy(actor: Player, sender: Any) -> None:
        """The timer's message comes into the mailbox behind this one and before the next."""
        timers[0]._fire()
        assert timers[0].pending
        actor.send(actor.myAddress, Do(lambda actor, _: record.append("after")))
        timers[0].cancel()

    def work(actor: Player, sender: Any) -> None:
        timers.append(actor.call_later(60, Do(late)))
        actor.send(actor.myAddress, Do(busy))

    system.tell(system.createActor(Player), Do(work))
    await settle()
    assert record == ["after"]
    assert system.actors()[0].timers == 0


async def test_a_cancelled_timer_may_be_cancelled_after_its_delivery(system: LoopSystem) -> None:
    def work(actor: Player, sender: Any) -> None:
        timer = actor.call_later(0, Do(lambda actor, _: (timer.cancel(), actor.send(sender, timer.pending))))

    assert await perform(system, work) is False


async def test_timers_end_with_their_actor(system: LoopSystem) -> None:
    player = system.createActor(Player)
    timers: list[Timer] = []
    system.tell(player, Do(lambda actor, _: timers.append(actor.call_later(0.005, "never"))))
    system.tell(player, ActorExitRequest())
    await settle()
    assert not timers[0].pending
    await asyncio.sleep(0.01)
    assert system.dead_letters == 0


async def test_wakeups_carry_period_and_payload(system: LoopSystem) -> None:
    class Sleeper(LoopActor):
        def receiveMessage(self, message: Any, sender: Any) -> None:
            if message == "sleep":
                self.asker = sender
                self.wakeupAfter(0.001, "payload")
            elif isinstance(message, WakeupMessage):
                self.send(self.asker, (message.delayPeriod, message.payload))

    assert await system.ask_async(system.createActor(Sleeper), "sleep", 1) == (0.001, "payload")


@pytest.mark.parametrize("delay_s", [-1.0, float("nan"), 0.0])
async def test_odd_delays_are_now(system: LoopSystem, delay_s: float) -> None:
    def work(actor: Player, sender: Any) -> None:
        actor.call_later(delay_s, Do(lambda actor, _: actor.send(sender, "now")))

    assert await perform(system, work) == "now"


def test_coarse_timers_round_up() -> None:
    assert whole_ms(0.0104) == 0.011
    assert whole_ms(0.02) == 0.02
    assert whole_ms(0) == 0


async def test_timers_and_tasks_belong_to_the_loop_thread(system: LoopSystem) -> None:
    actors: list[Player] = []
    system.tell(system.createActor(Player), Do(lambda actor, _: actors.append(actor)))
    await settle()
    with pytest.raises(WrongThread, match="call_later"):
        await asyncio.to_thread(actors[0].call_later, 0, "x")


# --- tasks -------------------------------------------------------------------------------------------------------


async def test_a_task_talks_for_its_actor(system: LoopSystem) -> None:
    def work(actor: Player, sender: Any) -> None:
        async def later() -> None:
            await asyncio.sleep(0)
            actor.send(sender, "from a task")

        assert actor.start_task(later(), "later").get_name() == "later"

    assert await perform(system, work) == "from a task"


async def test_a_failed_task_reaches_its_actor(system: LoopSystem) -> None:
    recorder, record = await recording(system)

    async def fail() -> None:
        raise OSError("line is down")

    recorder.receiver.start_task(fail(), "line")
    await settle()
    (failure,) = record
    assert isinstance(failure, TaskFailed)
    assert failure.name == "line"
    assert str(failure.error) == "line is down"


async def test_a_task_ends_with_its_actor(system: LoopSystem) -> None:
    player = system.createActor(Player)
    tasks: list[asyncio.Task[Any]] = []
    system.tell(player, Do(lambda actor, _: tasks.append(actor.start_task(asyncio.sleep(60), "sleeper"))))
    system.tell(player, ActorExitRequest())
    await settle()
    assert tasks[0].cancelled()


async def test_a_task_started_during_the_exit_is_cancelled(system: LoopSystem) -> None:
    tasks: list[asyncio.Task[Any]] = []

    class Late(LoopActor):
        def receiveMessage(self, message: Any, sender: Any) -> None:
            if isinstance(message, ActorExitRequest):
                tasks.append(self.start_task(asyncio.sleep(60), "late"))

    system.tell(system.createActor(Late), ActorExitRequest())
    await settle()
    assert tasks[0].cancelled()


# --- the mailbox -------------------------------------------------------------------------------------------------


async def test_a_full_mailbox_drops_the_oldest_audio(system: LoopSystem, caplog: pytest.LogCaptureFixture) -> None:
    recorder, record = await recording(system)
    for message in (Audio(1), "words", Audio(2), Audio(3), "more words", "and more", "and even more", Audio(4)):
        system.tell(recorder, message)
    await settle()
    assert record == ["words", "more words", "and more", "and even more"]
    (info,) = system.actors()
    assert (info.dropped, info.max_depth, info.received) == (4, 4, 5)
    texts = [r.message for r in caplog.records if r.levelno == logging.WARNING]
    assert len([t for t in texts if "is full" in t]) == 1
    assert len([t for t in texts if "has passed its limit of 3 messages" in t]) == 1


async def test_a_flood_of_audio_keeps_the_newest(system: LoopSystem) -> None:
    recorder, record = await recording(system)
    for number in range(1000):
        system.tell(recorder, Audio(number))
    await settle()
    assert [audio.number for audio in record] == [997, 998, 999]
    for number in range(5):  # and once more, behind what was taken out meanwhile
        system.tell(recorder, Audio(number))
    await settle()
    assert [audio.number for audio in record[3:]] == [2, 3, 4]
    assert system.actors()[0].dropped == 999


# --- children ----------------------------------------------------------------------------------------------------


async def test_a_parent_hears_of_its_childs_end(system: LoopSystem) -> None:
    family = system.createActor(Family)
    assert await system.ask_async(family, ("create", Player), 1) == "hello"
    assert await system.ask_async(family, "end", 1) == ("ChildActorExited", None)
    assert len(system.actors()) == 1


async def test_a_stillborn_child_returns_its_messages_and_is_reported(hosted: LoopSystem) -> None:
    family = hosted.createActor(Family)
    before = len(hosted._base.addresses.live)
    hosted.tell(family, ("create", Unborn))
    answers = {await asyncio.to_thread(hosted.listen, 1) for _ in range(2)}
    assert answers == {("PoisonMessage", "Child Aborted"), ("ChildActorExited", None)}
    assert hosted.ask(family, "ping", 1) == "ping"
    assert len(hosted._base.addresses.live) == before


async def test_addresses_are_never_used_twice(system: LoopSystem) -> None:
    names = set()
    for _ in range(100):
        player = system.createActor(Player)
        names.add(player.name)
        system.tell(player, ActorExitRequest())
        await settle(2)
    assert len(names) == 100


async def test_mixes_with_the_type_dispatcher(system: LoopSystem) -> None:
    assert await system.ask_async(system.createActor(Dispatcher), "go", 1) == (7, True)


async def test_initializing_messages_are_kept_per_actor(system: LoopSystem) -> None:
    """Thespian keeps them on the class, where one actor would answer the other's question."""
    first, second = system.createActor(Prompted), system.createActor(Prompted)
    questions = [asyncio.create_task(system.ask_async(actor, n, 1)) for n, actor in enumerate((first, second))]
    await settle()
    system.tell(second, "second line")
    await settle()
    assert [question.done() for question in questions] == [False, True]
    system.tell(first, "first line")
    assert await asyncio.gather(*questions) == [(0, "first line"), (1, "second line")]


# --- watched descriptors -----------------------------------------------------------------------------------------


async def test_a_watched_descriptor_wakes_the_actor_until_it_looks_away(hosted: LoopSystem) -> None:
    near, far = socket.socketpair()
    with near, far:
        listener = hosted.createActor(Listener)
        hosted.tell(listener, ("watch", near.fileno()))
        for line in (b"one", b"two"):
            far.send(line)
            assert await asyncio.to_thread(hosted.listen, 1) == line
        hosted.tell(listener, "stop")
        assert len(hosted.actors()) == 1  # the loop has handled "stop" by now
        far.send(b"three")
        assert hosted.listen(0.02) is None


async def test_a_watch_ends_with_its_actor(system: LoopSystem) -> None:
    near, far = socket.socketpair()
    with near, far:
        listener = system.createActor(Listener)
        system.tell(listener, ("watch", near.fileno()))
        system.tell(listener, ActorExitRequest())
        await settle()
        assert asyncio.get_running_loop().remove_reader(near.fileno()) is False


async def test_a_bad_descriptor_is_logged(system: LoopSystem, caplog: pytest.LogCaptureFixture) -> None:
    near, far = socket.socketpair()
    near.close()
    far.close()
    system.tell(system.createActor(Listener), ("watch", 987654))
    await settle()
    assert "cannot watch file descriptor 987654" in caplog.text
    assert len(system.actors()) == 1

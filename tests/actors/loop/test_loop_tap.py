"""A tap: what it shows of whom, and that nothing of it stays behind."""

from __future__ import annotations

from typing import Any

from thespian.actors import ActorAddress, ActorExitRequest

from actors.loop.actor import LoopActor
from actors.loop.cell import Cell
from actors.loop.system import LoopSystem
from actors.loop.tap import Tap


class Parent(LoopActor):
    """Asks its children for an echo, and passes it to who asked itself."""

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:
        match message:
            case "child":
                self.child = self.createActor(Child)
                self.send(sender, "made")
            case "later":
                self.asker = sender
                self.call_later(0.001, "due")
            case "due":
                self.send(self.asker, "done")
            case "play":
                self.asker = sender
                self.send(self.child, "ball")
            case "ball":
                self.send(self.asker, "done")


class Child(LoopActor):
    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:
        if message == "ball":
            self.send(sender, message)


class Seen(list[tuple[Any, str, str]]):
    def __call__(self, message: Any, sender: Any, receiver: Any) -> None:
        self.append((message, sender.name, receiver.name))


async def test_it_shows_what_passes_between_its_actors_and_others_once(system: LoopSystem) -> None:
    parent = system.createActor(Parent)
    await system.ask_async(parent, "child", 1)
    seen, (cell, child) = Seen(), system.cells()
    tap = Tap(seen)
    tap.add(cell)
    tap.add(child)
    await system.ask_async(parent, "play", 1)
    assert [message for message, _, _ in seen] == ["play", "ball", "ball", "done"]
    assert [receiver for _, _, receiver in seen[:3]] == [parent.name, child.address.name, parent.name]
    assert seen[1][1] == parent.name
    tap.close()


async def test_children_made_meanwhile_are_tapped_too(system: LoopSystem) -> None:
    parent = system.createActor(Parent)
    seen = Seen()
    tap = Tap(seen)
    tap.add(system.cells()[0])
    await system.ask_async(parent, "child", 1)
    await system.ask_async(parent, "play", 1)
    assert [message for message, _, _ in seen].count("ball") == 2
    tap.close()


async def test_a_timers_message_is_shown_once(system: LoopSystem) -> None:
    parent = system.createActor(Parent)
    seen = Seen()
    tap = Tap(seen)
    tap.add(system.cells()[0])
    await system.ask_async(parent, "later", 1)
    assert [message for message, _, _ in seen] == ["later", "due", "done"]
    tap.close()


async def test_a_closed_tap_shows_nothing_and_leaves_nothing(system: LoopSystem) -> None:
    parent = system.createActor(Parent)
    seen = Seen()
    tap = Tap(seen)
    await system.ask_async(parent, "child", 1)
    for cell in system.cells():
        tap.add(cell)
    tap.close()
    tap.close()
    await system.ask_async(parent, "play", 1)
    assert seen == []
    assert {type(cell) for cell in system.cells()} == {Cell}
    assert system._systemBase.taps == {}


async def test_a_tapped_actor_dies_as_any_other(system: LoopSystem) -> None:
    parent = system.createActor(Parent)
    tap = Tap(Seen())
    tap.add(system.cells()[0])
    await system.ask_async(parent, "child", 1)
    system.tell(parent, ActorExitRequest())
    await system.shutdown_async()
    tap.close()
    assert system.cells() == []

"""The actors that the tests of the loop base play with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from thespian.actors import ActorExitRequest, ActorSystemMessage, ChildActorExited, DeadEnvelope

from actors.loop.actor import LoopActor
from actors.loop.local import Local


@dataclass(frozen=True, slots=True)
class Do:
    """Call `work(actor, sender)` inside of the actor."""

    work: Callable[[Any, Any], None]


@dataclass(frozen=True, slots=True)
class Audio:
    """A message that may be dropped."""

    droppable = True
    number: int


@dataclass(frozen=True, slots=True)
class Take:
    """A recorder is to write into this list."""

    record: Local


class Player(LoopActor):
    """Does what `Do` says; answers anything else with itself."""

    def receiveMessage(self, message: Any, sender: Any) -> Any:
        if isinstance(message, Do):
            message.work(self, sender)
        elif not isinstance(message, ActorSystemMessage):
            self.send(sender, message)


class Recorder(LoopActor):
    """Keeps everything it is told in a list of the test's, which `Take` brings."""

    mailbox_limit = 3
    record: list[Any]

    def receiveMessage(self, message: Any, sender: Any) -> None:
        if isinstance(message, Take):
            self.record = message.record.value
        elif message == "done?":
            self.send(sender, "done")
        else:
            self.record.append(message)


class Parent(LoopActor):
    """Creates children of its own class down to `depth`; records the order in which they all exit."""

    def receiveMessage(self, message: Any, sender: Any) -> None:
        match message:
            case ("grow", int(depth), Local() as exits):
                self.name, self.exits = f"depth {depth}", exits.value
                if depth:
                    self.child = self.createActor(Parent)
                    self.send(self.child, ("grow", depth - 1, exits))
                else:
                    self.send(self.myAddress, "grown")
            case ActorExitRequest():
                self.exits.append(f"{self.name} asked")
            case ChildActorExited():
                self.exits.append(f"{self.name} lost its child")
            case _:
                pass


class Undertaker(LoopActor):
    """Handles dead letters."""

    def __init__(self) -> None:
        self.letters: list[DeadEnvelope] = []

    def receiveMessage(self, message: Any, sender: Any) -> None:
        if message == "start":
            self.handleDeadLetters()
            self.send(sender, "started")
        elif isinstance(message, DeadEnvelope):
            self.letters.append(message)
        elif message == "letters":
            self.send(sender, [(letter.deadAddress, letter.deadMessage) for letter in self.letters])


async def settle(turns: int = 20) -> None:
    """Let the loop run what is ready."""
    for _ in range(turns):
        await asyncio.sleep(0)

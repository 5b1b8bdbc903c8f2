"""The last messages that found nobody at their address: who sent what to whom, never what it said."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from thespian.actors import ActorAddress, DeadEnvelope

from actors.loop.actor import LoopActor

KEPT = 100


@dataclass(frozen=True, slots=True)
class CollectDeadLetters:
    """worker -> DeadLetters: take them from now on."""


class DeadLetters(LoopActor):
    """The handler of a system's dead letters."""

    role = "deadletters"

    def __init__(self) -> None:
        self.last: deque[dict[str, Any]] = deque(maxlen=KEPT)

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:
        match message:
            case DeadEnvelope():
                self.last.append(_letter(message, sender))
            case CollectDeadLetters():
                self.handleDeadLetters()

    def inspect(self) -> dict[str, Any]:
        return {"last": list(self.last)}


def _letter(envelope: DeadEnvelope, sender: ActorAddress) -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "type": type(envelope.deadMessage).__name__,
        "from": str(getattr(sender, "name", sender)),
        "to": str(getattr(envelope.deadAddress, "name", envelope.deadAddress)),
    }

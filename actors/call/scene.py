"""What the machines of one conversation share: the time, the number of the turn, the floor, and the way out."""

from __future__ import annotations

from collections.abc import Callable

from actors.call.effects import CancelTimer, Effect, SetTimer
from actors.call.floor import FloorMachine, Input


class Scene:
    """`now` is in seconds on any monotonic clock: whoever feeds an input sets it before."""

    def __init__(self, act: Callable[[str], None]) -> None:
        self.now = 0.0
        self.turn = 0  # number of the last question that was asked
        self.floor = FloorMachine(act)
        self._effects: list[Effect] = []

    def feed(self, event: Input) -> None:
        """To the floor, which acts on it."""
        self.floor.feed(event)

    def do(self, effect: Effect) -> None:
        self._effects.append(effect)

    def set_timer(self, name: str, delay_s: float) -> None:
        self.do(SetTimer(name, delay_s))

    def cancel_timer(self, name: str) -> None:
        self.do(CancelTimer(name))

    def take_effects(self) -> list[Effect]:
        """The effects since the last time, in order."""
        effects, self._effects = self._effects, []
        return effects

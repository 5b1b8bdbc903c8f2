"""What the caller hears of a provider that is slow or away: one sentence, once, while he waits for an answer.

A silence of `filler_ms` in which it is our turn earns the filler, whatever its reason is. It is said at most once until
an answer is heard; not while the caller speaks; and not if it is the voice that is missing.
"""

from __future__ import annotations

from collections.abc import Callable

from actors.call.delivery import Delivery
from actors.call.effects import CancelTimer, Effect, Filled, Role, SetTimer
from config.assistant import AssistantConfig

LEAST_S = 0.5


class Outage:
    """Which members are away, and whether the caller has been asked for patience."""

    def __init__(self, do: Callable[[Effect], None], delivery: Delivery, assistant: AssistantConfig) -> None:
        self._do, self._delivery = do, delivery
        self._filler, self._filler_s = assistant.filler_message, assistant.stalls.filler_ms / 1000
        self._away: set[Role] = set()
        self._timer = False
        self._said = False
        self._overdue = False  # it is time for the filler, but the voice is away

    @property
    def any_away(self) -> bool:
        return bool(self._away)

    def is_away(self, role: Role) -> bool:
        return role in self._away

    def lost(self, role: Role) -> None:
        self._away.add(role)

    def back(self, role: Role) -> bool:
        """Whether it was away."""
        was_away = role in self._away
        self._away.discard(role)
        if self._overdue and role == "speaker":
            self.caller_waits(self._filler_s)
        return was_away

    def caller_waits(self, since_s: float) -> None:
        """It is our turn since `since_s` seconds."""
        if not self._timer:
            self._timer, self._overdue = True, False
            self._do(SetTimer("filler", max(LEAST_S, self._filler_s - since_s)))

    def caller_waits_no_more(self) -> None:
        self._overdue = False
        if self._timer:
            self._timer = False
            self._do(CancelTimer("filler"))

    def timer_fired(self) -> None:
        self._timer = False

    def due(self, turn: int) -> None:
        """The caller has waited long enough for the answer to this turn."""
        self._overdue = self.is_away("speaker")
        if self._filler and not self._said and not self._overdue:
            self._said = True
            self._delivery.interject(self._filler)
            self._do(Filled(turn))

    def answered(self) -> None:
        """The caller hears what he has waited for, or it has come to nothing: the next wait is another one."""
        self._said = False
        self.caller_waits_no_more()

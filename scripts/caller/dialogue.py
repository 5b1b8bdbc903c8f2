"""What the simulated caller says and when: a machine stepped once per 20 ms frame, without a clock or a line.

    GREETING   the assistant spoke and was silent for 700 ms, or 4 s of nothing  -> PRESSING, without keys SPEAKING
    PRESSING   one key per 250 ms; none left, and the assistant spoke and was
               silent for 700 ms, or 3 s of nothing                              -> SPEAKING
    SPEAKING   the own sentence ends                                             -> WAITING
    WAITING    an answer can be heard                                            -> LISTENING
               8 s without one: the turn is unanswered                           -> SPEAKING, next turn
    LISTENING  the assistant was silent for 700 ms                               -> SPEAKING, next turn
               1 s into the answer that is to be interrupted                     -> SPEAKING, next turn

After the last turn the caller hangs up. An assistant that hangs up earlier leaves the turns to come unanswered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto

from scripts.caller.ear import Ear

GREETING_WAIT_S = 4.0
SILENCE_S = 0.7
ANSWER_WAIT_S = 8.0
KEY_S, KEYS_WAIT_S = 0.25, 3.0
BARGE_IN_TURN, BARGE_IN_AFTER_S = 2, 1.0
MONOLOGUE_S = 60.0  # longer than this nobody listens
STOPPED_S = 0.4  # an interrupted assistant has stopped when it was silent for so long
EAGER_S = 0.5  # an answer may begin so long before the caller's last sound; earlier sound is the answer before


@dataclass(frozen=True, slots=True)
class Say:
    """Begin to say the sentence of this turn."""

    turn: int
    interrupting: bool


@dataclass(frozen=True, slots=True)
class Press:
    """Press one key."""

    digit: str


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """`latency_ms` after the caller's last sound the answer could be heard; None: not at all."""

    turn: int
    latency_ms: float | None


@dataclass(frozen=True, slots=True)
class HangUp:
    """There is nothing left to say."""


Action = Say | Press | TurnEnded | HangUp


class _State(Enum):
    GREETING = auto()
    PRESSING = auto()
    SPEAKING = auto()
    WAITING = auto()
    LISTENING = auto()
    OVER = auto()


class Dialogue:
    """The caller's side of a conversation of `turns` turns."""

    def __init__(
        self,
        turns: int,
        answer_wait_s: float = ANSWER_WAIT_S,
        silence_s: float = SILENCE_S,
        *,
        barge_in: bool = False,
        dtmf: str = "",
    ) -> None:
        self._answer_wait_s, self._silence_s = answer_wait_s, silence_s
        self._turns, self._barge_in, self._digits = turns, barge_in, list(dtmf)
        self._ear = Ear()
        self._state = _State.GREETING
        self._turn = 0
        self._started_s: float | None = None
        self._pressed_s = -math.inf
        self._voice_s = -math.inf  # the caller's own last sound
        self._answered_s = -math.inf
        self._barged_s: float | None = None
        self.barge_in_ms: float | None = None

    @property
    def greeting_ms(self) -> float | None:
        """From the first step to the assistant's first sound."""
        if self._ear.first_s is None or self._started_s is None:
            return None
        return _ms(self._ear.first_s - self._started_s)

    def step(self, now_s: float, *, audible: bool, speaking: bool) -> list[Action]:
        """One frame: whether the assistant is `audible` in it and whether our own sentence was `speaking` in it."""
        if self._started_s is None:
            self._started_s = now_s
        self._ear.hear(now_s, audible)
        if speaking:
            self._voice_s = now_s
        self._measure_barge_in(now_s)
        return _STEPS[self._state](self, now_s, speaking)

    def closed(self) -> list[Action]:
        """The assistant has hung up: what was not answered by now never will be."""
        owed = self._state in (_State.SPEAKING, _State.WAITING)
        first = self._turn if owed else self._turn + 1
        self._state = _State.OVER
        return [TurnEnded(turn, None) for turn in range(first, self._turns + 1)]

    def _greeting(self, now_s: float, speaking: bool) -> list[Action]:
        assert self._started_s is not None
        heard = self._ear.first_s is not None
        waited_s = self._ear.silent_s(now_s) if heard else now_s - self._started_s
        if waited_s >= (SILENCE_S if heard else GREETING_WAIT_S) or now_s - self._started_s >= MONOLOGUE_S:
            self._state = _State.PRESSING
            return [] if self._digits else self._next_turn(now_s)
        return []

    def _pressing(self, now_s: float, speaking: bool) -> list[Action]:
        waited_s = now_s - self._pressed_s
        if self._digits and waited_s >= KEY_S:
            self._pressed_s = now_s
            return [Press(self._digits.pop(0))]
        answered = self._ear.onset_s > self._pressed_s and self._ear.silent_s(now_s) >= SILENCE_S
        if not self._digits and (answered or (waited_s >= KEYS_WAIT_S and self._ear.silent_s(now_s) >= SILENCE_S)):
            return self._next_turn(now_s)
        return []

    def _speaking(self, now_s: float, speaking: bool) -> list[Action]:
        if not speaking:
            self._state = _State.WAITING
            return self._waiting(now_s, speaking)
        return []

    def _waiting(self, now_s: float, speaking: bool) -> list[Action]:
        if self._ear.onset_s > self._voice_s - EAGER_S:
            self._state = _State.LISTENING
            self._answered_s = now_s
            return [TurnEnded(self._turn, _ms(max(0.0, self._ear.onset_s - self._voice_s)))]
        if now_s - self._voice_s >= self._answer_wait_s:
            return [TurnEnded(self._turn, None), *self._next_turn(now_s)]
        return []

    def _listening(self, now_s: float, speaking: bool) -> list[Action]:
        if self._ear.silent_s(now_s) >= self._silence_s or now_s - self._answered_s >= MONOLOGUE_S:
            return self._next_turn(now_s)
        may_interrupt = self._barge_in and self._turn == BARGE_IN_TURN < self._turns
        if may_interrupt and now_s - self._answered_s >= BARGE_IN_AFTER_S and self._ear.silent_s(now_s) == 0:
            self._barged_s = now_s
            return self._next_turn(now_s, interrupting=True)
        return []

    def _over(self, now_s: float, speaking: bool) -> list[Action]:
        return []

    def _next_turn(self, now_s: float, *, interrupting: bool = False) -> list[Action]:
        if self._turn >= self._turns:
            self._state = _State.OVER
            return [HangUp()]
        self._turn += 1
        self._state = _State.SPEAKING
        self._voice_s = now_s
        return [Say(self._turn, interrupting)]

    def _measure_barge_in(self, now_s: float) -> None:
        if self._barged_s is not None and self.barge_in_ms is None and self._ear.silent_s(now_s) >= STOPPED_S:
            self.barge_in_ms = _ms(max(0.0, self._ear.last_s - self._barged_s))


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


_STEPS = {
    _State.GREETING: Dialogue._greeting,
    _State.PRESSING: Dialogue._pressing,
    _State.SPEAKING: Dialogue._speaking,
    _State.WAITING: Dialogue._waiting,
    _State.LISTENING: Dialogue._listening,
    _State.OVER: Dialogue._over,
}

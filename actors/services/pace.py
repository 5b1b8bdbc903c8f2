"""How fast this process gets on: the clock of its work, and how far it lags behind the wall's clock.

Deadlines for others run on `WorkClock.seconds`: who waits for a provider while this process itself stood still (no CPU,
a handler that blocks, a long queue of messages) has not waited. What says so is the `Pulse`: an actor that sends itself
a message on a timer, so that the beat goes the way of all work, through the loop and through a mailbox.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from thespian.actors import ActorAddress

from actors.loop.actor import LoopActor
from actors.loop.local import Local

BEAT_S = 0.05
GRACE_S = 0.01  # a beat that comes so late is on time: timers are coarse, and one turn of the loop takes 5 ms
RECENT_S = 2.0  # `recent_lag_s` looks back so far
SMOOTHING = 0.1  # weight of a new beat in `smooth_lag_s`: half of it is forgotten after 7 beats, 0.35 s


class WorkClock:
    """Seconds of a monotonic clock that stands still while this process does.

    Between two beats it advances by at most `BEAT_S + GRACE_S`. While nothing beats it (`beat` was never called, or
    `stop` was) it runs like `now`, so that a test or a script without a worker may use it as it is. Loop thread only.
    """

    def __init__(
        self, now: Callable[[], float] = time.monotonic, observe: Callable[[float], None] = lambda lag_s: None
    ) -> None:
        """`now` gives seconds; `observe` is told the lag of each beat, in seconds."""
        self._now, self._observe = now, observe
        self._lost_s = 0.0  # what `seconds` is behind `now`
        self._beat_at: float | None = None  # of `now`; None: nothing beats
        self._smooth_s = 0.0
        self._peak_s, self._peak_at = 0.0, 0.0
        self._earlier_peak_s = 0.0  # of the `RECENT_S` before the ones that `_peak_s` counts

    def seconds(self) -> float:
        """Work time: for differences only."""
        now = self._now()
        return now - self._lost_s - self._excess_s(now)

    def beat(self) -> None:
        """The work has come by once more: to be called every `BEAT_S`."""
        now = self._now()
        if self._beat_at is None:
            self._peak_at = now
        else:
            self._lost_s += self._excess_s(now)
            self._measure(now, max(0.0, now - self._beat_at - BEAT_S))
        self._beat_at = now

    def inspect(self) -> dict[str, Any]:
        lags = {"lag_ms": self.smooth_lag_s, "recent_lag_ms": self.recent_lag_s}
        return {name: round(1000 * lag_s, 1) for name, lag_s in lags.items()}

    def stop(self) -> None:
        """No further beat comes: it runs like `now` from here on."""
        if self._beat_at is not None:
            self._lost_s += self._excess_s(self._now())
            self._beat_at = None

    @property
    def recent_lag_s(self) -> float:
        """The longest lag of a beat in the last `RECENT_S` to twice that; one that is overdue now counts."""
        overdue_s = 0.0 if self._beat_at is None else max(0.0, self._now() - self._beat_at - BEAT_S)
        return max(self._peak_s, self._earlier_peak_s, overdue_s)

    @property
    def smooth_lag_s(self) -> float:
        """The lag of a beat, averaged over the last second or so."""
        return self._smooth_s

    def _excess_s(self, now: float) -> float:
        return 0.0 if self._beat_at is None else max(0.0, now - self._beat_at - BEAT_S - GRACE_S)

    def _measure(self, now: float, lag_s: float) -> None:
        self._smooth_s += SMOOTHING * (lag_s - self._smooth_s)
        if now - self._peak_at >= RECENT_S:
            self._earlier_peak_s, self._peak_s, self._peak_at = self._peak_s, 0.0, now
        self._peak_s = max(self._peak_s, lag_s)
        self._observe(lag_s)


class Beaten(Protocol):
    """What a `Pulse` beats."""

    def beat(self) -> None: ...

    def inspect(self) -> dict[str, Any]:
        """For operators."""


@dataclass(frozen=True, slots=True)
class Beat:
    """pulse -> itself: the next beat is due."""


class Pulse(LoopActor):
    """Beats what it is given (in a `Local`) until it exits."""

    role = "pulse"

    def __init__(self) -> None:
        super().__init__()
        self._beaten: Beaten | None = None

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:
        if isinstance(message, Local):
            self._beaten = message.value
        if self._beaten is not None and isinstance(message, Local | Beat):
            self.call_later(BEAT_S, Beat())  # before the work: whatever goes wrong in it, the pulse goes on
            self._beaten.beat()

    def inspect(self) -> dict[str, Any]:
        return {} if self._beaten is None else self._beaten.inspect()

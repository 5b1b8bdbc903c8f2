"""What a supervisor decides when a child ends: OTP's contract, without actors and without a clock.

As in OTP, a child has a restart type, an intensity (so many restarts in so many seconds) and may be *significant*:
its end ends the supervisor. One thing is ours: restarts back off, and the first one is immediate, because somebody is
on the line. What a call's members need beyond that is in `actors/call/recovery.py`.

Source: https://www.erlang.org/doc/system/sup_princ.html (restart strategy, maximum restart intensity, significant).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum


class RestartType(Enum):
    """When a child is restarted."""

    PERMANENT = "permanent"  # always
    TRANSIENT = "transient"  # unless it ended normally
    TEMPORARY = "temporary"  # never


@dataclass(frozen=True, slots=True)
class RestartIntensity:
    """At most `max_restarts` in `period_s`; restart number n within it waits `backoff_s[n]` (the last value stays)."""

    max_restarts: int = 5
    period_s: float = 60.0
    backoff_s: tuple[float, ...] = (0.0, 0.05, 0.2, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One child of a supervisor; `actor` is the class that the supervisor creates for it."""

    role: str
    actor: type
    restart: RestartType = RestartType.PERMANENT
    significant: bool = False
    intensity: RestartIntensity = field(default_factory=RestartIntensity)


@dataclass(frozen=True, slots=True)
class Restart:
    """Start the child again after `delay_s` on provider number `provider`; `with_work`: give it what it was doing."""

    delay_s: float
    provider: int = 0
    with_work: bool = True


@dataclass(frozen=True, slots=True)
class Leave:
    """The child has ended and that is all right."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Restarts and providers are exhausted."""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """A significant child has ended: so does its supervisor."""


Decision = Restart | Leave | GiveUp | Shutdown


class Recovery:
    """The history of one child; each end of it is put in, a decision comes out."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.restarts = 0  # in all, for people
        self._recent: deque[float] = deque()

    def ended(self, now: float, *, normal: bool = False) -> Decision:
        """The child has ended at `now` (s)."""
        if self.spec.significant:
            return Shutdown()
        if self.spec.restart is RestartType.TEMPORARY or (normal and self.spec.restart is RestartType.TRANSIENT):
            return Leave()
        intensity = self.spec.intensity
        while self._recent and now - self._recent[0] > intensity.period_s:
            self._recent.popleft()
        if len(self._recent) >= intensity.max_restarts:
            return GiveUp()
        delay_s = intensity.backoff_s[min(len(self._recent), len(intensity.backoff_s) - 1)]
        self._recent.append(now)
        self.restarts += 1
        return Restart(delay_s)

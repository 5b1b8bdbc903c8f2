"""What a supervisor decides when a child ends: OTP's contract, without actors and without a clock.

As in OTP, a child has a restart type, an intensity (so many restarts in so many seconds) and may be *significant*:
its end ends the supervisor. Three things are ours, because our children talk to paid services:

- Each child has a chain of providers. What exhausts one (too many restarts, a wrong key, no credit) moves the child to
  the next with a fresh count; only the end of the chain gives up.
- Restarts back off: the first one is immediate, because somebody is on the line.
- A child may die *of its work*: the same question, sentence or audio that has killed it `MAX_DEATHS` times is given
  to the next provider or, at the end of the chain, not given again.

Source: https://www.erlang.org/doc/system/sup_princ.html (restart strategy, maximum restart intensity, significant).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from actors.errors import Remedy

MAX_DEATHS = 2


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
    provider: int
    with_work: bool


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

    def __init__(self, spec: ChildSpec, providers: int = 1) -> None:
        self.spec, self._providers = spec, providers
        self.provider = 0
        self.restarts = 0  # in all, for people
        self._recent: deque[float] = deque()
        self._deaths: tuple[str, int] = ("", 0)

    def ended(self, now: float, *, normal: bool = False, remedy: Remedy = Remedy.RETRY, work: str = "") -> Decision:
        """The child has ended at `now` (s); `work` identifies what it was doing, empty when it was idle."""
        if self.spec.significant:
            return Shutdown()
        if self.spec.restart is RestartType.TEMPORARY or (normal and self.spec.restart is RestartType.TRANSIENT):
            return Leave()
        poisoned = self._count_death(work)
        if poisoned and self._has_next:
            return self._next_provider()
        if remedy is not Remedy.RETRY or self._too_often(now):
            return self._next_provider() if self._has_next else GiveUp()
        return self._same_provider(now, with_work=not poisoned)

    @property
    def _has_next(self) -> bool:
        return self.provider + 1 < self._providers

    def _count_death(self, work: str) -> bool:
        """Whether `work` has now killed the child too often."""
        known, deaths = self._deaths
        self._deaths = (work, deaths + 1 if work == known else 1) if work else ("", 0)
        return self._deaths[1] >= MAX_DEATHS

    def _too_often(self, now: float) -> bool:
        while self._recent and now - self._recent[0] > self.spec.intensity.period_s:
            self._recent.popleft()
        return len(self._recent) >= self.spec.intensity.max_restarts

    def _next_provider(self) -> Restart:
        self.provider += 1
        self.restarts += 1
        self._recent.clear()
        self._deaths = ("", 0)
        return Restart(0.0, self.provider, with_work=True)

    def _same_provider(self, now: float, with_work: bool) -> Restart:
        backoff_s = self.spec.intensity.backoff_s
        delay_s = backoff_s[min(len(self._recent), len(backoff_s) - 1)]
        self._recent.append(now)
        self.restarts += 1
        return Restart(delay_s, self.provider, with_work)

"""What a call does when a member of it ends: pure, with the time given to it.

Beside OTP's contract (`actors/supervision.py`), which still holds for what our own faults do, members talk to paid
services that are slow, away for a while, or refuse:

- An *outage* begins with a failure and is over when the member works again (`worked`). While it lasts, the member is
  tried again for `patience_s`, round the chain of its providers: at once, then with back-off. The work waits.
- A wrong key or missing credit will not mend: that provider is out of the chain for good.
- Slowness is no fault: a stall moves on to the next provider and counts against nobody. Restart intensity counts the
  failures of a member that had worked in between: who exceeds it *flaps*, and is passed over. The last of the chain is
  tried on, as in an outage: that it works for a moment is no longer the end of it.
- A member may die *of its work*: what has crashed it `MAX_DEATHS` times for each provider of the chain is not given
  again. A lost connection, a refusal and a stall are nobody's death.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from actors.errors import ProviderCrashed, ProviderError, ProviderStalled, Remedy
from actors.supervision import ChildSpec, Decision, GiveUp, Leave, Restart, RestartType, Shutdown

MAX_DEATHS = 2
_FOR_GOOD = (Remedy.CONFIG, Remedy.QUOTA)
_ELSEWHERE = (Remedy.THROTTLED,)


class MemberRecovery:
    """The history of one member; each end of it is put in, a decision comes out."""

    def __init__(self, spec: ChildSpec, providers: int = 1, patience_s: float = 15.0) -> None:
        self.spec, self._patience_s = spec, patience_s
        self.provider = 0
        self.restarts = 0  # in all, for people
        self._chain = list(range(max(1, providers)))  # those that may still be tried
        self._outage_s: float | None = None  # since then it has not worked
        self._tries = 0  # in this outage
        self._ended_s = float("-inf")  # the last time
        self._flaps = False
        self._failures: deque[float] = deque()  # of the provider in use, after it had worked
        self._deaths: tuple[str, int] = ("", 0)

    def worked(self) -> None:
        """The member has done something of use: the outage, if there was one, is over."""
        if not self._flaps:
            self._outage_s = None

    def ended(self, now: float, error: ProviderError, work: str = "") -> Decision:
        """The member has ended at `now` (s); `work` identifies what it was doing, empty when it was idle."""
        if self.spec.significant:
            return Shutdown()
        if self.spec.restart is RestartType.TEMPORARY:
            return Leave()
        if self._flaps and now - self._ended_s > self._patience_s:  # it has pulled itself together
            self._flaps, self._outage_s = False, None
        self._ended_s = now
        poisoned = isinstance(error, ProviderCrashed) and self._count_death(work)
        if self._outage_s is None:
            self._outage_s, self._tries = now, 0
            if not isinstance(error, ProviderStalled):
                self._failures.append(now)
        elif now - self._outage_s >= self._patience_s:
            return GiveUp()
        self._tries += 1
        if error.remedy in _FOR_GOOD:
            return self._drop_provider()
        self._flaps = self._flaps or self._too_often(now)
        if self._tries > 1 or self._flaps or isinstance(error, ProviderStalled) or error.remedy in _ELSEWHERE:
            self._next_provider()
        return self._restart(with_work=not poisoned)

    def avoid(self, allows: Callable[[int], bool]) -> None:
        """Move on to the first provider, from the one in turn, that `allows` has nothing against; if there is none,
        the one in turn is tried all the same."""
        at = self._chain.index(self.provider)
        for provider in (*self._chain[at:], *self._chain[:at]):
            if allows(provider):
                self._use(provider)
                return

    def _count_death(self, work: str) -> bool:
        """Whether `work` has now killed the member too often."""
        known, deaths = self._deaths
        self._deaths = (work, deaths + 1 if work == known else 1) if work else ("", 0)
        return self._deaths[1] >= MAX_DEATHS * len(self._chain)

    def _too_often(self, now: float) -> bool:
        intensity = self.spec.intensity
        while self._failures and now - self._failures[0] > intensity.period_s:
            self._failures.popleft()
        return len(self._failures) > intensity.max_restarts

    def _drop_provider(self) -> Decision:
        """Out of the chain; the next one begins with a clean slate, and at once."""
        dropped = self.provider
        self._next_provider()
        self._chain.remove(dropped)
        self._tries = 1
        return self._restart(with_work=True) if self._chain else GiveUp()

    def _next_provider(self) -> None:
        self._use(self._chain[(self._chain.index(self.provider) + 1) % len(self._chain)])

    def _use(self, provider: int) -> None:
        if provider != self.provider:
            self.provider, self._flaps = provider, False
            self._failures.clear()

    def _restart(self, with_work: bool) -> Restart:
        """Each provider of the chain at once; then with back-off, a step for each lap."""
        backoff_s = self.spec.intensity.backoff_s
        lap = (self._tries - 1) // len(self._chain)
        self.restarts += 1
        return Restart(backoff_s[min(lap, len(backoff_s) - 1)], self.provider, with_work)

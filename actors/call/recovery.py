"""What a call does when a member of it ends: pure, with the time given to it.

Beside OTP's contract (`actors/supervision.py`), which still holds for what our own faults do, members talk to paid
services that are slow, away for a while, or refuse:

- An *outage* begins with a failure and is over when the member works again (`worked`). While it lasts, the member is
  tried again for `patience_s`, round the chain of its providers: at once, then with back-off. The work waits.
- An engine of ours that cannot be started is no service that comes back: that is waited for `NOT_STARTED_S` at most.
- A wrong key or missing credit will not mend: that provider is out of the chain for good.
- A provider may ask not to be asked again for a while (`retry_after_s`): another one is tried now, or this one then.
- What is *refused* is a question or a sentence, not the provider's service: the others of the chain are given it, and
  it is dropped when none takes it. Who has refused `MAX_REFUSALS` times without doing anything else is out, too.
- Slowness is no fault: a stall moves on to the next provider and counts against nobody. Restart intensity counts the
  failures of a member that had worked in between: who exceeds it *flaps*, and is passed over. The last of the chain is
  tried on, as in an outage: that it works for a moment is no longer the end of it.
- A member may die *of its work*: what has crashed it `MAX_DEATHS` times for each provider of the chain is not given
  again. A lost connection, a refusal and a stall are nobody's death.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

from actors.errors import EngineNotStarted, ProviderCrashed, ProviderError, ProviderStalled, Remedy
from actors.supervision import ChildSpec, Decision, GiveUp, Leave, Restart, RestartType, Shutdown

MAX_DEATHS = 2
MAX_REFUSALS = 3
NOT_STARTED_S = 5.0
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
        self._started = True  # its engine, as far as is known
        self._failures: deque[float] = deque()  # of the provider in use, after it had worked
        self._deaths: tuple[str, int] = ("", 0)
        self._not_before_s: dict[int, float] = {}  # when a provider may be asked again that has said so
        self._refused: tuple[str, set[int]] = ("", set())  # what was refused last, and by whom
        self._refusals: Counter[int] = Counter()  # of each provider, since it did something else

    def worked(self) -> None:
        """The member has done something of use."""
        self._refusals.pop(self.provider, None)
        self._started = True
        self.is_there()

    def is_there(self) -> None:
        """The member works, or nothing is asked of it any more: the outage, if there was one, is over."""
        if not self._flaps and self._started:
            self._outage_s = None

    def ended(self, now: float, error: ProviderError, work: str = "") -> Decision:
        """The member has ended at `now` (s); `work` identifies what it was doing, empty when it was idle."""
        if self.spec.significant:
            return Shutdown()
        if self.spec.restart is RestartType.TEMPORARY:
            return Leave()
        if self._flaps and now - self._ended_s > self._patience_s:  # it has pulled itself together
            self._flaps, self._outage_s = False, None
        self._ended_s, self._started = now, not isinstance(error, EngineNotStarted)
        if error.remedy is Remedy.REFUSED:
            return self._drop_work(now, work)
        if error.retry_after_s:
            self._not_before_s[self.provider] = now + error.retry_after_s
        poisoned = isinstance(error, ProviderCrashed) and self._count_death(work)
        if self._outage_s is None:
            self._outage_s, self._tries = now, 0
            if not isinstance(error, ProviderStalled):
                self._failures.append(now)
        elif now - self._outage_s >= self._patience_with(error):
            return GiveUp()
        self._tries += 1
        if error.remedy in _FOR_GOOD:
            return self._drop_provider(now)
        self._flaps = self._flaps or self._too_often(now)
        is_slow = isinstance(error, ProviderStalled) or error.retry_after_s
        if self._tries > 1 or self._flaps or is_slow or error.remedy in _ELSEWHERE:
            self._next_provider(now)
        return self._restart(now, with_work=not poisoned)

    def _patience_with(self, error: ProviderError) -> float:
        only = isinstance(error, EngineNotStarted) and len(self._chain) == 1
        return min(self._patience_s, NOT_STARTED_S) if only else self._patience_s

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

    def _drop_work(self, now: float, work: str) -> Decision:
        """It is refused: whoever has not done so yet may take it; if there is nobody, it is not given again."""
        known, refusers = self._refused
        if not work or work != known:
            self._refused = work, (refusers := set())
        refusers.add(self.provider)
        self._refusals[self.provider] += 1
        if self._refusals[self.provider] >= MAX_REFUSALS:
            return self._drop_provider(now)
        self._tries = self._refusals[self.provider]  # who refuses even to be opened is tried with back-off
        if others := [provider for provider in self._ring() if provider not in refusers]:
            self._use(others[0])
        return self._restart(now, with_work=bool(others))

    def _drop_provider(self, now: float) -> Decision:
        """Out of the chain; the next one begins with a clean slate, and at once."""
        left = [provider for provider in self._ring() if provider != self.provider]
        if not left:
            return GiveUp()
        self._chain.remove(self.provider)
        self._use(self._soonest(left, now))
        self._tries = 1
        return self._restart(now, with_work=True)

    def _ring(self) -> list[int]:
        """The chain from the next provider on, the one in turn at its end."""
        behind = self._chain.index(self.provider) + 1
        return [*self._chain[behind:], *self._chain[:behind]]

    def _next_provider(self, now: float) -> None:
        self._use(self._soonest(self._ring(), now))

    def _soonest(self, providers: list[int], now: float) -> int:
        """The first that may be asked now; if all want to be left alone for a while, the one that is free first."""
        return min(providers, key=lambda provider: max(now, self._not_before_s.get(provider, now)))

    def _use(self, provider: int) -> None:
        if provider != self.provider:
            self.provider, self._flaps = provider, False
            self._failures.clear()

    def _restart(self, now: float, with_work: bool) -> Restart:
        """Each provider of the chain at once, but when it may be asked; then with back-off, a step for each lap."""
        backoff_s = self.spec.intensity.backoff_s
        lap = (self._tries - 1) // len(self._chain)
        self.restarts += 1
        delay_s = max(backoff_s[min(lap, len(backoff_s) - 1)], self._not_before_s.get(self.provider, now) - now)
        return Restart(delay_s, self.provider, with_work)

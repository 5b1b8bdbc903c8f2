"""Notices a provider that owes something and is silent.

Slow is not dead. A deadline runs on the clock of this process's work (`actors.services.pace`), from the moment at which
the work was handed over; it is longer for a provider that is known to need longer (`actors.services.patience`), and
for an engine of ours that is late with everything just now; and while the worker lags, or has no replacement to spend,
whoever is late is waited for once more. An engine of ours that has its hands full is waited for anyway: a successor
would only ask the same engine once more, at the end of its queue. Whether it hangs is seen elsewhere
(`actors.engines.health`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.errors import ProviderStalled
from actors.loop.timers import Timer
from actors.providers.spec import Kind
from actors.services.patience import Awaited, Waits

if TYPE_CHECKING:
    from actors.call.member import SessionMember
    from actors.services.shared import Services

LAGGING_S = 0.25  # who was held up for so long just now has not been able to hear what came
MOST_SPARED = 3  # so often a late provider is waited for once more; a worker that always lags must go on, too
MOST_BUSY_S = 30.0  # so long an engine of ours is waited for that has its hands full
MOST_GROWN_S = 5.0  # a deadline does not grow beyond: whoever needs longer is better asked anew
OFTEN_S = 0.2  # so much later a deadline may be, for what comes often
EARLY_S = 0.001  # timers are coarse: one that fires so early is on time


@dataclass(frozen=True, slots=True)
class StallCheck:
    """member -> itself: is it still alive?"""


class StallWatch:
    """One deadline that moves with every sign of life. Tokens come by the hundred a second, timers are dear: the timer
    that runs stays as it is, and looks at the deadline again when it fires."""

    def __init__(self, member: SessionMember, services: Services, kind: Kind) -> None:
        self._member, self._services, self._kind = member, services, kind
        self._clock = services.work.seconds
        self._waits: dict[Awaited, Waits] = {}
        self._owed_s = 0.0  # work was handed over
        self._since_s = 0.0  # then, or it has shown since that it lives
        self._within_ms = 0.0
        self._deadline_s: float | None = None  # None: nothing is owed
        self._armed_s: float | None = None  # when the timer fires
        self._timer: Timer | None = None
        self._spared = 0
        self.awaited: Awaited = "connect"
        self.detail = ""

    @property
    def waiting(self) -> bool:
        return self._deadline_s is not None

    def expect(self, awaited: Awaited, within_ms: float, detail: str) -> None:
        """The work was handed over: from now on silence for so long, or for what this provider needs, is a stall."""
        self._begin(self._clock(), awaited, within_ms, detail)

    def came_and_expect(self, awaited: Awaited, within_ms: float, detail: str) -> None:
        """`came` and `expect` in one, for what comes often: what comes within `OFTEN_S` of the last moves nothing."""
        now = self._clock()
        if self._deadline_s is not None:
            if awaited == self.awaited and now - self._since_s < OFTEN_S:
                return
            self._known(self.awaited).took(now - self._since_s)
        self._begin(now, awaited, within_ms + 1000 * OFTEN_S, detail)

    def came(self) -> None:
        """What was awaited is there; the provider's history learns how long it took."""
        if self._deadline_s is not None:
            self._known(self.awaited).took(self._clock() - self._since_s)
            self._deadline_s = None

    def extend(self) -> None:
        """It is not there yet, but its provider is alive: the deadline begins anew."""
        if self._deadline_s is not None:
            self._set_deadline(self._clock())

    def alive(self, most_s: float, busy: bool = False) -> None:
        """It is not there yet, but its provider has said something: the deadline begins anew, but for no longer than
        `most_s` after the work was handed over; with `busy` that is the only one."""
        now = self._clock()
        last_s = self._owed_s + most_s
        if self._deadline_s is not None and now < last_s:
            self._since_s = now
            self._set_deadline(now)
            self._deadline_s = last_s if busy else min(self._deadline_s, last_s)

    def relax(self) -> None:
        """Nothing is owed any more, and nothing is learnt of it."""
        self._deadline_s = None

    def overdue(self) -> bool:
        """The timer has fired: whether the deadline has passed, and nothing excuses it."""
        now = self._clock()
        self._armed_s = None
        if self._deadline_s is None:
            return False
        deadline_s = self._deadline_s + self._member.engine_lag_s
        if now + EARLY_S < deadline_s:
            self._arm(deadline_s)
            return False
        if self._member.engine_busy and now - self._owed_s < MOST_BUSY_S:
            self.extend()
            return False
        if self._spared < MOST_SPARED and self._excused():
            self._spared += 1
            self.extend()
            return False
        return True

    def stalled(self) -> ProviderStalled:
        """The error of a deadline that has passed; the provider's history learns that it was too short."""
        self._known(self.awaited).in_vain(self._clock() - self._since_s)
        return ProviderStalled(self._member.provider, self.detail)

    def _excused(self) -> bool:
        return self._services.replacements.waiting > 0 or self._services.work.recent_lag_s > LAGGING_S

    def _begin(self, now: float, awaited: Awaited, within_ms: float, detail: str) -> None:
        self.awaited, self.detail, self._within_ms = awaited, detail, within_ms
        self._owed_s = self._since_s = now
        self._spared = 0
        self._set_deadline(now)

    def _set_deadline(self, now: float) -> None:
        least_s = self._within_ms / 1000
        within_s = self._known(self.awaited).deadline_s(self._within_ms)
        self._deadline_s = now + min(within_s, max(least_s, MOST_GROWN_S))
        if self._armed_s is None or self._armed_s > self._deadline_s:
            self._arm(self._deadline_s)

    def _known(self, awaited: Awaited) -> Waits:
        if (waits := self._waits.get(awaited)) is None:
            waits = self._waits[awaited] = self._services.patience.of(self._kind, self._member.provider, awaited)
        return waits

    def _arm(self, at_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_s = at_s
        self._timer = self._member.call_later(max(EARLY_S, at_s - self._clock()), StallCheck())

"""Does this worker take another call? Webhooks and media listeners ask before they take one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from config.errors import CallboardError

ANNOUNCED_S = 5.0  # media follow their announcement within so long


class GateClosed(CallboardError):
    """We take no call now, and it is not the caller's fault."""

    code = "gate_closed"
    http_status = 503


class Draining(GateClosed):
    """The node is about to stop: running calls go on, new ones are refused."""

    code = "draining"


class Full(GateClosed):
    """The worker has as many calls as LIMITS__MAX_CALLS allows."""

    code = "full"


class Overloaded(GateClosed):
    """The worker cannot keep up with the calls that it has: another one would hurt them all."""

    code = "overloaded"


class RateLimited(GateClosed):
    """One API key, or one carrier without a key, starts calls faster than LIMITS__CALLS_PER_MINUTE allows."""

    code = "rate_limited"
    http_status = 429


class Gate:
    """Open until `drain`, while fewer than `max_calls` are live and while the worker keeps up.

    `live_calls` counts the calls that this worker has taken; those that are just being taken (`enter`) count too, so
    that callers who come at the same moment do not all get the last place.
    """

    def __init__(self, max_calls: int, live_calls: Callable[[], int]) -> None:
        self.max_calls, self.live_calls = max_calls, live_calls
        self.draining = False
        self.overload: Callable[[], str] = lambda: ""  # why the worker cannot keep up; "" while it does
        self.overloaded_s: Callable[[], float] = lambda: math.inf  # for so long
        self.rush: Callable[[], str] = lambda: ""  # why one more now is too much; "" counts it
        self._entering = 0

    @property
    def calls(self) -> int:
        """The calls that are live or just being taken."""
        return self.live_calls() + self._entering

    @property
    def open(self) -> bool:
        return not self.reason

    @property
    def reason(self) -> str:
        """Why it is closed: draining, full or overloaded; "" while it is open."""
        if self.draining:
            return Draining.code
        if self.calls >= self.max_calls:
            return Full.code
        return Overloaded.code if self.overload() else ""

    def drain(self) -> None:
        """Take no call any more."""
        self.draining = True

    def check(self) -> None:
        """Raises `Draining`, `Full` or `Overloaded`."""
        reason = self.reason
        if reason == Draining.code:
            raise Draining("the node is draining: no new calls")
        if reason == Overloaded.code:
            raise Overloaded(f"the worker takes no call: {self.overload()}")
        if reason:
            raise Full(f"LIMITS__MAX_CALLS = {self.max_calls}: so many calls are live")

    def announce(self) -> None:
        """A call is announced, whose media will `enter` in a moment. Raises as `check`."""
        self.check()
        if why := self.rush():
            raise Overloaded(f"the worker takes no call just now: {why}")

    @contextmanager
    def enter(self) -> Iterator[None]:
        """`check`, then hold a place until the block ends: by then `live_calls` counts the call, or it was refused.

        Who was told to come before the worker was overloaded is let in all the same.
        """
        if self.reason != Overloaded.code or self.overloaded_s() >= ANNOUNCED_S:
            self.check()
        self._entering += 1
        try:
            yield
        finally:
            self._entering -= 1

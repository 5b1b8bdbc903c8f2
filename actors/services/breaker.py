"""Remembers which providers do not open, so that not every call has to find it out.

A breaker for each provider and credential, for all calls of the node. A table of states:

    state     an opening succeeds    an opening fails                          the pause is over
    closed    closed                 open, after `FAILURES` in a row           -
    open      closed                 open                                      the next who asks is the probe: probing
    probing   closed                 open, with twice the pause                after `PROBE_S` without a result: open

While it is not closed, whoever has another provider takes that one; whoever has none tries all the same. So a breaker
never makes a call worse than trying. What this worker is too slow for opens nothing.
Source: M. Nygard, Release It!, "Circuit Breaker".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

from actors.errors import ProviderCrashed, ProviderError, Remedy, UnknownProvider
from actors.providers.registry import Registry
from actors.providers.spec import Kind
from config.assistant import ProviderChoice

FAILURES = 2
FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 30.0
PROBE_S = 15.0  # a probe that has said nothing by then has gone with its call
LAGGING_S = 0.25  # a worker that was held up for so long has nothing to say about others
_COUNTS = (
    Remedy.RETRY,
    Remedy.THROTTLED,
    Remedy.QUOTA,
)  # a wrong voice or model is one assistant's, not the provider's


class State(Enum):
    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


@dataclass(slots=True)
class Breaker:
    """One provider with one credential. `now` is in seconds of any monotonic clock."""

    state: State = State.CLOSED
    failures: int = 0  # in a row
    until: float = 0.0  # open: when the pause is over; probing: when the probe is given up
    pause_s: float = FIRST_PAUSE_S

    def allows(self, now: float) -> bool:
        """Whether to use it; the first who asks after the pause is the probe."""
        if self.state is State.CLOSED:
            return True
        if now < self.until:
            return False
        self.state, self.until = State.PROBING, now + PROBE_S
        return True

    def opened(self) -> bool:
        """A session has opened; whether that has closed the breaker."""
        was, self.state = self.state, State.CLOSED
        self.failures, self.pause_s = 0, FIRST_PAUSE_S
        return was is not State.CLOSED

    def failed(self, now: float) -> bool:
        """A session has not opened; whether that has opened the breaker, which was closed."""
        self.failures += 1
        if self.state is State.PROBING:
            self.pause_s = min(2 * self.pause_s, LONGEST_PAUSE_S)
            self._open(now)
        elif self.state is State.CLOSED and self.failures >= FAILURES:
            self._open(now)
            return True
        return False

    def warn(self, now: float) -> None:
        """Another worker has found it dead."""
        if self.state is State.CLOSED:
            self._open(now)

    def _open(self, now: float) -> None:
        self.state, self.until = State.OPEN, now + self.pause_s


class Breakers:
    """All breakers of a worker. `tell(key, is_open)` spreads what is found here to the node's other workers, whose
    news come by `heard`. Loop thread only."""

    def __init__(self, lag_s: Callable[[], float] = lambda: 0.0, now: Callable[[], float] = time.monotonic) -> None:
        """`lag_s`: how far this worker lagged just now."""
        self._lag_s, self._now = lag_s, now
        self._breakers: dict[str, Breaker] = {}
        self.tell: Callable[[str, bool], None] = lambda key, is_open: None
        self.trips = 0

    def allows(self, key: str) -> bool:
        """May be used. If so and it was open, whoever has asked is the probe and must use it."""
        breaker = self._breakers.get(key)
        return breaker is None or breaker.allows(self._now())

    def opened(self, key: str) -> None:
        """A session with it has opened."""
        breaker = self._breakers.pop(key, None)
        if breaker is not None and breaker.opened():
            self.tell(key, False)

    def failed(self, key: str, error: ProviderError, was_open: bool) -> None:
        """A session with it has failed; `was_open`: it had opened before. Without credit it is of no use to anybody."""
        counts = error.remedy in _COUNTS and (not was_open or error.remedy is not Remedy.RETRY)
        counts = counts and not isinstance(error, ProviderCrashed)  # which is ours
        if key and counts and self._lag_s() < LAGGING_S:
            breaker = self._breakers.setdefault(key, Breaker())
            if breaker.failed(self._now()):
                self.trips += 1
                self.tell(key, True)

    def heard(self, key: str, is_open: bool) -> None:
        """News from another worker."""
        if is_open:
            self._breakers.setdefault(key, Breaker()).warn(self._now())
        else:
            self._breakers.pop(key, None)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Those that are not closed, for operators."""
        now = self._now()
        for key, breaker in self._breakers.items():
            if breaker.state is not State.CLOSED:
                rest_s = round(max(0.0, breaker.until - now), 1)
                yield {"provider": key, "state": breaker.state.value, "failures": breaker.failures, "rest_s": rest_s}


def breaker_key(kind: Kind, choice: ProviderChoice, registry: Registry) -> str:
    """What shares a breaker: kind, provider, server and key, such as "stt deepgram api.example.com ${DG_KEY}".

    The key's variable, never the key. Empty, which no breaker has, for what runs on this machine, and for what is not
    there at all.
    """
    try:
        if registry.spec(kind, choice.provider).local:
            return ""
    except UnknownProvider:
        return ""
    server = urlsplit(str(choice.options.get("base_url", ""))).netloc.rpartition("@")[2]
    parts = (kind, choice.provider, server, str(choice.options.get("api_key", "")))
    return " ".join(part for part in parts if part)

"""How long to wait for a provider: what the assistant says at least, longer for one that is known to be slow.

In the spirit of TCP's retransmission timer (RFC 6298): a smoothed time and its smoothed deviation. A wait that was
given up counts as an answer that took so long, so that a deadline that is too short for a provider grows out of it;
the cap keeps a dead one from being waited for. All times are of the `WorkClock`: our own lag is not the provider's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from actors.providers.spec import Kind

Awaited = Literal["connect", "first", "next"]  # the session open; the first piece of an answer; each further piece
DEVIATIONS = 4.0  # RFC 6298, K
MOST_TIMES = 4.0  # a deadline is at most so many times what is configured
_GAIN, _DEVIATION_GAIN = 1 / 8, 1 / 4  # RFC 6298, alpha and beta


@dataclass(slots=True)
class Waits:
    """What is known of one provider's times for one thing, over all calls of this worker."""

    mean_s: float | None = None
    deviation_s: float = 0.0

    def took(self, seconds: float) -> None:
        """It came after so long."""
        if self.mean_s is None:
            self.mean_s, self.deviation_s = seconds, seconds / 2
            return
        self.deviation_s += _DEVIATION_GAIN * (abs(seconds - self.mean_s) - self.deviation_s)
        self.mean_s += _GAIN * (seconds - self.mean_s)

    def in_vain(self, seconds: float) -> None:
        """It was given up after so long: it takes at least that."""
        if self.mean_s is None or seconds > self.mean_s:
            self.took(seconds)

    def deadline_s(self, configured_ms: float) -> float:
        """How long to wait, in seconds of the `WorkClock`: never less than configured, at most `MOST_TIMES` that."""
        least_s = configured_ms / 1000
        if self.mean_s is None:
            return least_s
        return min(max(least_s, self.mean_s + DEVIATIONS * self.deviation_s), MOST_TIMES * least_s)


@dataclass(slots=True)
class Patience:
    """The waits of every provider that this worker has used."""

    _known: dict[tuple[Kind, str, Awaited], Waits] = field(default_factory=dict)

    def of(self, kind: Kind, provider: str, awaited: Awaited) -> Waits:
        """Always the same object for the same three; whoever waits may keep it."""
        return self._known.setdefault((kind, provider, awaited), Waits())

"""Where the caller is in what the assistant says."""

from __future__ import annotations

from actors.call.utterance import Utterance


class Position:
    """Followed by the clock; a pause tells it exactly. Times are seconds of the conversation's clock."""

    def __init__(self) -> None:
        self._heard_ms = 0.0
        self._since_s: float | None = None  # more is heard, since then
        self._paused = False

    def begin(self, now: float) -> None:
        """An utterance becomes audible."""
        self._heard_ms, self._since_s = 0.0, None if self._paused else now

    def pause(self, now: float) -> None:
        self._heard_ms, self._since_s, self._paused = self.heard_ms(now), None, True

    def correct(self, heard_ms: float) -> None:
        """It is known while it is paused."""
        if self._paused:
            self._heard_ms = heard_ms

    def resume(self, now: float) -> None:
        if self._paused:
            self._paused, self._since_s = False, now

    def heard_ms(self, now: float) -> float:
        return self._heard_ms + (0.0 if self._since_s is None else (now - self._since_s) * 1000)

    def left_ms(self, utterance: Utterance | None, now: float) -> float:
        """How much of the utterance is still to be heard; infinite while more may be added to it, or none of it was
        heard yet."""
        if utterance is None or not utterance.complete or not utterance.started:
            return float("inf")
        return sum(segment.length_ms for segment in utterance.segments) - self.heard_ms(now)


def from_the_clause_at(utterance: Utterance, heard_ms: float) -> tuple[str, ...]:
    """The clauses that were not heard to their end in the first `heard_ms` of it."""
    unheard = []
    for segment in utterance.segments:
        heard_ms -= segment.length_ms
        if heard_ms < 0 and not segment.aside:
            unheard.append(segment.text)
    return tuple(unheard)

"""Token buckets: how much of something may be asked for, at once and in the long run. Time is given (`now`)."""

from __future__ import annotations


class Bucket:
    """Holds up to `burst` tokens, `per_s` of which come back each second; full at the start.

    `now` is seconds on any monotonic clock, never less than the time before. `left`: the tokens that were there when it
    was asked last; who takes very often may take from it, and ask for the `level` only when nothing is left.
    """

    __slots__ = ("_at_s", "burst", "left", "per_s")

    def __init__(self, per_s: float, burst: float) -> None:
        self.per_s, self.burst = per_s, burst
        self.left = burst
        self._at_s: float | None = None

    @classmethod
    def per_minute(cls, count: float) -> Bucket:
        """So many a minute, all of them at once too."""
        return cls(count / 60, count)

    def level(self, now: float) -> float:
        """The tokens that are there; below 0 after more was taken than there was."""
        if self._at_s is not None:
            self.left = min(self.burst, self.left + (now - self._at_s) * self.per_s)
        self._at_s = now
        return self.left

    def take(self, amount: float, now: float) -> bool:
        """Whether there are so many, which are taken then."""
        if self.level(now) < amount:
            return False
        self.left -= amount
        return True

    def give(self, amount: float, now: float) -> None:
        """Put so many back."""
        self.left = min(self.burst, self.level(now) + amount)

    def spend(self, amount: float, now: float) -> bool:
        """Take so many, for it has happened already; False if there were fewer."""
        self.left = self.level(now) - amount
        return self.left >= 0

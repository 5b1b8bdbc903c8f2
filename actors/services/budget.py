"""What a worker may spend in a second: a bucket of tokens, in which places are booked."""

from __future__ import annotations

import time
from collections.abc import Callable


class Budget:
    """So many a second; after a pause as many at once as a second brings.

    Nobody is refused: who comes when the bucket is empty books the next free place, and is told how long to wait for
    it. Two hundred members that fail at once are replaced one after the other, while the audio of all goes on.
    """

    def __init__(self, per_second: float, now: Callable[[], float] = time.monotonic) -> None:
        self._per_second, self._now = per_second, now
        self._tokens, self._filled_at = per_second, now()

    def take(self) -> float:
        """Book one; the seconds to wait until it may be used, 0.0 if it may be used now."""
        now = self._now()
        self._tokens = min(self._per_second, self._tokens + (now - self._filled_at) * self._per_second) - 1
        self._filled_at = now
        return max(0.0, -self._tokens / self._per_second)

    @property
    def waiting(self) -> int:
        """Places that are booked and not yet free."""
        refilled = self._tokens + (self._now() - self._filled_at) * self._per_second
        return max(0, round(-refilled))

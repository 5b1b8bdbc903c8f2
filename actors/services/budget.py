"""What a worker may spend in a second: a bucket of tokens, in which places are booked."""

from __future__ import annotations

import time
from collections.abc import Callable

from actors.budget import Bucket


class Budget:
    """So many a second; after a pause as many at once as a second brings.

    Nobody is refused: who comes when the bucket is empty books the next free place, and is told how long to wait for
    it. Two hundred members that fail at once are replaced one after the other, while the audio of all goes on.
    """

    def __init__(self, per_second: float, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._tokens = Bucket(per_second, per_second)

    def take(self) -> float:
        """Book one; the seconds to wait until it may be used, 0.0 if it may be used now."""
        self._tokens.spend(1, self._now())
        return max(0.0, -self._tokens.left / self._tokens.per_s)

    @property
    def waiting(self) -> int:
        """Places that are booked and not yet free."""
        return max(0, round(-self._tokens.level(self._now())))

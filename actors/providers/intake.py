"""What one connection to a provider may send us in a second, before it costs more than a call is worth.

Far above what any vendor sends: the fastest language models say 2,000 words a second, and a voice that is made fifty
times faster than it is heard is 5 MB a second. Whoever goes beyond it has gone mad, or is not who we think.
"""

from __future__ import annotations

import time

from actors.budget import Bucket
from actors.errors import ProviderError

BYTES_PER_S, BURST_BYTES = 8_388_608, 33_554_432
PIECES_PER_S, BURST_PIECES = 2_000, 10_000  # frames, reads or events; what came while we were busy comes at once


class Intake:
    """The budget of one connection; `pieces` is what they are called in the error. As long as there is something left
    of a burst nobody looks at the clock."""

    __slots__ = ("_bytes", "_name", "_pieces", "_provider")

    def __init__(self, provider: str, pieces: str) -> None:
        self._provider, self._name = provider, pieces
        self._bytes, self._pieces = Bucket(BYTES_PER_S, BURST_BYTES), Bucket(PIECES_PER_S, BURST_PIECES)
        self._refill()

    def took(self, size: int) -> None:
        """One piece of `size` bytes has come. Raises `ProviderError` if that is too much."""
        in_bytes, in_pieces = self._bytes, self._pieces
        in_bytes.left -= size
        in_pieces.left -= 1
        if in_bytes.left < 0 or in_pieces.left < 0:
            self._refill()

    def _refill(self) -> None:
        now = time.monotonic()
        in_bytes, in_pieces = self._bytes.level(now), self._pieces.level(now)
        if in_pieces < 0:
            raise ProviderError(self._provider, f"sent more than {PIECES_PER_S} {self._name} a second")
        if in_bytes < 0:
            raise ProviderError(self._provider, f"sent more than {BYTES_PER_S} bytes a second")

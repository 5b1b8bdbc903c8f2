"""What one connection to a provider may send us in a second, before it costs more than a call is worth.

Far above what any vendor sends: the fastest language models say 2,000 words a second, and a voice that is made fifty
times faster than it is heard is 5 MB a second. Whoever goes beyond it has gone mad, or is not who we think.
"""

from __future__ import annotations

import time

from actors.errors import ProviderError

BYTES_PER_S, BURST_BYTES = 8_388_608, 33_554_432
PIECES_PER_S, BURST_PIECES = 2_000, 10_000  # frames, reads or events; what came while we were busy comes at once


class Intake:
    """The budget of one connection; `pieces` is what they are called in the error. As long as there is something left
    of a burst nobody looks at the clock."""

    __slots__ = ("_bytes", "_name", "_pieces", "_provider", "_since_s")

    def __init__(self, provider: str, pieces: str) -> None:
        self._provider, self._name = provider, pieces
        self._bytes, self._pieces = BURST_BYTES, float(BURST_PIECES)  # left since then
        self._since_s = time.monotonic()

    def took(self, size: int) -> None:
        """One piece of `size` bytes has come. Raises `ProviderError` if that is too much."""
        self._bytes -= size
        self._pieces -= 1.0
        if self._bytes < 0 or self._pieces < 0.0:
            self._refill()

    def _refill(self) -> None:
        now = time.monotonic()
        passed_s, self._since_s = now - self._since_s, now
        self._pieces = min(float(BURST_PIECES), self._pieces + passed_s * PIECES_PER_S)
        self._bytes = min(BURST_BYTES, self._bytes + int(passed_s * BYTES_PER_S))
        if self._pieces < 0:
            raise ProviderError(self._provider, f"sent more than {PIECES_PER_S} {self._name} a second")
        if self._bytes < 0:
            raise ProviderError(self._provider, f"sent more than {BYTES_PER_S} bytes a second")

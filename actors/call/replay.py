"""The caller's audio that has not become words yet, kept for a transcriber that has to take over.

No provider resumes a session, so a new one gets this audio again. Long silence is left out: it says nothing, and some
providers accept audio hardly faster than it was spoken.
"""

from __future__ import annotations

from collections import deque

from actors.messages import Heard

PADDING_MS = 400.0  # silence kept before and after a voice
LIMIT_MS = 30_000.0


class Replay:
    """Chunks since the last final transcript, oldest first, at most 30 s."""

    def __init__(self) -> None:
        self._chunks: deque[tuple[Heard, bool]] = deque()
        self._voice_end_ms = float("-inf")

    def add(self, chunk: Heard, voiced: bool) -> None:
        if voiced:
            self._voice_end_ms = chunk.end_ms
        elif chunk.end_ms - self._voice_end_ms > PADDING_MS:
            self._trim_silence(chunk.end_ms)
        self._chunks.append((chunk, voiced))
        while self._chunks[-1][0].end_ms - self._chunks[0][0].start_ms > LIMIT_MS:
            self._chunks.popleft()

    def acknowledge(self, end_ms: float) -> None:
        """What ends before `end_ms` has become words."""
        while self._chunks and self._chunks[0][0].end_ms <= end_ms:
            self._chunks.popleft()

    def chunks(self) -> list[Heard]:
        return [chunk for chunk, _ in self._chunks]

    @property
    def length_ms(self) -> float:
        return sum(chunk.end_ms - chunk.start_ms for chunk, _ in self._chunks)

    def _trim_silence(self, now_ms: float) -> None:
        """The silence at the end is only worth keeping as the lead-in of the next voice."""
        tail: list[tuple[Heard, bool]] = []
        while self._chunks and not self._chunks[-1][1] and self._chunks[-1][0].end_ms > self._voice_end_ms + PADDING_MS:
            tail.append(self._chunks.pop())
        self._chunks.extend(entry for entry in reversed(tail) if entry[0].start_ms >= now_ms - PADDING_MS)

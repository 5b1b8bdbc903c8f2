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
        self._chunks: deque[Heard] = deque()
        self._lead_in: deque[Heard] = deque()  # the latest silence: only worth keeping if a voice follows
        self._voice_end_ms = float("-inf")

    def add(self, chunk: Heard, voiced: bool) -> None:
        if not voiced and chunk.end_ms - self._voice_end_ms > PADDING_MS:
            self._lead_in.append(chunk)
            while self._lead_in[0].start_ms < chunk.end_ms - PADDING_MS:
                self._lead_in.popleft()
            return
        if voiced:
            self._voice_end_ms = chunk.end_ms
            self._chunks += self._lead_in
            self._lead_in.clear()
        self._chunks.append(chunk)
        while chunk.end_ms - self._chunks[0].start_ms > LIMIT_MS:
            self._chunks.popleft()

    def acknowledge(self, end_ms: float) -> None:
        """What ends before `end_ms` has become words."""
        for chunks in (self._chunks, self._lead_in):
            while chunks and chunks[0].end_ms <= end_ms:
                chunks.popleft()

    def chunks(self) -> list[Heard]:
        return [*self._chunks, *self._lead_in]

    @property
    def length_ms(self) -> float:
        return sum(chunk.end_ms - chunk.start_ms for chunk in self.chunks())

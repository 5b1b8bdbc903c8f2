"""What a telephone line does to a voice: faint noise and mu-law. Digital silence exists only in tests."""

from __future__ import annotations

import numpy as np

from actors.media import g711
from actors.media.audio import FRAME_MS, PCM_8K

NOISE_RMS = 15  # of 32768: -67 dBFS, a quiet line
_NOISE_FRAMES = 101  # two seconds, then over again


class Telephone:
    """Carries the caller's frames; the same noise in every call."""

    def __init__(self) -> None:
        noise = np.random.default_rng(1876).normal(0, NOISE_RMS, (_NOISE_FRAMES, PCM_8K.frame_bytes // 2))
        self._noise = np.rint(noise).astype(np.int32)
        self._next = 0

    def carry(self, pcm: bytes | None) -> bytes:
        """A frame of PCM s16le as it arrives at the other end; None is silence."""
        noise = self._noise[self._next % _NOISE_FRAMES]
        self._next += 1
        voice = np.frombuffer(pcm or PCM_8K.silence(FRAME_MS), "<i2")
        return g711.decode(g711.encode(np.clip(voice + noise, -32768, 32767).astype("<i2").tobytes()))

"""Tells when the other side speaks: loudness per 20 ms frame, bursts of it, silence since."""

from __future__ import annotations

import math

import numpy as np

AUDIBLE_RMS = 200  # about -44 dBFS: speech is above, mu-law's idle noise (8) far below
PAUSE_S = 0.2  # shorter silence belongs to the same burst of speech


def is_audible(pcm: bytes) -> bool:
    """Whether a frame of PCM s16le can be heard."""
    if not pcm:
        return False
    samples = np.frombuffer(pcm, "<i2").astype(np.float32)
    return float(samples @ samples) > AUDIBLE_RMS**2 * len(samples)


class Ear:
    """Remembers the other side's current or last burst of speech; times in seconds, given by the caller."""

    def __init__(self) -> None:
        self.first_s: float | None = None  # the very first sound
        self.onset_s = -math.inf  # the current or last burst began
        self.last_s = -math.inf  # the last audible frame

    def hear(self, now_s: float, audible: bool) -> None:
        if not audible:
            return
        if now_s - self.last_s > PAUSE_S:
            self.onset_s = now_s
        if self.first_s is None:
            self.first_s = now_s
        self.last_s = now_s

    def silent_s(self, now_s: float) -> float:
        """How long nothing was heard; infinite before the first sound."""
        return now_s - self.last_s

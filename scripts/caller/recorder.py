"""Writes a call as a stereo WAV at 8 kHz: the caller left, the assistant right."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

RATE = 8000


class Recorder:
    """Takes one frame of each side per tick and keeps the file's size right all the time it is open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = wave.open(str(path), "wb")  # noqa: SIM115 - open as long as the call
        self._file.setnchannels(2)
        self._file.setsampwidth(2)
        self._file.setframerate(RATE)

    def add(self, caller: bytes, assistant: bytes) -> None:
        """PCM s16le of both sides, equally long."""
        stereo = np.column_stack((np.frombuffer(caller, "<i2"), np.frombuffer(assistant, "<i2")))
        self._file.writeframesraw(stereo.tobytes())

    def close(self) -> None:
        self._file.close()

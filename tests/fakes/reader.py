"""Reads known sentences in audio, whatever path it took: each word is a piece of a sentence, found by its sound."""

from __future__ import annotations

import numpy as np

ALIKE = 0.6  # of a correlation: mu-law and the noise of a line leave more than 0.9, other words reach 0.4
FLOOR = 1e4  # of a sum of squares: keeps silence from looking like anything


class Reader:
    """Called with PCM s16le at 8 kHz, answers with the words of `text` that are in it."""

    def __init__(self, text: str, pcm: bytes) -> None:
        samples = np.frombuffer(pcm, "<i2").astype(np.float32)
        self._words = text.split()
        self._pieces = np.array_split(samples, len(self._words))

    def __call__(self, pcm: bytes) -> list[str]:
        heard = np.frombuffer(pcm, "<i2").astype(np.float32)
        return [word for word, piece in zip(self._words, self._pieces, strict=True) if _is_in(piece, heard)]


def _is_in(piece: np.ndarray, heard: np.ndarray) -> bool:
    if len(heard) < len(piece):
        return False
    size = len(heard) + len(piece)
    products = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(piece, size)), size)
    products = products[: len(heard) - len(piece) + 1]
    sums = np.concatenate(([0.0], np.cumsum(heard.astype(np.float64) ** 2)))
    energy = sums[len(piece) :] - sums[: -len(piece)]
    return float(np.max(products / np.sqrt((energy + FLOOR) * float(piece @ piece)))) > ALIKE

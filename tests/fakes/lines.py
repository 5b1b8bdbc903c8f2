"""What a caller's line and room do to his voice: noise, hum, music, other talkers, a handset, a sentence cut in two.

Made of numbers, and the same each time; `Telephone` adds the network's own faint noise and mu-law to every call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.caller.ear import AUDIBLE_RMS
from tests.fakes.recorded import recordings

RATE = 8000
Samples = NDArray[np.float64]  # within +-32768


def on_line(pcm: bytes, kind: str, snr_db: float = 15.0, seed: int = 1876) -> bytes:
    """PCM s16le at 8 kHz with this sound behind it, the voice `snr_db` louder than it; kinds: see `SOUNDS`."""
    voice = np.frombuffer(pcm, "<i2").astype(np.float64)
    sound = SOUNDS[kind](len(voice), np.random.default_rng(seed))
    gain = _loudness(voice) / 10 ** (snr_db / 20) / max(float(np.sqrt(np.mean(sound**2))), 1e-9)
    return _pcm(voice + gain * sound)


def sound(kind: str, seconds: float, dbfs: float = -30.0, seed: int = 1876) -> bytes:
    """The sound alone: what is no voice, and must not be heard as one."""
    found = SOUNDS[kind](round(seconds * RATE), np.random.default_rng(seed))
    return _pcm(found * 32768 * 10 ** (dbfs / 20) / max(float(np.sqrt(np.mean(found**2))), 1e-9))


def half(pcm: bytes, share: float = 0.5) -> bytes:
    """The first part of a sentence: a caller who breaks off, or whose line does."""
    return pcm[: round(len(pcm) // 2 * share) * 2]


def handset(pcm: bytes) -> bytes:
    """Through an old telephone: 300 to 3,400 Hz."""
    spectrum = np.fft.rfft(np.frombuffer(pcm, "<i2").astype(np.float64))
    pitch = np.fft.rfftfreq(len(pcm) // 2, 1 / RATE)
    return _pcm(np.fft.irfft(spectrum * ((pitch >= 300) & (pitch <= 3400)), len(pcm) // 2))


def at_level(pcm: bytes, db: float) -> bytes:
    """Louder or, below zero, softer."""
    return _pcm(np.frombuffer(pcm, "<i2") * 10 ** (db / 20))


def _loudness(voice: Samples) -> float:
    frames = voice[: len(voice) // 160 * 160].reshape(-1, 160)
    rms = np.sqrt(np.mean(frames**2, axis=1))
    heard = rms[rms > AUDIBLE_RMS]
    return float(np.sqrt(np.mean(heard**2))) if len(heard) else AUDIBLE_RMS


def _pcm(samples: NDArray[Any]) -> bytes:
    return bytes(np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes())


def _white(count: int, rng: np.random.Generator) -> Samples:
    return rng.normal(size=count)


def _pink(count: int, rng: np.random.Generator) -> Samples:
    spectrum = np.fft.rfft(rng.normal(size=count))
    return np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), count)


def _hum(count: int, rng: np.random.Generator) -> Samples:
    seconds = np.arange(count) / RATE
    return np.sum([np.sin(2 * np.pi * 50 * n * seconds) / n for n in (1, 2, 3, 5)], axis=0)


def _keys(count: int, rng: np.random.Generator) -> Samples:
    """Somebody types: clicks of 8 ms, five a second."""
    heard = np.zeros(count)
    for at in np.cumsum(rng.integers(RATE // 10, RATE // 3, size=count * 10 // RATE + 1)):
        click = rng.normal(size=64) * np.exp(-np.arange(64) / 12)
        heard[at : at + 64] += click[: max(0, count - at)]
    return heard


def _music(count: int, rng: np.random.Generator) -> Samples:
    """Chords of a minor key with a melody above, four notes a second, each with its overtones."""
    scale = 220 * 2 ** (np.array([0, 3, 7, 8, 12, 15, 19]) / 12)
    heard, note = np.zeros(count), np.arange(RATE // 2) / RATE
    fade = np.minimum(note * 50, 1) * np.exp(-3 * note)
    for start in range(0, count, RATE // 4):
        for pitch in rng.choice(scale, 3, replace=False):
            tone = sum(np.sin(2 * np.pi * pitch * n * note) / n for n in range(1, 6)) * fade
            heard[start : start + len(note)] += tone[: count - start]
    return heard


def _ringing(count: int, rng: np.random.Generator) -> Samples:
    """Another telephone rings: one second in four."""
    seconds = np.arange(count) / RATE
    tone = np.sin(2 * np.pi * 440 * seconds) + np.sin(2 * np.pi * 480 * seconds)
    return np.where(seconds % 4 < 1, tone, 0)


def _babble(count: int, rng: np.random.Generator) -> Samples:
    """Six people who talk at once."""
    known = sorted((entry.file, entry.text, entry.voice) for _, entry in recordings())
    heard = np.zeros(count)
    for _ in range(6):
        talk = np.zeros(0)
        while len(talk) < count:
            _, text, voice = known[rng.integers(len(known))]
            talk = np.concatenate((talk, np.frombuffer(recordings().pcm(text, voice), "<i2"), np.zeros(RATE // 4)))
        heard += talk[:count]
    return heard


SOUNDS: dict[str, Callable[[int, np.random.Generator], Samples]] = {
    **{"white": _white, "pink": _pink, "hum": _hum, "keys": _keys},
    **{"music": _music, "ringing": _ringing, "babble": _babble},
}

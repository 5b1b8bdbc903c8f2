"""What comes back of an assistant's voice: models of the ways from what we play to what we hear."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actors.media import g711

RATE = 8000
Signal = NDArray[np.float64]


@dataclass(frozen=True)
class EchoPath:
    """A way back. `reverberation_ms` is the time in which the room's echo falls by 60 dB."""

    name: str
    telephone: bool = False  # a filter of 300-3400 Hz with a peak, as small loudspeakers have
    reverberation_ms: float = 0.0
    clipping: float = 0.0  # 0 linear; 1: the loudspeaker is driven far into saturation
    coded: bool = False  # G.711 on both ways
    jitter_ms: int = 0  # frames come in bursts, up to so much late
    moves_ms: float = 0.0  # in the middle of the call the delay becomes longer by this


PATHS = (
    EchoPath("line", coded=True),
    EchoPath("room", telephone=True, reverberation_ms=300, coded=True),
    EchoPath("hands-free", telephone=True, reverberation_ms=400, clipping=1.0, coded=True),
    EchoPath("jitter", telephone=True, reverberation_ms=200, coded=True, jitter_ms=60),
    EchoPath("moving", telephone=True, reverberation_ms=200, coded=True, moves_ms=120),
)


def level_db(signal: Signal) -> float:
    """Of the parts in which something is said: frames of 20 ms within 30 dB of the loudest (dB of full scale)."""
    frames = signal[: len(signal) // 160 * 160].reshape(-1, 160)
    power = (frames**2).mean(axis=1)
    return float(10 * np.log10(power[power > np.max(power) / 1000].mean() + 1e-12))


def at_level(signal: Signal, db: float) -> Signal:
    return signal * 10 ** ((db - level_db(signal)) / 20)


def from_pcm(pcm: bytes) -> Signal:
    return np.frombuffer(pcm, "<i2").astype(np.float64) / 32768


def to_pcm(signal: Signal) -> bytes:
    return np.clip(np.rint(signal * 32768), -32768, 32767).astype("<i2").tobytes()


def coded(signal: Signal) -> Signal:
    return from_pcm(g711.decode(g711.encode(to_pcm(signal))))


def echo_of(played: Signal, path: EchoPath, level: float, delay_ms: float, seed: int) -> Signal:
    """What comes back of what was played, `level` dB louder (negative: weaker) than it, as long as it was."""
    rng = np.random.default_rng(seed)
    signal = coded(played) if path.coded else played
    if path.clipping:
        driven = signal * (1 + 3 * path.clipping) / max(np.abs(signal).max(), 1e-9)
        signal = np.tanh(driven) + 0.15 * path.clipping * np.tanh(driven) ** 2
    if path.telephone or path.reverberation_ms:
        signal = np.convolve(signal, _impulse(path, rng))
    signal = signal[: len(played)]
    signal = signal * 10 ** ((level + level_db(played) - level_db(signal)) / 20)
    moved = _delayed(signal, delay_ms + path.moves_ms)
    came = _delayed(signal, delay_ms)
    half = len(played) // 2
    return np.concatenate((came[:half], moved[half:])) if path.moves_ms else came


def _impulse(path: EchoPath, rng: np.random.Generator) -> Signal:
    """A room's: a direct sound, then noise that dies away; through the telephone's band if it is one."""
    length = max(256, int(path.reverberation_ms * RATE / 1000))
    tail = rng.normal(0, 0.3, length) * 10 ** (-3 * np.arange(length) / length) if path.reverberation_ms else 0.0
    impulse = np.zeros(length) + tail
    impulse[0] += 1.0
    if not path.telephone:
        return impulse
    spectrum = np.fft.rfft(impulse, 2 * length)
    hz = np.fft.rfftfreq(2 * length, 1 / RATE)
    band = 1 / (1 + (350 / np.maximum(hz, 1)) ** 4) / (1 + (hz / 3300) ** 8)
    peak = 1 + 2 / (1 + ((hz - 1500) / 250) ** 2)
    return np.fft.irfft(spectrum * band * peak)[:length]


def _delayed(signal: Signal, ms: float) -> Signal:
    samples = int(ms * RATE / 1000)
    return np.concatenate((np.zeros(samples), signal))[: len(signal)]

"""What the simulated caller says: recorded ahead, spoken by a voice of this machine, or read from WAV files."""

from __future__ import annotations

import wave
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from actors.media.audio import PCM_8K, AudioFormat, Encoding
from actors.media.resample import LEGAL_RATES, Converter
from config.errors import ConfigError
from scripts.caller.ear import is_audible
from scripts.caller.plan import Sentence
from transports.recordings import Recordings, shipped


def frames(pcm: bytes) -> Iterator[bytes]:
    """PCM in frames of 20 ms, the last one padded with silence."""
    size = PCM_8K.frame_bytes
    for start in range(0, len(pcm), size):
        yield pcm[start : start + size].ljust(size, b"\0")


def trim(pcm: bytes) -> bytes:
    """Without the inaudible frames at both ends: the end of a sentence is the end of its sound."""
    pieces = list(frames(pcm))
    heard = [index for index, piece in enumerate(pieces) if is_audible(piece)]
    return b"".join(pieces[heard[0] : heard[-1] + 1]) if heard else b""


def recorded_sentences(
    texts: Sequence[str], voice: str = "", recordings: Recordings | None = None
) -> tuple[Sentence, ...]:
    """Those that were spoken ahead, in this voice or any. Raises `NotRecorded`."""
    known = recordings or shipped()
    voice = voice or next(iter(known.voices(texts)), "")  # one person says all of it, where that can be
    return tuple(Sentence(text, trim(known.pcm(text, voice))) for text in texts)


async def speak_sentences(texts: Sequence[str], voice: str = "") -> tuple[Sentence, ...]:
    """Say them in this voice or the best that is at hand (`transports.caller_voice`). Afterwards `close_engines()`."""
    from transports.caller_voice import speak

    spoken = await speak(texts, voice)
    return tuple(Sentence(text, trim(pcm), spoken.voice) for text, pcm in zip(texts, spoken.pcm, strict=True))


def read_sentence(path: Path) -> Sentence:
    """A WAV file of 16-bit samples, any rate; of several channels the mean is taken."""
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            raw = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ConfigError(f"--wav {path}: not a PCM WAV file: {str(error) or 'it ends too early'}") from None
    except OSError as error:
        raise ConfigError(f"--wav {path}: {error.strerror}") from None
    if width != 2:
        raise ConfigError(f"--wav {path}: {8 * width} bits per sample; legal: 16")
    if rate not in LEGAL_RATES:
        raise ConfigError(f"--wav {path}: {rate} samples per second; legal: {LEGAL_RATES[0]} to {LEGAL_RATES[-1]}")
    raw = raw[: len(raw) // (2 * channels) * 2 * channels]  # cut off in the middle of a sample
    samples = np.frombuffer(raw, "<i2").reshape(-1, channels)
    mono = samples if channels == 1 else np.rint(samples.mean(axis=1))
    converter = Converter(AudioFormat(Encoding.PCM, rate), PCM_8K)
    pcm = trim(converter.convert(mono.astype("<i2").tobytes()) + converter.flush())
    if not pcm:
        raise ConfigError(f"--wav {path}: nothing can be heard in it")
    return Sentence(path.name, pcm)

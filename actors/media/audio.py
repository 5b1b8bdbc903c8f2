"""The vocabulary of audio: encodings, formats and the lengths that follow from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

FRAME_MS = 20


class Encoding(Enum):
    """How one sample is written."""

    PCM = "pcm_s16le"  # 16-bit signed little-endian
    MULAW = "mulaw"  # ITU-T G.711 mu-law


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Mono audio: one encoding at one rate (samples per second)."""

    encoding: Encoding
    rate: int
    # known from the two above, and asked for in every frame of every call
    sample_bytes: int = field(init=False, repr=False, compare=False)
    frame_bytes: int = field(init=False, repr=False, compare=False)  # of one 20 ms frame

    def __post_init__(self) -> None:
        sample_bytes = 2 if self.encoding is Encoding.PCM else 1
        object.__setattr__(self, "sample_bytes", sample_bytes)
        object.__setattr__(self, "frame_bytes", self.rate * FRAME_MS // 1000 * sample_bytes)

    def duration_ms(self, payload_bytes: int) -> float:
        return payload_bytes * 1000 / (self.rate * self.sample_bytes)

    def silence(self, ms: int) -> bytes:
        """`ms` of silence: zero for PCM, 0xff for mu-law."""
        count = self.rate * ms // 1000 * self.sample_bytes
        return (b"\xff" if self.encoding is Encoding.MULAW else b"\0") * count


MULAW_8K = AudioFormat(Encoding.MULAW, 8000)
PCM_8K = AudioFormat(Encoding.PCM, 8000)
PCM_16K = AudioFormat(Encoding.PCM, 16000)

"""G.711 mu-law by table: one numpy look-up for any number of samples.

Bit-exact with the Sun reference code (g711.c, as in CPython's audioop): 16-bit samples are shifted to 14 bits first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BIAS = 0x21
_CLIP = 8158  # the loudest magnitude whose code still fits; audioop gives 8159 and above the same code
_SEGMENT_ENDS = np.array([0x3F, 0x7F, 0xFF, 0x1FF, 0x3FF, 0x7FF, 0xFFF, 0x1FFF])


def _decode_table() -> NDArray[np.int16]:
    code = ~np.arange(256) & 0xFF
    segment, mantissa = (code >> 4) & 7, code & 0xF
    magnitude = (((mantissa << 1) + _BIAS) << segment) - _BIAS
    return (np.where(code & 0x80, -magnitude, magnitude) << 2).astype("<i2")


def _encode_table() -> NDArray[np.uint8]:
    """Indexed by the sample's 16 bits read as unsigned."""
    sample = np.arange(65536).astype(np.uint16).view(np.int16).astype(np.int64) >> 2
    magnitude = np.minimum(np.abs(sample), _CLIP) + _BIAS
    segment = np.searchsorted(_SEGMENT_ENDS, magnitude)
    code = (segment << 4) | ((magnitude >> (segment + 1)) & 0xF)
    return np.asarray(code ^ np.where(sample < 0, 0x7F, 0xFF), np.uint8)


# `take` with mode="clip", which an index of 8 or 16 bits never needs, is three times as quick as `[...]`
_DECODE = _decode_table()
_TO_FLOAT = _DECODE.astype(np.float32) / np.float32(32768)
_ENCODE = _encode_table()


def decode(mulaw: bytes) -> bytes:
    """Mu-law bytes to 16-bit little-endian PCM, twice as long."""
    return _DECODE.take(np.frombuffer(mulaw, np.uint8), mode="clip").tobytes()


def to_float(mulaw: bytes) -> NDArray[np.float32]:
    """Mu-law bytes to samples within +-1."""
    return _TO_FLOAT.take(np.frombuffer(mulaw, np.uint8), mode="clip")


def encode(pcm: bytes) -> bytes:
    """16-bit little-endian PCM (whole samples) to mu-law bytes, half as long."""
    return _ENCODE.take(np.frombuffer(pcm, "<u2"), mode="clip").tobytes()

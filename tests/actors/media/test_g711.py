"""Mu-law by table, against CPython's audioop (in the standard library until 3.12)."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from actors.media import g711

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    audioop = pytest.importorskip("audioop")

EVERY_SAMPLE = np.arange(65536, dtype="<u2").tobytes()
EVERY_CODE = bytes(range(256))


def test_encoding_every_sample_is_bit_exact():
    assert g711.encode(EVERY_SAMPLE) == audioop.lin2ulaw(EVERY_SAMPLE, 2)


def test_decoding_every_code_is_bit_exact():
    assert g711.decode(EVERY_CODE) == audioop.ulaw2lin(EVERY_CODE, 2)


def test_silence_stays_silence():
    assert g711.decode(b"\xff" * 160) == bytes(320)
    assert g711.encode(bytes(320)) == b"\xff" * 160


def test_nothing_gives_nothing():
    assert g711.decode(b"") == b"" == g711.encode(b"")


def test_half_a_sample_is_refused():
    with pytest.raises(ValueError, match="multiple"):
        g711.encode(b"\0\0\0")

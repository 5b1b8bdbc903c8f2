from __future__ import annotations

import math

import numpy as np
import pytest

from actors.media import g711
from scripts.caller.ear import Ear, is_audible


def tone(amplitude: int) -> bytes:
    return (amplitude * np.sin(np.arange(160) * 2 * math.pi * 400 / 8000)).astype("<i2").tobytes()


@pytest.mark.parametrize(
    ("pcm", "audible"),
    [(tone(3000), True), (tone(400), True), (tone(100), False), (bytes(320), False), (b"", False)],
)
def test_loudness_decides(pcm: bytes, audible: bool) -> None:
    assert is_audible(pcm) is audible


def test_mu_law_silence_is_silence() -> None:
    assert not is_audible(g711.decode(b"\xff" * 160))
    assert not is_audible(g711.decode(b"\x7f\x7e" * 80))


def test_short_pauses_belong_to_the_burst() -> None:
    ear = Ear()
    assert ear.silent_s(1.0) == math.inf
    for now, audible in ((1.0, True), (1.1, False), (1.2, True), (1.5, False)):
        ear.hear(now, audible)
    assert (ear.first_s, ear.onset_s, ear.last_s) == (1.0, 1.0, 1.2)
    assert ear.silent_s(1.5) == pytest.approx(0.3)
    ear.hear(1.6, True)
    assert (ear.first_s, ear.onset_s) == (1.0, 1.6)

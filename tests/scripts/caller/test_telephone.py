from __future__ import annotations

import numpy as np
import pytest

from scripts.caller.ear import is_audible
from scripts.caller.telephone import NOISE_RMS, Telephone


def test_silence_becomes_a_faint_noise_that_nobody_hears() -> None:
    telephone = Telephone()
    frames = [telephone.carry(None) for _ in range(250)]
    assert {len(frame) for frame in frames} == {320}
    assert not any(is_audible(frame) for frame in frames)
    noise = np.frombuffer(b"".join(frames), "<i2").astype(float)
    assert np.sqrt(np.mean(noise**2)) == pytest.approx(NOISE_RMS, rel=0.15)


def test_a_voice_comes_through_and_does_not_overflow() -> None:
    voice = np.array([32767, -32768] * 80, "<i2")
    heard = np.frombuffer(Telephone().carry(voice.tobytes()), "<i2").astype(int)
    assert np.abs(heard - voice).max() < 1100  # half a step of mu-law at full scale, and its clipping
    assert Telephone().carry(None) == Telephone().carry(None)

"""The lines that callers of tests speak through: as loud as they say, and the same each time."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.caller.sentences import trim
from tests.fakes.lines import SOUNDS, at_level, half, handset, on_line, sound
from tests.fakes.recorded import pcm_of

VOICE = trim(pcm_of("what are your opening hours"))


def rms(pcm: bytes) -> float:
    return float(np.sqrt(np.mean(np.frombuffer(pcm, "<i2").astype(float) ** 2)))


@pytest.mark.parametrize("kind", SOUNDS)
def test_a_sound_is_as_far_below_the_voice_as_it_says(kind: str) -> None:
    noisy = on_line(VOICE, kind, 10)
    behind = np.frombuffer(noisy, "<i2").astype(float) - np.frombuffer(VOICE, "<i2")
    assert 20 * np.log10(rms(VOICE) / np.sqrt(np.mean(behind**2))) == pytest.approx(10, abs=1.5)
    assert noisy == on_line(VOICE, kind, 10) and len(noisy) == len(VOICE)


@pytest.mark.parametrize("kind", SOUNDS)
def test_a_sound_alone(kind: str) -> None:
    heard = sound(kind, 4.0, -30)
    assert len(heard) == 4 * 8000 * 2 and 20 * np.log10(rms(heard) / 32768) == pytest.approx(-30, abs=0.5)


def test_a_handset_takes_what_is_low_and_high_and_leaves_the_voice() -> None:
    seconds = np.arange(8000) / 8000
    low, middle = (np.rint(8000 * np.sin(2 * np.pi * hz * seconds)).astype("<i2").tobytes() for hz in (100, 1000))
    assert rms(handset(low)) < rms(low) / 100 and rms(handset(middle)) == pytest.approx(rms(middle), rel=0.01)


def test_half_a_sentence_and_a_soft_one() -> None:
    assert half(VOICE, 0.4) == VOICE[: len(half(VOICE, 0.4))] and len(half(VOICE, 0.4)) == pytest.approx(
        0.4 * len(VOICE), abs=2
    )
    assert 20 * np.log10(rms(at_level(VOICE, -12)) / rms(VOICE)) == pytest.approx(-12, abs=0.1)

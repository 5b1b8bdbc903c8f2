"""How long providers may take: never less than configured, more for one that is slow, never for ever."""

from __future__ import annotations

import random

import pytest

from actors.services.patience import MOST_TIMES, Patience, Waits


def test_what_nobody_knows_waits_as_configured() -> None:
    assert Waits().deadline_s(700) == 0.7


def test_a_fast_provider_does_not_shorten_what_is_configured() -> None:
    waits = Waits()
    for _ in range(50):
        waits.took(0.02)
    assert waits.deadline_s(700) == 0.7


@pytest.mark.parametrize("mean_s", [0.5, 1.0, 1.5])
def test_a_slow_provider_is_waited_for(mean_s: float) -> None:
    waits, dice = Waits(), random.Random(1)
    times = [dice.uniform(0.8, 1.2) * mean_s for _ in range(200)]
    for seconds in times[:100]:
        waits.took(seconds)
    assert all(seconds < waits.deadline_s(700) for seconds in times[100:])


def test_a_deadline_that_is_too_short_grows_until_answers_come() -> None:
    """The provider has become slow at once: nothing answers within the deadline, so nothing else would tell."""
    waits = Waits()
    for _ in range(100):
        waits.took(0.1)
    tries = 0
    while (deadline_s := waits.deadline_s(700)) < 1.5:
        waits.in_vain(deadline_s)
        tries += 1
        assert tries <= 6
    for _ in range(100):
        waits.took(0.1)
    assert waits.deadline_s(700) == 0.7


def test_a_dead_provider_is_not_waited_for_for_ever() -> None:
    waits = Waits()
    for _ in range(1000):
        waits.in_vain(waits.deadline_s(700))
    assert waits.deadline_s(700) == pytest.approx(MOST_TIMES * 0.7)


def test_a_wait_that_was_given_up_early_says_nothing() -> None:
    """A wait of 0.1 s in vain: the provider takes at least that, which everybody knew."""
    waits = Waits()
    waits.took(1.0)
    before = waits.deadline_s(100)
    waits.in_vain(0.1)
    assert waits.deadline_s(100) == before


def test_each_provider_and_each_thing_has_its_own() -> None:
    patience = Patience()
    patience.of("stt", "deepgram", "first").took(2.0)
    assert patience.of("stt", "deepgram", "first").deadline_s(1000) > 2
    assert patience.of("stt", "deepgram", "connect").deadline_s(1000) == 1
    assert patience.of("tts", "deepgram", "first").deadline_s(1000) == 1
    assert patience.of("stt", "embedded", "first").deadline_s(1000) == 1

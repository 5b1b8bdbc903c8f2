"""Where speech begins and ends."""

from __future__ import annotations

import pytest

from actors.media.speech import DOUBT, START, STAY, SpeechDetector, SpeechEnded, SpeechStarted
from config.assistant import Endpointing

LOUD, UNSURE, QUIET = 0.9, (START + STAY) / 2, 0.1
ENDPOINTING = Endpointing(silence_ms=400, min_speech_ms=90)


def events(*stretches: tuple[float, int], endpointing: Endpointing = ENDPOINTING, window_ms: float = 10):
    """What comes of (probability, windows) in turn."""
    detector = SpeechDetector(endpointing)
    found = [detector.process(value, window_ms) for value, count in stretches for _ in range(count)]
    return [event for event in found if event is not None]


def test_silence_and_noise_are_nothing():
    assert events((QUIET, 100), (UNSURE, 100)) == []


def test_a_sentence_starts_and_ends_once_with_its_own_times():
    assert events((QUIET, 50), (LOUD, 100), (QUIET, 100)) == [SpeechStarted(500), SpeechEnded(1500)]


def test_the_times_of_the_events_are_where_they_are_told():
    detector = SpeechDetector(ENDPOINTING)
    told = {}
    for index in range(300):
        event = detector.process(LOUD if 50 <= index < 150 else QUIET, 10)
        if event is not None:
            told[type(event)] = (index + 1) * 10
    assert told == {SpeechStarted: 500 + 90, SpeechEnded: 1500 + 400}


@pytest.mark.parametrize(("windows", "count"), [(8, 0), (9, 2)])
def test_what_is_shorter_than_min_speech_is_a_click(windows, count):
    assert len(events((QUIET, 10), (LOUD, windows), (QUIET, 100))) == count


def test_min_speech_of_nothing_takes_the_first_window():
    assert events((LOUD, 1), endpointing=Endpointing(min_speech_ms=0)) == [SpeechStarted(0)]


def test_a_short_pause_is_no_end():
    assert events((LOUD, 50), (QUIET, 39), (LOUD, 50), (QUIET, 50)) == [SpeechStarted(0), SpeechEnded(500 + 390 + 500)]


def test_between_the_thresholds_speech_stays_but_does_not_begin():
    assert events((UNSURE, 50), (LOUD, 10), (UNSURE, 100), (QUIET, 40)) == [SpeechStarted(500), SpeechEnded(1600)]


def test_noise_after_speech_does_not_hold_the_turn_open():
    assert events((LOUD, 50), (QUIET, 1), (UNSURE, 200)) == [SpeechStarted(0), SpeechEnded(500)]


def test_it_hears_a_second_sentence():
    assert [type(event) for event in events((LOUD, 30), (QUIET, 50), (LOUD, 30), (QUIET, 50))] == [
        SpeechStarted,
        SpeechEnded,
    ] * 2


def test_a_voice_in_doubt_begins_nothing_but_belongs_to_what_begins_behind_it():
    assert events((DOUBT, 100)) == []
    assert events((QUIET, 10), (LOUD, 8), (QUIET, 100)) == []
    assert events((QUIET, 10), (DOUBT, 1), (LOUD, 8)) == [SpeechStarted(100)]
    assert events((QUIET, 10), (DOUBT, 50), (LOUD, 8)) == [SpeechStarted(590)]  # of them the last one
    assert events((QUIET, 10), (DOUBT, 1), (QUIET, 1), (LOUD, 8), (QUIET, 100)) == []


def test_a_voice_in_doubt_ends_speech_as_silence_does():
    assert events((LOUD, 50), (DOUBT, 200)) == [SpeechStarted(0), SpeechEnded(500)]

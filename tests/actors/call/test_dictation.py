"""What a recognizer owes, without a clock: when it is asked, what is believed, what comes too late."""

from __future__ import annotations

import pytest

from actors.call.dictation import Dictation
from actors.messages import Heard, Transcript, TurnEnded
from actors.providers.spec import Interim


def feed(dictation: Dictation, start_ms: float, end_ms: float, voiced: bool = False) -> None:
    for at_ms in range(int(start_ms), int(end_ms), 20):
        dictation.feed(Heard(b"", at_ms, at_ms + 20.0, voiced))


def opened() -> Dictation:
    dictation = Dictation()
    dictation.open = True
    return dictation


def asked(until_ms: float = 1100.0) -> Dictation:
    """It has heard a second of voice and half a second of silence, and was asked for it."""
    dictation = opened()
    feed(dictation, 0, 1000, voiced=True)
    feed(dictation, 1000, 1500)
    dictation.ask(until_ms)
    assert dictation.take_question()
    return dictation


def test_a_question_waits_until_the_session_is_open():
    dictation = Dictation()
    feed(dictation, 0, 1500)
    dictation.ask(1100.0)
    assert not dictation.take_question()
    dictation.open = True
    assert dictation.take_question() and dictation.owes
    assert not dictation.take_question()


def test_a_question_does_not_overtake_the_audio_that_it_ends():
    dictation = opened()
    dictation.ask(1100.0)  # it comes before the replayed audio
    feed(dictation, 0, 1000, voiced=True)
    assert not dictation.take_question()
    feed(dictation, 1000, 1100)
    assert dictation.take_question()


def test_a_question_that_waits_is_dropped_when_the_caller_goes_on():
    dictation = Dictation()
    feed(dictation, 0, 1500)
    dictation.ask(1100.0)
    feed(dictation, 1500, 1600, voiced=True)
    dictation.open = True
    assert not dictation.take_question()


def test_the_voice_that_is_only_reported_late_as_ended_drops_nothing():
    """The VAD needs 100 ms to be sure that a voice has ended: that audio still counts as voiced."""
    dictation = Dictation()
    dictation.ask(1100.0)
    feed(dictation, 0, 1140, voiced=True)
    feed(dictation, 1140, 1300)
    dictation.open = True
    assert dictation.take_question()


def test_words_for_all_of_the_audio_are_believed_when_they_are_not_confirmed():
    dictation = asked()
    dictation.interim(Interim("hello there", 1200.0))
    assert dictation.settle() == []  # it has just said something new: more may come
    assert dictation.settle() == [Transcript("hello there", True, 1100.0), TurnEnded()]
    assert not dictation.owes


def test_words_for_a_part_of_the_audio_are_not_believed():
    dictation = asked()
    dictation.interim(Interim("hello", 600.0))
    assert dictation.settle() == dictation.settle() == []
    assert dictation.owes


def test_without_words_nothing_is_believed():
    dictation = asked()
    dictation.interim(Interim("", 1500.0))
    assert dictation.settle() == dictation.settle() == []


def settled() -> Dictation:
    dictation = asked()
    dictation.interim(Interim("hello there"))
    dictation.settle()
    assert dictation.settle()
    return dictation


def test_what_a_settled_turn_still_brings_is_swallowed():
    dictation = settled()
    assert dictation.interim(Interim("hello there")) == []
    assert dictation.final("hello there", 1000.0) == []
    assert dictation.end_of_turn() == []
    feed(dictation, 1500, 3000, voiced=True)
    assert dictation.final("and goodbye", 3000.0) == [Transcript("and goodbye", True, 3000.0)]
    assert dictation.end_of_turn() == [TurnEnded()]


def test_what_goes_on_behind_a_settled_turn_is_new_without_what_is_known():
    dictation = settled()
    feed(dictation, 1500, 3000, voiced=True)
    assert dictation.interim(Interim("hello there and")) == [Transcript("and", False, 3000.0)]
    assert dictation.final("hello there and goodbye", 3000.0) == [Transcript("and goodbye", True, 3000.0)]
    assert dictation.end_of_turn() == [TurnEnded()]


def test_the_answer_to_the_next_question_is_not_taken_for_a_late_one():
    dictation = settled()
    feed(dictation, 1500, 3000, voiced=True)
    feed(dictation, 3000, 3200)
    dictation.ask(3100.0)
    assert dictation.take_question()
    assert dictation.final("hello there", 1000.0) == []
    assert dictation.end_of_turn() == [TurnEnded()]


def test_times_are_the_callers_also_behind_silence_that_was_left_out():
    dictation = opened()
    feed(dictation, 2000, 3000, voiced=True)
    feed(dictation, 8000, 9000, voiced=True)
    assert dictation.final("one", 900.0) == [Transcript("one", True, 2900.0)]
    assert dictation.final("two", 1900.0) == [Transcript("two", True, 8900.0)]
    assert dictation.replays == 1


def test_a_turn_is_not_over_when_the_caller_has_gone_on_behind_the_question():
    """The answer to it is late: what he has said since would belong to no turn, or to two."""
    dictation = asked()
    feed(dictation, 1500, 2000, voiced=True)
    assert dictation.final("what time", 1100.0) == [Transcript("what time", True, 1100.0)]
    assert dictation.end_of_turn() == [] and not dictation.owes
    feed(dictation, 2000, 2600)  # nor if he is silent again by now
    dictation.ask(2100.0)
    assert dictation.take_question()
    assert dictation.final("is it", 2150.0) == [Transcript("is it", True, 2150.0)]
    assert dictation.end_of_turn() == [TurnEnded()]


def test_the_answers_to_two_questions_may_both_be_overtaken():
    dictation = asked()
    feed(dictation, 1500, 2000, voiced=True)
    feed(dictation, 2000, 2600)
    dictation.ask(2100.0)
    assert dictation.take_question()
    feed(dictation, 2600, 3000, voiced=True)
    assert dictation.end_of_turn() == dictation.end_of_turn() == []
    assert dictation.end_of_turn() == [TurnEnded()]  # of its own accord


def test_an_answer_that_covers_all_that_the_caller_has_said_since_ends_the_turn():
    dictation = asked()
    feed(dictation, 1500, 2000, voiced=True)
    dictation.final("what time is it", 1980.0)
    assert dictation.end_of_turn() == [TurnEnded()]


def test_who_knows_of_turns_ends_them_also_in_a_noise():
    """Nobody has asked: the VAD may be wrong about the voice."""
    dictation = opened()
    feed(dictation, 0, 3000, voiced=True)
    dictation.final("what time is it", 1980.0)
    assert dictation.end_of_turn() == [TurnEnded()]


# --- finals that come late, empty, or never ---------------------------------------------------------------------------


def ended_without_a_final() -> Dictation:
    """The recognizer has answered, and not confirmed what it had said so far."""
    dictation = asked()
    dictation.interim(Interim("hello there", 1000.0))
    assert dictation.end_of_turn(1100.0) == [Transcript("hello there", True, 1100.0), TurnEnded()]
    return dictation


@pytest.mark.parametrize("spelling", ["hello there", "Hello there.", "Hello, there!"])
def test_words_that_nobody_confirmed_are_taken_once(spelling: str):
    dictation = ended_without_a_final()
    assert dictation.final(spelling, 1000.0) == []  # a second late
    assert dictation.end_of_turn(1100.0) == []


@pytest.mark.parametrize("spelling", ["hello there and goodbye", "Hello there. and goodbye"])
def test_what_comes_with_the_next_utterance_is_taken_once(spelling: str):
    dictation = ended_without_a_final()
    feed(dictation, 1500, 3000, voiced=True)
    assert dictation.interim(Interim(spelling, 2900.0)) == [Transcript("and goodbye", False, 2900.0)]
    assert dictation.final(spelling, 3000.0) == [Transcript("and goodbye", True, 3000.0)]
    assert dictation.end_of_turn(3000.0) == [TurnEnded()]


def test_a_late_final_takes_nothing_from_the_words_of_the_next_turn():
    dictation = ended_without_a_final()
    feed(dictation, 1500, 3000, voiced=True)
    dictation.interim(Interim("and goodbye", 2900.0))
    assert dictation.final("hello there", 1000.0) == []
    assert dictation.end_of_turn(3000.0) == [Transcript("and goodbye", True, 2900.0), TurnEnded()]


def test_the_same_words_said_again_are_said_again():
    dictation = ended_without_a_final()
    feed(dictation, 1500, 3000, voiced=True)
    assert dictation.final("hello there", 3000.0) == [Transcript("hello there", True, 3000.0)]


def test_an_empty_final_keeps_the_words():
    dictation = asked()
    dictation.interim(Interim("hello there", 1000.0))
    assert dictation.final("", 1100.0) == [Transcript("hello there", True, 1100.0)]
    assert dictation.end_of_turn() == [TurnEnded()]


def test_what_follows_an_empty_final_may_have_its_words_again():
    dictation = opened()
    feed(dictation, 0, 1000, voiced=True)
    dictation.interim(Interim("hello", 500.0))
    dictation.final("", 600.0)
    assert dictation.interim(Interim("Hello there", 900.0)) == [Transcript("there", False, 900.0)]
    assert dictation.final("Hello there.", 1000.0) == [Transcript("there.", True, 1000.0)]


def test_an_answer_to_an_earlier_question_is_none_to_this_one():
    dictation = settled()
    feed(dictation, 1500, 3000, voiced=True)
    feed(dictation, 3000, 3200)
    dictation.ask(3100.0)
    assert dictation.take_question()
    assert dictation.final("hello there", 1000.0) == []
    assert dictation.end_of_turn(1100.0) == [] and dictation.owes
    assert dictation.final("goodbye", 3000.0) == [Transcript("goodbye", True, 3000.0)]
    assert dictation.end_of_turn(3100.0) == [TurnEnded()]


def test_a_question_that_is_never_answered_has_no_effect_on_the_next_turn():
    dictation = settled()
    feed(dictation, 1500, 3000, voiced=True)
    feed(dictation, 3000, 3200)
    dictation.ask(3100.0)
    assert dictation.take_question()
    dictation.interim(Interim("goodbye", 3000.0))
    assert dictation.end_of_turn(3100.0) == [Transcript("goodbye", True, 3100.0), TurnEnded()]


def test_a_late_end_of_turn_does_not_end_the_next_one():
    dictation = settled()
    feed(dictation, 1500, 2000, voiced=True)
    dictation.interim(Interim("and", 1900.0))
    assert dictation.end_of_turn() == []


@pytest.mark.parametrize("nothing", ["   ", ".", " … ", "[BLANK_AUDIO]", "(coughs)", "<noise>.", "*sigh*", "♪ ♪"])
def test_marks_and_notes_are_no_words(nothing: str):
    dictation = opened()
    feed(dictation, 0, 2000, voiced=True)
    assert dictation.interim(Interim(nothing, 500.0)) == [Transcript("", False, 500.0)]
    assert dictation.final(nothing, 1000.0) == [Transcript("", True, 1000.0)]
    dictation.interim(Interim("(hello) you", 1500.0))
    assert dictation.final(nothing, 2000.0) == [Transcript("(hello) you", True, 2000.0)]


def test_what_reaches_no_further_than_the_silence_behind_a_settled_turn_is_not_of_the_next_voice():
    """A slow recognizer repeats the words of the turn, up to the silence after it, while the caller speaks again."""
    dictation = settled()
    feed(dictation, 1500, 2000)
    feed(dictation, 2000, 2500, voiced=True)
    assert dictation.interim(Interim("hello there", 1800.0)) == []
    assert dictation.final("Hello there.", 1900.0) == []
    assert dictation.final("hello there", 2500.0) == [Transcript("hello there", True, 2500.0)]


@pytest.mark.parametrize(
    ("early", "late", "rest"),
    [
        ("four two", "Four two one seven.", "one seven."),
        ("ich möchte", "Ich möchte, bitte, einen Termin", "bitte, einen Termin"),
        ("你好", "你好。我想订位", "我想订位"),
        ("もしもし", "もしもし予約です", "予約です"),
    ],
)
def test_a_late_final_that_goes_on_behind_the_words_that_were_believed_loses_nothing(early: str, late: str, rest: str):
    """Who says no times for its interims may not have heard all of the audio when it is believed."""
    dictation = asked()
    dictation.interim(Interim(early))
    assert dictation.settle() == []
    assert dictation.settle() == [Transcript(early, True, 1100.0), TurnEnded()]
    assert dictation.final(late, 1100.0) == [Transcript(rest, True, 1100.0)]
    assert dictation.end_of_turn() == [TurnEnded()]


def test_the_words_that_were_believed_may_come_late_in_several_pieces():
    dictation = asked()
    dictation.interim(Interim("four two one"))
    assert dictation.settle() == [] and dictation.settle()
    assert dictation.final("four two", 800.0) == []
    assert dictation.final("one seven", 1100.0) == [Transcript("seven", True, 1100.0)]


def test_a_final_for_all_of_the_audio_is_an_answer_though_it_does_not_say_so():
    dictation = asked()
    dictation.final("hello there", 1100.0)
    assert dictation.settle() == []  # more may come
    assert dictation.settle() == [TurnEnded()] and not dictation.owes


def test_an_answer_is_not_waited_for_when_the_caller_has_gone_on():
    """What the recognizer has by then is the beginning of more words: they would come twice."""
    dictation = asked()
    dictation.final("what time", 1100.0)
    feed(dictation, 1500, 2500, voiced=True)
    dictation.interim(Interim("is it in", 2300.0))
    assert dictation.settle() == [] and not dictation.owes
    feed(dictation, 2500, 3000)
    dictation.ask(2600.0)
    assert dictation.take_question()
    assert dictation.final("is it in Rome", 2600.0) == [Transcript("is it in Rome", True, 2600.0)]
    assert dictation.end_of_turn(2600.0) == [TurnEnded()]


def test_the_words_of_a_settled_turn_may_come_even_behind_its_late_end():
    dictation = settled()
    assert dictation.end_of_turn() == []
    assert dictation.final("hello there", 1000.0) == []
    feed(dictation, 1500, 3000, voiced=True)
    dictation.interim(Interim("and goodbye"))
    assert dictation.end_of_turn() == [Transcript("and goodbye", True, 3000.0), TurnEnded()]


def test_an_end_that_answers_an_earlier_question_does_not_answer_the_last_one():
    dictation = asked()
    feed(dictation, 1500, 2000, voiced=True)
    feed(dictation, 2000, 2300)
    assert dictation.settle() == [] and not dictation.owes  # he has gone on
    dictation.ask(2100.0)
    assert dictation.take_question()
    dictation.interim(Interim("hello", 1100.0))
    assert dictation.end_of_turn(1100.0) == [Transcript("hello", True, 1100.0)] and dictation.owes
    assert dictation.final("hello", 1100.0) == []
    dictation.interim(Interim("there", 2100.0))
    assert dictation.end_of_turn(2100.0) == [Transcript("there", True, 2100.0), TurnEnded()]


def test_a_late_final_of_all_that_was_believed_says_where_it_ends():
    dictation = asked()
    feed(dictation, 1500, 2000)
    dictation.interim(Interim("hello there"))  # it says no times, and came late
    assert dictation.end_of_turn() == [Transcript("hello there", True, 2000.0), TurnEnded()]
    assert dictation.final("Hello there.", 1000.0) == []
    assert dictation.final("and goodbye", 1500.0) == [Transcript("and goodbye", True, 1500.0)]


def test_an_end_that_says_its_time_settles_the_words_before_it_though_the_caller_goes_on():
    dictation = opened()
    feed(dictation, 0, 1000, voiced=True)
    dictation.interim(Interim("hello", 500.0))
    assert dictation.end_of_turn(500.0) == [Transcript("hello", True, 500.0), TurnEnded()]
    assert dictation.final("hello", 500.0) == []
    assert dictation.final("there", 1000.0) == [Transcript("there", True, 1000.0)]


def test_the_words_before_an_end_that_the_caller_has_overtaken_are_kept_though_no_final_comes():
    dictation = asked()
    feed(dictation, 1500, 2400, voiced=True)
    dictation.interim(Interim("hello", 1100.0))
    assert dictation.end_of_turn(1100.0) == [Transcript("hello", True, 1100.0)]  # the turn goes on
    dictation.interim(Interim("there", 2400.0))
    assert dictation.final("", 2400.0) == [Transcript("there", True, 2400.0)]


def test_an_empty_final_behind_what_was_believed_and_confirmed_confirms_what_is_new():
    dictation = asked()
    feed(dictation, 1500, 2400, voiced=True)
    dictation.interim(Interim("hello", 1100.0))
    dictation.end_of_turn(1100.0)
    assert dictation.final("", 1100.0) == []
    dictation.interim(Interim("there", 2400.0))
    assert dictation.final("", 2400.0) == [Transcript("there", True, 2400.0)]

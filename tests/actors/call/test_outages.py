"""Providers that are slow or away for a while, as the caller hears it: in virtual time."""

from __future__ import annotations

from typing import Any

import pytest

from actors.call.effects import Filled
from actors.call.floor import Floor
from actors.errors import Result, Termination
from actors.messages import Ask, CancelSpeech, FlushPlayout, SegmentSpoken, Speak, Transcript
from tests.actors.call.stage import Stage

FILLER = "One moment, please."


def fillers(stage: Stage, effects: list[Any] | None = None) -> list[Speak]:
    return [message for message in stage.sent(Speak, effects) if message.text == FILLER]


def says_without_transcript(stage: Stage, voice_ms: float = 1000.0) -> None:
    """The caller has spoken, and the transcriber, who was asked, is silent."""
    start = stage.now * 1000
    stage.do("voice_started", start)
    stage.wait(voice_ms / 1000 + 0.1)
    stage.do("voice_ended", start + voice_ms)
    stage.wait(0.3)


def test_a_caller_who_waits_for_an_answer_is_asked_for_patience_once(stage: Stage):
    stage.caller_says("what time is it")
    assert not fillers(stage, stage.wait(1.4))
    assert fillers(stage, stage.wait(0.2))
    assert [e for e in stage.effects if isinstance(e, Filled)] == [Filled(1)]
    assert not fillers(stage, stage.wait(8.0))


def test_so_is_one_whose_words_are_not_known_yet(stage: Stage):
    says_without_transcript(stage)
    assert fillers(stage, stage.wait(2.0))
    assert stage.floor is Floor.SETTLING
    stage.do("heard", Transcript("what time is it", True, stage.now * 1000))
    stage.do("turn_ended")
    assert [m.text for m in stage.sent(Ask)[-1].question.history] == ["Hello there.", "what time is it"]


def test_the_answer_follows_the_filler_which_is_no_part_of_the_conversation(stage: Stage):
    stage.caller_says("what time is it")
    stage.wait(2.0)
    (filler,) = fillers(stage)
    stage.do("playout_started", filler.utterance)
    assert stage.floor is Floor.THINKING
    stage.answer("It is noon.")
    assert stage.sent(Speak)[-1].utterance > filler.utterance  # utterances are played by their numbers
    stage.do("playout_done", filler.utterance)
    stage.speak_out()
    assert [text for _, text, _ in stage.said()] == ["Hello there.", "what time is it", "It is noon."]
    stage.caller_says("thank you")
    assert [m.text for m in stage.sent(Ask)[-1].question.history][-2:] == ["It is noon.", "thank you"]


def test_the_caller_may_speak_during_the_filler(stage: Stage):
    stage.heard_on_flush = 0.0
    stage.caller_says("what time is it")
    stage.wait(2.0)
    (filler,) = fillers(stage)
    stage.do("playout_started", filler.utterance)
    new = stage.do("voice_started", stage.now * 1000)
    assert stage.sent(FlushPlayout, new) == [FlushPlayout(filler.utterance)] and stage.sent(CancelSpeech, new)
    stage.caller_says("in london")
    assert stage.sent(Ask)[-1].question.history[-1].text == "what time is it in london"
    assert not fillers(stage, stage.wait(5.0))  # he knows
    stage.answer("Noon.")
    stage.speak_out()
    assert ("user", "what time is it in london", False) in stage.said()


def test_the_next_answer_that_takes_long_has_its_own_filler(stage: Stage):
    for turn in (1, 2):
        stage.caller_says("what time is it")
        stage.wait(2.0)
        assert len(fillers(stage)) == turn
        stage.answer("Noon.")
        stage.speak_out()


@pytest.mark.parametrize("why", ["answered", "voice", "tts away", "owed", "typed", "empty"])
def test_there_is_no_filler(why: str):
    stage = Stage(filler_message="" if why == "empty" else FILLER)
    stage.speak_out()
    stage.caller_says("what time is it")
    if why == "answered":
        stage.answer("Noon.")
        stage.do("playout_started", stage.deliver())
    elif why == "voice":
        stage.do("voice_started", stage.now * 1000)
    elif why == "tts away":
        stage.do("lost", "speaker")
    elif why == "owed":  # the voice is slow, and nothing else can be said
        stage.answer("Noon.")
    elif why == "typed":
        stage.answer("Noon.", done=False)
        stage.wait(1.6)
        stage.do("typed", "never mind")
        assert not fillers(stage, stage.wait(1.9))
        return
    assert not fillers(stage, stage.wait(10.0))


def test_a_new_voice_does_not_say_the_old_filler(stage: Stage):
    stage.caller_says("what time is it")
    stage.wait(2.0)
    (filler,) = fillers(stage)
    stage.answer("Noon.")
    new = stage.do("replaced", "speaker")
    assert stage.sent(FlushPlayout, new) == [FlushPlayout(filler.utterance)]  # it has no end, and would block the rest
    assert [m.text for m in stage.sent(Speak, new)] == ["Noon."]


def test_an_outage_is_not_the_callers_silence(stage: Stage):
    stage.do("lost", "transcriber")
    assert not stage.sent(Speak, stage.wait(60.0))
    stage.do("ready", "transcriber")
    assert not stage.sent(Speak, stage.wait(9.9))
    assert [m.text for m in stage.sent(Speak, stage.wait(0.2))] == ["Are you still there?"]


def test_words_that_come_late_still_interrupt(stage: Stage):
    """The ear is away while the caller says "stop" into the answer: the floor is given back, and taken later."""
    stage.heard_on_flush = 390.0
    stage.caller_says("tell me a story")
    stage.answer("Once upon a time.", "There was a king.")
    stage.do("playout_started", stage.deliver())
    stage.do("lost", "transcriber")
    start = stage.now * 1000
    stage.do("voice_started", start)
    stage.wait(0.4)
    stage.do("voice_ended", start + 300)
    stage.wait(1.0)
    assert stage.floor is Floor.SPEAKING
    stage.do("replaced", "transcriber")
    stage.do("heard", Transcript("stop", True, start + 300))
    stage.do("turn_ended")
    assert stage.sent(Ask)[-1].question.history[-1].text == "stop"


def test_last_words_are_not_cut_short_by_whom_they_do_not_need(stage: Stage):
    stage.do("hang_up", Termination(Result.SUCCESS, "drained"), "Goodbye.")
    assert not stage.conversation.needs("transcriber") and stage.conversation.needs("speaker")
    stage.do("exhausted", "transcriber", "no provider left")
    assert stage.ends() == []
    stage.speak_out()
    assert stage.ends() == ["drained"]


def test_a_voice_that_comes_back_goes_on_at_the_first_word_that_was_not_heard(stage: Stage):
    stage.caller_says("count")
    stage.answer("one two three four")
    utterance = stage.conversation.delivery.utterance
    stage.do("spoken", SegmentSpoken(utterance.number, utterance.segments[0].number, 2 * 70.0 * 4))
    stage.do("lost", "speaker")
    assert not stage.sent(Speak, stage.wait(8.0))
    assert [m.text for m in stage.sent(Speak, stage.do("replaced", "speaker"))] == ["three four"]


def in_mid_answer(stage: Stage) -> int:
    """The model has said its first sentence, which was heard, and is silent."""
    stage.caller_says("tell me a story")
    stage.answer("Once upon a time.", done=False)
    utterance = stage.deliver()
    stage.do("playout_started", utterance)
    stage.wait(1.0)
    return utterance


def test_an_answer_that_stops_in_the_middle_has_its_filler_too(stage: Stage):
    utterance = in_mid_answer(stage)
    stage.do("playout_dry", utterance)
    (filler,) = fillers(stage, stage.wait(2.0))
    assert filler.utterance == utterance
    assert not fillers(stage, stage.wait(9.0))
    assert stage.sent(Ask, stage.do("replaced", "responder"))[0].question.said == "Once upon a time."
    stage.answer("There was a king.")
    stage.speak_out()
    assert stage.said()[-1] == ("assistant", "Once upon a time. There was a king.", False)


def test_an_answer_that_goes_on_in_time_has_none(stage: Stage):
    stage.do("playout_dry", in_mid_answer(stage))
    stage.wait(1.5)
    stage.answer("There was a king.", done=False)
    assert not fillers(stage, stage.wait(9.0))


def test_what_was_heard_of_an_answer_that_is_interrupted_in_its_filler(stage: Stage):
    stage.heard_on_flush = 4 * 200.0 + 2 * 200.0  # of the answer four words, of the filler two
    stage.do("playout_dry", in_mid_answer(stage))
    stage.wait(2.0)
    stage.deliver()
    stage.do("heard", Transcript("stop", True, 9000.0))
    assert stage.said()[-1] == ("assistant", "Once upon a time.", True)


def test_a_new_voice_leaves_out_the_filler_in_the_middle(stage: Stage):
    stage.do("playout_dry", in_mid_answer(stage))
    assert fillers(stage, stage.wait(2.0))
    stage.answer("There was a king.", done=False)
    assert [m.text for m in stage.sent(Speak, stage.do("replaced", "speaker"))] == ["There was a king."]


def test_a_cough_into_a_gap_does_not_cost_its_filler(stage: Stage):
    stage.do("playout_dry", in_mid_answer(stage))
    stage.wait(1.0)
    stage.do("voice_started", stage.now * 1000)
    stage.wait(0.2)
    stage.do("voice_ended", stage.now * 1000)
    stage.do("turn_ended")  # it was nothing
    assert stage.floor is Floor.SPEAKING
    assert len(fillers(stage, stage.wait(3.0))) == 1


@pytest.mark.parametrize("back", [True, False])
def test_a_voice_that_comes_back_says_the_filler_that_was_due(stage: Stage, back: bool):
    stage.caller_says("what time is it")
    stage.do("lost", "speaker")
    assert not fillers(stage, stage.wait(4.0))
    if not back:  # he hears the answer first
        stage.answer("Noon.")
    stage.do("ready", "speaker")
    stage.do("replaced", "speaker")
    assert len(fillers(stage, stage.wait(1.0))) == back

"""Whole conversations in virtual time: no actors, no audio, no clock."""

from __future__ import annotations

import pytest

from actors.call.effects import Measured, Said
from actors.call.floor import Floor
from actors.messages import (
    Acknowledge,
    Ask,
    CancelAnswer,
    CancelSpeech,
    EndUtterance,
    Finalize,
    FlushPlayout,
    PausePlayout,
    ResumePlayout,
    SegmentSpoken,
    Speak,
    Transcript,
)
from actors.providers.spec import Word
from tests.actors.call.stage import Stage


def test_a_turn_from_greeting_to_answer(stage: Stage):
    assert stage.floor is Floor.LISTENING
    stage.caller_says("what time is it")
    assert [m.text for m in stage.sent(Ask)[-1].question.history] == ["Hello there.", "what time is it"]
    assert stage.floor is Floor.THINKING
    stage.answer("It is noon.", "Anything else?")
    assert [m.text for m in stage.sent(Speak)] == ["Hello there.", "It is noon.", "Anything else?"]
    assert len(stage.sent(EndUtterance)) == 2
    stage.speak_out()
    assert stage.said() == [
        ("assistant", "Hello there.", False),
        ("user", "what time is it", False),
        ("assistant", "It is noon. Anything else?", False),
    ]
    assert stage.floor is Floor.LISTENING


def test_each_line_knows_when_it_began(stage: Stage):
    """The stage's clock starts at 100 s; what a line belongs to is known later than it began."""
    stage.wait(1.0)
    stage.do("voice_started", 0)  # a cough
    stage.do("voice_ended", 50)
    stage.wait(2.0)
    stage.do("turn_ended")
    stage.wait(2.0)
    stage.caller_says("what time is it")
    stage.wait(0.5)
    stage.answer("It is noon.")
    stage.do("playout_started", stage.deliver())
    stage.wait(3.0)
    stage.do("playout_done", stage.conversation.delivery.utterance.number)
    stage.do("typed", "thank you")
    stage.wait(1.0)
    stage.answer("Welcome.")
    stage.speak_out()
    stage.do("dtmf", "1")
    stage.wait(0.5)
    stage.do("dtmf", "#")
    stage.wait(0.0)
    stage.answer("One.")
    stage.speak_out()
    began = [(e.role, round(e.began_s, 1)) for e in stage.effects if isinstance(e, Said)]
    assert began == [
        ("assistant", 100.0),
        ("user", 105.0),
        ("assistant", 107.0),
        ("user", 110.0),
        ("assistant", 111.0),
        ("user", 111.0),
        ("assistant", 111.5),
    ]


def test_a_question_that_goes_on_began_with_its_first_words(stage: Stage):
    stage.heard_on_flush = 0.0
    stage.caller_says("i would like")
    stage.wait(0.3)
    stage.caller_says("to book a table")
    stage.answer("Fine.")
    stage.speak_out()
    (question,) = [e for e in stage.effects if isinstance(e, Said) and e.role == "user"]
    assert (question.text, round(question.began_s, 1)) == ("i would like to book a table", 100.0)


def test_latency_is_measured_from_the_end_of_the_voice(stage: Stage):
    stage.caller_says("hello")
    stage.wait(0.2)
    stage.answer("Hi.")
    stage.wait(0.1)
    stage.do("playout_started", stage.deliver())
    figures = {e.name: round(e.value) for e in stage.effects if isinstance(e, Measured)}
    assert figures == {
        "end_of_turn_ms": 500,
        "llm_first_token_ms": 200,
        "llm_first_clause_ms": 200,
        "tts_first_audio_ms": 100,
        "turn_latency_ms": 800,
    }


def test_the_transcript_is_asked_for_when_the_silence_has_lasted(stage: Stage):
    stage.do("voice_started", 0)
    stage.wait(1.0)
    stage.do("voice_ended", 1000)
    assert not stage.sent(Finalize, stage.wait(0.25))
    assert stage.sent(Finalize, stage.wait(0.1))


def test_a_pause_within_a_sentence_does_not_end_the_turn(stage: Stage):
    stage.do("voice_started", 0)
    stage.wait(1.0)
    stage.do("voice_ended", 1000)
    stage.wait(0.2)
    stage.do("voice_started", 1200)
    assert not stage.sent(Finalize, stage.wait(1.0))
    assert stage.floor is Floor.HEARING


def test_a_provider_that_knows_the_end_of_the_turn_is_believed(stage: Stage):
    stage.do("voice_started", 0)
    stage.do("heard", Transcript("stop here", True, 800))
    stage.do("turn_ended")
    assert stage.sent(Ask)[-1].question.history[-1].text == "stop here"


def test_a_final_transcript_acknowledges_its_audio(stage: Stage):
    assert stage.sent(Acknowledge, stage.do("heard", Transcript("yes", True, 640.0))) == [Acknowledge(640.0)]


def test_barge_in_pauses_flushes_cancels_and_remembers_what_was_heard(stage: Stage):
    stage.caller_says("tell me a story")
    stage.answer("Once upon a time.", done=False)
    utterance = stage.deliver()
    stage.do("playout_started", utterance)
    assert stage.sent(PausePlayout, stage.do("voice_started", 5000))
    new = stage.do("heard", Transcript("stop it", False, 5300))
    assert stage.sent(FlushPlayout, new) == [FlushPlayout(utterance)]
    assert stage.sent(CancelAnswer, new)
    assert stage.sent(CancelSpeech, new)
    stage.do("playout_stopped", utterance, 390.0, True)
    assert stage.said()[-1] == ("assistant", "Once upon", True)
    stage.do("voice_ended", 5600)
    stage.wait(0.4)
    stage.do("heard", Transcript("stop it", True, 5600))
    stage.do("turn_ended")
    texts = [m.text for m in stage.sent(Ask)[-1].question.history]
    assert texts == ["Hello there.", "tell me a story", "Once upon", "stop it"]


def test_the_next_question_waits_until_it_is_known_what_was_heard(stage: Stage):
    stage.caller_says("tell me a story")
    stage.answer("Once upon a time.", done=False)
    utterance = stage.deliver()
    stage.do("playout_started", utterance)
    stage.do("heard", Transcript("stop it", True, 5600))
    assert not stage.sent(Ask, stage.do("turn_ended"))
    assert (
        stage.sent(Ask, stage.do("playout_stopped", utterance, 390.0, True))[0].question.history[-2].text == "Once upon"
    )


@pytest.mark.parametrize("words", ["", "mhm", "Yeah, okay."])
def test_a_cough_or_a_sign_of_listening_gives_the_floor_back(stage: Stage, words: str):
    stage.caller_says("tell me a story")
    stage.answer("Once upon a time.")
    stage.do("playout_started", stage.deliver())
    stage.do("voice_started", 5000)
    stage.wait(0.3)
    assert stage.sent(Finalize, stage.do("voice_ended", 5200))
    if words:
        stage.do("heard", Transcript(words, True, 5200))
    assert stage.sent(ResumePlayout, stage.do("turn_ended"))
    assert stage.floor is Floor.SPEAKING
    assert not stage.sent(FlushPlayout)


def test_a_caller_who_goes_on_before_the_answer_is_one_turn(stage: Stage):
    stage.heard_on_flush = 0.0
    stage.caller_says("I would like")
    stage.caller_says("to book a table")
    assert stage.sent(Ask)[-1].question.history[-1].text == "I would like to book a table"
    stage.answer("For when?")
    stage.speak_out()
    assert ("user", "I would like to book a table", False) in stage.said()


def test_barge_in_can_be_switched_off():
    stage = Stage(barge_in={"enabled": False})
    stage.do("playout_started", stage.deliver())
    stage.do("voice_started", 0)
    stage.do("heard", Transcript("stop", False, 300))
    stage.wait(1)
    assert not stage.sent(PausePlayout)
    assert not stage.sent(FlushPlayout)
    assert stage.floor is Floor.SPEAKING


def test_speech_without_words_is_answered_if_the_assistant_has_an_answer():
    stage = Stage(not_understood="Pardon?")
    stage.speak_out()
    stage.caller_says("")
    assert stage.sent(Speak)[-1].text == "Pardon?"


def test_noise_is_no_turn(stage: Stage):
    stage.caller_says("", voice_ms=120)
    assert stage.floor is Floor.LISTENING
    assert not stage.sent(Ask)


def test_idle_prompts_then_goodbye():
    stage = Stage(idle={"timeout_s": 5, "prompts": ["Still there?"], "goodbye": "Bye."})
    stage.speak_out()
    stage.wait(5)
    assert stage.sent(Speak)[-1].text == "Still there?"
    stage.speak_out()
    stage.wait(5)
    assert stage.sent(Speak)[-1].text == "Bye."
    stage.speak_out()
    assert stage.ends() == ["idle"]


def test_max_duration_ends_with_its_message_whatever_happens():
    stage = Stage(max_duration_s=5)
    stage.speak_out()
    stage.caller_says("tell me a story")
    stage.answer("Once upon a time.", done=False)
    stage.do("playout_started", stage.deliver())
    stage.wait(20)
    assert stage.sent(Speak)[-1].text == stage.conversation.assistant.max_duration_message
    stage.do("voice_started", 0)
    stage.speak_out()
    assert stage.ends() == ["max_duration"]


def test_last_words_that_are_never_heard_do_not_hold_the_call(stage: Stage):
    stage.do("exhausted", "responder", "no provider left")
    assert stage.sent(Speak)[-1].text == stage.conversation.assistant.error_message
    stage.wait(25)
    assert stage.ends() == ["provider_exhausted"]


def test_an_answer_may_end_the_call(stage: Stage):
    stage.caller_says("goodbye")
    stage.answer("Bye bye.", hang_up=True)
    stage.speak_out()
    assert stage.ends() == ["assistant_hung_up"]


def test_an_interrupted_goodbye_does_not_end_the_call(stage: Stage):
    stage.caller_says("goodbye")
    stage.answer("Bye bye.", hang_up=True)
    utterance = stage.deliver()
    stage.do("playout_started", utterance)
    stage.do("heard", Transcript("wait", True, 9000))
    stage.do("playout_stopped", utterance, 100.0, True)
    stage.wait(0.4)
    stage.do("turn_ended")
    stage.answer("Yes?")
    stage.speak_out()
    assert stage.ends() == []


def test_typing_is_a_turn_and_interrupts(stage: Stage):
    stage.heard_on_flush = 390.0
    stage.caller_says("tell me a story")
    stage.answer("Once upon a time.", done=False)
    stage.do("playout_started", stage.deliver())
    new = stage.do("typed", "no, a joke")
    assert stage.sent(FlushPlayout, new)
    assert [m.text for m in stage.sent(Ask)[-1].question.history[-2:]] == ["Once upon", "no, a joke"]


# --- members that fail ---------------------------------------------------------------------------------------------


def test_a_replaced_responder_goes_on_behind_what_was_said(stage: Stage):
    stage.caller_says("tell me a story")
    stage.answer("Once upon a time.", done=False)
    assert stage.conversation.work("responder") == "question 1"
    question = stage.sent(Ask, stage.do("replaced", "responder"))[0].question
    assert question.said == "Once upon a time."
    assert question.history[-1].text == "tell me a story"


def test_a_question_that_kills_is_not_asked_again(stage: Stage):
    stage.caller_says("poison")
    new = stage.do("replaced", "responder", "question 1")
    assert not stage.sent(Ask, new)
    assert stage.sent(Speak, new)[0].text == stage.conversation.assistant.ask_again
    stage.speak_out()
    assert stage.floor is Floor.LISTENING


def test_a_replaced_speaker_goes_on_in_mid_sentence(stage: Stage):
    stage.caller_says("tell me a story")
    stage.answer("one two three four", "five six")
    utterance = stage.conversation.delivery.utterance
    words = (Word("one", 0, 200), Word("two", 200, 400))
    stage.do("spoken", SegmentSpoken(utterance.number, utterance.segments[0].number, 400, words))
    new = stage.do("replaced", "speaker")
    assert [m.text for m in stage.sent(Speak, new)] == ["three four", "five six"]
    assert stage.sent(EndUtterance, new)


def test_a_replaced_transcriber_is_asked_again_for_the_same_audio(stage: Stage):
    stage.do("voice_started", 0)
    stage.wait(1)
    stage.do("voice_ended", 1000)
    asked = stage.sent(Finalize, stage.wait(0.3))
    assert asked == [Finalize(1100.0)]
    assert stage.sent(Finalize, stage.do("replaced", "transcriber")) == asked


def test_a_transcriber_that_is_replaced_before_the_silence_has_lasted_is_asked_in_its_time(stage: Stage):
    stage.do("voice_started", 0)
    stage.wait(1)
    stage.do("voice_ended", 1000)
    assert not stage.sent(Finalize, stage.do("replaced", "transcriber"))
    assert stage.sent(Finalize, stage.wait(0.3))


def test_a_transcriber_that_is_replaced_after_its_answer_is_asked_nothing(stage: Stage):
    stage.caller_says("hello")
    assert not stage.sent(Finalize, stage.do("replaced", "transcriber"))


def test_the_caller_hanging_up_leaves_the_history_true(stage: Stage):
    stage.caller_says("tell me a story")
    stage.answer("Once upon a time.")
    utterance = stage.deliver()
    stage.do("playout_started", utterance)
    stage.do("playout_stopped", utterance, 390.0, True)
    stage.do("wire_closed")
    assert stage.said()[-1] == ("assistant", "Once upon", True)
    assert stage.floor is Floor.ENDED


def test_an_answer_that_comes_after_the_caller_has_hung_up_is_nobodys(stage: Stage):
    stage.caller_says("tell me a story")
    stage.do("wire_closed")
    said = stage.said()
    stage.answer("Once upon a time.")
    assert stage.said() == said
    assert stage.floor is Floor.ENDED


def test_words_that_are_not_confirmed_yet_are_not_lost_to_what_is_typed(stage: Stage):
    stage.heard_on_flush = 0.0
    stage.do("voice_started", stage.now * 1000)
    stage.do("heard", Transcript("a table for", False, stage.now * 1000))
    stage.wait(1.0)
    stage.do("voice_ended", stage.now * 1000)
    typed = stage.do("typed", "my name is Ann")
    assert [ask.question.history[-1].text for ask in stage.sent(Ask, typed)] == ["my name is Ann"]
    assert len(stage.sent(Finalize, typed)) == 1
    stage.do("heard", Transcript("a table for two", True, stage.now * 1000))
    stage.do("turn_ended")
    assert stage.sent(Ask)[-1].question.history[-1].text == "my name is Ann a table for two"


def test_what_begins_to_be_heard_between_a_typing_and_its_question_is_asked_once(stage: Stage):
    """The question waits until it is known what was heard of the answer; the words will be said once more."""
    stage.caller_says("tell me a story")
    stage.do("typed", "a short one")
    stage.do("heard", Transcript("about", False, 103_000))
    begun = stage.do("playout_stopped", stage.sent(FlushPlayout)[-1].utterance, 0.0, True)
    assert stage.sent(Ask)[-1].question.history[-1].text == "tell me a story a short one"
    assert stage.sent(Finalize, begun)
    stage.heard_on_flush = 0.0
    stage.do("heard", Transcript("about a fox", True, 103_500))
    stage.do("turn_ended")
    assert stage.sent(Ask)[-1].question.history[-1].text == "tell me a story a short one about a fox"

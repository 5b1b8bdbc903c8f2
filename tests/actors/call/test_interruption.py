"""What interrupts and what does not: hums, distant voices, listeners' words, answers that come early."""

# ruff: noqa: RUF001 - letters of many alphabets

from __future__ import annotations

import pytest

from actors.call.floor import Floor
from actors.messages import (
    AnswerDone,
    Ask,
    CancelAnswer,
    Clause,
    Finalize,
    FlushPlayout,
    PausePlayout,
    ResumePlayout,
    Speak,
    Transcript,
)
from tests.actors.call.stage import Stage

STORY = "Once upon a time there was a king who lived in a house by the sea."  # 16 words of 200 ms


def telling(story: str = STORY, **changes: object) -> Stage:
    """The caller has heard 1 s of a story of 3.2 s."""
    stage = Stage(**changes)
    stage.speak_out()
    stage.caller_says("tell me a story")
    stage.answer(story)
    stage.do("playout_started", stage.deliver())
    stage.wait(1.0)
    return stage


def voice(stage: Stage, lasts_s: float, text: str = "", every_s: float = 0.2) -> None:
    """A sound of so long; the transcriber says this of it, first as interims, and answers when it is asked."""
    start = stage.now
    stage.do("voice_started", start * 1000)
    if stage.floor is Floor.DECIDING:
        stage.do("playout_stopped", utterance(stage), heard_ms(stage), False)
    while stage.now < start + lasts_s:
        stage.wait(min(every_s, start + lasts_s - stage.now))
        stage.do("heard", Transcript(text, False, stage.now * 1000))
    stage.wait(0.1)
    asked = stage.sent(Finalize, stage.do("voice_ended", (stage.now - 0.1) * 1000))
    stage.wait(0.25)
    if asked:
        stage.do("heard", Transcript(text, True, stage.now * 1000))
        stage.do("turn_ended")


def utterance(stage: Stage) -> int:
    found = stage.conversation.delivery.utterance
    return found.number if found else 0


def heard_ms(stage: Stage) -> float:
    return stage.conversation.speaking.position.heard_ms(stage.now)


def left_s(stage: Stage) -> float:
    conversation = stage.conversation
    return conversation.speaking.position.left_ms(conversation.delivery.utterance, stage.now) / 1000


def play_on(stage: Stage) -> None:
    """The rest is heard."""
    stage.wait(left_s(stage))
    stage.do("playout_done", utterance(stage))


# --- a false interruption --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lasts_s", [0.1, 0.3, 0.5, 0.9, 1.5, 2.0])
def test_a_hum_interrupts_nothing(lasts_s: float):
    stage = telling()
    voice(stage, lasts_s)
    assert stage.floor is Floor.SPEAKING
    assert len(stage.sent(PausePlayout)) == len(stage.sent(ResumePlayout)) == 1
    assert not stage.sent(FlushPlayout) and not stage.sent(CancelAnswer)
    play_on(stage)
    assert stage.said()[-1] == ("assistant", STORY, False)
    assert stage.floor is Floor.LISTENING


def test_a_distant_voice_that_goes_on_is_waited_for_only_so_long():
    stage = telling()
    stage.do("voice_started", stage.now * 1000)
    for _ in range(14):
        stage.wait(0.2)
        stage.do("heard", Transcript("", False, stage.now * 1000))
    assert stage.floor is Floor.DECIDING and not stage.sent(ResumePlayout)
    stage.wait(0.3)  # 500 ms, and 2.5 s
    assert stage.floor is Floor.SPEAKING and len(stage.sent(ResumePlayout)) == 1
    stage.do("heard", Transcript("", False, stage.now * 1000))
    assert stage.floor is Floor.SPEAKING
    assert stage.sent(Finalize, stage.do("voice_ended", stage.now * 1000))  # it may have said something after all
    stage.do("heard", Transcript("stop please", True, stage.now * 1000))
    assert stage.sent(FlushPlayout)


def test_a_voice_that_nobody_can_understand_just_now_is_waited_for():
    stage = telling()
    stage.do("voice_started", stage.now * 1000)
    stage.do("lost", "transcriber")
    stage.wait(9.0)
    assert stage.floor is Floor.DECIDING
    stage.do("ready", "transcriber")
    stage.wait(2.5)
    assert stage.floor is Floor.SPEAKING


def test_who_was_wrong_three_times_pauses_for_words_alone():
    stage = telling(STORY * 4)
    for _ in range(3):
        voice(stage, 0.6)
    assert len(stage.sent(PausePlayout)) == len(stage.sent(ResumePlayout)) == 3
    voice(stage, 0.6)
    assert len(stage.sent(PausePlayout)) == 3 and stage.floor is Floor.SPEAKING
    stage.do("voice_started", stage.now * 1000)
    stage.do("heard", Transcript("stop", False, stage.now * 1000))
    assert stage.sent(FlushPlayout) and stage.floor is Floor.HEARING
    stage.heard_on_flush = 0.0
    stage.do("playout_stopped", stage.sent(FlushPlayout)[0].utterance, 2000.0, True)
    stage.do("turn_ended")
    stage.answer("Fine, another one.")
    stage.do("playout_started", stage.deliver())
    assert stage.sent(PausePlayout, stage.do("voice_started", stage.now * 1000))  # an utterance of its own


def taken_back(stage: Stage, heard_ms: float) -> list[object]:
    """Words take the floor, and the transcriber takes them back."""
    stage.heard_on_flush = heard_ms
    stage.do("voice_started", stage.now * 1000)
    stage.wait(0.2)
    stage.do("heard", Transcript("what", False, stage.now * 1000))
    assert stage.sent(FlushPlayout)
    stage.wait(0.5)
    stage.do("heard", Transcript("", False, stage.now * 1000))
    stage.do("voice_ended", stage.now * 1000)
    stage.wait(0.3)
    return stage.do("turn_ended")


def test_words_that_are_taken_back_let_the_sentence_be_repeated():
    stage = Stage()
    stage.speak_out()
    stage.caller_says("tell me a story")
    stage.answer("Once upon a time.", "There was a king.", "The end.")
    stage.do("playout_started", stage.deliver())
    new = taken_back(stage, 1000.0)  # in the second clause
    assert [message.text for message in stage.sent(Speak, new)] == ["There was a king.", "The end."]
    assert stage.floor is Floor.THINKING
    stage.speak_out()
    assert stage.said()[-2:] == [
        ("assistant", "Once upon a time. There", True),
        ("assistant", "There was a king. The end.", False),
    ]
    assert stage.floor is Floor.LISTENING


def test_an_answer_that_was_cancelled_for_nothing_is_asked_for_once_more():
    stage = Stage(system_prompt="Be kind.")
    stage.speak_out()
    stage.caller_says("tell me a story")
    stage.answer("Once upon a time.", "There was a king.", done=False)
    stage.do("playout_started", stage.deliver())
    new = taken_back(stage, 1000.0)
    (ask,) = stage.sent(Ask, new)
    assert ask.question.said == "Once upon a time. There was a king."
    assert [line.text for line in ask.question.history] == ["Be kind.", "Hello there.", "tell me a story"]
    stage.do("answered", Clause(ask.question.turn, "The end."))
    stage.do("answered", AnswerDone(ask.question.turn, False))
    stage.speak_out()
    assert stage.said()[-1] == ("assistant", "There was a king. The end.", False)


def test_a_goodbye_that_was_cut_for_nothing_still_ends_the_call():
    stage = Stage()
    stage.speak_out()
    stage.caller_says("goodbye")
    stage.answer("Bye bye now.", hang_up=True)
    stage.do("playout_started", stage.deliver())
    taken_back(stage, 100.0)
    stage.speak_out()
    assert stage.ends() == ["assistant_hung_up"]


def test_an_end_of_turn_that_is_late_does_not_take_the_floor_from_a_voice():
    """The recognizer ends the turn of an "uh-huh" when the caller has begun to say what interrupts."""
    stage = telling()
    stage.heard_on_flush = 1000.0
    stage.do("voice_started", stage.now * 1000)
    stage.do("heard", Transcript("uh-huh", True, stage.now * 1000))
    stage.do("heard", Transcript("stop", False, stage.now * 1000))
    assert stage.floor is Floor.HEARING
    stage.do("turn_ended")
    assert stage.floor is Floor.HEARING
    stage.do("voice_ended", stage.now * 1000)
    stage.do("heard", Transcript("stop", True, stage.now * 1000))
    stage.do("turn_ended")
    assert stage.sent(Ask)[-1].question.history[-1].text == "uh-huh stop"


def test_what_was_heard_to_its_end_is_not_repeated():
    stage = telling("Once upon a time.")
    assert not stage.sent(Speak, taken_back(stage, 800.0))
    assert stage.floor is Floor.LISTENING


def test_an_interruption_that_says_something_repeats_nothing():
    stage = telling()
    stage.heard_on_flush = 1000.0
    voice(stage, 0.6, "stop")
    stage.wait(0.4)
    stage.do("turn_ended")
    stage.answer("Fine.")
    stage.speak_out()
    stage.caller_says("")  # nothing is said, and nothing is left of the story
    assert stage.floor is Floor.LISTENING


def test_an_interim_that_becomes_a_listeners_word_has_not_interrupted():
    stage = Stage()
    stage.speak_out()
    stage.caller_says("tell me a story")
    stage.answer("Once upon a time.", "There was a king.")
    stage.do("playout_started", stage.deliver())
    stage.heard_on_flush = 300.0
    stage.do("voice_started", stage.now * 1000)
    stage.do("heard", Transcript("are", False, stage.now * 1000))
    assert stage.sent(FlushPlayout)
    stage.do("voice_ended", stage.now * 1000)
    stage.do("heard", Transcript("uh-huh", True, stage.now * 1000))
    stage.wait(0.4)
    new = stage.do("turn_ended")
    assert [message.text for message in stage.sent(Speak, new)] == ["Once upon a time.", "There was a king."]
    assert len(stage.sent(Ask)) == 1


@pytest.mark.parametrize("how", ["typed", "near the end", "another turn"])
def test_a_listeners_word_that_is_an_answer_is_asked(how: str):
    stage = telling()
    stage.heard_on_flush = 300.0
    if how == "typed":
        stage.do("typed", "okay")
    elif how == "near the end":
        stage.wait(1.9)
        stage.do("voice_started", stage.now * 1000)
        stage.do("heard", Transcript("are", False, stage.now * 1000))
        stage.do("heard", Transcript("yeah", True, stage.now * 1000))
        stage.do("voice_ended", stage.now * 1000)
        stage.do("turn_ended")
    else:
        stage.do("playout_done", utterance(stage))
        stage.caller_says("okay")
    assert stage.sent(Ask)[-1].question.history[-1].text in ("okay", "yeah")


def test_what_is_repeated_may_be_cut_or_taken_over_once_more():
    stage = Stage()
    stage.speak_out()
    stage.caller_says("tell me a story")
    stage.answer("Once upon a time.", "There was a king.", done=False)
    stage.do("playout_started", stage.deliver())
    taken_back(stage, 1000.0)
    (ask,) = stage.sent(Ask, stage.do("replaced", "responder"))
    assert ask.question.said == "Once upon a time. There was a king."
    stage.do("playout_started", stage.deliver())
    new = taken_back(stage, 100.0)
    assert stage.sent(Ask, new)[0].question.said == "Once upon a time. There was a king."
    assert [message.text for message in stage.sent(Speak, new)] == ["There was a king."]


# --- a listener's words ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lasts_s", [0.3, 0.5, 0.8, 1.6, 2.4])
@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en-US", "uh-huh"),
        ("en-GB", "Yeah, yeah. Okay."),
        ("en", "Mm-hmm."),
        ("en", "uh huh"),
        ("en", "mmmhm"),
        ("de-DE", "Ja, genau."),
        ("fr-CA", "D’accord."),
        ("hi-IN", "हाँ जी"),
        ("zh-CN", "嗯嗯，好的"),
        ("ja-JP", "はい、はい"),
        ("th-TH", "ค่ะ ค่ะ"),
        ("ru-RU", "ага, угу"),
        ("xx", "mhm"),
        ("en", "I see, of course"),
        ("hi-IN", "ठीक है"),
    ],
)
def test_a_listeners_words_interrupt_nothing_however_long_they_sound(language: str, words: str, lasts_s: float):
    stage = telling(STORY + " " + STORY, language=language)
    voice(stage, lasts_s, words)
    assert stage.floor is Floor.SPEAKING
    assert not stage.sent(FlushPlayout) and len(stage.sent(ResumePlayout)) == 1
    play_on(stage)
    assert len(stage.sent(Ask)) == 1, "what was no interruption is no question either"
    stage.caller_says("and then")
    assert stage.sent(Ask)[-1].question.history[-1].text == "and then"


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "stop"),
        ("en", "yeah but wait"),
        ("en", "okay stop"),
        ("de-DE", "ja aber"),
        ("de-DE", "yeah"),  # no word of this language
        ("zh-CN", "等一下"),
        ("ja-JP", "はい、ちょっと"),
        ("th-TH", "หยุดก่อน"),
    ],
)
def test_words_that_are_meant_to_be_heard_interrupt(language: str, words: str):
    stage = telling(language=language)
    stage.do("voice_started", stage.now * 1000)
    assert stage.sent(FlushPlayout, stage.do("heard", Transcript(words, True, stage.now * 1000)))


def test_a_word_that_is_not_finished_may_become_a_listeners():
    stage = telling()
    stage.do("voice_started", stage.now * 1000)
    for text in ("u", "uh", "uh-h", "uh-huh"):
        assert not stage.sent(FlushPlayout, stage.do("heard", Transcript(text, False, stage.now * 1000)))
    assert stage.sent(FlushPlayout, stage.do("heard", Transcript("uh-huh u know", False, stage.now * 1000)))


def test_the_list_may_be_the_assistants_own():
    stage = telling(barge_in={"ignored_words": ["gotcha"]})
    stage.do("voice_started", stage.now * 1000)
    assert not stage.sent(FlushPlayout, stage.do("heard", Transcript("gotcha", True, 0.0)))
    assert stage.sent(FlushPlayout, stage.do("heard", Transcript("yeah", True, 0.0)))
    stage = telling(barge_in={"ignored_words": []})
    stage.do("voice_started", stage.now * 1000)
    assert stage.sent(FlushPlayout, stage.do("heard", Transcript("mhm", True, 0.0)))


# --- an answer that comes early --------------------------------------------------------------------------------------


def asking(left: float, **changes: object) -> Stage:
    """So much is left of a question."""
    stage = telling("Shall I book you a table for two people tonight, or would tomorrow suit you better?", **changes)
    stage.wait(left_s(stage) - left)
    return stage


@pytest.mark.parametrize("left", [0.1, 0.4, 0.8, 1.4])
@pytest.mark.parametrize("words", ["yeah", "okay", "mhm"])
def test_a_listeners_word_at_the_end_is_the_answer(left: float, words: str):
    stage = asking(left)
    voice(stage, 0.3, words)
    assert stage.floor is Floor.SPEAKING and stage.sent(ResumePlayout)
    play_on(stage)
    assert stage.sent(Ask)[-1].question.history[-1].text == words
    assert stage.said()[-1][0] == "assistant" and not stage.said()[-1][2], "the question was heard to its end"
    assert stage.floor is Floor.THINKING


def test_an_answer_whose_words_come_after_the_question_is_heard_too():
    """The voice is short: we have gone on and come to the end before the transcriber says a word."""
    stage = asking(0.3)
    start = stage.now * 1000
    stage.do("voice_started", start)
    stage.wait(0.3)
    stage.do("voice_ended", start + 200)
    stage.wait(0.2)  # the decision: the sound was short
    assert stage.floor is Floor.SPEAKING
    stage.wait(0.1)
    stage.do("heard", Transcript("yeah", False, start + 200))
    play_on(stage)
    assert stage.floor is Floor.SETTLING
    stage.do("heard", Transcript("yeah", True, start + 200))
    stage.do("turn_ended")
    assert stage.sent(Ask)[-1].question.history[-1].text == "yeah"


def test_an_answer_that_the_vad_has_missed_is_heard_too():
    stage = asking(0.4)
    stage.do("heard", Transcript("yeah", True, stage.now * 1000))
    stage.do("turn_ended")
    assert stage.floor is Floor.SPEAKING
    play_on(stage)
    assert stage.sent(Ask)[-1].question.history[-1].text == "yeah"


def test_an_answer_to_who_may_not_be_interrupted_is_heard_too():
    stage = asking(0.4, barge_in={"enabled": False})
    voice(stage, 0.3, "yes please")
    assert not stage.sent(PausePlayout) and stage.floor is Floor.SPEAKING
    play_on(stage)
    assert stage.sent(Ask)[-1].question.history[-1].text == "yes please"


def test_what_was_said_long_before_the_end_is_no_answer():
    stage = asking(3.0)
    voice(stage, 0.3, "yeah")
    play_on(stage)
    assert len(stage.sent(Ask)) == 1 and stage.floor is Floor.LISTENING


def test_a_voice_over_the_end_is_heard_out():
    stage = asking(0.2, barge_in={"enabled": False})
    stage.do("voice_started", stage.now * 1000)
    stage.do("heard", Transcript("yes", False, stage.now * 1000))
    play_on(stage)
    assert stage.floor is Floor.HEARING
    stage.do("voice_ended", stage.now * 1000)
    stage.wait(0.4)
    stage.do("heard", Transcript("yes please", True, stage.now * 1000))
    stage.do("turn_ended")
    assert stage.sent(Ask)[-1].question.history[-1].text == "yes please"


def test_how_near_the_end_is_may_be_told():
    stage = asking(0.8, barge_in={"answer_ms": 500})
    voice(stage, 0.3, "yeah")
    play_on(stage)
    assert len(stage.sent(Ask)) == 1


def test_while_more_is_to_come_nothing_is_near_the_end():
    stage = Stage()
    stage.speak_out()
    stage.caller_says("tell me a story")
    stage.answer("Once upon a time.", done=False)
    stage.do("playout_started", stage.deliver())
    stage.wait(0.6)
    voice(stage, 0.3, "yeah")
    stage.answer("There was a king.")
    stage.deliver()
    stage.do("playout_done", utterance(stage))
    assert len(stage.sent(Ask)) == 1 and stage.floor is Floor.LISTENING


def test_a_voice_over_a_thought_is_heard_though_we_have_gone_on():
    stage = Stage()
    stage.speak_out()
    stage.caller_says("tell me a story")
    stage.do("voice_started", stage.now * 1000)
    stage.wait(3.0)
    assert stage.floor is Floor.THINKING
    assert stage.sent(Finalize, stage.do("voice_ended", stage.now * 1000))
    stage.do("heard", Transcript("about a king", True, stage.now * 1000))
    assert stage.floor is Floor.SETTLING

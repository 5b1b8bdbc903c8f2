"""The answer that is begun before the caller has surely finished: in virtual time, then with a whole company."""

from __future__ import annotations

from typing import Any

import pytest

from actors.call.effects import Measured, Speculated
from actors.call.events import AssistantSays, event_of
from actors.call.floor import Floor
from actors.messages import (
    AnswerDone,
    AnswerStarted,
    Ask,
    CancelAnswer,
    Clause,
    EndUtterance,
    Speak,
    Transcript,
)
from tests.actors.call.conftest import Theatre
from tests.actors.call.stage import Stage
from tests.fakes.providers import FAULTS, QUESTIONS

QUESTION = "when are you open"


def eager(stage: Stage, text: str = QUESTION, voice: bool = False) -> list[Any]:
    """The caller has said this, and the transcriber thinks that this is all. What follows from it."""
    start = stage.now * 1000
    stage.do("voice_started", start)
    stage.wait(1.0)
    if not voice:
        stage.wait(0.1)
        stage.do("voice_ended", start + 1000)
    stage.do("heard", Transcript(text, False, start + 1000))
    return stage.do("turn_ending")


def end(stage: Stage, text: str = QUESTION) -> list[Any]:
    return stage.do("heard", Transcript(text, True, stage.now * 1000)) + stage.do("turn_ended")


def outcomes(stage: Stage) -> list[bool]:
    return [effect.kept for effect in stage.effects if isinstance(effect, Speculated)]


@pytest.mark.parametrize("voice", [True, False])
def test_an_answer_that_is_ready_is_spoken_the_moment_the_turn_ends(stage: Stage, voice: bool):
    asked = stage.sent(Ask, eager(stage, voice=voice))
    assert [m.text for m in asked[0].question.history] == ["Hello there.", QUESTION]
    before = len(stage.effects)
    stage.answer("From nine.", "Till five.")
    assert stage.effects[before:] == []
    assert stage.floor is (Floor.HEARING if voice else Floor.SETTLING)
    new = end(stage)
    assert not stage.sent(Ask, new)
    assert [m.text for m in stage.sent(Speak, new)] == ["From nine.", "Till five."]
    assert stage.sent(EndUtterance, new)
    stage.do("voice_ended", stage.now * 1000)
    stage.speak_out()
    assert stage.said()[-2:] == [("user", QUESTION, False), ("assistant", "From nine. Till five.", False)]
    assert outcomes(stage) == [True]
    assert stage.conversation.turn == 1


def test_an_answer_that_is_under_way_streams_on(stage: Stage):
    eager(stage)
    stage.answer("From nine.", done=False)
    assert stage.conversation.work("responder") == "question 1"
    end(stage)
    assert stage.conversation.work("responder") == "question 1"
    new = stage.do("answered", Clause(stage.sent(Ask)[-1].question.turn, "Till five."))
    assert [m.text for m in stage.sent(Speak, new)] == ["Till five."]
    stage.do("answered", AnswerDone(stage.sent(Ask)[-1].question.turn, False))
    assert len(stage.sent(Ask)) == 1
    assert len(stage.sent(EndUtterance)) == 2  # the greeting's, and this


def test_a_turn_that_ends_without_an_eager_end_is_asked_as_ever(stage: Stage):
    stage.caller_says("hello")
    assert stage.sent(Ask)[-1].question.history[-1].text == "hello"
    assert outcomes(stage) == []


GOES_ON = {
    "resumed": lambda s: s.do("turn_resumed"),
    "voice": lambda s: s.do("voice_started", s.now * 1000),
    "other words": lambda s: s.do("heard", Transcript(f"{QUESTION} on", False, s.now * 1000)),
    "words taken back": lambda s: s.do("heard", Transcript("", False, s.now * 1000)),
    "key": lambda s: s.do("dtmf", "5"),
    "typed": lambda s: s.do("typed", "no, a joke"),
    "new transcriber": lambda s: s.do("replaced", "transcriber"),
    "hung up": lambda s: s.do("wire_closed"),
    "time is up": lambda s: s.do("timer", "max_duration"),
    "another question": lambda s: end(s, "when are you closed"),
}


@pytest.mark.parametrize("how", GOES_ON)
def test_whatever_else_happens_nothing_was_asked(stage: Stage, how: str):
    eager(stage)
    number = stage.sent(Ask)[-1].question.turn
    stage.answer("From nine.", done=False)
    assert stage.sent(CancelAnswer, GOES_ON[how](stage))
    assert outcomes(stage) == [False]
    for late in (AnswerStarted(number), Clause(number, "Till five."), AnswerDone(number, True)):
        stage.do("answered", late)
    assert "From nine." not in [m.text for m in stage.sent(Speak)]
    assert "Till five." not in [m.text for m in stage.sent(Speak)]
    assert ("user", QUESTION, False) not in stage.said()
    assert not stage.conversation.inspect()["answer_ahead"]


def test_the_caller_who_went_on_is_asked_about_all_of_it(stage: Stage):
    eager(stage, "book a table")
    stage.answer("For when?")
    stage.do("turn_resumed")
    stage.do("heard", Transcript("book a table for two", False, 3000))
    asked = stage.sent(Ask, stage.do("turn_ending"))
    assert [m.text for m in asked[0].question.history] == ["Hello there.", "book a table for two"]
    stage.answer("For two.")
    assert [m.text for m in stage.sent(Speak, end(stage, "book a table for two"))] == ["For two."]
    assert outcomes(stage) == [False, True]
    assert stage.conversation.turn == 1
    assert len({ask.question.turn for ask in stage.sent(Ask)}) == 2


def test_late_words_of_a_dropped_answer_are_not_those_of_the_next(stage: Stage):
    eager(stage)
    stale = stage.sent(Ask)[-1].question.turn
    stage.do("turn_resumed")
    stage.do("turn_ending")
    stage.do("answered", Clause(stale, "Stale."))
    assert not stage.sent(Speak, end(stage))


def test_an_eager_end_that_is_said_twice_asks_once(stage: Stage):
    eager(stage)
    assert not stage.sent(Ask, stage.do("turn_ending"))


def test_without_words_nothing_is_asked(stage: Stage):
    assert not stage.sent(Ask, eager(stage, ""))


def test_with_keys_pressed_nothing_is_asked_ahead(stage: Stage):
    stage.do("dtmf", "7")
    assert not stage.sent(Ask, eager(stage, "is my number"))
    assert stage.sent(Ask, end(stage, "is my number"))[0].question.history[-1].text == "pressed 7 is my number"


@pytest.mark.parametrize("words", ["mhm", ""])
def test_while_the_assistant_speaks_nothing_is_asked_ahead(stage: Stage, words: str):
    stage.caller_says("tell me a story")
    stage.answer("Once upon a time.")
    stage.do("playout_started", stage.deliver())
    stage.do("heard", Transcript(words, False, 5000))
    assert not stage.sent(Ask, stage.do("turn_ending"))
    assert stage.floor is Floor.SPEAKING


def test_it_waits_until_it_is_known_what_was_heard(stage: Stage):
    stage.caller_says("tell me a story")
    stage.answer("Once upon a time.", done=False)
    utterance = stage.deliver()
    stage.do("playout_started", utterance)
    stage.do("heard", Transcript("stop it", False, 5300))
    assert not stage.sent(Ask, stage.do("turn_ending"))
    stage.do("playout_stopped", utterance, 390.0, True)
    asked = stage.sent(Ask, stage.do("turn_ending"))
    assert [m.text for m in asked[0].question.history[-2:]] == ["Once upon", "stop it"]


def test_a_question_that_has_no_audible_answer_yet_is_part_of_it(stage: Stage):
    stage.heard_on_flush = 0.0
    stage.caller_says("I would like")
    asked = stage.sent(Ask, eager(stage, "to book a table"))
    assert asked[0].question.history[-1].text == "I would like to book a table"
    stage.answer("For when?")
    assert stage.sent(Speak, end(stage, "to book a table"))


def test_an_answer_that_would_hang_up_does_so_only_when_it_was_heard(stage: Stage):
    eager(stage, "goodbye")
    stage.answer("Bye bye.", hang_up=True)
    assert stage.ends() == []
    end(stage, "goodbye")
    stage.speak_out()
    assert stage.ends() == ["assistant_hung_up"]


def test_an_answer_without_words_is_no_answer(stage: Stage):
    eager(stage)
    stage.answer()
    end(stage)
    assert stage.floor is Floor.LISTENING
    assert stage.said()[-1] == ("user", QUESTION, False)


def test_no_stage_of_the_latency_is_negative(stage: Stage):
    eager(stage)
    stage.wait(0.1)
    stage.answer("From nine.")
    stage.wait(0.1)
    end(stage)
    stage.wait(0.1)
    stage.do("playout_started", stage.deliver())
    figures = {e.name: (round(e.value), e.turn) for e in stage.effects if isinstance(e, Measured)}
    assert figures == {
        "end_of_turn_ms": (300, 1),
        "llm_first_token_ms": (0, 1),
        "llm_first_clause_ms": (0, 1),
        "tts_first_audio_ms": (100, 1),
        "turn_latency_ms": (400, 1),
    }


def test_a_turn_that_ends_while_the_voice_is_still_heard_is_not_measured_from_an_older_one(stage: Stage):
    stage.caller_says("hello")
    stage.answer("Hi.")
    stage.speak_out()
    stage.wait(5.0)
    eager(stage, voice=True)
    figures = [e.value for e in end(stage) if isinstance(e, Measured) and e.name == "end_of_turn_ms"]
    assert figures == [0.0]


def test_an_onlooker_sees_nothing_of_it_until_the_turn_is_over(stage: Stage):
    eager(stage)
    before = len(stage.effects)
    stage.answer("From nine.")
    assert [event_of(effect) for effect in stage.effects[before:]] == []
    assert event_of(Clause(1, "From nine.")) is None
    assert [e.text for e in map(event_of, end(stage)) if isinstance(e, AssistantSays)] == ["From nine."]


# --- members that fail -----------------------------------------------------------------------------------------------


def test_a_responder_that_dies_meanwhile_is_asked_in_its_time(stage: Stage):
    eager(stage)
    stage.answer("From nine.", done=False)
    assert stage.conversation.work("responder") == "question 1"
    assert not stage.sent(Ask, stage.do("replaced", "responder"))
    assert stage.conversation.work("responder") == ""
    new = end(stage)
    assert len(stage.sent(Ask, new)) == 1
    assert not stage.sent(Speak, new)
    assert stage.conversation.work("responder") == "question 1"


def test_a_responder_that_dies_after_its_answer_is_not_missed(stage: Stage):
    eager(stage)
    stage.answer("From nine.")
    assert stage.conversation.work("responder") == ""
    stage.do("replaced", "responder")
    assert [m.text for m in stage.sent(Speak, end(stage))] == ["From nine."]


def test_a_responder_that_is_replaced_after_the_turn_goes_on_behind_what_was_held(stage: Stage):
    eager(stage)
    stage.answer("From nine.", done=False)
    end(stage)  # its successor waits for the back-off
    question = stage.sent(Ask, stage.do("replaced", "responder"))[0].question
    assert (question.said, question.history[-1].text) == ("From nine.", QUESTION)


def test_exhausted_providers_end_it(stage: Stage):
    eager(stage)
    new = stage.do("exhausted", "responder", "no provider left")
    assert [m.text for m in stage.sent(Speak, new)] == [stage.conversation.assistant.error_message]
    assert outcomes(stage) == [False]


# --- a whole company -------------------------------------------------------------------------------------------------

EAGER = {"greeting": "", "stt": {"provider": "fake", "eager": True}, "endpointing": {"silence_ms": 1000}}


def speculations(theatre: Theatre) -> dict[str, float]:
    return {
        outcome: float(line.split()[-1])
        for line in theatre.services.value.metrics.exposition().splitlines()
        for outcome in ("kept", "dropped")
        if line.startswith("callboard_speculations_total") and outcome in line
    }


async def test_a_company_thinks_ahead(theatre: Theatre):
    phone = theatre.call(**EAGER)
    phone.say("alpha bravo")
    await phone.until(lambda: bool(QUESTIONS), 5, "for a question")
    assert theatre.said() == []
    assert phone.words == []
    await phone.hears("you said alpha bravo")
    assert await theatre.lines(phone, 2) == [("user", "alpha bravo"), ("assistant", "you said alpha bravo")]
    assert len(QUESTIONS) == 1
    assert speculations(theatre) == {"kept": 1.0}


@pytest.mark.parametrize("how", ["raise", "exit", "stall", "fail"])
async def test_a_responder_that_fails_while_it_thinks_ahead_is_not_missed(theatre: Theatre, how: str):
    FAULTS.plant("ask", how)
    phone = theatre.call(**EAGER, stalls={"first_token_ms": 300})
    phone.say("hello again")
    await phone.hears("you said hello again", 6)
    assert FAULTS.struck == [f"ask:{how}"]
    assert await theatre.lines(phone, 2) == [("user", "hello again"), ("assistant", "you said hello again")]
    assert [e["role"] for e in theatre.events("member_failed")] == ["responder"]


async def test_a_poisonous_question_is_not_asked_for_ever_either(theatre: Theatre):
    FAULTS.plant("ask", "raise", times=99, only="poison")
    phone = theatre.call(**EAGER, ask_again="pardon me")
    phone.say("drink poison")
    await phone.hears("pardon me", 6)
    phone.say("water then")
    await phone.hears("you said water then", 6)

"""Providers as nasty as the world: they pause and go on, say what makes no sense, refuse once. No word is lost."""

from __future__ import annotations

import pytest

from actors.call import responder, speaker
from tests.actors.call.conftest import Theatre
from tests.fakes.providers import FAULTS, QUESTIONS

PLACES = ["hear", "finalize", "ask", "token", "speak", "audio"]
QUIET = {"greeting": "", "filler_message": ""}


async def holds_a_conversation(theatre: Theatre, **changes: object) -> None:
    phone = theatre.call(**{**QUIET, **changes})
    phone.say("alpha bravo charlie delta")
    await phone.hears_word("delta", 12)
    await theatre.lines(phone, 2, 5)
    assert theatre.said() == [
        ("user", "alpha bravo charlie delta"),
        ("assistant", "you said alpha bravo charlie delta"),
    ]
    heard = iter(phone.words)
    assert all(word in heard for word in ("you", "said", "alpha", "bravo", "charlie", "delta"))


@pytest.mark.parametrize("where", PLACES)
async def test_who_pauses_and_goes_on_costs_no_word(theatre: Theatre, where: str):
    """A stall for most; the successor does not repeat what was said."""
    FAULTS.plant(where, "pause", nth=4 if where in ("hear", "audio", "token") else 1, seconds=2.5)
    await holds_a_conversation(theatre)
    assert FAULTS.struck == [f"{where}:pause"]


@pytest.mark.parametrize("how", ["empty", "unknown"])
async def test_what_makes_no_sense_is_passed_over(theatre: Theatre, how: str):
    for where in PLACES:
        FAULTS.plant(where, how, times=3)
    await holds_a_conversation(theatre)
    assert theatre.events("member_failed") == []


@pytest.mark.parametrize("where", PLACES)
async def test_an_outage_of_many_failures_in_a_row_is_sat_out(theatre: Theatre, where: str):
    """Six in a row took the call down, when restarts were counted."""
    FAULTS.plant(where, "fail", times=7)
    await holds_a_conversation(theatre)
    assert FAULTS.struck == [f"{where}:fail"] * 7
    assert theatre.events("member_failed")


async def test_the_caller_hears_one_filler_and_then_the_answer(theatre: Theatre):
    FAULTS.plant("token", "pause", seconds=3.0)
    phone = theatre.call(greeting="", filler_message="one moment", stalls={"filler_ms": 1000})
    phone.say("alpha bravo")
    await phone.hears("one moment you said alpha bravo", 12)
    assert await theatre.lines(phone, 2) == [("user", "alpha bravo"), ("assistant", "you said alpha bravo")]
    assert len(theatre.events("filler")) == 1


async def test_a_question_that_is_refused_costs_that_question(theatre: Theatre):
    """It is asked once, and never again as a part of what was said before."""
    FAULTS.plant("ask", "refuse", only="bravo", times=99)
    phone = theatre.call(**QUIET, ask_again="pardon me")
    phone.say("alpha bravo")
    await phone.hears("pardon me", 5)
    phone.say("charlie")
    await phone.hears("you said charlie", 5)
    assert FAULTS.struck == ["ask:refuse"]
    assert [line.text for line in QUESTIONS[-1].history] == ["pardon me", "charlie"]
    assert await theatre.lines(phone, 3) == [("user", "alpha bravo"), ("assistant", "pardon me"), ("user", "charlie")]


async def test_a_sentence_that_is_refused_costs_that_sentence(theatre: Theatre):
    FAULTS.plant("speak", "refuse", only="Bravo", times=99)
    llm = {"provider": "fake", "reply": "Alpha alpha alpha. Bravo bravo bravo. Charlie charlie charlie."}
    phone = theatre.call(**QUIET, llm=llm)
    phone.say("delta")
    await phone.hears("alpha alpha alpha charlie charlie charlie", 8)
    assert FAULTS.struck == ["speak:refuse"] * 2  # to know which one it is, they are given singly the second time


@pytest.mark.parametrize("first", ["Bravo", "Alpha"])
async def test_a_sentence_that_every_voice_refuses_costs_no_other(theatre: Theatre, first: str):
    FAULTS.plant("speak", "refuse", only=first, times=99)
    llm = {"provider": "fake", "reply": "Alpha alpha alpha. Bravo bravo bravo. Charlie charlie charlie."}
    phone = theatre.call(**QUIET, llm=llm, tts=["fake", {"provider": "fake", "tag": "two"}])
    phone.say("delta")
    spoken = [word for word in ("alpha", "bravo", "charlie") if word != first.lower() for _ in range(3)]
    await phone.hears(" ".join(spoken), 8)


@pytest.mark.parametrize("says", ["", " \n ", "\U0001f44d", "...", "<think>hm</think>"])
async def test_an_answer_without_words_is_asked_for_once_more(theatre: Theatre, says: str):
    FAULTS.plant("answer", "say", says=says)
    phone = theatre.call(**QUIET)
    phone.say("alpha bravo")
    await phone.hears("you said alpha bravo", 4)
    assert len(QUESTIONS) == 2 and theatre.events("answer_flawed") == []


@pytest.mark.parametrize(
    ("flaw", "reason"), [("", "empty"), ("content_filter", "content_filter"), ("refusal", "refusal")]
)
async def test_who_gives_no_answer_twice_has_none(theatre: Theatre, flaw: str, reason: str):
    FAULTS.plant("answer", "say", times=2, says=" ", flaw=flaw)
    phone = theatre.call(**QUIET, ask_again="pardon me")
    phone.say("alpha bravo")
    await phone.hears("pardon me", 4)
    assert theatre.events("answer_flawed") == [{"turn": 1, "reason": reason}]
    phone.say("charlie")
    await phone.hears("you said charlie", 4)
    assert [line.text for line in QUESTIONS[-1].history] == ["alpha bravo", "pardon me", "charlie"]


async def test_an_answer_that_is_cut_is_heard_and_says_so(theatre: Theatre):
    FAULTS.plant("answer", "say", says="from nine to", flaw="length")
    phone = theatre.call(**QUIET)
    phone.say("alpha")
    await phone.hears("from nine to", 4)
    assert theatre.events("answer_flawed") == [{"turn": 1, "reason": "length"}]
    assert len(QUESTIONS) == 1


async def test_an_answer_without_an_end_has_one(theatre: Theatre, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(responder, "MOST_CHARACTERS", 20)
    phone = theatre.call(**QUIET, llm={"provider": "fake", "reply": "one two three four " * 9, "tokens_per_s": 100})
    phone.say("alpha")
    await phone.hears("one two three four one", 6)
    assert theatre.events("answer_flawed") == [{"turn": 1, "reason": "length"}]


@pytest.mark.parametrize("how", ["think", "work"])
async def test_who_thinks_or_works_is_waited_for(theatre: Theatre, how: str):
    FAULTS.plant("answer", how, seconds=1.5)
    phone = theatre.call(**QUIET, stalls={"first_token_ms": 500})
    phone.say("alpha bravo")
    await phone.hears("you said alpha bravo", 6)
    assert len(QUESTIONS) == 1 and theatre.events("member_failed") == []


async def test_a_voice_without_an_end_is_replaced(theatre: Theatre, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(speaker, "MOST_MS", 500.0)
    monkeypatch.setattr(speaker, "MOST_MS_A_CHARACTER", 0.0)
    phone = theatre.call(**QUIET)
    phone.say("alpha")
    await phone.hears("you said alpha", 5)
    assert "s of audio of 14 characters" in theatre.events("member_failed")[0]["detail"]


async def test_who_refuses_everything_is_given_up(theatre: Theatre):
    FAULTS.plant("ask", "refuse", times=99)
    phone = theatre.call(**QUIET, ask_again="pardon me", error_message="technical problem")
    for turn in (1, 2):
        phone.say("alpha")
        await phone.hears("pardon me " * turn, 5)
    phone.say("alpha")
    await phone.hears("technical problem", 5)


async def test_a_busy_provider_is_waited_for_as_long_as_it_says(theatre: Theatre):
    FAULTS.plant("ask", "busy", seconds=2.0)
    phone = theatre.call(greeting="", filler_message="one moment", stalls={"filler_ms": 1000})
    phone.say("alpha bravo")
    await phone.hears("one moment you said alpha bravo", 8)
    (failed,) = theatre.events("member_failed")
    assert failed["code"] == "provider_error" and len(QUESTIONS) == 2


async def test_an_outage_beyond_the_patience_ends_with_the_error_message(theatre: Theatre):
    FAULTS.plant("ask", "fail", times=999)
    phone = theatre.call(**QUIET, error_message="technical problem", stalls={"outage_s": 2})
    phone.say("alpha bravo")
    await phone.hears("technical problem", 8)
    end = await theatre.ended(phone)
    assert (end.result, end.reason) == ("upstream_error", "provider_exhausted")


@pytest.mark.parametrize("how", ["fail", "exit"])
async def test_providers_that_are_away_when_the_call_begins(theatre: Theatre, how: str):
    """Three tries of each: the greeting comes later, and whoever speaks before it is heard."""
    FAULTS.plant("open", how, times=6)
    phone = theatre.call(greeting="welcome", filler_message="")
    phone.say("alpha bravo")
    await phone.hears("you said alpha bravo", 10)
    assert FAULTS.struck == [f"open:{how}"] * 6


async def test_keys_and_typed_text_during_an_outage_of_the_model(theatre: Theatre):
    FAULTS.plant("ask", "fail", times=6)
    phone = theatre.call(**QUIET)
    await phone.until(lambda: phone.wire.ears is not None, 2, "for the call to open the wire")
    phone.wire.ears.on_text("alpha bravo")
    for key in "12#":
        phone.wire.ears.on_dtmf(key)
    await phone.hears("you said pressed 1 2", 10)
    assert await theatre.lines(phone, 2) == [("user", "alpha bravo"), ("user", "[pressed 2 keys]")]

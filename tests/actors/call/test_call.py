"""Calls as the caller hears them: the whole company on the loop, fake providers, a wire in memory."""

from __future__ import annotations

import pytest

from actors.call.wire import PlayoutMode
from actors.messages import HangUpAll
from tests.actors.call.conftest import Theatre
from tests.fakes.providers import QUESTIONS

MODES = pytest.mark.parametrize("playout", PlayoutMode)


@MODES
async def test_a_conversation(theatre: Theatre, playout: PlayoutMode):
    phone = theatre.call(playout)
    await phone.hears("welcome")
    phone.say("hello there")
    await phone.hears("you said hello there")
    phone.say("and goodbye")
    await phone.hears("you said and goodbye")
    end = await theatre.ended(phone)
    assert (end.result, end.reason) == ("success", "assistant_hung_up")
    assert phone.wire.hung_up
    assert theatre.said() == [
        ("assistant", "welcome"),
        ("user", "hello there"),
        ("assistant", "you said hello there"),
        ("user", "and goodbye"),
        ("assistant", "you said and goodbye"),
    ]


@MODES
async def test_barge_in_stops_the_voice_and_keeps_what_was_heard(theatre: Theatre, playout: PlayoutMode):
    story = " ".join(f"word{n}" for n in range(30))
    phone = theatre.call(playout, greeting="", llm={"provider": "fake", "reply": story})
    phone.say("tell me")
    await phone.hears_word("word4")
    phone.say("stop now please")
    heard = (await theatre.lines(phone, 2))[1][1].split()
    assert heard == story.split()[: len(heard)]
    assert 4 <= len(heard) <= 8
    assert set(phone.words) <= {*heard, f"word{len(heard)}"}


async def test_a_cough_does_not_stop_the_voice(theatre: Theatre):
    phone = theatre.call(greeting="", llm={"provider": "fake", "reply": "one two three four five six seven eight"})
    phone.say("count")
    await phone.hears_word("two")
    phone.say("mhm")
    await phone.hears("one two three four five six seven eight")
    assert await theatre.lines(phone, 2) == [
        ("user", "count"),
        ("assistant", "one two three four five six seven eight"),
    ]


@MODES
async def test_a_hum_stops_the_voice_for_a_while_only(theatre: Theatre, playout: PlayoutMode):
    """Each word is heard once, in its order; the one that was cut may be heard in two parts."""
    story = [f"word{n}" for n in range(12)]
    phone = theatre.call(playout, greeting="", llm={"provider": "fake", "reply": " ".join(story)})
    phone.say("tell me")
    await phone.hears_word("word3")
    phone.hum(0.9)
    await phone.hears_word("word11", 10.0)
    assert list(dict.fromkeys(word for word in phone.words if word != "?")) == story
    fell_silent = phone.wire.clears or phone.longest_gap_ms("word3", "word11") > 600
    assert fell_silent
    assert (await theatre.lines(phone, 2))[1] == ("assistant", " ".join(story))
    assert len(QUESTIONS) == 1


@MODES
async def test_an_answer_into_the_end_of_a_question_is_heard(theatre: Theatre, playout: PlayoutMode):
    question = " ".join(f"word{n}" for n in range(12))
    phone = theatre.call(playout, greeting=question)
    await phone.hears_word("word9")  # some 400 ms are left
    phone.say("yeah")
    await phone.hears("you said yeah", 10.0)
    assert (await theatre.lines(phone, 2)) == [("assistant", question), ("user", "yeah")]


async def test_the_caller_hangs_up_in_mid_sentence(theatre: Theatre):
    phone = theatre.call(greeting="a very long welcome to everybody who calls us here today")
    await phone.hears_word("long")
    phone.hang_up()
    end = await theatre.ended(phone)
    assert end.reason == "caller_hung_up"
    assert theatre.said() == [("assistant", " ".join(phone.words))]


async def test_keys_reach_the_language_model(theatre: Theatre):
    phone = theatre.call(greeting="")
    await phone.until(lambda: phone.wire.ears is not None, 2, "for the call to open the wire")
    for key in "12#":
        phone.wire.ears.on_dtmf(key)
    await phone.hears("you said pressed 1 2")
    assert theatre.said()[0] == ("user", "[pressed 2 keys]")


async def test_an_assistant_with_an_unknown_provider_says_so_and_ends(theatre: Theatre):
    phone = theatre.call(stt="nobody", error_message="technical problem")
    await phone.hears("technical problem")
    end = await theatre.ended(phone)
    assert (end.result, end.reason) == ("upstream_error", "provider_exhausted")
    assert "nobody" in end.detail


async def test_calls_do_not_hear_each_other(theatre: Theatre):
    phones = [theatre.call() for _ in range(5)]
    for phone in phones:
        await theatre.lines(phone, 1)  # else who is late interrupts the greeting
    for number, phone in enumerate(phones):
        phone.say(f"caller{number} speaks")
    for number, phone in enumerate(phones):
        await phone.hears(f"you said caller{number} speaks")
        assert (await theatre.lines(phone, 3))[-1] == ("assistant", f"you said caller{number} speaks")


async def test_operators_see_states_and_not_what_was_said(theatre: Theatre):
    phone = theatre.call()
    phone.say("my secret number")
    await phone.hears("you said my secret number")
    shown = [cell.inspect() for cell in theatre.company()]
    assert {state.get("role", "call") for state in shown} >= {
        "call",
        "transport",
        "transcriber",
        "responder",
        "speaker",
    }
    assert "secret" not in str(shown)
    assert next(state for state in shown if "members" in state)["members"]["speaker"]["provider"] == "fake"


async def test_a_drained_call_hears_the_goodbye(theatre: Theatre):
    phone = theatre.call(goodbye_message="closing time")
    await phone.hears("welcome")
    theatre.system.tell(theatre.switchboard, HangUpAll("drained", last_words=True))
    await phone.hears("closing time")
    assert (await theatre.ended(phone)).reason == "drained"


async def test_what_is_said_is_plain_pronounced_and_stored_as_words(theatre: Theatre):
    written = (
        "<think>\nHm. What now?\n</think>\n\n**SQL** is at [our site](http://x.org/a) now \U0001f600. Call 555-0123!"
    )
    speech = {"phone_numbers": "digits", "pronunciations": {"SQL": "sequel"}}
    phone = theatre.call(greeting="", llm={"provider": "fake", "reply": written}, speech=speech)
    phone.say("what")
    await phone.hears("sequel is at our site now. Call 5 5 5, 0 1 2 3!")
    assert await theatre.lines(phone, 2) == [
        ("user", "what"),
        ("assistant", "SQL is at our site now. Call 5 5 5, 0 1 2 3!"),
    ]


async def test_a_model_that_is_known_to_begin_with_a_thought_is_waited_for(theatre: Theatre, monkeypatch):
    monkeypatch.setattr("actors.call.responder._THINK_FIRST", set())
    llm = {"provider": "fake", "reply": "They say hello to us. I greet.</think> Hello. Come in."}
    for heard in ("They say hello to us. Hello. Come in.", "Hello. Come in."):
        phone = theatre.call(greeting="", llm=llm)
        phone.say("hello")
        await phone.hears(heard)
        assert len(phone.words) == len(heard.split())
        phone.hang_up()
        await theatre.ended(phone)

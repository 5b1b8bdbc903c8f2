"""Providers that fail while the caller is on the line: each way, each member, in mid-sentence.

After every failure the caller has heard each word once, the gap was under a second, and the member was replaced.
"""

from __future__ import annotations

import pytest

from actors.errors import Result, Termination
from actors.services.breaker import FAILURES
from tests.actors.call.conftest import Theatre
from tests.fakes.providers import FAULTS, QUESTIONS

GAP_MS = 1000.0
HOW = pytest.mark.parametrize("how", ["raise", "exit", "stall", "fail"])
STORY = "alpha bravo charlie delta echo foxtrot golf hotel india juliet"
STALLS = {"stt_ms": 500, "first_token_ms": 600, "next_token_ms": 400, "tts_ms": 400, "connect_ms": 500}


@HOW
async def test_a_voice_that_fails_in_mid_sentence_is_replaced_at_the_next_word(theatre: Theatre, how: str):
    FAULTS.plant("audio", how, nth=8)
    phone = theatre.call(greeting="", llm={"provider": "fake", "reply": STORY}, stalls=STALLS)
    phone.say("tell me")
    await phone.hears_word("juliet")
    assert phone.longest_gap_ms("alpha", "juliet") < GAP_MS
    assert FAULTS.struck == [f"audio:{how}"]
    assert phone.words in (STORY.split(), [*STORY.split()[:4], *STORY.split()[3:]])  # the word cut off comes again
    assert [e["role"] for e in theatre.events("member_failed")] == ["speaker"]
    assert await theatre.lines(phone, 2) == [("user", "tell me"), ("assistant", STORY)]


@HOW
async def test_a_voice_without_word_times_repeats_rather_than_loses(theatre: Theatre, how: str):
    FAULTS.plant("audio", how, nth=8)
    tts = {"provider": "fake", "word_times": False}
    phone = theatre.call(greeting="", llm={"provider": "fake", "reply": STORY}, tts=tts, stalls=STALLS)
    phone.say("tell me")
    await phone.hears_word("juliet")
    assert phone.longest_gap_ms("alpha", "juliet") < GAP_MS
    heard = iter(phone.words)
    assert all(word in heard for word in STORY.split()), "a word was lost"


@HOW
async def test_a_language_model_that_fails_in_mid_sentence_is_asked_again(theatre: Theatre, how: str):
    FAULTS.plant("token", how, nth=8)
    reply = "First comes alpha. Then comes bravo. Then comes charlie. Then comes delta."
    llm = {"provider": "fake", "reply": reply, "tokens_per_s": 20}
    phone = theatre.call(greeting="", llm=llm, stalls=STALLS)
    phone.say("tell me")
    await phone.hears(reply)
    assert phone.longest_gap_ms("alpha", "delta") < GAP_MS
    assert QUESTIONS[1].said == "First comes alpha. Then comes bravo."
    assert [m.text for m in QUESTIONS[1].history] == ["tell me"]
    assert await theatre.lines(phone, 2) == [("user", "tell me"), ("assistant", reply)]


async def test_one_that_begins_anew_with_other_marks_is_heard_once(theatre: Theatre):
    FAULTS.plant("token", "fail", nth=8)
    reply = "**First** comes *alpha*. Then comes [bravo](http://b.org). Then `comes` charlie."
    phone = theatre.call(greeting="", llm={"provider": "fake", "reply": reply, "tokens_per_s": 20}, stalls=STALLS)
    phone.say("tell me")
    await phone.hears("First comes alpha. Then comes bravo. Then comes charlie.")
    assert QUESTIONS[1].said == "First comes alpha. Then comes bravo."


@HOW
async def test_a_language_model_that_never_begins_is_asked_again(theatre: Theatre, how: str):
    FAULTS.plant("ask", how)
    phone = theatre.call(greeting="", stalls=STALLS)
    phone.say("hello again")
    await phone.hears("you said hello again", 4)
    assert FAULTS.struck == [f"ask:{how}"]
    assert len(QUESTIONS) == 2


@HOW
@pytest.mark.parametrize("where", ["hear", "finalize"])
async def test_an_ear_that_fails_in_mid_sentence_loses_no_word(theatre: Theatre, where: str, how: str):
    FAULTS.plant(where, how, only="alpha" if where == "hear" else "")
    phone = theatre.call(greeting="", stalls=STALLS)
    phone.say("alpha bravo charlie delta echo")
    await phone.hears("you said alpha bravo charlie delta echo", 6)
    phone.say("foxtrot golf hotel")
    await phone.hears("you said foxtrot golf hotel", 6)
    assert FAULTS.struck == [f"{where}:{how}"]
    assert [e["role"] for e in theatre.events("member_failed")] == ["transcriber"]
    users = [text for role, text in await theatre.lines(phone, 3) if role == "user"]
    assert users == ["alpha bravo charlie delta echo", "foxtrot golf hotel"]


async def test_sessions_that_never_open_are_replaced(theatre: Theatre):
    FAULTS.plant("open", "stall", times=3)  # one of each
    phone = theatre.call(stalls=STALLS)
    await phone.hears("welcome")
    phone.say("hello")
    await phone.hears("you said hello", 6)
    assert {e["role"] for e in theatre.events("member_failed")} == {"transcriber", "responder", "speaker"}


@HOW
async def test_a_session_that_fails_to_open_is_replaced(theatre: Theatre, how: str):
    FAULTS.plant("open", how)
    phone = theatre.call(stalls=STALLS)
    phone.say("hello")
    await phone.hears("you said hello", 6)
    assert FAULTS.struck == [f"open:{how}"]


async def test_a_wire_that_is_gone_before_the_call_begins(theatre: Theatre):
    phone = theatre.call()
    phone.wire.hung_up = True
    phone.wire.open = lambda ears: ears.on_closed(Termination(Result.CLIENT_ERROR, "no_start"))
    assert (await theatre.ended(phone)).reason == "no_start"


async def test_a_poisonous_question_is_not_asked_for_ever(theatre: Theatre):
    FAULTS.plant("ask", "raise", times=99, only="poison")
    phone = theatre.call(greeting="", ask_again="pardon me", stalls=STALLS)
    phone.say("drink poison")
    await phone.hears("pardon me")
    assert FAULTS.struck == ["ask:raise"] * 2
    phone.say("water then")
    await phone.hears("you said water then")


async def test_a_poisonous_sentence_is_left_out(theatre: Theatre):
    FAULTS.plant("speak", "raise", times=99, only="poison")
    llm = {"provider": "fake", "reply": "Here is some water. Here is some poison. Here is some bread."}
    phone = theatre.call(greeting="", llm=llm, stalls=STALLS)
    phone.say("feed me")
    await phone.hears("here is some water here is some bread")
    assert FAULTS.struck == ["speak:raise"] * 2


async def test_poisonous_audio_is_not_replayed_for_ever(theatre: Theatre):
    FAULTS.plant("finalize", "raise", times=2)
    phone = theatre.call(greeting="", not_understood="pardon me", stalls=STALLS)
    phone.say("alpha bravo charlie")
    await phone.hears("pardon me")
    phone.say("delta echo")
    await phone.hears("you said delta echo")


async def test_an_exhausted_provider_hands_over_to_the_next(theatre: Theatre):
    FAULTS.plant("ask", "config")
    llm = [{"provider": "fake", "reply": "from the first"}, {"provider": "fake", "reply": "from the second"}]
    phone = theatre.call(greeting="", llm=llm, stalls=STALLS)
    phone.say("hello")
    await phone.hears("from the second")


@pytest.mark.parametrize(("where", "how"), [("open", "config"), ("ask", "config")])
async def test_exhausted_restarts_end_in_the_spoken_error_message(theatre: Theatre, where: str, how: str):
    if where == "open":
        FAULTS.plant("open", how)  # the transcriber opens first
    else:
        FAULTS.plant(where, how)
    phone = theatre.call(greeting="", error_message="technical problem goodbye")
    phone.say("hello")
    await phone.hears("technical problem goodbye")
    end = await theatre.ended(phone)
    assert (end.result, end.reason) == ("upstream_error", "provider_exhausted")


SERVERS = [{"provider": "fake", "base_url": "ws://first"}, {"provider": "fake", "base_url": "ws://second"}]


@pytest.mark.parametrize("kind", ["tts", "stt"])
async def test_what_some_calls_found_dead_the_next_do_not_try(theatre: Theatre, kind: str):
    """A provider that never opens costs the first calls their patience, the others nothing; a probe finds it back."""
    FAULTS.plant("open", "stall", times=99, only="first")
    breakers = theatre.services.value.breakers
    for _ in range(FAILURES):
        phone = theatre.call(**{kind: SERVERS}, stalls=STALLS)
        phone.say("hello there")
        await phone.hears("you said hello there")
    (row,) = breakers.rows()
    assert (row["provider"], row["state"]) == (f"{kind} fake first", "open")
    (breaker,) = breakers._breakers.values()
    breaker.until = float("inf")  # the pause lasts
    for _ in range(2):
        phone = theatre.call(**{kind: SERVERS}, stalls=STALLS)
        phone.say("hello again")
        await phone.hears("you said hello again")
    assert FAULTS.struck == ["open:stall"] * FAILURES
    FAULTS.clear()
    breaker.until = 0.0  # it is over
    phone = theatre.call(**{kind: SERVERS}, stalls=STALLS)
    await phone.hears("welcome")
    assert list(breakers.rows()) == []


async def test_a_dead_provider_without_another_is_tried_all_the_same(theatre: Theatre):
    FAULTS.plant("open", "stall", times=3, only="first")
    for _ in range(2):
        phone = theatre.call(tts=SERVERS[:1], stalls=STALLS)
        await phone.hears("welcome")
    assert FAULTS.struck == ["open:stall"] * 3


async def test_one_call_s_failures_are_not_heard_in_another(theatre: Theatre):
    FAULTS.plant("audio", "raise", nth=3, only="alpha")
    first = theatre.call(greeting=STORY)
    second = theatre.call(greeting="one two three four five six seven eight")
    await second.hears("one two three four five six seven eight")
    await first.hears(STORY)
    assert second.longest_gap_ms("one", "eight") < 300

"""A stall of the network is not the end of a turn: in virtual time, then with a whole company."""

from __future__ import annotations

import asyncio

from actors.call.floor import Floor
from actors.messages import Ask, Finalize, Transcript
from tests.actors.call.conftest import Theatre
from tests.actors.call.stage import Stage


def paused(stage: Stage) -> None:
    """The caller has paused 200 ms ago."""
    stage.do("voice_started", stage.now * 1000)
    stage.wait(1.0)
    stage.do("voice_ended", (stage.now - 0.1) * 1000)
    stage.wait(0.1)


def test_a_silence_that_is_not_heard_does_not_end_the_turn(stage: Stage):
    paused(stage)
    stage.do("hearing_stalled")
    assert not stage.sent(Finalize, stage.wait(2.0))
    stage.do("hearing_resumed")
    assert not stage.sent(Finalize, stage.wait(0.2))
    assert stage.sent(Finalize, stage.wait(0.1)), "the silence goes on"


def test_a_voice_that_comes_after_the_stall_goes_on_with_the_turn(stage: Stage):
    paused(stage)
    stage.do("hearing_stalled")
    stage.wait(0.8)
    stage.do("hearing_resumed")
    stage.do("voice_started", stage.now * 1000)
    assert stage.floor is Floor.HEARING
    assert not stage.sent(Finalize, stage.wait(1.0)) and not stage.sent(Ask)


def test_who_was_asked_before_the_stall_is_not_asked_again(stage: Stage):
    paused(stage)
    assert stage.sent(Finalize, stage.wait(0.3))
    stage.do("hearing_stalled")
    stage.do("hearing_resumed")
    assert not stage.sent(Finalize, stage.wait(1.0))


def test_the_next_turn_knows_nothing_of_the_stall(stage: Stage):
    paused(stage)
    stage.do("hearing_stalled")
    stage.do("heard", Transcript("hello", True, stage.now * 1000))
    stage.do("turn_ended")  # the transcriber says so by itself
    stage.do("hearing_resumed")
    assert stage.floor is Floor.THINKING and "endpoint" not in stage.timers


async def test_a_recognizer_is_not_blamed_for_audio_that_does_not_come(theatre: Theatre):
    phone = theatre.call(greeting="", stalls={"stt_ms": 600}, llm={"provider": "fake", "reply": "fine"})
    phone.wire.stall_ms = 5000.0
    phone.say("one two three four five six")
    await asyncio.sleep(1.0)
    phone.stall(1.0)
    await phone.hears("fine", 15.0)
    assert ("user", "one two three four five six") in await theatre.lines(phone, 1)
    assert not theatre.events("member_failed")

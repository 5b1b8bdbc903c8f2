"""Cells of the floor's table that no story in `test_conversation.py` comes by: mostly what happens at a bad moment."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from actors.call.effects import CancelTimer
from actors.call.floor import Floor
from actors.errors import Result, Termination
from actors.messages import Ask, CancelAnswer, FlushPlayout, ResumePlayout, Speak, Transcript
from tests.actors.call.stage import Stage

OVER = Termination(Result.SUCCESS, "operator")
OPEN = [floor for floor in Floor if floor not in (Floor.ENDING, Floor.ENDED)]


def voice(stage: Stage) -> None:
    stage.do("voice_started", stage.now * 1000)


def pause(stage: Stage) -> None:
    stage.do("voice_ended", stage.now * 1000)


def words(stage: Stage, text: str = "hello", final: bool = False) -> None:
    stage.do("heard", Transcript(text, final, stage.now * 1000))


def speaking(stage: Stage, *clauses: str, done: bool = True) -> int:
    """A question is being answered, audibly: the number of the utterance."""
    stage.caller_says("tell me a story")
    stage.answer(*(clauses or ("Once upon a time.",)), done=done)
    utterance = stage.deliver()
    stage.do("playout_started", utterance)
    return utterance


def hearing(stage: Stage) -> None:
    """The caller speaks, and what he has said is asked ahead."""
    voice(stage)
    words(stage)
    stage.do("turn_ending")


def settling(stage: Stage) -> None:
    """The caller has paused, and the transcriber was asked."""
    voice(stage)
    stage.wait(0.5)
    pause(stage)
    stage.wait(0.4)


def keying(stage: Stage) -> None:
    """The caller presses keys, while we think about what he has said."""
    stage.caller_says("tell me a story")
    stage.do("dtmf", "1")


def deciding(stage: Stage) -> None:
    speaking(stage)
    voice(stage)


def ending(stage: Stage) -> None:
    stage.do("hang_up", OVER, "Goodbye.")


ARRIVE: dict[Floor, Callable[[Stage], object]] = {
    Floor.LISTENING: lambda stage: None,
    Floor.HEARING: hearing,
    Floor.SETTLING: settling,
    Floor.KEYING: keying,
    Floor.THINKING: lambda stage: stage.caller_says("tell me a story"),
    Floor.SPEAKING: lambda stage: speaking(stage, done=False),
    Floor.DECIDING: deciding,
    Floor.ENDING: ending,
}


def at(floor: Floor, **changes: object) -> Stage:
    stage = Stage(**changes)
    stage.speak_out()
    ARRIVE[floor](stage)
    assert stage.floor is floor
    return stage


# --- the end, whoever has the floor ----------------------------------------------------------------------------------


@pytest.mark.parametrize("floor", OPEN)
def test_a_call_that_is_hung_up_says_its_last_words(floor: Floor):
    stage = at(floor)
    new = stage.do("hang_up", OVER, "Goodbye.")
    assert stage.floor is Floor.ENDING
    assert [message.text for message in stage.sent(Speak, new)] == ["Goodbye."]
    assert set(stage.timers) == {"last_words"}
    voice(stage)
    stage.speak_out()
    assert stage.ends() == ["operator"]
    assert stage.floor is Floor.ENDED and not stage.timers


@pytest.mark.parametrize("floor", OPEN)
def test_a_call_that_is_hung_up_without_words_ends_at_once(floor: Floor):
    stage = at(floor)
    stage.do("hang_up", OVER)
    assert stage.ends() == ["operator"]
    assert stage.floor is Floor.ENDED and not stage.timers


@pytest.mark.parametrize("floor", ARRIVE)
def test_a_caller_who_is_gone_is_owed_nothing(floor: Floor):
    stage = at(floor)
    stage.do("wire_closed")
    assert stage.floor is Floor.ENDED
    assert stage.ends() == [] and "filler" not in stage.timers
    state = stage.conversation.inspect()
    assert not state["utterance"] and not state["answer_pending"] and not state["answer_ahead"]
    if floor in (Floor.THINKING, Floor.KEYING):
        assert stage.said()[-1] == ("user", "tell me a story", False)


def test_last_words_that_nobody_can_say_end_the_call():
    stage = at(Floor.ENDING)
    stage.do("exhausted", "speaker", "no voice left")
    assert stage.ends() == ["operator"] and stage.floor is Floor.ENDED


def test_last_words_that_are_not_heard_in_time_end_the_call():
    stage = at(Floor.ENDING)
    stage.wait(20.0)
    assert stage.ends() == ["operator"] and stage.floor is Floor.ENDED


def test_last_words_are_history_from_when_they_were_heard():
    stage = at(Floor.ENDING)
    stage.do("playout_started", stage.deliver())
    assert stage.conversation.inspect()["utterance"]["audible"]


def test_an_answer_that_hangs_up_without_words_ends_the_call():
    stage = at(Floor.THINKING)
    stage.answer(hang_up=True)
    assert stage.ends() == ["assistant_hung_up"] and stage.floor is Floor.ENDED


@pytest.mark.parametrize("floor", [Floor.SPEAKING, Floor.DECIDING])
def test_an_answer_that_hangs_up_ends_the_call_once_it_was_heard(floor: Floor):
    stage = at(Floor.THINKING)
    stage.answer("Goodbye.", hang_up=True)
    utterance = stage.deliver()
    stage.do("playout_started", utterance)
    if floor is Floor.DECIDING:
        voice(stage)
    assert stage.floor is floor
    stage.do("playout_done", utterance)
    assert stage.ends() == ["assistant_hung_up"] and stage.floor is Floor.ENDED


# --- silence and its timers ------------------------------------------------------------------------------------------


def test_who_speaks_is_not_idle(stage: Stage):
    assert "idle" in stage.timers
    voice(stage)
    assert "idle" not in stage.timers and stage.floor is Floor.HEARING


def test_words_without_a_voice_are_a_turn_like_any_other(stage: Stage):
    words(stage)
    assert stage.floor is Floor.SETTLING
    assert set(stage.timers) & {"idle", "endpoint"} == {"endpoint"}


@pytest.mark.parametrize("floor", [Floor.LISTENING, Floor.HEARING, Floor.SETTLING])
def test_whoever_says_something_is_asked_again_from_the_first_prompt(floor: Floor):
    stage = Stage(idle={"timeout_s": 5, "prompts": ["Still there?"], "goodbye": "Bye."})
    stage.speak_out()
    stage.wait(5)
    stage.speak_out()
    ARRIVE[floor](stage)
    words(stage, "well")
    if stage.conversation.hearing.voice:
        pause(stage)
    words(stage, "")  # the transcriber takes it back
    stage.do("turn_ended")
    stage.wait(5)
    assert stage.sent(Speak)[-1].text == "Still there?"


def test_silence_is_the_callers_only_while_he_is_heard(stage: Stage):
    stage.wait(6)
    stage.do("lost", "transcriber")
    stage.wait(3)
    stage.do("ready", "transcriber")
    assert not stage.sent(Speak, stage.wait(9.9))
    assert stage.sent(Speak, stage.wait(0.1))


def test_a_member_that_comes_back_at_another_moment_changes_nothing():
    stage = at(Floor.THINKING)
    stage.do("lost", "transcriber")
    stage.do("ready", "transcriber")
    assert stage.floor is Floor.THINKING and "idle" not in stage.timers


def test_who_is_asked_something_back_has_the_floor_afterwards(stage: Stage):
    stage.wait(10)
    assert stage.floor is Floor.THINKING and stage.sent(Speak)[-1].text == "Are you still there?"
    stage.speak_out()
    assert stage.floor is Floor.LISTENING and "idle" in stage.timers


def test_a_call_without_a_greeting_waits_for_the_caller():
    stage = Stage(greeting="")
    assert stage.floor is Floor.LISTENING and "idle" in stage.timers


def test_nothing_but_noise_leads_back_to_the_prompts():
    stage = at(Floor.SETTLING)
    stage.do("turn_ended")
    assert stage.floor is Floor.LISTENING and "idle" in stage.timers


def test_what_was_not_understood_is_said_and_then_the_caller_is_heard():
    stage = at(Floor.SETTLING, not_understood="Pardon?")
    stage.do("turn_ended")
    assert stage.floor is Floor.THINKING
    stage.speak_out()
    assert stage.floor is Floor.LISTENING


@pytest.mark.parametrize("floor", [Floor.SETTLING, Floor.THINKING])
def test_who_waits_in_silence_is_asked_for_patience(floor: Floor):
    stage = at(floor)
    assert "One moment, please." in [message.text for message in stage.sent(Speak, stage.wait(3.0))]


def test_a_gap_in_the_answer_is_filled_too():
    stage = at(Floor.SPEAKING)
    stage.do("playout_dry", stage.conversation.delivery.utterance.number)
    assert [message.text for message in stage.sent(Speak, stage.wait(3.0))] == ["One moment, please."]


def test_an_answer_without_words_listens_again():
    stage = at(Floor.THINKING)
    stage.answer()
    assert stage.floor is Floor.LISTENING and "idle" in stage.timers


# --- interruptions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("floor", [Floor.THINKING, Floor.SPEAKING])
def test_words_that_the_vad_has_missed_take_the_floor(floor: Floor):
    stage = at(floor)
    words(stage, "stop")
    assert stage.floor is Floor.SETTLING and "endpoint" in stage.timers
    assert stage.sent(FlushPlayout) and stage.sent(CancelAnswer)


@pytest.mark.parametrize("floor", [Floor.THINKING, Floor.SPEAKING])
def test_a_voice_that_may_not_interrupt_is_heard_when_the_answer_is_over(floor: Floor):
    stage = at(floor, barge_in={"enabled": False})
    voice(stage)
    words(stage, "stop")
    assert stage.floor is floor
    if floor is Floor.THINKING:
        stage.answer()
    else:
        stage.do("playout_done", stage.conversation.delivery.utterance.number)
    assert stage.floor is Floor.HEARING


def test_words_of_a_turn_that_did_not_interrupt_are_not_said_again_later():
    stage = at(Floor.SPEAKING)
    words(stage, "mhm", final=True)
    stage.do("turn_ended")
    stage.do("playout_done", stage.conversation.delivery.utterance.number)
    stage.caller_says("what else")
    assert stage.sent(Ask)[-1].question.history[-1].text == "what else"


@pytest.mark.parametrize("floor", [Floor.THINKING, Floor.SPEAKING, Floor.DECIDING])
def test_a_key_takes_the_floor(floor: Floor):
    stage = at(floor)
    assert stage.sent(FlushPlayout, stage.do("dtmf", "1"))
    assert stage.floor is (Floor.HEARING if floor is Floor.DECIDING else Floor.KEYING)


def test_a_key_while_a_sound_that_is_over_is_weighed():
    stage = at(Floor.DECIDING)
    pause(stage)
    stage.do("dtmf", "1")
    assert stage.floor is Floor.KEYING


@pytest.mark.parametrize("floor", OPEN)
def test_whoever_has_the_floor_what_is_typed_is_a_turn(floor: Floor):
    stage = at(floor)
    stage.heard_on_flush = 0.0
    for flush in stage.sent(FlushPlayout):
        stage.do("playout_stopped", flush.utterance, 0.0, True)
    stage.do("typed", "and now?")
    assert stage.floor is Floor.THINKING
    assert stage.sent(Ask)[-1].question.history[-1].text.endswith("and now?")


def test_a_sound_over_a_thought_gives_the_floor_back_to_the_thought():
    stage = at(Floor.THINKING)
    voice(stage)
    assert stage.floor is Floor.DECIDING
    stage.wait(0.2)
    pause(stage)
    stage.do("turn_ended")
    assert stage.floor is Floor.THINKING and stage.sent(ResumePlayout)
    stage.answer("Once upon a time.")
    stage.speak_out()
    assert stage.floor is Floor.LISTENING


def test_an_utterance_that_becomes_audible_while_we_decide_is_spoken_on():
    stage = at(Floor.THINKING)
    stage.answer("Once upon a time.")
    utterance = stage.deliver()
    voice(stage)
    stage.do("playout_started", utterance)
    pause(stage)
    stage.do("turn_ended")
    assert stage.floor is Floor.SPEAKING
    assert ("user", "tell me a story", False) in stage.said()


def test_words_after_the_voice_decide_too():
    stage = at(Floor.DECIDING)
    stage.wait(0.2)
    pause(stage)
    words(stage, "stop")
    assert stage.floor is Floor.SETTLING and "endpoint" in stage.timers
    assert CancelTimer("decision") in stage.effects


def test_what_is_heard_out_while_we_decide_leaves_the_floor_to_the_caller():
    stage = at(Floor.DECIDING)
    stage.wait(0.2)
    pause(stage)
    stage.do("playout_done", stage.conversation.delivery.utterance.number)
    assert stage.floor is Floor.SETTLING and "endpoint" in stage.timers

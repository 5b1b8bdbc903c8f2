"""Keys: what is pressed in one go is one question, whoever has the floor; how many there were is all that is kept."""

from __future__ import annotations

import pytest

from actors.call.effects import Measured, Said
from actors.call.floor import Floor
from actors.call.spending import CallLimits
from actors.messages import Ask, CancelAnswer, FlushPlayout, Speak, Transcript
from tests.actors.call.stage import Stage


def press(stage: Stage, keys: str, every_s: float = 0.3) -> None:
    for key in keys:
        stage.do("dtmf", key)
        stage.wait(every_s)


def asked(stage: Stage) -> list[str]:
    """The last line of each question."""
    return [message.question.history[-1].text for message in stage.sent(Ask)]


def over_the_greeting() -> Stage:
    stage = Stage()
    stage.heard_on_flush = 200.0
    stage.do("playout_started", stage.deliver())
    return stage


def test_keys_are_a_question_whose_digits_are_not_stored(stage: Stage):
    for digit in "42#":
        stage.do("dtmf", digit)
    stage.wait(0)
    assert stage.sent(Ask)[-1].question.history[-1].text == "pressed 4 2"
    stage.answer("Thanks.")
    stage.speak_out()
    assert ("user", "[pressed 2 keys]", False) in stage.said()


def test_keys_before_words_are_part_of_what_is_said(stage: Stage):
    stage.do("dtmf", "7")
    stage.caller_says("is my number")
    assert stage.sent(Ask)[-1].question.history[-1].text == "pressed 7 is my number"
    assert not stage.sent(Ask, stage.wait(3))


def test_keys_pressed_while_a_question_waits_for_its_answer_are_asked_with_it(stage: Stage):
    stage.heard_on_flush = 0.0
    stage.caller_says("what is on my account")
    for digit in "42#":
        stage.do("dtmf", digit)
    stage.wait(1.0)
    stage.do("turn_ended")
    texts = [m.text for m in stage.sent(Ask)[-1].question.history]
    assert texts == ["Hello there.", "what is on my account", "pressed 4 2"]


def test_a_key_interrupts(stage: Stage):
    stage.caller_says("menu")
    stage.answer("Press one for sales.")
    stage.do("playout_started", stage.deliver())
    assert stage.sent(FlushPlayout, stage.do("dtmf", "1"))


# --- one question ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every_s", [0.0, 0.05, 0.5, 1.9])
@pytest.mark.parametrize("end", ["", "#"])
def test_keys_over_a_prompt_are_one_question_however_fast_they_come(every_s: float, end: str):
    stage = over_the_greeting()
    press(stage, "1234" + end, every_s)
    stage.wait(2.0)
    assert asked(stage) == ["pressed 1 2 3 4"]
    assert len(stage.sent(FlushPlayout)) == 1  # a key interrupts once


def listening(stage: Stage) -> None:
    pass


def hearing_a_noise(stage: Stage) -> None:
    stage.do("voice_started", stage.now * 1000)
    stage.wait(0.2)


def settling(stage: Stage) -> None:
    hearing_a_noise(stage)
    stage.do("voice_ended", stage.now * 1000)


def thinking(stage: Stage) -> None:
    stage.caller_says("my account please")


def speaking(stage: Stage) -> None:
    thinking(stage)
    stage.answer("Your PIN please.", done=False)
    stage.do("playout_started", stage.deliver())


def deciding(stage: Stage) -> None:
    speaking(stage)
    stage.do("voice_started", stage.now * 1000)


WHATEVER = [listening, hearing_a_noise, settling, thinking, speaking, deciding]


@pytest.mark.parametrize("before", WHATEVER)
@pytest.mark.parametrize("end", ["", "#"])
def test_whoever_has_the_floor_keys_are_one_question(stage: Stage, before, end: str):
    stage.heard_on_flush = 200.0
    before(stage)
    already = asked(stage)
    press(stage, "1234" + end)
    if end and stage.floor is not Floor.SETTLING:
        assert asked(stage) == [*already, "pressed 1 2 3 4"]
    stage.wait(2.0)
    if stage.floor is Floor.SETTLING:
        stage.do("turn_ended")  # the transcriber's answer: nothing was said
    assert asked(stage) == [*already, "pressed 1 2 3 4"]
    assert len(stage.sent(FlushPlayout)) <= 1


@pytest.mark.parametrize("ends", [lambda s: s.do("turn_ended"), lambda s: s.wait(0.4)])
def test_a_turn_that_is_over_waits_for_the_keys(stage: Stage, ends):
    stage.do("voice_started", stage.now * 1000)
    stage.wait(0.5)
    stage.do("voice_ended", stage.now * 1000)
    stage.do("heard", Transcript("my number is", True, stage.now * 1000))
    press(stage, "12", 0.1)
    ends(stage)
    stage.do("turn_ended")
    assert not asked(stage)
    assert stage.floor is Floor.KEYING
    press(stage, "34#")
    assert asked(stage) == ["my number is pressed 1 2 3 4"]


def test_words_that_come_while_keys_are_awaited_belong_to_them(stage: Stage):
    press(stage, "7")
    stage.do("heard", Transcript("is it", False, stage.now * 1000))  # the VAD has missed it
    assert stage.floor is Floor.SETTLING and "endpoint" in stage.timers
    stage.wait(0.4)
    stage.do("turn_ended")
    assert asked(stage) == ["pressed 7 is it"]


def test_a_voice_among_the_keys_that_says_nothing_is_no_turn(stage: Stage):
    press(stage, "12")
    stage.do("voice_started", stage.now * 1000)
    stage.wait(0.3)
    stage.do("voice_ended", stage.now * 1000)
    press(stage, "3")
    stage.do("turn_ended")
    press(stage, "4#")
    assert asked(stage) == ["pressed 1 2 3 4"]


def test_words_that_go_on_while_keys_are_awaited_are_heard_out(stage: Stage):
    """The transcriber ends the turn by itself, too early: the VAD still hears the voice."""
    stage.do("voice_started", stage.now * 1000)
    stage.wait(0.2)
    stage.do("heard", Transcript("my number", True, stage.now * 1000))
    press(stage, "12")
    stage.do("turn_ended")
    assert stage.floor is Floor.KEYING
    stage.do("heard", Transcript("is this", False, stage.now * 1000))
    assert stage.floor is Floor.HEARING
    stage.do("voice_ended", stage.now * 1000)
    stage.wait(2.0)
    stage.do("heard", Transcript("is this", True, stage.now * 1000))
    stage.do("turn_ended")
    assert asked(stage) == ["my number is this pressed 1 2"]


def test_a_voice_that_has_just_begun_is_waited_for(stage: Stage):
    press(stage, "12", 1.0)
    stage.do("voice_started", stage.now * 1000)
    stage.wait(1.5)  # the keys are over
    assert not asked(stage)
    stage.do("voice_ended", stage.now * 1000)
    stage.do("heard", Transcript("is my number", True, stage.now * 1000))
    stage.wait(0.4)
    stage.do("turn_ended")
    assert asked(stage) == ["pressed 1 2 is my number"]


def test_keys_that_follow_after_a_pause_are_the_next_question(stage: Stage):
    stage.heard_on_flush = 0.0
    press(stage, "12")
    stage.wait(2.0)
    press(stage, "34")
    stage.wait(2.0)
    assert asked(stage) == ["pressed 1 2", "pressed 3 4"]


def test_what_is_typed_ends_the_keys(stage: Stage):
    press(stage, "12")
    stage.do("typed", "is my number")
    assert asked(stage) == ["pressed 1 2 is my number"]
    assert "keys" not in stage.timers


def test_a_question_of_keys_waits_until_it_is_known_what_was_heard():
    stage = over_the_greeting()
    stage.heard_on_flush = None
    utterance = stage.conversation.delivery.utterance.number
    press(stage, "12#", 0.0)
    assert not asked(stage)
    stage.do("dtmf", "3")
    stage.do("playout_stopped", utterance, 200.0, True)
    assert not asked(stage)  # the next key is there already
    stage.wait(2.0)
    assert asked(stage) == ["pressed 1 2 3"]


def test_the_end_key_of_keys_that_are_asked_about_already_is_nothing(stage: Stage):
    press(stage, "1234")
    stage.wait(2.0)
    assert not stage.sent(CancelAnswer, stage.do("dtmf", "#"))
    assert stage.floor is Floor.THINKING


def test_the_end_key_by_itself_is_a_key():
    stage = over_the_greeting()
    press(stage, "#")
    stage.wait(2.0)
    assert asked(stage) == ["pressed #"]


def test_the_keypad_is_the_assistants_own():
    stage = Stage(keypad={"pause_ms": 5000, "end_key": "*"})
    stage.speak_out()
    press(stage, "1#2", 4.0)
    assert not asked(stage)
    press(stage, "*")
    assert asked(stage) == ["pressed 1 # 2"]


def test_keys_after_the_goodbye_are_nobodys(stage: Stage):
    stage.do("exhausted", "responder", "none left")
    press(stage, "1#")
    assert not asked(stage) and stage.conversation.inspect()["keys_pending"] == 0


def test_who_presses_keys_is_neither_idle_nor_told_to_wait(stage: Stage):
    stage.do("voice_started", stage.now * 1000)
    stage.wait(0.2)
    stage.do("voice_ended", stage.now * 1000)
    stage.wait(0.4)  # the transcriber is asked: from here on the caller waits for us
    for _ in range(8):
        stage.do("dtmf", "1")
        assert not stage.sent(Speak, stage.wait(1.9))
    assert stage.conversation.inspect()["keys_pending"] == 8


def test_latency_of_a_turn_of_keys_counts_from_the_last_key(stage: Stage):
    press(stage, "12", 0.5)
    stage.wait(1.5)
    assert asked(stage) == ["pressed 1 2"]
    stage.answer("Thanks.")
    stage.wait(0.3)
    stage.do("playout_started", stage.deliver())
    figures = {e.name: round(e.value) for e in stage.effects if isinstance(e, Measured)}
    assert figures["end_of_turn_ms"] == 2000 and figures["turn_latency_ms"] == 2300


def test_latency_of_keys_over_noise_counts_from_the_end_key(stage: Stage):
    hearing_a_noise(stage)
    press(stage, "12#", 0.5)
    stage.answer("Thanks.")
    stage.do("playout_started", stage.deliver())
    figures = {e.name: round(e.value) for e in stage.effects if isinstance(e, Measured)}
    assert figures["turn_latency_ms"] == 500


# --- only their number is kept ---------------------------------------------------------------------------------------

PIN = "739164"


def words_after(stage: Stage) -> None:
    stage.caller_says("hello are you there")


def words_before(stage: Stage) -> None:
    stage.caller_says("my pin is")


def asked_again(stage: Stage) -> None:
    stage.do("replaced", "responder")


def sound_after(stage: Stage) -> None:
    stage.caller_says("")


def typed_after(stage: Stage) -> None:
    stage.do("typed", "hello")


def nothing(stage: Stage) -> None:
    pass


@pytest.mark.parametrize("before", [nothing, words_before, deciding])
@pytest.mark.parametrize("after", [nothing, words_after, asked_again, sound_after, typed_after])
@pytest.mark.parametrize("most", [4000, 100])
def test_whatever_joins_them_keys_are_only_counted(before, after, most: int):
    stage = Stage()
    stage.conversation.questions.spending.__init__(CallLimits(question_characters=most), lambda: stage.now)  # type: ignore[misc]
    stage.speak_out()
    stage.heard_on_flush = 100.0
    before(stage)
    press(stage, PIN + "#")
    if stage.conversation.hearing.voice:
        stage.do("voice_ended", stage.now * 1000)
    stage.do("turn_ended")
    after(stage)
    stage.answer("Thanks.")
    stage.speak_out()
    assert any(" ".join(PIN) in line for line in asked(stage))
    shown = [repr(effect) for effect in stage.effects] + [str(stage.conversation.inspect())]
    assert not [line for line in shown if PIN in line or " ".join(PIN) in line]
    (said,) = [e.text for e in stage.effects if isinstance(e, Said) and "keys" in e.text]
    assert "[pressed 6 keys]" in said


def test_words_before_and_after_the_keys_stay_there(stage: Stage):
    start = stage.now
    stage.do("voice_started", start * 1000)
    stage.wait(0.5)
    stage.do("heard", Transcript("my pin is", False, stage.now * 1000))
    press(stage, "12")
    stage.do("voice_ended", stage.now * 1000)
    stage.do("heard", Transcript("my pin is", True, stage.now * 1000))
    stage.do("turn_ended")
    press(stage, "34")
    stage.do("voice_started", stage.now * 1000)
    stage.wait(0.5)
    stage.do("voice_ended", stage.now * 1000)
    stage.wait(0.4)
    stage.do("heard", Transcript("thank you", True, stage.now * 1000))
    stage.do("turn_ended")
    stage.wait(3)
    assert asked(stage) == ["my pin is pressed 1 2 3 4 thank you"]


def test_a_pin_that_was_pressed_in_two_goes_is_hidden(stage: Stage):
    for keys in ("47", "11"):
        press(stage, keys)
        stage.wait(3)
        stage.answer("So 4711." if keys == "11" else "And?")
        stage.speak_out()
    assert stage.said()[-1] == ("assistant", "So [4 keys].", False)


@pytest.mark.parametrize("numbers", ["as_written", "words"])
@pytest.mark.parametrize(
    "answer",
    [
        "You said four thousand seven hundred eleven.",
        "You said four seven one one.",
        "You said forty-seven eleven.",
    ],
)
def test_a_pin_that_is_read_back_in_words_is_hidden(answer: str, numbers: str):
    stage = Stage(speech={"numbers": numbers})
    stage.speak_out()
    press(stage, "4711#")
    stage.answer(answer)
    stage.speak_out()
    assert stage.said()[-1] == ("assistant", "You said [4 keys].", False)


def test_what_is_typed_after_the_keys_stands_behind_them_also_after_a_voice_without_words(stage: Stage):
    stage.do("voice_started", stage.now * 1000)
    stage.wait(0.2)
    stage.do("voice_ended", stage.now * 1000)
    press(stage, "12")
    stage.do("typed", "is my number")
    assert asked(stage) == ["pressed 1 2 is my number"]


@pytest.mark.parametrize("words", ["four seven one one", "forty-seven eleven", "4711"])
def test_a_pin_that_the_caller_says_as_well_is_hidden_from_all_but_the_model(stage: Stage, words: str):
    press(stage, "4711")
    stage.caller_says(f"that was {words}")
    assert asked(stage) == [f"pressed 4 7 1 1 that was {words}"]
    stage.answer("Thank you.")
    stage.speak_out()
    stage.caller_says(f"once more {words}")
    stage.answer("Thank you.")
    stage.speak_out()
    assert [text for role, text, _ in stage.said() if role == "user"] == [
        "[pressed 4 keys] that was [4 keys]",
        "once more [4 keys]",
    ]

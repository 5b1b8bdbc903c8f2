"""Events that come when nobody expects them any more: in virtual time."""

from __future__ import annotations

from actors.call.dictation import Dictation
from actors.call.floor import Floor
from actors.errors import Result, Termination
from actors.messages import AnswerDone, Ask, Clause, Heard, PausePlayout, ResumePlayout, Speak, Transcript
from tests.actors.call.stage import Stage


def test_an_answer_without_words_gives_the_playout_back(stage: Stage) -> None:
    """The caller coughs while we think: what is said next must be heard, without a further cough."""
    stage.caller_says("what time is it")
    stage.do("voice_started", stage.now * 1000)
    assert stage.floor is Floor.DECIDING and stage.sent(PausePlayout)
    stage.answer()
    assert stage.floor is Floor.HEARING
    assert len(stage.sent(ResumePlayout)) == 1 and "decision" not in stage.timers


def test_a_late_end_of_turn_while_the_caller_speaks_again_ends_nothing() -> None:
    stage = Stage(not_understood="I did not get that.")
    stage.speak_out()
    stage.do("voice_started", stage.now * 1000)
    stage.wait(1.0)
    stage.do("voice_ended", stage.now * 1000)
    stage.wait(0.4)  # the transcriber is asked
    stage.do("voice_started", stage.now * 1000)
    assert not stage.sent(Speak, stage.do("turn_ended"))
    assert stage.floor is Floor.HEARING
    stage.wait(1.0)
    stage.do("voice_ended", stage.now * 1000)
    stage.wait(0.4)
    stage.do("heard", Transcript("what time is it", True, stage.now * 1000))
    stage.do("turn_ended")
    assert stage.sent(Ask)[-1].question.history[-1].text == "what time is it"


def test_a_turn_that_waits_for_the_playout_asks_nothing_after_the_end(stage: Stage) -> None:
    stage.caller_says("tell me a story")
    stage.answer("Once upon a time.")
    utterance = stage.deliver()
    stage.do("playout_started", utterance)
    stage.do("typed", "stop")  # waits until it is known what was heard
    stage.do("hang_up", Termination(Result.SUCCESS, "operator"), "Goodbye now.")
    asked = len(stage.sent(Ask))
    stage.do("playout_stopped", utterance, 200.0, True)
    assert len(stage.sent(Ask)) == asked
    assert stage.floor is Floor.ENDING


def test_each_wait_has_its_filler_though_the_last_came_to_nothing(stage: Stage) -> None:
    def filler_after_a_sound() -> bool:
        start = stage.now * 1000
        stage.do("voice_started", start)
        stage.wait(0.5)
        stage.do("voice_ended", start + 500)
        said = any(message.text == "One moment, please." for message in stage.sent(Speak, stage.wait(3.0)))
        stage.do("turn_ended")  # late, and without words
        return said

    assert filler_after_a_sound()
    assert stage.floor is Floor.LISTENING
    assert filler_after_a_sound()


def test_a_final_that_is_said_twice_counts_once() -> None:
    dictation = Dictation()
    dictation.open = True
    dictation.feed(Heard(b"", 0.0, 1000.0, True))
    assert dictation.final("hello", 900.0) == [Transcript("hello", True, 900.0)]
    assert dictation.final("hello", 900.0) == []
    dictation.feed(Heard(b"", 1000.0, 2000.0, True))
    assert dictation.final("hello", 1900.0) == [Transcript("hello", True, 1900.0)]  # the caller said it again


def test_words_that_are_not_confirmed_belong_to_the_next_turn_of_a_caller_who_speaks_on(stage: Stage) -> None:
    """They come again, with those that follow: asked now, they would be asked twice."""
    stage.heard_on_flush = 0.0
    stage.do("voice_started", stage.now * 1000)
    stage.wait(1.0)
    stage.do("heard", Transcript("what time is it", True, stage.now * 1000))
    stage.do("heard", Transcript("in", False, stage.now * 1000 + 500))
    stage.do("turn_ended")
    assert stage.sent(Ask)[-1].question.history[-1].text == "what time is it"
    stage.do("heard", Transcript("in London", True, stage.now * 1000 + 900))
    stage.do("voice_ended", stage.now * 1000 + 900)
    stage.wait(0.7)
    stage.do("turn_ended")
    assert stage.sent(Ask)[-1].question.history[-1].text == "what time is it in London"


def test_words_that_nobody_confirms_are_asked_when_the_turn_is_over(stage: Stage) -> None:
    stage.do("voice_started", stage.now * 1000)
    stage.do("heard", Transcript("what time is it", False, stage.now * 1000))
    stage.do("turn_ended")
    assert stage.sent(Ask)[-1].question.history[-1].text == "what time is it"


def test_a_turn_that_waits_for_the_playout_is_not_over_when_the_caller_goes_on(stage: Stage) -> None:
    stage.caller_says("tell me a story")
    stage.answer("Once upon a time there was a king.")
    utterance = stage.deliver()
    stage.do("playout_started", utterance)
    stage.caller_says("no tell me")
    asked = len(stage.sent(Ask))
    stage.do("voice_started", stage.now * 1000)
    stage.do("playout_stopped", utterance, 200.0, True)
    assert len(stage.sent(Ask)) == asked and stage.floor is Floor.HEARING
    stage.wait(0.5)
    stage.do("voice_ended", stage.now * 1000)
    stage.wait(0.7)
    stage.do("heard", Transcript("the time", True, stage.now * 1000))
    stage.do("turn_ended")
    assert stage.sent(Ask)[-1].question.history[-1].text == "no tell me the time"


def test_an_empty_final_takes_no_words_back(stage: Stage) -> None:
    stage.do("voice_started", stage.now * 1000)
    stage.do("heard", Transcript("what time is it", False, stage.now * 1000))
    stage.do("heard", Transcript("", True, stage.now * 1000))
    stage.do("voice_ended", stage.now * 1000 + 500)
    stage.wait(0.5)
    stage.do("turn_ended")
    assert [ask.question.history[-1].text for ask in stage.sent(Ask)] == ["what time is it"]


def test_nothing_follows_an_answer_that_is_complete(stage: Stage) -> None:
    """It was asked ahead, and came without words: what still comes of it is nobody's."""
    stage.do("voice_started", stage.now * 1000)
    stage.do("heard", Transcript("what time is it", False, stage.now * 1000))
    stage.do("turn_ending")
    turn = stage.sent(Ask)[-1].question.turn
    stage.do("answered", AnswerDone(turn, False))
    stage.do("answered", Clause(turn, "Noon."))
    stage.do("heard", Transcript("what time is it", True, stage.now * 1000))
    stage.do("turn_ended")
    assert "Noon." not in [message.text for message in stage.sent(Speak)]

"""What one call may cost: in virtual time, and through the whole conversation."""

from __future__ import annotations

from typing import Any

import pytest

from actors.call.effects import Unasked
from actors.call.events import NotAnswered, event_of
from actors.call.spending import CallLimits, Spending
from actors.messages import AnswerDone, Ask, Clause, Transcript
from actors.providers.spec import ChatMessage
from tests.actors.call.stage import Stage


def stage(**limits: Any) -> Stage:
    made = Stage(greeting="", system_prompt="Be kind.")
    made.heard_on_flush = 0.0
    spending = made.conversation.questions.spending
    spending.__init__(CallLimits(**limits), lambda: made.now)  # type: ignore[misc]
    return made


def questions(stage: Stage) -> list[tuple[ChatMessage, ...]]:
    return [ask.question.history for ask in stage.sent(Ask)]


def refusals(stage: Stage) -> list[str]:
    return [effect.reason for effect in stage.effects if isinstance(effect, Unasked)]


def test_texts_that_are_never_answered_become_one_question_of_bounded_length() -> None:
    call = stage(questions_per_minute=1000, question_characters=8000)
    for number in range(200):
        call.do("typed", f"text {number} " + "x" * 1990)
    longest = max(sum(len(line.text) for line in history) for history in questions(call))
    assert longest <= 8000 + len("Be kind.")
    assert "text 199" in questions(call)[-1][-1].text
    assert questions(call)[-1][0] == ChatMessage("system", "Be kind.")


def test_questions_beyond_the_limit_are_not_asked_and_the_caller_is_listened_to() -> None:
    call = stage(questions_per_minute=3)
    for number in range(10):
        call.do("typed", f"question {number}")
    assert len(questions(call)) == 3
    assert refusals(call) == ["a call takes 3 questions a minute"] * 7
    assert call.conversation.inspect()["state"] == "listening"
    assert event_of(Unasked("why")) == NotAnswered("why")
    call.wait(60)
    call.do("typed", "and now?")
    assert questions(call)[-1][-1].text == "and now?" and len(questions(call)) == 4


def test_a_call_that_has_used_its_tokens_asks_nothing_more() -> None:
    call = stage(tokens_per_call=1000)
    call.do("typed", "one")
    call.conversation.questions.spending.used(999)
    call.do("typed", "two")
    call.conversation.questions.spending.used(1)
    call.do("typed", "three")
    assert len(questions(call)) == 2
    assert refusals(call) == ["this call has used its 1000 tokens"]


def test_what_is_asked_ahead_counts_once() -> None:
    call = stage(questions_per_minute=1)
    call.do("voice_started", 0.0)
    call.do("heard", Transcript("when are you open", True, 900.0))
    call.do("voice_ended", 900.0)
    call.do("turn_ending")
    call.do("turn_ended")
    assert len(questions(call)) == 1 and refusals(call) == []


def test_of_a_long_call_a_model_is_given_the_end() -> None:
    call = stage(history_characters=1000, questions_per_minute=1000)
    for number in range(120):
        call.do("typed", f"question {number}")
        turn = call.sent(Ask)[-1].question.turn
        call.do("answered", Clause(turn, f"Answer {number} " + "x" * 80))
        call.do("answered", AnswerDone(turn, False))
        call.do("playout_started", call.conversation.delivery.utterance.number)
        call.do("playout_stopped", call.conversation.delivery.utterance.number, 0.0, True)
    *_, last = questions(call)
    assert last[0].role == "system" and last[-1].text.endswith("question 119")
    assert 800 < sum(len(line.text) for line in last[1:-1]) <= 1000


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("a" * 100, "a" * 100),
        ("word " * 30, ("word " * 30)[-100:]),
        ("xx" + "word " * 30, ("word " * 30)[-100:]),
        ("b" * 50 + " " + "c" * 98, "c" * 98),
        ("d" * 300, "d" * 100),
    ],
)
def test_a_question_is_cut_between_words(question: str, asked: str) -> None:
    assert Spending(CallLimits(question_characters=100), lambda: 0.0).cut(question) == asked


def test_whole_lines_of_the_history_from_its_end() -> None:
    lines = [ChatMessage("user", "x" * 400) for _ in range(5)]
    spending = Spending(CallLimits(history_characters=1000), lambda: 0.0)
    assert spending.recent(lines) == lines[-2:] and spending.recent(lines[:2]) == lines[:2]
    assert spending.recent([]) == []

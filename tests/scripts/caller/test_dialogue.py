"""The simulated caller's conversation, in virtual time: one step per 20 ms."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scripts.caller.dialogue import Action, Dialogue, HangUp, Press, Say, TurnEnded

Spans = list[tuple[float, float]]


def within(spans: Spans, now_s: float) -> bool:
    return any(start <= now_s < end for start, end in spans)


def play(
    dialogue: Dialogue,
    assistant: Callable[[float, list[tuple[float, Action]]], bool],
    *,
    sentence_s: float = 1.0,
    until_s: float = 60.0,
) -> list[tuple[float, Action]]:
    """Step through a call; `assistant(now, actions so far)` says whether it can be heard."""
    log: list[tuple[float, Action]] = []
    voice_until = 0.0
    for tick in range(round(until_s * 50)):
        now = tick * 0.02
        for action in dialogue.step(now, audible=assistant(now, log), speaking=now < voice_until):
            log.append((now, action))
            if isinstance(action, Say):
                voice_until = now + sentence_s + 0.02
            if isinstance(action, HangUp):
                return log
    return log


def spoken(spans: Spans) -> Callable[[float, list[tuple[float, Action]]], bool]:
    return lambda now, log: within(spans, now)


def answering(delay_s: float, length_s: float) -> Callable[[float, list[tuple[float, Action]]], bool]:
    """A greeting of one second, then an answer to each sentence `delay_s` after its end (of one second)."""

    def assistant(now: float, log: list[tuple[float, Action]]) -> bool:
        starts = [at + 1.0 + delay_s for at, action in log if isinstance(action, Say)]
        return within([(0.2, 1.2), *((start, start + length_s) for start in starts)], now)

    return assistant


def turns(log: list[tuple[float, Action]]) -> list[TurnEnded]:
    return [action for _, action in log if isinstance(action, TurnEnded)]


def test_waits_for_the_greeting_and_measures_each_answer() -> None:
    dialogue = Dialogue(2)
    log = play(dialogue, answering(0.5, 1.5))
    kinds = [type(action) for _, action in log]
    assert kinds == [Say, TurnEnded, Say, TurnEnded, HangUp]
    assert log[0][0] == pytest.approx(1.2 + 0.7, abs=0.041)
    assert [turn.turn for turn in turns(log)] == [1, 2]
    for turn in turns(log):
        assert turn.latency_ms == pytest.approx(500, abs=21)
    assert dialogue.greeting_ms == pytest.approx(200, abs=1)


def test_without_a_greeting_it_speaks_after_four_seconds() -> None:
    dialogue = Dialogue(1)
    log = play(dialogue, spoken([(5.4, 6.0)]))
    assert log[0] == (pytest.approx(4.0, abs=0.021), Say(1, False))
    assert turns(log)[0].latency_ms == pytest.approx(400, abs=41)


def test_a_turn_without_an_answer_in_eight_seconds_is_unanswered_and_the_next_follows() -> None:
    log = play(Dialogue(2), spoken([(0.2, 1.2)]))
    assert turns(log) == [TurnEnded(1, None), TurnEnded(2, None)]
    assert isinstance(log[-1][1], HangUp)
    said = [at for at, action in log if isinstance(action, Say)]
    assert said[1] - said[0] == pytest.approx(1.0 + 8.0, abs=0.05)


def test_pauses_within_an_answer_do_not_end_it() -> None:
    # greeting, then an answer with a pause of 600 ms in it: the second sentence waits for its real end
    log = play(Dialogue(2), spoken([(0.2, 1.2), (3.4, 4.0), (4.6, 5.0), (7.5, 8.0)]))
    second = next(at for at, action in log if action == Say(2, False))
    assert second == pytest.approx(5.0 + 0.7, abs=0.041)


def test_barge_in_interrupts_one_second_into_the_second_answer_and_measures_how_long_it_went_on() -> None:
    def assistant(now: float, log: list[tuple[float, Action]]) -> bool:
        barged = next((at for at, action in log if isinstance(action, Say) and action.interrupting), None)
        if barged is None:
            return answering(0.3, 5.0)(now, log)
        return now < barged + 0.16 or barged + 1.5 <= now < barged + 2.0

    dialogue = Dialogue(3, barge_in=True)
    log = play(dialogue, assistant)
    third = next((at, action) for at, action in log if isinstance(action, Say) and action.turn == 3)
    second_answer = next(at for at, action in log if isinstance(action, TurnEnded) and action.turn == 2)
    assert third[1] == Say(3, True)
    assert third[0] - second_answer == pytest.approx(1.0, abs=0.041)
    assert dialogue.barge_in_ms == pytest.approx(140, abs=21)
    # what it went on to say is not the answer to the interruption; the new burst is
    assert turns(log)[2].latency_ms == pytest.approx(500, abs=41)


def test_an_answer_shorter_than_a_second_cannot_be_interrupted() -> None:
    dialogue = Dialogue(3, barge_in=True)
    log = play(dialogue, answering(0.3, 0.6))
    assert not any(action.interrupting for _, action in log if isinstance(action, Say))
    assert dialogue.barge_in_ms is None


@pytest.mark.parametrize(
    ("answer", "first_word_s"), [([(3.0, 4.0)], 4.0 + 0.7), ([], 2.4 + 3.0), ([(3.0, 6.0)], 6.0 + 0.7)]
)
def test_keys_are_pressed_after_the_greeting_one_by_one_and_their_answer_is_heard(
    answer: Spans, first_word_s: float
) -> None:
    log = play(Dialogue(1, dtmf="12#"), spoken([(0.2, 1.2), *answer]))
    pressed = [(at, action.digit) for at, action in log if isinstance(action, Press)]
    assert [digit for _, digit in pressed] == ["1", "2", "#"]
    assert pressed[1][0] - pressed[0][0] == pytest.approx(0.25, abs=0.021)
    assert log[3] == (pytest.approx(first_word_s, abs=0.07), Say(1, False))


def test_an_assistant_that_never_stops_does_not_hold_the_caller_for_ever() -> None:
    log = play(Dialogue(1), lambda now, log: True, until_s=200)
    assert isinstance(log[-1][1], HangUp)


@pytest.mark.parametrize(
    ("hang_up_at_s", "unanswered"),
    [(0.5, [1, 2, 3]), (2.5, [1, 2, 3]), (3.5, [2, 3]), (100.0, [])],
    ids=["in the greeting", "in the first sentence", "in the first answer", "after the caller"],
)
def test_a_hang_up_leaves_the_turns_to_come_unanswered(hang_up_at_s: float, unanswered: list[int]) -> None:
    dialogue = Dialogue(3)
    play(dialogue, answering(0.3, 2.0), until_s=hang_up_at_s)
    assert dialogue.closed() == [TurnEnded(turn, None) for turn in unanswered]
    assert dialogue.step(200.0, audible=True, speaking=False) == []

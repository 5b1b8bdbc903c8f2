"""Where the caller is in what is said: by the clock, and exactly where it was paused."""

from __future__ import annotations

from actors.call.position import Position, from_the_clause_at
from actors.call.utterance import Purpose, Utterance


def utterance(*lengths_ms: float, complete: bool = True) -> Utterance:
    made = Utterance(1, Purpose.ANSWER)
    for number, length_ms in enumerate(lengths_ms, 1):
        made.add(number, f"clause {number}")
        made.delivered(number, length_ms, (), done=True)
    made.complete, made.started = complete, True
    return made


def test_it_is_followed_by_the_clock_and_corrected_by_a_pause():
    position = Position()
    position.begin(10.0)
    assert position.heard_ms(10.5) == 500
    position.pause(10.5)
    position.correct(430.0)
    assert position.heard_ms(12.0) == 430
    position.resume(12.0)
    position.correct(1.0)  # of a pause that is over
    assert position.heard_ms(12.125) == 555


def test_what_begins_in_a_pause_is_not_heard_yet():
    position = Position()
    position.pause(1.0)
    position.begin(2.0)
    assert position.heard_ms(3.0) == 0
    position.resume(3.0)
    assert position.heard_ms(3.25) == 250


def test_how_much_is_left():
    position = Position()
    position.begin(0.0)
    assert position.left_ms(utterance(600, 400), 0.75) == 250
    assert position.left_ms(utterance(600, 400, complete=False), 0.7) == float("inf")
    assert position.left_ms(None, 0.7) == float("inf")


def test_the_clause_that_was_cut_is_among_what_was_not_heard():
    said = utterance(600, 400, 500)
    assert from_the_clause_at(said, 0) == ("clause 1", "clause 2", "clause 3")
    assert from_the_clause_at(said, 600) == ("clause 2", "clause 3")
    assert from_the_clause_at(said, 1001) == ("clause 3",)
    assert from_the_clause_at(said, 1500) == ()

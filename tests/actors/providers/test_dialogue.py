"""What a script understands: paraphrases, slots, doubts, corrections; and the measured set."""

from __future__ import annotations

import importlib.util

import pytest

from actors.providers.dialogue import Script
from actors.providers.sentence_vectors import PACKAGE
from actors.providers.spec import ChatMessage
from scripts.understanding_set import ROOT, judge, read_samples, reception

needs_the_wheel = pytest.mark.skipif(importlib.util.find_spec(PACKAGE) is None, reason="no wheel for this machine")
FRIDAY = "Book a table for Friday, please."


def answer(*lines: str, language: str = "en") -> str:
    return Script(reception(), language).answer([ChatMessage("user", line) for line in lines]).text


@needs_the_wheel
@pytest.mark.parametrize("half", ["tune", "report"])
def test_the_goals_hold(half: str) -> None:
    score = judge(Script(reception()), read_samples(ROOT / "tests" / "understanding" / f"{half}.txt"))
    assert score.known + score.foreign > 100 and score.is_good, list(score.lines(half))


@needs_the_wheel
@pytest.mark.parametrize(
    ("lines", "begins"),
    [
        (["Is there a table free on Friday night?"], "On Friday I have a table for two"),
        (["A table for four people on Friday, please."], "On Friday I have a table for 4 at"),
        ([FRIDAY, "No, Saturday."], "On Saturday"),
        ([FRIDAY, "Not Friday, Saturday."], "On Saturday"),
        ([FRIDAY, "Yes, please.", "Sorry, I meant Wednesday."], "On Wednesday"),
        (["A table for four people on Friday, please.", "No, Saturday."], "On Saturday I have a table for 4"),
        ([FRIDAY, "No, Saturday.", "Yes, please."], "Done. Your table is booked for Saturday"),
        ([FRIDAY, "No, thank you.", "Saturday, please."], "On Saturday"),
        ([FRIDAY, "No, thank you."], "No table then"),
        ([FRIDAY, "Book a table for Tuesday, please."], "With pleasure. For which day"),
        (["Book a table for Friday or Saturday."], "With pleasure. For which day"),
        (["I would like to book a table.", "Saturday."], "On Saturday"),
        ([FRIDAY, "What are your opening hours?", "No, Saturday."], "Did you mean: no thank you"),
        (["Wake me up at half past six."], "I shall ring you at 06:30"),
        (["My number is five five five zero double one two."], "I noted 5550112"),
        (["Please wake me up at half-past six to-morrow."], "I shall ring you at 06:30"),
        (["I hate pizza."], "Sorry"),
    ],
)
def test_the_front_desk(lines: list[str], begins: str) -> None:
    assert answer(*lines).startswith(begins)


@needs_the_wheel
def test_what_is_half_understood_is_asked_about() -> None:
    unsure = "Call the police."
    assert answer(unsure).startswith("Did you mean: ")
    assert answer(unsure, "Yes.").startswith("On which number?")
    assert answer(unsure, "No.").startswith("Sorry")
    assert answer(unsure, "What are your opening hours?").startswith("The front desk never sleeps")


def test_words_alone_decide_in_other_languages() -> None:
    assert answer("Book a table for Friday.", language="de").startswith("On Friday")
    assert answer("Book a table for Tuesday.", language="de").startswith("With pleasure")
    assert answer("Call the police.", language="de").startswith("I noted") is False

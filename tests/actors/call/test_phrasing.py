from __future__ import annotations

import time

import pytest

from actors.call.phrasing import Phrasing
from config.assistant import Speech


def said(tokens: list[str], language: str = "en", before: str = "", **speech: object) -> list[str]:
    phrasing = Phrasing(Speech.model_validate(speech), language, before)
    return [*(clause for token in tokens for clause in phrasing.feed(token)), *phrasing.end()]


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("**Great** \U0001f600! See [us](http://x.org).", ["Great!", "See us."]),
        ("Sure:\n\n- **One** thing\n- Another\n", ["Sure:", "One thing", "Another"]),
        ("## Hours\n\n| Day | Time |\n|---|---|\n| Monday | 9-5 |\n", ["Hours", "Day, Time.", "Monday, 9-5."]),
        ("<think>Dr. No?</think>\n\nMail **info@example.com**. Or call.", ["Mail info@example.com.", "Or call."]),
        ("Wait a moment please... Now. \u2013 \U0001f600", ["Wait a moment please...", "Now."]),
        ("\U0001f600", []),
        ("```\nx = 1\n```", []),
        ("   ", []),
    ],
)
def test_from_tokens_to_clauses(text: str, clauses: list[str]):
    assert said([text]) == clauses
    assert said(list(text)) == clauses


def test_french_has_a_blank_before_its_marks():
    assert said(["\u00c7a va \U0001f600 ?"], "fr") == ["\u00c7a va ?"]


def test_marks_may_be_the_voices_own():
    text = 'Hello <break time="1s"/> *there*.'
    assert said([text], markup=False) == [text]


def test_a_thought_whose_beginning_the_prompt_holds_is_learnt():
    phrasing = Phrasing(Speech(), "en")
    assert phrasing.feed("I greet</think>Hello there. ") + phrasing.end() == ["Hello there."]
    after = Phrasing(Speech(), "en", thinks_first=phrasing.thought_first)
    assert after.feed("They want this. I should say no. ") == []
    assert after.feed("</think>No, sorry.") + after.end() == ["No, sorry."]
    assert after.thought_first
    unlearnt = Phrasing(Speech(), "en", thinks_first=True)
    assert unlearnt.feed("Hello.") + unlearnt.end() == ["Hello."]
    assert not unlearnt.thought_first


@pytest.mark.parametrize(
    ("thought", "answer"),
    [
        ("Okay, the user asks for our hours. They want Monday. I say so.", "From nine to five."),
        ("We need to answer politely. So: hello.", "Hello. How are you?"),
    ],
)
def test_an_answer_that_thinks_aloud_waits_for_the_end_of_the_thought(thought: str, answer: str):
    assert " ".join(said(list(f"{thought}\n</think>\n\n{answer}"))) == answer
    assert " ".join(said(list(thought))) == thought  # there is none: it was none


def test_behind_a_thought_the_first_clause_is_early():
    phrasing = Phrasing(Speech(), "en")
    assert phrasing.feed("The user asks. I see.</think>We are open on weekdays, from nine ") == [
        "We are open on weekdays,"
    ]


def test_it_is_an_option_to_know_so_from_the_first_answer():
    assert said(["Who is this? I ask.", "</think>", "Hello."], thinks_first=True) == ["Hello."]


@pytest.mark.parametrize(
    ("before", "text", "rest"),
    [
        ("We are open.", "We are open. From nine.", ["From nine."]),
        ("We are open.", "**We** are open! From nine.", ["From nine."]),  # what was said had no marks
        ("We are", "We are open. From nine.", ["open. From nine."]),  # in the middle of a clause
        ("We are", "We are, you know, open.", ["you know, open."]),
        ("We are open.", " From nine.", ["From nine."]),  # it goes on, as it was asked to
        ("We are open. From nine.", "We are open. Not today.", ["We are open.", "Not today."]),  # another answer
        ("We are open.", "We are", ["We are"]),
        ("We are open.", "We are open.", []),
        ("Call 5 5 5, 0 1 2 3.", "Call 555-0123. Bye.", ["Bye."]),
        ("\u597d\u7684\uff0c", "\u597d\u7684\uff0c\u8bf7\u7a0d\u7b49\u3002", ["\u8bf7\u7a0d\u7b49\u3002"]),
        ("Yes.", "<think>We said yes.</think>Yes. Come in.", ["Come in."]),
        ("Yes.", "I said yes</think>Yes. Come in.", ["Come in."]),
    ],
)
def test_what_was_said_before_is_not_said_again(before: str, text: str, rest: list[str]):
    speech = {"phone_numbers": "digits"}
    assert " ".join(said([text], before=before, **speech)) == " ".join(rest)
    assert " ".join(said(list(text), before=before, **speech)) == " ".join(rest)


@pytest.mark.parametrize(
    "piece", ["a. ", "- item\n", "[", "<a ", "http://a.", "| ", "* ", "Dr. ", "1-", "\U0001f600", "\u597d"]
)
def test_an_answer_that_comes_in_one_piece_costs_no_more_than_its_length(piece: str):
    """It took 10 s where the search was over all of it; now at most 0.1 s, and much of a second on a busy machine."""
    text = (piece * 10_000)[:10_000]
    began_s = time.process_time()
    said([text])
    assert time.process_time() - began_s < 1.0

from __future__ import annotations

import pytest

from actors.call.phrasing import Phrasing
from config.assistant import Speech


def said(tokens: list[str], language: str = "en", first: bool = True, **speech: object) -> list[str]:
    phrasing = Phrasing(Speech.model_validate(speech), language, first)
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
    after = Phrasing(Speech(), "en", thinks_first=phrasing.thinks_first)
    assert after.feed("They want this. I should say no. ") == []
    assert after.feed("</think>No, sorry.") + after.end() == ["No, sorry."]
    assert after.thinks_first


def test_it_is_an_option_to_know_so_from_the_first_answer():
    assert said(["Who is this? I ask.", "</think>", "Hello."], thinks_first=True) == ["Hello."]

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.call.clauses import MAX_CHARS, Clauser


def clauses(text: str, first: bool = True) -> list[str]:
    clauser = Clauser(first)
    return [clause for token in text for clause in clauser.feed(token)] + list(filter(None, [clauser.rest()]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes. We are open.", ["Yes.", "We are open."]),
        ("We are open on weekdays, from nine to five, and closed on Sunday.", None),
        ("It costs 3.50 dollars today. Fine?", ["It costs 3.50 dollars today.", "Fine?"]),
        (
            "Dr. Smith and J. Doe are in. Come at 9 a.m. today.",
            ["Dr. Smith and J. Doe are in.", "Come at 9 a.m. today."],
        ),
        ('He said "wait!" Then he left.', ['He said "wait!"', "Then he left."]),
        ("one\ntwo", ["one", "two"]),
        ("  \n ", []),
    ],
)
def test_cuts_where_a_voice_pauses(text: str, expected: list[str] | None):
    if expected is None:  # only the first clause is cut at a comma
        expected = ["We are open on weekdays,", "from nine to five, and closed on Sunday."]
    assert clauses(text) == expected


def test_a_continued_answer_has_no_early_first_clause():
    assert clauses("and then, after a while, it ends.", first=False) == ["and then, after a while, it ends."]


def test_an_endless_answer_is_cut_at_a_blank():
    parts = clauses("word " * 200)
    assert all(len(part) <= MAX_CHARS for part in parts)
    assert " ".join(parts) == ("word " * 200).strip()


def letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (["Sure, your table", " is ready", "."], ["Sure, your table is ready."]),
        (["That makes 12 dollars 3", "."], []),  # "3.50"
        (["We are open until", " 9 a.m", "."], []),
        (["You want to see", " Dr", "."], []),
        (["He said (and she", " agrees", "."], []),  # the bracket is still open
        (["Yes", "."], []),  # too short to stand alone before it is known to
    ],
)
def test_the_first_sentence_need_not_wait_for_the_blank_behind_it(tokens: list[str], expected: list[str]):
    clauser = Clauser()
    assert [clause for token in tokens for clause in clauser.feed(token)] == expected


def test_later_sentences_wait_for_it():
    clauser = Clauser(first=False)
    assert clauser.feed("This is the second sentence.") == []
    assert clauser.feed(" And") == ["This is the second sentence."]


def test_marks_alone_are_not_spoken():
    assert clauses("Wait a moment please... Now. \u2013 \U0001f600") == ["Wait a moment please.", "Now."]


@given(st.text(alphabet="ab .,!?\n1", max_size=400), st.integers(1, 7))
def test_nothing_is_lost_however_the_tokens_come(text: str, size: int):
    clauser = Clauser()
    tokens = [text[i : i + size] for i in range(0, len(text), size)]
    parts = [clause for token in tokens for clause in clauser.feed(token)] + [clauser.rest()]
    assert letters("".join(parts)) == letters(text)

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


@given(st.text(alphabet="ab .,!?\n1", max_size=400), st.integers(1, 7))
def test_nothing_is_lost_however_the_tokens_come(text: str, size: int):
    clauser = Clauser()
    tokens = [text[i : i + size] for i in range(0, len(text), size)]
    parts = [clause for token in tokens for clause in clauser.feed(token)] + [clauser.rest()]
    assert "".join("".join(parts).split()) == "".join(text.split())

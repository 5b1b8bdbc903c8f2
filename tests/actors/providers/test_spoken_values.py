"""Values in what was heard."""

from __future__ import annotations

import pytest

from actors.providers.grammar import normalise
from actors.providers.spoken_values import FoundKind, values_in


@pytest.mark.parametrize(
    ("kind", "text", "values"),
    [
        ("number", "a table for four on Friday at seven", ["4"]),
        ("number", "Two hundred and ten people.", ["210"]),
        ("number", "twenty five, or 30", ["25", "30"]),
        ("number", "three thousand two hundred", ["3200"]),
        ("number", "my number is one two three", []),
        ("number", "at half past six on the third of May", []),
        ("number", "nobody", []),
        ("digits", "it is five five five, double 0 one two three", ["55500123"]),
        ("digits", "555-0123", ["5550123"]),
        ("digits", "triple five oh one", ["55501"]),
        ("digits", "a table for two", []),
        ("digits", "double", []),
        ("time", "at seven thirty", ["07:30"]),
        ("time", "at seven, please", ["07:00"]),
        ("time", "Half-past six.", ["06:30"]),
        ("time", "a quarter to eight tomorrow", ["07:45"]),
        ("time", "twenty to nine", ["08:40"]),
        ("time", "quarter to one", ["12:45"]),
        ("time", "7:30 pm", ["19:30"]),
        ("time", "12 am", ["00:00"]),
        ("time", "six thirty in the evening", ["18:30"]),
        ("time", "seven oh five", ["07:05"]),
        ("time", "at noon", ["12:00"]),
        ("time", "for four people", []),
        ("time", "half to six", []),
        ("date", "on the third of May", ["May 3"]),
        ("date", "May 3rd or December the twenty first", ["May 3", "December 21"]),
        ("date", "next Friday", ["next Friday"]),
        ("date", "I may come", []),
        ("date", "the 45th of May", []),
    ],
)
def test_what_is_there_is_found_and_nothing_else(kind: FoundKind, text: str, values: list[str]) -> None:
    assert [found.value for found in values_in(normalise(text).split(), kind)] == values


@pytest.mark.parametrize("kind", ["number", "digits", "time", "date"])
@pytest.mark.parametrize("text", ["", "at", "to", "half", "half past", "the", "and", "9" * 5000, "one " * 3000, "may"])
def test_odd_ends_are_no_error(kind: FoundKind, text: str) -> None:
    assert len(values_in(text.split()[:400], kind)) <= 400

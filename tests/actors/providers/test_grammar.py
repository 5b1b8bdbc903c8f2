"""Patterns, sentences and the grammar that hears them."""

from __future__ import annotations

import pytest

from actors.providers.grammar import expand, fill, jsgf, normalise, vocabulary

DAYS = {"day": ("Monday", "Friday"), "time": ("nine", "noon")}


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("What's up, Doc?", "what's up doc"),
        ("  What\u2019s   UP ", "what's up"),
        ("yes - please!", "yes please"),
        ("...", ""),
    ],
)
def test_normalised_words(text: str, normal: str) -> None:
    assert normalise(text) == normal


def test_a_pattern_stands_for_the_product_of_its_slots() -> None:
    sentences = expand("Book {day}, at {time}", DAYS)
    assert [sentence.text for sentence in sentences] == [
        "book monday at nine",
        "book monday at noon",
        "book friday at nine",
        "book friday at noon",
    ]
    assert sentences[1].slots == {"day": "Monday", "time": "noon"}


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [("on {week}", "no values for the slot {week}"), ("{}", "no values for the slot {}"), ("?!", "at least one word")],
)
def test_a_bad_pattern_is_named(pattern: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        expand(pattern, DAYS)


def test_a_missing_value_fills_nothing() -> None:
    assert fill("on {day}", {"day": "Friday"}) == "on Friday"
    assert fill("on {day} at {time}", {"day": "Friday"}) is None


def test_the_grammar_lists_each_sentence_once() -> None:
    grammar = jsgf(["Yes, please!", "no", "yes please", "?"])
    assert grammar == "#JSGF V1.0; grammar sentences; public <sentence> = yes please | no ;"
    assert vocabulary(["Yes, please!", "no", "yes"]) == ["no", "please", "yes"]

"""Which sentence a text may be."""

from __future__ import annotations

import pytest

from actors.engines.hints import Hints, plain, rewritten

PHRASES = ("what are your opening hours", "Goodbye!", "book a table for friday please", "what's up, doc?")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Good-bye.", ("Goodbye.", True)),
        ("Book a table for Fry Day, please.", ("Book a table for Friday, please.", False)),
        ("Buck a table for Friday, please!", ("Book a table for Friday, please!", False)),
        ("What are your open in hours?", ("What are your opening hours?", False)),
        ("What are your opening hours?", ("", False)),
        ("What\u2019s up, doc", ("", False)),
        ("I hate pizza.", ("", False)),
        ("", ("", False)),
        ("...", ("", False)),
    ],
)
def test_the_nearest_sentence_keeps_the_texts_capitals_and_marks(text: str, expected: tuple[str, bool]) -> None:
    assert Hints(PHRASES).nearest(text) == expected


@pytest.mark.parametrize("text", ["Buck a table for Friday, please!", "a", "book book book", "What?"])
@pytest.mark.parametrize("phrase", [plain(phrase) for phrase in PHRASES])
def test_it_is_that_sentence(text: str, phrase: str) -> None:
    assert plain(rewritten(text, phrase)) == phrase

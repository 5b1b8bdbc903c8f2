from __future__ import annotations

import pytest

from actors.call.utterance import MS_PER_CHAR, Purpose, Utterance
from actors.providers.spec import Word


def utterance(*texts: str) -> Utterance:
    made = Utterance(1, Purpose.ANSWER, 1)
    for number, text in enumerate(texts, 1):
        made.add(number, text)
    return made


def words(text: str, each_ms: float = 200.0) -> list[Word]:
    return [Word(word, i * each_ms, (i + 1) * each_ms) for i, word in enumerate(text.split())]


@pytest.mark.parametrize(
    ("heard_ms", "heard"),
    [
        (0, ""),
        (90, ""),
        (110, "one"),
        (320, "one two"),
        (600, "one two three"),
        (720, "one two three four"),
        (9999, None),
    ],
)
def test_heard_text_follows_the_word_times(heard_ms: float, heard: str | None):
    said = utterance("one two three", "four five")
    said.delivered(1, 600, words("one two three"), True)
    said.delivered(2, 400, words("four five"), True)
    assert said.heard_text(heard_ms) == (said.text if heard is None else heard)


def test_without_word_times_the_letters_share_the_time():
    said = utterance("aaaa bbbb cccc dddd")
    said.delivered(1, 1900, (), True)
    assert said.heard_text(1000) == "aaaa bbbb"
    assert said.heard_text(1900) == said.text


def test_a_segment_that_is_still_made_is_estimated():
    said = utterance("aaaa bbbb cccc dddd")
    said.delivered(1, 300, (), False)
    assert said.heard_text(5 * MS_PER_CHAR) == "aaaa"


def test_the_successor_speaks_from_the_first_word_without_audio():
    said = utterance("one two three four", "five six")
    said.delivered(1, 450, words("one two three four")[:2], False)
    assert said.cut() == ["three four", "five six"]
    assert said.text == "one two"
    assert said.pending is None


def test_a_sentence_that_kills_is_left_out():
    said = utterance("fine", "poison", "fine too")
    said.delivered(1, 200, (), True)
    assert said.cut(skip="poison") == ["fine too"]


def test_audio_of_an_unknown_segment_is_of_a_replaced_voice():
    said = utterance("one")
    said.delivered(99, 500, (), True)
    assert said.segments[0].delivered_ms == 0

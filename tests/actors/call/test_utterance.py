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


def test_an_interrupted_answer_in_a_script_without_blanks():
    said = utterance("\u597d\u7684\uff0c", "\u6211\u6765\u5e2e\u60a8\u67e5\u4e00\u4e0b\u3002")
    said.delivered(1, 400, (), True)
    said.delivered(2, 1600, (), True)
    assert said.text == "\u597d\u7684\uff0c\u6211\u6765\u5e2e\u60a8\u67e5\u4e00\u4e0b\u3002"
    assert said.heard_text(1200) == "\u597d\u7684\uff0c\u6211\u6765\u5e2e"


def test_a_successor_goes_on_within_a_text_without_blanks():
    said = utterance("\u6211\u6765\u5e2e\u60a8\u67e5\u4e00\u4e0b")
    said.delivered(
        1, 600, [Word(letter, i * 200, i * 200 + 200) for i, letter in enumerate("\u6211\u6765\u5e2e")], False
    )
    assert said.cut() == ["\u60a8\u67e5\u4e00\u4e0b"]


def test_what_was_not_said_letter_by_letter_is_one_word():
    said = utterance("It costs 1,234 dollars.")
    spoken = words("it costs one thousand two hundred thirty four dollars", each_ms=100.0)
    said.delivered(1, 900, spoken, True)
    assert said.heard_text(700) == "It costs"  # half of a number is another one
    assert said.heard_text(760) == "It costs 1,234"

"""A listener's words in each language, as recognizers write them."""

# ruff: noqa: RUF001 - letters of many alphabets

from __future__ import annotations

import pytest

from actors.call.listening import LANGUAGES, Listening, listening, words_of


@pytest.mark.parametrize("language", ["xx", *LANGUAGES])
def test_no_word_of_a_language_is_meant_to_be_heard(language: str):
    heard = listening(f"{language}-XX", None)
    for word in words_of(language):
        for written in (word, word.upper(), f"{word}.", f"{word}, {word}", word + word[-1] * 3):
            assert heard.count(written) == 0, written


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("en", "", 0),
        ("en", "…", 0),
        ("en", "Mm-hmm.", 0),
        ("en", "uhhuh", 0),
        ("en", "stop", 1),
        ("en", "mum", 1),
        ("en", "yeah, but wait a minute", 4),
        ("en", "he's right", 1),
        ("fr", "d’accord", 0),
        ("fr", "d'accord mais", 1),
        ("zh-Hans-CN", "好的，好的。", 0),
        ("zh", "好的，等一下", 1),
        ("ja", "うんうん、そうですね", 0),
        ("ja", "ちょっと待ってください", 5),
        ("th", "ค่ะ", 0),
        ("ar", "نعم", 0),
        ("ar", "لا", 1),
        ("en", "Yes, sure. Alright!", 0),
        ("en", "Oh, I see. Got it, of course.", 0),
        ("en", "I want", 2),
        ("en", "I see a problem", 2),
        ("es", "Claro que sí, muy bien.", 0),
        ("es", "muy mal", 2),
        ("fr", "Ah bon ? Bien sûr, c’est ça.", 0),
        ("de", "Ach so, alles klar.", 0),
        ("hi", "ठीक है, अच्छा जी", 0),
        ("ur", "ٹھیک ہے", 0),
        ("fa", "بله، درسته", 0),
        ("pt-BR", "Tá bom, entendi.", 0),
    ],
)
def test_how_many_words_are_meant_to_be_heard(language: str, text: str, words: int):
    assert listening(language, None).count(text) == words


@pytest.mark.parametrize(
    ("interim", "words"),
    [
        *(("u", 0), ("uh-h", 0), ("ye", 0), ("yeah st", 1), ("st", 1), ("no", 1)),
        *(("I", 0), ("yeah I s", 0), ("I see t", 1), ("of cour", 0), ("I x", 2)),
    ],
)
def test_the_last_word_of_an_interim_may_become_one(interim: str, words: int):
    assert listening("en", None).count(interim, unfinished=True) == words


def test_the_words_may_be_told():
    assert Listening(()).count("yeah") == 1
    assert Listening(["gotcha", "i-see"]).count("Gotcha, I see. Isee!") == 0
    assert listening("en", ("ok",)).count("yeah ok") == 1
    assert listening("en", ("go on",)).count("go on, go") == 1

"""Keys that are read back as so many of the same, in the wordings and languages in which that is said."""

from __future__ import annotations

import time

import pytest

from actors.wording import Digits


@pytest.mark.parametrize(
    "text",
    [
        *(
            "quadruple nine",
            "quad nine",
            "double double nine",
            "all nines",
            "all 9s",
            "nines only",
            "nothing but nines",
        ),
        *("nine nine twice", "a double nine twice", "99 twice", "ninety-nine twice", "two pairs of nines"),
        *("four of the digit nine", "nine repeated four times", "9x4", "nine times four", "every digit is a nine"),
        *("four in a row: nine", "all of them nine", "twice ninety-nine"),
    ],
)
def test_one_figure_in_english(text: str):
    assert "nine" not in (stored := Digits("9999").hidden_in(f"- {text} -", "en")) and "9" not in stored
    assert "4 keys]" in stored
    assert Digits("9994").hidden_in(f"- {text} -", "en").replace("[3 keys]", "") != stored


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ("1122", "two ones and two twos"),
        ("1122", "2 1s and 2 2s"),
        ("1122", "a pair of ones and a pair of twos"),
        ("1122", "one twice and two twice"),
        ("111222", "three ones, then three twos"),
        ("12233", "one, two twos and two threes"),
        ("55555", "quintuple five"),
        ("4242", "forty-two twice"),
        ("4242", "twice 42"),
        ("4242", "four two, two times"),
    ],
)
def test_several_figures_in_english(keys: str, text: str):
    assert (
        Digits(keys).hidden_in(f"- {text} -", "en").removeprefix("- a ").removeprefix("- ") == f"[{len(keys)} keys] -"
    )
    assert Digits("8037").hidden_in(text, "en") == text


@pytest.mark.parametrize(
    ("language", "text"),
    [
        *(("ko", text) for text in ("구 네 개", "구가 네 개", "네 개의 구", "9 네 번", "모두 구")),
        *(("ar", text) for text in ("أربع تسعات", "أربعة تسعات", "تسعة أربع مرات", "٩ أربع مرات", "كلها تسعات")),
        *(("el", text) for text in ("τέσσερα εννιάρια", "τέσσερις φορές το εννιά", "εννιά εννιά εννιά εννιά")),
        ("el", "όλα εννιά"),
        *(("da", text) for text in ("fire nitaller", "fire niere", "ni, fire gange", "lutter niere")),
        *(("de", text) for text in ("lauter Neunen", "neun, viermal", "zweimal die 99", "zweimal neunundneunzig")),
        *(("fr", "que des neuf"), ("fr", "quadruple neuf"), ("es", "todo nueves"), ("es", "cuádruple nueve")),
        *(("it", "nove per quattro volte"), ("pt", "só noves"), ("ru", "девять четыре раза"), ("ru", "одни девятки")),
        *(("pl", "dziewięć cztery razy"), ("cs", "samé devítky"), ("sv", "nio fyra gånger")),
        ("fi", "neljä yhdeksikköä"),
        *(("hi", "नौ चार बार"), ("he", "תשע ארבע פעמים"), ("tr", "hepsi dokuz"), ("id", "sembilan empat kali")),
        *(("th", "สี่ครั้งเก้า"), ("zh", "四个9"), ("zh", "全是九"), ("ja", "9が4つ")),
        *(("uk", "чотири дев'ятки"), ("nl", "allemaal negens")),
    ],
)  # fmt: skip
def test_other_languages(language: str, text: str):
    assert Digits("9999").hidden_in(f"- {text} -", language) == "- [4 keys] -"
    assert Digits("8037").hidden_in(text, language) == text


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ("9999", "We open at nine."),
        ("9999", "Two of you at nine, is that all?"),
        ("1122", "I have two options for you: one is today."),
        ("1122", "The one and only two."),
        ("4242", "Your table is number forty-two."),
        ("1122", "Two ones are in the first of the boxes that I have here, and then there are two twos."),
    ],
)
def test_what_is_said_of_other_things_stays(keys: str, text: str):
    assert Digits(keys).hidden_in(text, "en") == text


@pytest.mark.parametrize("keys", ["1" * 20, "12" * 10])
@pytest.mark.parametrize("word", ["nine ", "two ", "all ", "twice "])
def test_a_long_text_is_searched_quickly(keys: str, word: str):
    began = time.process_time()
    Digits(keys).hidden_in(word * 1000, "en")
    assert time.process_time() - began < 5, "it takes 0.1 s; where each part is tried with each it takes 25"


@pytest.mark.parametrize(
    ("language", "text"),
    [("en", "four thousand two hundred and seventeen"), ("ja", "ヨンセンニヒャクジュウナナ"), ("no", "fire to en syv")],
)
def test_a_number_as_one_says_it(language: str, text: str):
    assert Digits("4217").hidden_in(f"- {text} -", language) == "- [4 keys] -"

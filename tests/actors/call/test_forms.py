from __future__ import annotations

import pytest

from actors.call.forms import forms, own_texts_said
from actors.call.pronunciation import pronounced
from config.assistant import Speech
from tests.actors.call.stage import Stage, assistant


def said(text: str, language: str = "en-US", **speech: object) -> str:
    for form in forms(Speech.model_validate(speech), language):
        text = form(text)
    return text


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en-US", "It costs $3.50, or $1,200.", "It costs three dollars fifty, or one thousand two hundred dollars."),
        ("en-GB", "\u00a35 or 1 EUR or 2 \u20ac", "five British pounds or one euro or two euros"),
        ("en", "At 9:30 a.m., 9:00, 10:05.", "At nine thirty a.m., nine o'clock, ten oh five."),
        (
            "en",
            "In 1999, the 5th of 1,234.",
            "In nineteen ninety-nine, the fifth of one thousand two hundred thirty-four.",
        ),
        ("en", "3.5 or -5, room 007", "three point five or minus five, room zero zero seven"),
        ("en", "2026-01-02, 1.2.3, A4, 192.168.0.1, x5y", None),  # no numbers
        ("de-DE", "3,50 \u20ac um 9:30 Uhr", "drei Euro f\u00fcnfzig um neun Uhr drei\u00dfig"),
        ("en", "Call +1 (555) 010-1234, 555-0123.", None),  # is no sum
        ("en", "$1.2 billion, $5-10, $0.99, \u20ac3M", None),
        ("de", "am 5. Mai um 5 Uhr 30", "am 5. Mai um f\u00fcnf Uhr drei\u00dfig"),
        ("de", "10.000.000 St\u00fcck", "zehn Millionen St\u00fcck"),
        ("fr", "1 234 euros \u00e0 9:30", "mille deux cent trente-quatre euros \u00e0 neuf heures trente"),
        ("es", "cuesta $5", "cuesta cinco d\u00f3lares estadounidenses"),
        (
            "zh-CN",
            "\u6211\u670921\u4e2a\uff0c9:30",
            "\u6211\u6709\u4e8c\u5341\u4e00\u4e2a\uff0c\u4e5d\u70b9\u4e09\u5341\u5206",
        ),
        ("hi", "21", "\u0907\u0915\u094d\u0915\u0940\u0938"),
        ("ar-EG", "\u0662\u0661", "\u0648\u0627\u062d\u062f \u0648\u0639\u0634\u0631\u0648\u0646"),
    ],
)
def test_numbers_in_the_words_of_the_language(language: str, text: str, expected: str | None):
    assert said(text, language, numbers="words") == (text if expected is None else expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Call +1 (555) 010-1234.", "Call + 1, 5 5 5, 0 1 0, 1 2 3 4."),
        ("Call 555-0123. 50 of us.", "Call 5 5 5, 0 1 2 3. 50 of us."),
        ("555-0123 or 8005550123", "5 5 5, 0 1 2 3 or 8 0 0, 5 5 5, 0 1 2 3"),
        ("Your code is 123456.", "Your code is 1 2 3, 4 5 6."),
        ("Card 4111111111111111", "Card 4 1 1 1, 1 1 1 1, 1 1 1 1, 1 1 1 1"),
        ("on 2026-01-02, 1990-2000, $1500000, 10.000.000, 1,234,567, 12345", None),
    ],
)
def test_phone_numbers_by_their_digits(text: str, expected: str | None):
    assert said(text, phone_numbers="digits") == (text if expected is None else expected)


def test_digits_of_a_phone_number_in_words():
    assert said("Call 555-0123.", phone_numbers="digits", numbers="words") == (
        "Call five five five, zero one two three."
    )


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        (
            "en",
            "Mail info@example.com, or j_d@x-y.org.",
            "Mail info at example dot com, or j underscore d at x dash y dot org.",
        ),
        ("en", "See www.example.com/a.", "See www dot example dot com slash a."),
        ("de", "info@beispiel.de", "info at beispiel Punkt de"),
        ("es-MX", "info@ejemplo.com", "info arroba ejemplo punto com"),
        ("en", "Come at 9 a.m. e.g. today. Then 3.50", None),
        ("xx", "info@example.com", None),
    ],
)
def test_addresses_with_their_marks_as_words(language: str, text: str, expected: str | None):
    assert said(text, language, addresses="words") == (text if expected is None else expected)


def test_all_of_it_is_the_voices_unless_it_is_asked_for():
    assert forms(Speech(), "en") == ()
    plain = assistant(greeting="Call 555-0123.")
    assert own_texts_said(plain) is plain


def test_the_assistants_own_texts_are_said_in_the_same_form():
    stage = Stage(greeting="Call 555-0123.", speech={"phone_numbers": "digits"})
    stage.speak_out()
    assert stage.said() == [("assistant", "Call 5 5 5, 0 1 2 3.", False)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mr. Nguyen's SQL, MySQL, sql.", "Mr. win's sequel, MySQL, sequel."),
        ("C++ in New York", "see plus plus in noo york"),
        ("\u53bb\u91cd\u5e86\u5417", "\u53bb\u866b\u5e86\u5417"),  # no blanks around it
        ("STRASSE", "shtrahseh"),
        ("York", "York"),
    ],
)
def test_pronunciations_are_of_whole_words(text: str, expected: str):
    words = {"Nguyen": "win", "SQL": "sequel", "C++": "see plus plus", "New York": "noo york"}
    more = {"\u91cd\u5e86": "\u866b\u5e86", "Stra\u00dfe": "shtrahseh"}
    assert pronounced(Speech(pronunciations={**words, **more}))(text) == expected


def test_numbers_in_words_are_the_figures_of_a_telephone_number():
    said_ = said("Tel. 030 1234567.", "de", numbers="words", phone_numbers="digits")
    assert said_ == "Tel. null drei null, eins zwei drei vier f\u00fcnf sechs sieben."

"""Keys are a type of their own: whatever is made of them holds their number, but for what a model is told."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import orjson
import pytest

from actors.call.spending import CallLimits, Spending
from actors.messages import Ask, Dtmf
from actors.providers.spec import ChatMessage, Question
from actors.wording import Digits, Wording
from transports import audiosocket, twilio

PIN = "739164"
TOLD = " ".join(PIN)
SAID = Wording.of("my pin is", Digits(PIN), "", "thanks")

HOLDERS = [
    Digits(PIN),
    SAID,
    ChatMessage("user", SAID),
    Ask(Question(1, (ChatMessage("user", SAID),))),
    Dtmf(Digits("7")),
    twilio.Dtmf("7"),
    audiosocket.Digit("7"),
]


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("show", [str, repr, lambda h: f"{h}", lambda h: f"{h!r:>80}", lambda h: f"{[h]} {(h,)}"])
def test_nothing_shows_them(holder: object, show):
    assert "7" not in show(holder)
    assert "7" not in show(pickle.loads(pickle.dumps(holder)))
    assert "7" not in show(copy.deepcopy(holder))


def test_nothing_writes_them():
    assert "7" not in str(dataclasses.asdict(Ask(Question(1, (ChatMessage("user", SAID),)))))
    with pytest.raises(TypeError):
        orjson.dumps({"keys": Digits(PIN)})
    with pytest.raises(TypeError):
        list(Digits(PIN))  # type: ignore[call-overload]


def test_a_model_is_told():
    assert ChatMessage("user", SAID).text == f"my pin is pressed {TOLD} thanks"
    assert ChatMessage("user", "hello").text == "hello"
    assert str(SAID) == "my pin is [pressed 6 keys] thanks"


def test_they_are_what_they_are():
    assert Digits("12") + Digits("3") == Digits("123") != Digits("124")
    assert Digits("12") != "12" and len(Digits("12")) == 2 and not Digits()
    assert hash(Digits("12")) == hash(Digits("12"))
    assert not Wording.of("", Digits()) and Wording.of("a") + Wording.of("b") == Wording.of("a", "b")
    assert not SAID.ends_with_keys and Wording.of("a", Digits("1")).ends_with_keys


@pytest.mark.parametrize(
    ("most", "left"),
    [
        (200, "xx " + "word " * 20 + f"pressed {TOLD} thanks"),
        (40, f"word word pressed {TOLD} thanks"),
        (26, f"pressed {TOLD} thanks"),
        (20, "pressed 1 6 4 thanks"),
        (10, "thanks"),
    ],
)
def test_a_wording_is_cut_from_its_beginning(most: int, left: str):
    said = Wording.of(("xx " + "word " * 20).strip(), Digits(PIN), "thanks")
    spending = Spending(CallLimits.model_construct(questions_per_minute=1, question_characters=most), lambda: 0.0)
    cut = spending.cut_wording(said)
    assert cut.told == left and len(left) <= most


@pytest.mark.parametrize(
    ("said", "stored"),
    [
        ("You entered 7 3 9 1 6 4, right?", "You entered [6 keys], right?"),
        ("You entered 739164.", "You entered [6 keys]."),
        ("7-3-9, 1-6-4?", "[6 keys]?"),
        ("It begins with 7, 3, 9", "It begins with [3 keys]"),
        ("Your order 5551234 of 2024 is on its way, 73 euros.", "Your order 5551234 of 2024 is on its way, 73 euros."),
    ],
)
def test_what_is_read_back_in_figures_is_hidden(said: str, stored: str):
    assert Digits(PIN).hidden_in(said) == stored
    assert Digits("7").hidden_in("You pressed 7.") == "You pressed 7."


@pytest.mark.parametrize(
    ("keys", "text", "hidden"),
    [
        ("4711", "You pressed 4711, or 4, 7, 1, 1.", "You pressed [4 keys], or [4 keys]."),
        ("12*34#", "So 12*34# it is: 1234.", "So [4 keys]# it is: [4 keys]."),
        ("4711", "4 \u2013 7 / 1 \u2022 1 and (4)(7)(1)(1)", "[4 keys] and ([4 keys])"),
        ("4711", "\u0967 \u096a\u096d\u0967\u0967 \uff14\uff17\uff11\uff11", "[9 keys]"),
        ("*9#", "It is 999 or 2024.", "It is 999 or 2024."),
        ("4711", "Room 12 is open from 9 to 17, in 2024.", "Room 12 is open from 9 to 17, in 2024."),
    ],
)
def test_what_repeats_them_in_figures_is_hidden(keys: str, text: str, hidden: str):
    assert Digits(keys).hidden_in(text) == hidden


@pytest.mark.parametrize(
    ("language", "text", "hidden"),
    [
        ("en-US", "You pressed four, seven, one, one.", "You pressed [4 keys]."),
        ("en", "It is Four seven 1 1, and one of us.", "It is [4 keys], and one of us."),
        ("de", "Vier sieben eins eins, stimmt das?", "[4 keys], stimmt das?"),
        ("es", "cuatro - siete - uno - uno", "[4 keys]"),
        ("zh-CN", "\u60a8\u6309\u4e86\u56db\u4e03\u4e00\u4e00\u3002", "\u60a8\u6309\u4e86[4 keys]\u3002"),
        ("hi", "\u091a\u093e\u0930 \u0938\u093e\u0924 \u090f\u0915 \u090f\u0915", "[4 keys]"),
        ("en", "One of the four seven-seaters.", None),
        ("xx", "four seven one one", None),
    ],
)
def test_what_repeats_them_in_words_is_hidden(language: str, text: str, hidden: str | None):
    assert Digits("4711").hidden_in(text, language) == (text if hidden is None else hidden)


@pytest.mark.parametrize(
    ("language", "text", "hidden"),
    [
        ("en", "You pressed 4, then 7, then 1 and 1.", "You pressed [4 keys]."),
        ("en", "A four, a seven, and another one and one, and 4, then 7, 1 and 1.", "A [4 keys], and [4 keys]."),
        ("de", "vier und sieben und eins und eins", "[4 keys]"),
        ("en", "First digit: 4. Second: 7. Third: 1. Fourth: 1.", "First digit: [4 keys]."),
        ("en", "\u2463\u2466\u2460\u2460 or \u2074\u2077\u00b9\u00b9", "[4 keys] or [4 keys]"),
        ("en", "Press 4 for sales, 7 for support, 1 for billing.", None),
        ("en", "At 4 our 7 shops close, and the 1 that is open stays open until 1.", None),
    ],
)
def test_what_repeats_them_one_by_one_is_hidden(language: str, text: str, hidden: str | None):
    assert Digits("4711").hidden_in(text, language) == (text if hidden is None else hidden)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "forty-two seventeen"),
        ("en-GB", "Forty two, one seven"),
        ("en", "four twenty-one seven"),
        ("en", "four thousand two hundred and seventeen"),
        ("en", "four thousand, two hundred seventeen"),
        ("en", "four hundred twenty-one, seven"),
        ("en", "42 seventeen"),
        ("de", "zweiundvierzig siebzehn"),
        ("de", "zwei-und-vierzig siebzehn"),
        ("de-AT", "viertausendzweihundertsiebzehn"),
        ("es", "cuarenta y dos, diecisiete"),
        ("es", "cuatro veintiuno siete"),
        ("fr", "quarante-deux dix-sept"),
        ("fr", "quatre, vingt et un, sept"),
        ("it", "quarantadue diciassette"),
        ("pt", "quarenta e dois dezessete"),
        ("nl", "tweeënveertig zeventien"),
        ("sv", "fyrtiotvå sjutton"),
        ("da", "toogfyrre sytten"),
        ("nb", "førtito sytten"),
        ("fi", "neljäkymmentäkaksi seitsemäntoista"),
        ("pl", "czterdzieści dwa siedemnaście"),
        ("cs", "čtyřicet dva sedmnáct"),
        ("ru", "сорок две семнадцать"),
        ("uk", "сорок два, сімнадцять"),
        ("el", "σαράντα δύο δεκαεπτά"),
        ("ro", "patruzeci și doi, șaptesprezece"),
        ("hu", "negyvenkettő tizenhét"),
        ("tr", "k\u0131rk iki on yedi"),
        ("ar", "إثنان وأربعون سبعة عشر"),
        ("ar", "اثنان واربعون سبعة عشر"),
        ("he", "ארבעים ושתיים, שבע־עשרה"),
        ("he", "ארבעים ושתיים שבע עשרה"),
        ("hi", "बयालीस सत्रह"),
        ("id", "empat puluh dua tujuh belas"),
        ("vi", "bốn mươi hai mười bảy"),
        ("th", "สี่สิบสองสิบเจ็ด"),
        ("ja", "四十二の十七"),
        ("ja", "四千二百十七"),
        ("ko", "사십이 십칠"),
        ("zh", "四十二、十七"),
        ("zh", "四千两百一十七"),
    ],
)
def test_what_repeats_them_as_numbers_in_words_is_hidden(language: str, text: str):
    said = f"- {text} -"
    assert Digits("4217").hidden_in(said, language) == "- [4 keys] -"


@pytest.mark.parametrize(
    ("keys", "language", "text", "hidden"),
    [
        ("4422", "en", "Double four, double two.", "[4 keys]."),
        ("0042", "en", "double zero forty-two", "[4 keys]"),
        ("0042", "en", "Double oh, four two.", "[4 keys]."),
        ("123456", "de", "zwoelf vierunddreissig sechsundfuenfzig", "[6 keys]"),
        ("777", "en-GB", "It is triple seven.", "It is [3 keys]."),
        ("5533", "es", "doble cinco doble tres", "[4 keys]"),
        ("2005", "en", "So twenty oh five, right?", "So [4 keys], right?"),
        ("739164", "en", "seventy-three ninety-one sixty-four", "[6 keys]"),
        ("739164", "en", "It begins with seventy-three nine.", "It begins with [3 keys]."),
        ("739164", "en", "seven hundred thirty-nine thousand one hundred sixty-four", "[6 keys]"),
        ("4217", "en", "First forty-two, and then seventeen.", "First [4 keys]."),
        ("4217", "en", "You have forty-two messages.", "You have forty-two messages."),
        ("12*34#", "en", "twelve star thirty-four", "[4 keys]"),
    ],
)
def test_parts_of_them_as_numbers(keys: str, language: str, text: str, hidden: str):
    assert Digits(keys).hidden_in(text, language) == hidden


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "four nines"),
        ("en", "Four 9s"),
        ("en", "four times nine"),
        ("en", "4 x 9"),
        ("en", "nine, four times"),
        ("de", "viermal die Neun"),
        ("de", "vier Neunen"),
        ("es", "cuatro nueves"),
        ("es", "cuatro veces nueve"),
        ("fr", "quatre fois neuf"),
        ("it", "quattro volte nove"),
        ("nl", "vier negens"),
        ("sv", "fyra nior"),
        ("pl", "cztery dziewi\u0105tki"),
        ("cs", "\u010dty\u0159i dev\u00edtky"),
        ("ru", "\u0447\u0435\u0442\u044b\u0440\u0435 \u0434\u0435\u0432\u044f\u0442\u043a\u0438"),
        ("tr", "d\u00f6rt tane dokuz"),
        ("zh", "\u56db\u4e2a\u4e5d"),
        ("ja", "\u4e5d\u304c\u56db\u3064"),
    ],
)
def test_so_many_of_the_same_are_hidden(language: str, text: str):
    assert Digits("9999").hidden_in(f"- {text} -", language) == "- [4 keys] -"
    assert Digits("9994").hidden_in(f"- {text} -", language) == f"- {text} -"


@pytest.mark.parametrize("keys", ["49999", "99994"])
def test_a_count_does_not_take_figures_one_by_one_apart(keys: str):
    said = " ".join({"4": "four", "9": "nine"}[key] for key in keys)
    assert Digits(keys).hidden_in(said, "en") == "[5 keys]"


@pytest.mark.parametrize(
    "text",
    [
        "\u3088\u3093\u3058\u3085\u3046\u306b\u3058\u3085\u3046\u306a\u306a",
        "\u3088\u3093\u305b\u3093\u306b\u3072\u3083\u304f\u3058\u3085\u3046\u306a\u306a",
        "\u30e8\u30f3\u30cb\u30a4\u30c1\u30ca\u30ca",
    ],
)
def test_numbers_in_kana_are_hidden(text: str):
    assert Digits("4217").hidden_in(text, "ja") == "[4 keys]"

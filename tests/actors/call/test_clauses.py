# ruff: noqa: RUF001 - letters of other alphabets
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


def letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (["Sure, is your table", " ready", "?"], ["Sure, is your table ready?"]),  # need not wait for the blank
        (["Sure, your table", " is ready", "."], ["Sure, your table is ready."]),  # no address is announced
        (["Sure, your table", " is ready", ".", " I"], ["Sure, your table is ready."]),
        (["You can mail info", "@", "example", ".", "com", " any time", "."], []),
        (["You find us at www", ".", "example", ".", "com", "/", "?", "x"], []),
        (["That makes 12 dollars 3", ".", "50", "."], []),
        (["We are open until", " 9 a.m", ".", " tomorrow"], []),
        (["You want to see", " Dr", ".", " Smith"], []),
        (["He said (do you", " agree", "?"], []),  # the bracket is still open
        (["We are open in Aug 3", ",", " 2025", ","], []),
        (["Yes", "!"], []),  # too short to stand alone before it is known to
    ],
)
def test_the_first_clause_is_cut_as_soon_as_it_is_certain(tokens: list[str], expected: list[str]):
    clauser = Clauser()
    assert [clause for token in tokens for clause in clauser.feed(token)] == expected


SENTENCES = [
    ("en", ["Dr. Smith is in.", "The U.S. Army left.", "Acme Inc. is open.", "On Jan. 5 we close.", "J. Doe is here."]),
    ("en", ["I met Prof. Lee on Main St. today.", "Apt. 5 is mine.", "No. 5 is yours.", "That is approx. 3 lbs. net."]),
    ("en", ["1. Open the door.", "2. Close it.", "3. Lock it."]),
    ("en-GB", ["Mail info@example.com now.", "Or see www.example.com/a.b today.", "Node.js is it."]),
    ("en", ["Wait... not yet.", "I live in the U.S.", "We like it here."]),
    (
        "de-DE",
        ["Das ist z.B. gut, d. h. so.", "Dr. Müller kommt am 5. Mai.", "Nr. 5 kostet ca. 10 Euro inkl. MwSt."],
    ),
    ("de", ["Das war 1990.", "Dann kam Hr. Maier am 24. Dez. vorbei.", "Er sagte: „Ja.“", "Gut."]),
    (
        "es",
        [
            "El Sr. García llega.",
            "La Dra. Paz está en la Av. Mayor 5.",
            "¿Cómo está?",
            "EE.UU. es grande.",
        ],
    ),
    ("de", ["Die Fa. Maier ist da.", "Die Fam. Roth auch."]),
    ("en", ["Open from 9 a.m. EST.", "Come at 5 p.m. Monday.", "It is 3 p.m.", "We close now."]),
    ("vi", ["TP. H\u1ed3 Ch\u00ed Minh.", "ThS. Nam \u0111ang \u1edf \u0111\u00e2y."]),
    ("ro", ["Dl. Popescu e pe str. Mare."]),
    ("id", ["Bpk. Budi di Jl. Merdeka."]),
    ("fr", ["M. Dupont et Mme. Roy sont là.", "Bonjour !", "Ça va ?"]),
    ("it", ["Il sig. Rossi e la dott.ssa Bianchi.", "L'avv. Verdi è qui."]),
    (
        "ar",
        [
            "أهلا بك، كيف حالك؟",
            "نحن نفتح.",
        ],
    ),
    ("ur", ["ہم کھلے ہیں۔", "جی؟"]),
    (
        "hi",
        [
            "हम खुले हैं।",
            "क्या आप आएंगे?",
        ],
    ),
    ("el", ["Γεια σας.", "Τι κάνετε;"]),
    ("am", ["ሰላም።", "ደህና።"]),
    ("bo", ["བཀྲ་ཤིས་བདེ་ལེགས།", "ང་ཚོ་སྒོ་འབྱེད།", "ཐུགས་རྗེ་ཆེ།"]),
    ("ko", ["안녕하세요.", "무엇을 도와드릴까요?"]),
]
WIDE = [
    ("zh", ["您好。", "可以吗？", "“可以。”", "他说。"]),
    ("ja", ["はい。", "「はい。」", "と言った。"]),
    ("my", ["မင်္ဂလာပါ။", "ဟုတ်။"]),
    ("km", ["សួស្តី។", "បាទ។"]),
]


CASES = [*((*case, " ") for case in SENTENCES), *((*case, "") for case in WIDE)]


@pytest.mark.parametrize(("language", "sentences", "blank"), CASES)
def test_sentences_in_the_assistants_language(language: str, sentences: list[str], blank: str):
    text = blank.join(sentences)
    for tokens in (list(text), [text], [text[i : i + 3] for i in range(0, len(text), 3)]):
        clauser = Clauser(first=False, language=language)
        parts = [*(clause for token in tokens for clause in clauser.feed(token)), clauser.rest()]
        assert list(filter(None, parts)) == sentences


ONE_SENTENCE = {  # the same, as a receptionist says it
    "en": "Of course, let me check that for you, one moment please.",
    "ar": "بالطبع سيدي، دعني أتحقق من ذلك لك، لحظة من فضلك.",
    "ur": "جی بالکل جناب، میں آپ کے لیے دیکھتا ہوں، ذرا رکیے۔",
    "hi": "जी बिल्कुल सर, मैं अभी देखता हूँ, एक पल रुकिए।",
    "zh": "好的没问题，我来帮您查一下，请您稍等一会儿。",
    "ja": "かしこまりました、ただいま確認いたしますので、少々お待ちください。",
    "ko": "네 알겠습니다, 제가 확인해 보겠습니다, 잠시만 기다려 주세요.",
    "th": "ได้แน่นอนครับ ขอตรวจสอบให้สักครู่ กรุณารอสักครู่ครับ",
}


@pytest.mark.parametrize("language", ONE_SENTENCE)
def test_the_first_clause_is_out_before_the_sentence_is(language: str):
    """In no language later than after seven tenths of it, as in English."""
    text = ONE_SENTENCE[language]
    clauser = Clauser(language=language)
    out = next(index for index, letter in enumerate(text) if clauser.feed(letter))
    assert out < len(text) * 0.7


def test_a_language_without_stops_is_cut_at_its_blanks():
    clauser = Clauser(first=False, language="th")
    text = " ".join([ONE_SENTENCE["th"]] * 4)
    parts = clauser.feed(text)
    assert max(map(len, parts)) < 100
    assert "".join([*parts, clauser.rest()]).replace(" ", "") == text.replace(" ", "")


def test_a_language_without_blanks_is_cut_between_letters():
    text = "กำ้นั" * 200
    parts = clauses(text)
    assert "".join(parts) == text
    assert max(map(len, parts)) <= MAX_CHARS
    assert not any(part[0] in "ั้" for part in parts)  # a vowel and a tone belong to the letter before


def test_later_sentences_wait_for_it():
    clauser = Clauser(first=False)
    assert clauser.feed("This is the second sentence.") == []
    assert clauser.feed(" And") == ["This is the second sentence."]


def test_marks_alone_are_not_spoken():
    assert clauses("Wait a moment please... Now. \u2013 \U0001f600") == ["Wait a moment please...", "Now."]


LETTERS_AND_MARKS = st.one_of(st.characters(), st.sampled_from(' .,!?\n1aB"()。，؟।กข好はД“”'))


@given(
    st.text(alphabet=LETTERS_AND_MARKS, max_size=400),
    st.integers(1, 7),
    st.sampled_from(["en", "de", "ar", "el", "th", "zh"]),
)
def test_nothing_is_lost_however_the_tokens_come(text: str, size: int, language: str):
    clauser = Clauser(language=language)
    tokens = [text[i : i + size] for i in range(0, len(text), size)]
    parts = [clause for token in tokens for clause in clauser.feed(token)] + [clauser.rest()]
    assert letters("".join(parts)) == letters(text)


WORDS_AND_MARKS = [" telephone", " number", "word", " 5", "7", " Dr", "a", "é", " ไทย", "好", *".,:!。\n ", " ,", " -"]


@given(
    st.lists(st.sampled_from(WORDS_AND_MARKS), min_size=5, max_size=40),
    st.booleans(),
    st.sampled_from(["en", "de", "el", "th"]),
)
def test_the_short_way_of_words_leads_to_the_same_clauses(tokens: list[str], first: bool, language: str):
    quick, thorough = Clauser(first, language), Clauser(first, language)
    for token in tokens:
        thorough._is_settled = False
        assert quick.feed(token) == thorough.feed(token)
    assert quick.rest() == thorough.rest()

# ruff: noqa: RUF001 - letters of other alphabets
"""What a period is that nothing follows yet: a full stop beyond doubt, or one that waits for the next token."""

from __future__ import annotations

import pytest
import regex

from actors.call.clauses import Clauser

#: language, the first sentence: its clause is out with its period
FULL_STOPS = [
    ("en", "Sure, ticket 000123 is open now."),
    ("en", "Of course I can help you."),
    ("en", "I am afraid that I can't."),
    ("en", "I have moved it to three thirty."),
    ("en-GB", "Your table (for two) is ready."),
    ("en", 'She said "yes" to all of them.'),
    ("de", "Gern, das kann ich machen."),
    ("de", "Ich habe gerade keinen Termin."),  # a noun, with its capital
    ("de", "Vielen Dank für Ihre Geduld."),
    ("fr", "Bien sûr, je peux vous aider."),
    ("fr", "Nous sommes ouverts aujourd’hui."),
    ("es", "Claro que puedo ayudarle."),
    ("es", "Le llamaremos mañana por la mañana."),
    ("it", "Certo, posso aiutarla subito."),
    ("ru", "Конечно, я могу вам помочь."),
    ("el", "Βεβαίως μπορώ να βοηθήσω."),
    ("ar", "نعم يمكنني مساعدتك الآن."),
    ("he", "כמובן שאני יכול לעזור."),
    ("ko", "네 제가 도와드리겠습니다."),
]
#: language, and the beginning of a sentence, to a period that is or may be none of its end
OTHERS = [
    ("en", "You can write to info@example."),
    ("en", "You can write to info @ example."),
    ("en", "You can write to max."),  # .mustermann@example.com
    ("en", "You find all of it on www."),
    ("en", "You find all of it on www.example."),
    ("en", "You find all of it at example."),
    ("en", "Please visit example."),
    ("en", "Our website is example."),
    ("en", "Then you go to example."),
    ("en", "Please have a look, and check example."),
    ("en", "The price is 3."),
    ("en", "The new version is v2."),
    ("en", "It is written for node2."),
    ("en", "We have an office in the U."),
    ("en", "We have an office in the U.S."),
    ("en", "You will be seen by Dr."),
    ("en", "You will be seen by Prof."),
    ("en", "The office is run by Acme Inc."),
    ("en", "You will see Maria."),
    ("en", "We take cards, cash, etc."),
    ("en", "It takes about 3 hrs."),
    ("en", "It is three o'clock p.m."),
    ("en", "We are open in the approx."),
    ("en", "That would cost you, incl."),
    ("en", "You can come in jan."),
    ("en", "We have a table for max."),
    ("en", "He told me (we are open."),
    ("en", 'He told me "we are open.'),
    ("en", "Here is my list: a."),
    ("en", "Here is my list: ii."),
    ("en", "It is a follow-up."),
    ("en", "Too short."),
    ("de", "Wir sind da am 5."),
    ("de", "Das kostet bei uns ca."),
    ("de", "Kaffee, Tee, Kuchen usw."),
    ("de", "Das ist die Adresse von Hr."),
    ("de", "Sie finden uns unter beispiel."),
    ("de", "Unsere Webseite ist beispiel."),
    ("es", "Puede hablar con la Sra."),
    ("es", "Estamos cerca de la avda."),
    ("es", "Nuestro correo es ejemplo."),
    ("fr", "Vous pouvez voir tout sur exemple."),
    ("ko", "예약은 여기서 하세요 example."),  # another script
    ("ko", "예약은 여기서요example."),
    ("ru", "Вы найдёте нас как example."),
]


def tokens_of(text: str) -> list[str]:
    """As tokenizers cut it that leave a period alone wherever it stands."""
    return regex.findall(r" ?[\p{L}\p{M}]+| ?\p{N}{1,3}|[^\s\p{L}\p{N}]|\s", text)


def clauses_at_the_end(language: str, text: str) -> list[str]:
    clauser = Clauser(language=language)
    for token in tokens_of(text)[:-1]:
        assert not [clause for clause in clauser.feed(token) if clause.endswith(".")]
    return clauser.feed(tokens_of(text)[-1])


@pytest.mark.parametrize(("language", "text"), FULL_STOPS)
def test_a_full_stop_beyond_doubt_ends_the_first_clause_at_once(language: str, text: str):
    (clause,) = clauses_at_the_end(language, text)
    assert text.endswith(clause)


@pytest.mark.parametrize(("language", "text"), OTHERS)
def test_any_other_period_waits_for_the_next_token(language: str, text: str):
    assert clauses_at_the_end(language, text) == []


@pytest.mark.parametrize(("language", "text"), FULL_STOPS)
def test_later_clauses_wait(language: str, text: str):
    """The caller hears what was said before them."""
    clauser = Clauser(first=False, language=language)
    assert [clause for token in tokens_of(text) for clause in clauser.feed(token)] == []


def test_letter_by_letter_no_period_is_told_from_an_ellipsis():
    clauser = Clauser()
    assert [clause for letter in "Wait a moment please... Now" for clause in clauser.feed(letter)] == [
        "Wait a moment please..."
    ]


@pytest.mark.parametrize(
    ("language", "text", "sentences"),
    [
        ("en", "Done.Next I will check it.", ["Done.", "Next I will check it."]),
        ("en", "We open at nine.Please call us.", ["We open at nine.", "Please call us."]),
        ("en", "I did it.Next, the bill.", ["I did it.", "Next, the bill."]),
        ("en", "It was done.It is fine now.", ["It was done.", "It is fine now."]),
        ("en", "Is it late?Yes, it is!Let me see.", ["Is it late?", "Yes, it is!", "Let me see."]),
        ("en", 'He said "no."Then he left.', ['He said "no."', "Then he left."]),
        ("de", "Danke.Bitte warten Sie.", ["Danke.", "Bitte warten Sie."]),
        ("de", "Das ist der Schlüssel.Der Rest folgt.", ["Das ist der Schlüssel.", "Der Rest folgt."]),
        ("es", "Ya está listo.¿Algo más?", ["Ya está listo.", "¿Algo más?"]),
        ("ru", "Всё готово.Сейчас проверю.", ["Всё готово.", "Сейчас проверю."]),
        ("en", "We use Node.js or Node.Js for it.", None),
        ("en", "Go to booking.Com or Google.Com now.", None),
        ("en", "Mail Info@Example.Com for it.", None),
        ("en", "Look at example.com/About.Us now.", None),
        ("en", "It is version v1.2.Beta or 3.5 now.", None),
        ("en", "In the U.S.A we do, e.g.The one.", None),
        ("en", "Call me at 5 p.m.Tomorrow is fine.", None),
        ("en", "Ask the prof.Smith or Dr.Jones here.", None),
        ("en", "He calls System.Out.Println and Math.Floor here.", None),
        ("en", "Open report.Pdf and notes.Txt please.", None),
        ("en", "It is at example.com/?Query now.", None),
    ],
)
def test_a_sentence_that_lacks_the_blank_before_it(language: str, text: str, sentences: list[str] | None):
    for tokens in (list(text), [text], tokens_of(text), [text[i : i + 3] for i in range(0, len(text), 3)]):
        clauser = Clauser(first=False, language=language)
        parts = [*(clause for token in tokens for clause in clauser.feed(token)), clauser.rest()]
        assert list(filter(None, parts)) == (sentences or [text])

# ruff: noqa: RUF001 - letters of other alphabets
"""What a period is: the end of a sentence, or a part of an abbreviation, a number, initials, an address.

`period_ends` sees what follows. That is a token away, 10 to 50 ms of a caller's silence, so `is_full_stop` tells where
it need not be awaited. Tokenizers help: those of today's models give a period a token of its own behind a sentence, and
glue it to what follows within a name (" example", ".com"). Some cut there, too, and none says which, so the words must
bear it out. What is not certain waits: a token late is less of a harm than an address that is cut.
"""

from __future__ import annotations

import regex
import sentencex

from actors.call.abbreviations import ORDINALS_BY_PERIOD, abbreviations, may_be_abbreviations

_LOOK_BACK = 40  # characters before a period that tell what it is
_ANY_SENTENCE = "Well"  # may begin behind any full stop

_NUMBERING = regex.compile(r"(?r)(?:\A\s*|[:;.!?]\s+)\p{Ps}?(?:\p{Nd}{1,3}|\p{L}|[ivx]{2,4})\Z")
_NUMBERED = regex.compile(r"\p{Nd}{1,3}[.)]\Z")
_LAST_WORD = regex.compile(r"[^\s\p{Ps}\p{Pi}\"']*\Z")
_NEXT_WORD = regex.compile(r"\s+[^\s\w]*(\w\S*)(\s)?")

_GLUED_WORD = regex.compile(r"[¿¡]?(\p{Lu}\p{Ll}*(?:['’]\p{Ll}+)?)([\s,;:!?…]|\Z)")
_ONE_WORD = regex.compile(r"\s*\p{Lu}\p{Ll}{2,}")  # the whole sentence
# of addresses, programs and files; of the countries' those that begin no sentence
_DOMAINS = "com net org edu gov info biz app dev shop online io ai co tv uk eu fr nl pl pt ru dk fi au ca br mx jp cn"
_FILES = "js ts py rb md txt pdf csv doc docx xls xlsx xml html json zip exe php mp jpg png"
_SUFFIXES = frozenset(f"{_DOMAINS} {_FILES}".split())

_NOON = ("a.m", "p.m", "A.M", "P.M")
_BEHIND_NOON = regex.compile(  # "5 p.m. Monday", "9 a.m. EST"
    r"(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?s?\b|[ECMP][SD]?T\b|GMT|UTC|[BI]ST\b"
    r"|(?:Eastern|Central|Mountain|Pacific|Greenwich)\b"
)

_VOWEL = r"[aeiouyæøœıаеёиоуыэюяіїєαεηιουωάέήίόύώϊϋ]|[^\P{Ll}\u0000-\u007f\u0370-\u052f]"
_CASED, _CASELESS = r"[\p{Ll}\p{M}]", r"[\p{Lo}\p{M}]"
# A word in lower case, or of a script without case, by itself: no figure, mark, or letter of another script in it.
_WORD = regex.compile(
    rf"(?r)(?:\A|[\s\p{{Ps}}\p{{Pi}}¿¡])((?=\S*(?:{_VOWEL})){_CASED}(?:['’]?{_CASED}){{2,}}|{_CASELESS}{{3,}})\Z"
)
_NOUN = regex.compile(r"(?:\A|\s)(\p{Lu}\p{Ll}{5,})\Z")  # with a capital, where all nouns have one
_NOUNS_WITH_CAPITALS = ("de", "lb")
_LATIN = regex.compile(r"\p{Latin}")
_NOT_LATIN = regex.compile(r"[\p{L}--\p{Latin}]", regex.V1)
# What announces an address: anywhere in the sentence, at the beginning of a word, and as the word directly before it.
_ANYWHERE = "web url link mail domain online internet file datei fichier archivo corre сайт почт адрес пиш σελίδα @ ://"
_BEGINNINGS = "site sitio seite page pagin págin writ schreib escrib écri scriv besuch visit"
_BEFORE = "at on via from use using check out called app auf unter bei en sur su em op på na pod на"
_ANNOUNCING = (*_ANYWHERE.split(), *(f" {beginning}" for beginning in _BEGINNINGS.split()), " go to ")
_DIRECTLY_BEFORE = frozenset(_BEFORE.split())


def is_full_stop(before: str, language: str) -> bool:
    """Whether a period behind this, the sentence so far, ends it, whatever follows."""
    found = _WORD.search(before) or (language in _NOUNS_WITH_CAPITALS and _NOUN.search(before))
    if not found or _announces_address(before) or _NUMBERING.search(before):
        return False
    word = found[1]
    if _LATIN.match(word) and _NOT_LATIN.search(before):  # in the middle of another script: a name
        return False
    if word.lower() in may_be_abbreviations(language):
        return False
    return _library_ends(before[-_LOOK_BACK:] + ".", _ANY_SENTENCE, language)


def period_ends(before: str, mark: str, after: str, language: str) -> bool | None:
    """Whether a sentence ends at `mark`, which holds a period; None: more of what follows will tell."""
    if after[0] == "\n":
        return True
    following = _NEXT_WORD.match(after)
    if following is None:
        return None
    if mark != ".":  # with others, or with the end of a quotation: it belongs to no word
        return not following[1][0].islower()
    word = _last_word(before)
    if following[2] is None and ("." in word or len(word) < 4 or following[1][0].isdigit()):
        return None  # "the U.S. Army", "the U.S. We", "Apt. 5", "That is it. 5. Call"
    if following[1][0].islower() or _is_short(word, following[1], language) or _NUMBERING.search(before):
        return False
    return _library_ends(before[-_LOOK_BACK:] + mark, following[1], language)


def sentence_begins(before: str, mark: str, after: str, language: str) -> bool | None:
    """Whether a sentence begins behind `mark` without the blank that belongs there; None: more of it will tell.

    "Done.Next I will", and neither "Node.js", "Booking.Com" nor "U.S.A": where in doubt it is a name."""
    following = _GLUED_WORD.match(after)
    if following is None:
        return False
    if not following[2]:
        return None
    if following[1].lower() in _SUFFIXES:
        return False
    word = _last_word(before)
    if "." not in mark:
        return word.isalpha()
    is_noun = language in _NOUNS_WITH_CAPITALS and _NOUN.search(before)
    if not (word.islower() or is_noun or _ONE_WORD.fullmatch(before)) or not word.isalpha() or len(word) < 2:
        return False
    if word.lower() in may_be_abbreviations(language):
        return False
    return period_ends(before, mark, f" {after}", language)


def _announces_address(before: str) -> bool:
    text = f" {before.casefold()}"
    words = text.rsplit(None, 2)
    return (len(words) > 1 and words[-2] in _DIRECTLY_BEFORE) or any(word in text for word in _ANNOUNCING)


def _last_word(text: str) -> str:
    return (_LAST_WORD.search(text) or [""])[0]


def _is_short(word: str, following: str, language: str) -> bool:
    """The period belongs to the word."""
    if word in abbreviations(language) or (len(word) == 1 and word.isalpha()):
        return True
    if word in _NOON and _BEHIND_NOON.match(following):
        return True
    if word.isdigit():
        return len(word) < 3 and language in ORDINALS_BY_PERIOD
    if _NUMBERED.match(following):
        return False
    return following[0].isdigit() and (len(word) < 4 or (len(word) < 6 and word[0].isupper()))  # "Apt. 5"


def _library_ends(until: str, following: str, language: str) -> bool:
    """What the library finds in the words around a period that is followed by a blank."""
    text = until.partition(" ")[2] if len(until) > _LOOK_BACK else until
    end = 0
    for sentence in sentencex.segment(language, f"{text} {following} "):
        end += len(sentence)
        if end >= len(text):
            return bool(end <= len(text) + 1)
    return False

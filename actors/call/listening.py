"""A listener's words: what people say to show that they listen, and not to be heard. They are few in each language.

Recognizers write them as they like ("Mm-hmm.", "mhmm", "uh huh", "嗯嗯"): compared are letters alone, without case,
with a letter that is drawn out counted once; a word that is made of such words alone is one, too.
"""

# ruff: noqa: RUF001 - letters of many alphabets

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from functools import cache

_EVERYWHERE = "mhm mm-hmm hm mm uh-huh aha ah oh ok okay"

#: language -> words, beside those that are understood everywhere
LANGUAGES: dict[str, str] = {
    "ar": "نعم ايوه أيوه ايوا اه آه طيب تمام ماشي",
    "cs": "jo jasně ano no dobře",
    "da": "ja jo nå okay præcis",
    "de": "ja jaja jo jep genau klar stimmt ach äh ähm",
    "el": "ναι μάλιστα εντάξει αχά",
    "en": "yeah yep yup right uh um uhm",
    "es": "sí si ya vale claro ajá eh",
    "fi": "joo juu niin okei kyllä",
    "fr": "oui ouais d'accord voilà euh hein",
    "he": "כן אה בסדר אוקיי",
    "hi": "हाँ हां जी अच्छा ठीक हम्म",
    "hu": "igen ja jó persze",
    "id": "ya iya oke betul",
    "it": "sì si già certo eh",
    "ja": "はい ええ うん そう そうですね なるほど ああ へえ",
    "ko": "네 예 응 음 그래 그렇죠 아",
    "nb": "ja jo nei akkurat",
    "nl": "ja jaja oké precies eh",
    "no": "ja jo akkurat",
    "pl": "tak aha no dobrze jasne okej",
    "pt": "sim tá certo aham uhum pois",
    "ro": "da bine sigur",
    "ru": "да угу ага так хм ок окей понятно ясно",
    "sv": "ja jo jaha okej precis",
    "th": "ครับ ค่ะ คะ อืม ใช่ โอเค อ๋อ",
    "tr": "evet tamam peki hıhı hihi",
    "uk": "так угу ага ок зрозуміло",
    "ur": "ہاں جی اچھا ٹھیک",
    "vi": "vâng dạ ừ ừm",
    "zh": "嗯 哦 噢 喔 啊 对 對 好 好的 是 是的 行",
}
#: scripts that are written without blanks: some two letters make a word
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")


def words_of(language: str) -> tuple[str, ...]:
    """What a listener says in the language of this tag ("de-AT")."""
    own = LANGUAGES.get(re.split("[-_]", language)[0].lower(), "")
    return (*_EVERYWHERE.split(), *own.split())


class Listening:
    """Tells a listener's words from those that are meant to be heard."""

    def __init__(self, words: Collection[str]) -> None:
        split = [tokens(word) for word in words]
        self._words = {token for parts in split for token in (*parts, "".join(parts))} - {""}
        whole = [word for word in self._words if len(word) > 1 or _UNSPACED.match(word)]
        joined = "|".join(map(re.escape, sorted(whole, key=len, reverse=True)))
        self._made_of = re.compile(f"(?:{joined})+" if joined else r"(?!)")

    def count(self, text: str, unfinished: bool = False) -> int:
        """How many words there are beside them. The last word of an `unfinished` text may become one of them."""
        found = tokens(text)
        if unfinished and found and any(word.startswith(found[-1]) for word in self._words):
            found.pop()
        return sum(_words_in(token) for token in found if not self._is_one(token))

    def _is_one(self, token: str) -> bool:
        return token in self._words or self._made_of.fullmatch(token) is not None


@cache
def listening(language: str, words: tuple[str, ...] | None) -> Listening:
    """For an assistant of this language; `words` takes the place of the language's own."""
    return Listening(words_of(language) if words is None else words)


def tokens(text: str) -> list[str]:
    """The words as they are compared: letters, marks and figures, each drawn-out one once."""
    kept = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in _plain(text))
    return [re.sub(r"(.)\1+", r"\1", token) for token in kept.split()]


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().replace("'", "").replace("\u2019", "")


def is_unspaced(token: str) -> bool:
    """Whether it is written in a script without blanks between words."""
    return _UNSPACED.search(token) is not None


def _words_in(token: str) -> int:
    return max(1, len(token) // 2) if is_unspaced(token) else 1

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
    "ar": "نعم ايوه أيوه ايوا اه آه طيب تمام ماشي صح اوكي أوكي حسنا حسناً مفهوم",
    "bg": "да добре ясно ага",
    "bn": "হ্যাঁ আচ্ছা ঠিক জি",
    "ca": "sí ja clar d'acord exacte",
    "cs": "jo jasně ano no dobře jasné chápu přesně",
    "da": "ja jo nå okay præcis præcist fint",
    "de": "ja jaja jo jep genau klar stimmt ach äh ähm verstehe richtig natürlich gut jawohl sicher",
    "el": "ναι μάλιστα εντάξει αχά ωραία καλά ακριβώς",
    "en": "yeah yep yup right uh um uhm yes sure alright exactly gotcha huh wow cool",
    "es": "sí si ya vale claro ajá eh bueno entiendo exacto perfecto listo dale",
    "fa": "بله آره خب باشه درسته آها",
    "fi": "joo juu niin okei kyllä selvä aivan",
    "fr": "oui ouais d'accord voilà euh hein exactement parfait ben mouais",
    "he": "כן אה בסדר אוקיי הבנתי נכון",
    "hi": "हाँ हां जी अच्छा ठीक हम्म समझा समझी सही बिल्कुल हूँ",
    "hr": "da dobro jasno aha",
    "hu": "igen ja jó persze értem rendben",
    "id": "ya iya oke betul siap sip",
    "it": "sì si già certo eh capito esatto perfetto ecco",
    "ja": "はい ええ うん そう そうですね なるほど ああ へえ ふーん 了解 わかりました そうなんだ そうなんですね",
    "ko": "네 예 응 음 그래 그렇죠 아 알겠습니다 알겠어요 맞아요 그렇군요 오케이",
    "ms": "ya baik okey betul",
    "nb": "ja jo nei akkurat greit fint",
    "nl": "ja jaja oké precies eh klopt tuurlijk prima",
    "no": "ja jo akkurat greit fint",
    "pl": "tak aha no dobrze jasne okej dobra rozumiem pewnie",
    "pt": "sim tá certo aham uhum pois isso entendi beleza exato",
    "ro": "da bine sigur înțeleg exact",
    "ru": "да угу ага так хм ок окей понятно ясно хорошо точно ну ладно верно",
    "sk": "áno hej no dobre jasné",
    "sl": "ja da dobro prav",
    "sr": "да добро јасно da dobro jasno",
    "sv": "ja jo jaha okej precis visst jaså bra",
    "ta": "ஆமா சரி",
    "te": "అవును సరే",
    "th": "ครับ ค่ะ คะ อืม ใช่ โอเค อ๋อ",
    "tl": "oo opo sige",
    "tr": "evet tamam peki hıhı hihi anladım anladim olur",
    "uk": "так угу ага ок зрозуміло добре ясно точно",
    "ur": "ہاں جی اچھا ٹھیک صحیح بالکل",
    "vi": "vâng dạ ừ ừm rồi",
    "zh": "嗯 哦 噢 喔 啊 对 對 好 好的 是 是的 行 明白 明白了 知道了 了解 没错 沒錯 是啊 好吧 可以",
}
#: language -> words that show it together only
PHRASES: dict[str, str] = {
    "da": "det er fint, det er godt",
    "de": "alles klar, ach so, na gut, sehr gut, ich verstehe, in ordnung",
    "en": "i see, got it, of course, all right, makes sense, fair enough",
    "es": "ya veo, muy bien, de acuerdo, está bien, por supuesto, claro que sí",
    "fr": "bien sûr, je vois, ah bon, très bien, c'est ça",
    "hi": "ठीक है, सही है, समझ गया, समझ गई",
    "it": "va bene, ho capito, d'accordo, ah ecco",
    "nl": "ja hoor, ik snap het, is goed",
    "pl": "w porządku, no tak",
    "pt": "tá bom, tá bem, está bem, tudo bem, com certeza",
    "ru": "всё ясно, все ясно, всё понятно, все понятно, вот как",
    "sv": "just det, jag förstår",
    "ur": "ٹھیک ہے, سمجھ گیا",
    "vi": "được rồi, thế à",
}
#: scripts that are written without blanks: some two letters make a word
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")


def words_of(language: str) -> tuple[str, ...]:
    """What a listener says in the language of this tag ("de-AT")."""
    base = re.split("[-_]", language)[0].lower()
    phrases = filter(None, PHRASES.get(base, "").split(", "))
    return (*_EVERYWHERE.split(), *LANGUAGES.get(base, "").split(), *phrases)


class Listening:
    """Tells a listener's words from those that are meant to be heard."""

    def __init__(self, words: Collection[str]) -> None:
        single = [tokens(word) for word in words if " " not in word]
        self._phrases = [tokens(word) for word in words if " " in word]
        self._words = {token for parts in single for token in (*parts, "".join(parts))} - {""}
        self._words |= {"".join(parts) for parts in self._phrases}
        whole = [word for word in self._words if len(word) > 1 or _UNSPACED.match(word)]
        joined = "|".join(map(re.escape, sorted(whole, key=len, reverse=True)))
        self._made_of = re.compile(f"(?:{joined})+" if joined else r"(?!)")

    def count(self, text: str, unfinished: bool = False) -> int:
        """How many words there are beside them. The end of an `unfinished` text may become one of them."""
        found = tokens(text)
        if unfinished and found:
            del found[len(found) - self._beginning(found) :]
        count = at = 0
        while at < len(found):
            if length := max((len(of) for of in self._phrases if found[at : at + len(of)] == of), default=0):
                at += length
                continue
            count += 0 if self._is_one(found[at]) else _words_in(found[at])
            at += 1
        return count

    def _beginning(self, found: list[str]) -> int:
        """How many of the last words may be the beginning of one of theirs, or of several that belong together."""
        for phrase in self._phrases:
            for length in range(2, len(phrase) + 1):
                if found[-length:-1] == phrase[: length - 1] and phrase[length - 1].startswith(found[-1]):
                    return length
        begun = (*self._words, *(phrase[0] for phrase in self._phrases))
        return int(any(word.startswith(found[-1]) for word in begun))

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

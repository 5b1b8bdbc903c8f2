"""So many of the same ("four nines", "99 twice", "all nines"), as keys may be read back.

A transcript that lacks a harmless word is better than one that holds a PIN: what can be meant so is taken for it.
"""

# ruff: noqa: RUF001 - letters of many alphabets

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from actors.figures import UNSPACED, base_of, figure_words, number_pattern

_BENDING = frozenset(("cs", "el", "fi", "pl", "ru", "uk"))  # the stem of a figure's noun is shorter than its word
#: counts beside the figures' words, from two on
_COUNTS = {
    "ar": "اثنان اثنين مرتين|ثلاث ثلاثة|أربع أربعة اربع اربعة|خمس خمسة|ست ستة|سبع سبعة|ثمان ثماني|تسع تسعة",
    "de": "doppel doppelt doppelte zwei|dreifach|vierfach|fünffach|sechsfach",
    "el": "δύο δυο διπλό|τρεις τρία|τέσσερις τέσσερα|πέντε|έξι|επτά εφτά|οκτώ οχτώ|εννέα εννιά",
    "en": "double pair pairs couple|triple treble trio|quadruple quad|quintuple|sextuple",
    "es": "doble par|triple|cuádruple",
    "fr": "double paire|triple|quadruple",
    "hi": "दो|तीन|चार|पाँच पांच|छह छः|सात|आठ|नौ",
    "it": "doppio coppia|triplo|quadruplo",
    "ko": "두 둘|세 셋|네 넷|다섯|여섯|일곱|여덟|아홉",
    "nl": "dubbel dubbele|driedubbel",
    "pt": "duplo dupla par|triplo tripla|quádruplo",
}
_TWICE = {"en": "twice|thrice", "de": "zweifach|dreifach", "ar": "مرتين|"}
_TIMES = (
    "times|mal|veces|fois|volte|vezes|keer|maal|gange|ganger|gånger|раза?|разів|рази|razy|krát|kertaa|szer|szor|ször"
    "|kere|kez|kali|lần|φορές|مرات|بار|बार|פעמים|ori"
)
#: that there is nothing else
_ALL = {
    "ar": "كلها كل كله فقط",
    "cs": "samé samá všechny jen",
    "da": "lutter kun alle bare",
    "de": "lauter alle alles nur jede überall",
    "el": "όλα όλες μόνο",
    "en": "all only just every each nothing entirely solely same",
    "es": "todo todos todas solo sólo puros cada",
    "fi": "kaikki pelkkiä vain",
    "fr": "que tous tout toutes seulement chaque",
    "he": "הכל הכול כולם רק",
    "hi": "सब सभी केवल सिर्फ",
    "hu": "csupa mind csak",
    "id": "semua hanya semuanya",
    "it": "tutti tutte tutto solo ogni",
    "ja": "全部 全て すべて 全桁",
    "ko": "모두 전부 다",
    "nb": "bare kun alle",
    "nl": "allemaal alle alleen enkel elke",
    "pl": "same wszystkie tylko",
    "pt": "tudo todos todas só somente cada",
    "ro": "toate tot numai doar",
    "ru": "все всё одни только каждая",
    "sv": "bara alla idel endast",
    "th": "ทั้งหมด",
    "tr": "hepsi tümü sadece",
    "uk": "усі всі самі тільки лише",
    "vi": "toàn toàn tất",
    "zh": "全是 都是 全部 全",
}
_BETWEEN = r"(?:\w{1,8}\W{1,3}){0,3}?"  # lazy: the next count is another one's
_ZEROS = (0x30, 0x660, 0x6F0, 0x966, 0xE50, 0xFF10)  # of the scripts that have figures of their own
MOST_REPEATED = 9  # figures together
_SUFFIX = r"\w{0,6}"


@lru_cache(1000)
def counts_pattern(language: str, keys: str) -> str:
    """A regular expression for parts of these keys that are so many of the same; a group "c99" tells which. Empty:
    there are none."""
    found = [f"(?P<c{part}>{'|'.join(_ways(language, part))})" for part in _repeated_parts(keys)]
    if len(set(keys)) == 1:
        found.insert(0, f"(?P<c{keys}_>{_all_pattern(language, keys[0])})")
    return "|".join(found)


def _repeated_parts(keys: str) -> list[str]:
    """The longest first: "9999" before "99"."""
    lengths = range(2, min(MOST_REPEATED, len(keys)) + 1)
    parts = {keys[at : at + n] for n in lengths for at in range(len(keys) - n + 1)}
    return sorted((part for part in parts if any(_units(part))), key=lambda part: (-len(part), part))


def _units(part: str) -> Iterator[tuple[str, int]]:
    """What it is so many of."""
    for count in range(2, len(part) + 1):
        unit = part[: len(part) // count]
        if unit * count == part:
            yield unit, count


def _ways(language: str, part: str) -> Iterator[str]:
    for unit, count in _units(part):
        yield _count_pattern(language, unit, count)
        inner = len(unit)
        if inner > 1 and len(set(unit)) == 1 and count < 10:  # "double double nine", "two pairs of nines"
            more, some = _counts(language, count), _counts(language, inner)
            several = rf"(?:{some})\W{{1,3}}{_BETWEEN}(?:{_nouns(language, unit[0])})"
            yield rf"(?<!\w)(?:{more})\W{{1,3}}{several}(?!\w)"
            yield rf"(?<!\w){several}\W{{1,3}}(?:{_times(language, count)})(?!\w)"


def _count_pattern(language: str, unit: str, count: int) -> str:
    nouns, counts = _nouns(language, unit), _counts(language, count)
    if _is_unspaced(language):
        gap = rf"[^.!?。]{{0,{6 if base_of(language) == 'th' else 4}}}"
        return rf"(?:{counts}){gap}(?:{nouns})|(?:{nouns}){gap}(?:{counts})(?:\s?[つ個回个次개번])?"
    times = _times(language, count)
    forth = rf"(?<!\w)(?:(?:{counts})\w{{0,4}}|{times})\W{{1,3}}{_BETWEEN}(?:{nouns})(?!\w)"
    back = rf"(?<!\w)(?:{nouns})\W{{1,3}}{_BETWEEN}(?:{times})(?!\w)"
    product = rf"(?<!\w)(?:{nouns})\W{{0,2}}(?:[x\u00d7*]|times|mal|por|fois|per)\W{{0,2}}(?:{counts})(?!\w)"
    return rf"{forth}|{back}|{product}|(?<!\w)(?:{counts})\W{{0,2}}[x\u00d7*]\W{{0,2}}(?:{nouns})(?!\w)"


def _all_pattern(language: str, figure: str) -> str:
    words, nouns = "|".join(map(_escaped, _ALL.get(base_of(language), "").split())), _nouns(language, figure)
    if not words:
        return r"(?!)"
    if _is_unspaced(language):
        return rf"(?:{words})[^.!?。]{{0,4}}(?:{nouns})|(?:{nouns})[^.!?。]{{0,4}}(?:{words})"
    between = r"(?:\w{1,6}\W{1,3})?"
    return rf"(?<!\w)(?:(?:{words})\W{{1,3}}{_BETWEEN}(?:{nouns})|(?:{nouns})\W{{1,3}}{between}(?:{words}))(?!\w)"


def _counts(language: str, count: int) -> str:
    named = [word for word, said in figure_words(language).items() if said == str(count)]
    more = _COUNTS.get(base_of(language), "").split("|")[count - 2 : count - 1]
    return "|".join(
        [
            _digit(str(count)) if count < 10 else str(count),
            *map(_escaped, [*named, *(word for words in more for word in words.split())]),
        ]
    )


def _times(language: str, count: int) -> str:
    """An adverb: "twice", "four times"."""
    twice = filter(None, _TWICE.get(base_of(language), "").split("|")[count - 2 : count - 1])
    return "|".join([rf"(?:{_counts(language, count)})\w?\s?(?:{_TIMES})", *map(_escaped, twice)])


def _digit(figure: str) -> str:
    return f"[{''.join(chr(zero + int(figure)) for zero in _ZEROS)}]"


def _nouns(language: str, unit: str) -> str:
    """A figure in its forms, or what is said for several."""
    digits = r"\W?".join(map(_digit, unit))
    marked = [rf"{digits}['\u2019]?s", digits, rf"{digits}er"]
    if len(unit) > 1:
        spelled = number_pattern(language, unit) if len(unit) <= MOST_REPEATED else ""
        one_by_one = r"\W{1,3}".join(rf"(?:{_nouns(language, figure)})" for figure in unit)
        return "|".join([*filter(None, (spelled,)), *marked, one_by_one])
    named = [word for word, said in figure_words(language).items() if said == unit]
    if _is_unspaced(language):
        return "|".join(map(_escaped, named)) + f"|{_digit(unit)}"
    return "|".join([*(rf"{_escaped(_stem(word, language))}{_SUFFIX}" for word in named), *marked])


def _stem(word: str, language: str) -> str:
    base = base_of(language)
    if base == "ar":
        return word.removesuffix("ة")
    return word[:-2] if base in _BENDING and len(word) > 4 else word


def _is_unspaced(language: str) -> bool:
    return bool(UNSPACED.search("".join(figure_words(language))))


def _escaped(word: str) -> str:
    return re.escape(word).replace("\u02bc", "['\u2019\u02bc]")

"""Figures in words, one by one or as numbers, as keys may be read back: what is repeated of them is not stored."""

# ruff: noqa: RUF001 - letters of many alphabets

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from config.languages import base_language, spells_numbers

if TYPE_CHECKING:
    from icu4py.messageformat import MessageFormat

_WORDS = {  # from nought to nine, as CLDR has them
    "ar": "صفر واحد إثنان ثلاثة أربعة خمسة ستة سبعة ثمانية تسعة",
    "cs": "nula jeden dva tři čtyři pět šest sedm osm devět",
    "da": "nul et to tre fire fem seks syv otte ni",
    "de": "null eins zwei drei vier fünf sechs sieben acht neun",
    "el": "μηδέν ένα δύο τρία τέσσερα πέντε έξι επτά οκτώ εννέα",
    "en": "zero one two three four five six seven eight nine",
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve",
    "fi": "nolla yksi kaksi kolme neljä viisi kuusi seitsemän kahdeksan yhdeksän",
    "fr": "zéro un deux trois quatre cinq six sept huit neuf",
    "he": "אפס אחת שתיים שלוש ארבע חמש שש שבע שמונה תשע",
    "hi": "शून्य एक दो तीन चार पाँच छह सात आठ नौ",
    "hu": "nulla egy kettő három négy öt hat hét nyolc kilenc",
    "id": "nol satu dua tiga empat lima enam tujuh delapan sembilan",
    "it": "zero uno due tre quattro cinque sei sette otto nove",
    "ja": "〇 一 二 三 四 五 六 七 八 九",
    "ko": "공 일 이 삼 사 오 육 칠 팔 구",
    "nb": "null én to tre fire fem seks sju åtte ni",
    "nl": "nul een twee drie vier vijf zes zeven acht negen",
    "pl": "zero jeden dwa trzy cztery pięć sześć siedem osiem dziewięć",
    "pt": "zero um dois três quatro cinco seis sete oito nove",
    "ro": "zero unu doi trei patru cinci șase șapte opt nouă",
    "ru": "ноль один два три четыре пять шесть семь восемь девять",
    "sv": "noll ett två tre fyra fem sex sju åtta nio",
    "th": "ศูนย์ หนึ่ง สอง สาม สี่ ห้า หก เจ็ด แปด เก้า",
    "tr": "sıfır bir iki üç dört beş altı yedi sekiz dokuz",
    "uk": "нуль один два три чотири пʼять шість сім вісім девʼять",
    "vi": "không một hai ba bốn năm sáu bảy tám chín",
    "zh": "〇 一 二 三 四 五 六 七 八 九",
}
_OTHERS = {  # as they are also said
    "ar": "اثنان:2 اثنين:2 أربع:4 خمس:5 سبع:7",
    "da": "en:1",
    "de": "zwo:2 ein:1 fuenf:5",
    "en": "oh:0 nought:0",
    "el": "μία:1 τρεις:3 τέσσερις:4 εφτά:7 οχτώ:8 εννιά:9",
    "es": "un:1",
    "fr": "une:1",
    "hi": "जीरो:0 ज़ीरो:0 पांच:5 छः:6 छे:6",
    "ja": "ゼロ:0 零:0 れい:0 いち:1 に:2 さん:3 よん:4 ご:5 ろく:6 なな:7 しち:7 はち:8 きゅう:9 "
    "イチ:1 ニ:2 サン:3 ヨン:4 ゴ:5 ロク:6 ナナ:7 シチ:7 ハチ:8 キュウ:9",
    "ko": "영:0",
    "nb": "en:1 ett:1 syv:7",
    "nl": "één:1",
    "pt": "uma:1 meia:6",
    "ru": "нуль:0 раз:1",
    "ur": "صفر:0 ایک:1 دو:2 تین:3 چار:4 پانچ:5 چھ:6 سات:7 آٹھ:8 نو:9",
    "zh": "零:0 幺:1 两:2 兩:2",
}
_SAME = {"no": "nb", "nn": "nb"}
#: scripts that are written without blanks: a figure may stand within a word
UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


#: raised, lowered and in circles
_OTHER_DIGITS = "\u00b2\u00b3\u00b9\u2070\u2074-\u2079\u2080-\u2089\u2460-\u2468\u24ea\u2776-\u277e"


def base_of(language: str) -> str:
    """The language as the tables here name it."""
    return _SAME.get(base_language(language), base_language(language))


@cache
def figure_words(language: str) -> Mapping[str, str]:
    """Word -> figure, in lower case; none for a language that is not known here."""
    base = base_of(language)
    words = {word: str(figure) for figure, word in enumerate(_WORDS.get(base, "").split())}
    return words | dict(pair.split(":") for pair in _OTHERS.get(base, "").split())


@cache
def figure_pattern(language: str) -> str:
    """A regular expression for one figure: a digit, or its word."""
    words = sorted(figure_words(language), key=len, reverse=True)
    whole = (re.escape(word) if UNSPACED.search(word) else rf"(?<!\w){re.escape(word)}(?!\w)" for word in words)
    return "|".join([rf"[\d{_OTHER_DIGITS}]", *whole])


#: how ICU spells a number; where a language does not have one of these it gives the first one's words
_FORMS = ("", ",%spellout-cardinal-masculine", ",%spellout-cardinal-feminine", ",%spellout-numbering-year")
_REPEATS = {  # two and three of the same
    "de": "doppel doppelt doppelte zweimal|dreimal",
    "en": "double|triple treble",
    "es": "doble|triple",
    "fr": "double|triple",
    "it": "doppio|triplo",
    "nl": "dubbel dubbele|driedubbel",
    "pt": "duplo dupla|triplo tripla",
}
MOST_TOGETHER = 4  # figures of one number, if it is not all of them
MOST_SPELLED = 12
_LETTERS = {  # that are written otherwise, too
    "ar": {"\u0625": "[\u0625\u0627]", "\u0623": "[\u0623\u0627]"},
    "de": {"\u00f6": "(?:\u00f6|oe)", "\u00fc": "(?:\u00fc|ue)", "\u00df": "(?:\u00df|ss)"},
    "zh": {"\u4e8c": "[\u4e8c\u4e24\u5169]"},
}
_KANA = {  # what changes its sound first
    **{"三百": "さんびゃく", "六百": "ろっぴゃく", "八百": "はっぴゃく", "三千": "さんぜん", "八千": "はっせん"},
    **dict(
        zip(
            "一二三四五六七八九十百千万",
            ["いち", "に", "さん", "よん", "ご", "ろく", "なな", "はち", "きゅう", "じゅう", "ひゃく", "せん", "まん"],
            strict=True,
        )
    ),
}
_GAP = r"[\s\u00ad\u200b\u2010\u2011\u05be-]"


@cache
def message(pattern: str, tag: str) -> MessageFormat:
    """ICU's, with Latin digits where there are any."""
    from icu4py.messageformat import MessageFormat

    return MessageFormat(pattern, f"{tag}-u-nu-latn")


def read_back_pattern(language: str, keys: str) -> str:
    """A regular expression for one figure, or for a part of these keys as a number in words ("forty-two"); of the
    latter, a group "n42" tells which."""
    lengths = {*range(1, MOST_TOGETHER + 1), len(keys)} if spells_numbers(language) else set()
    parts = {keys[at : at + n] for n in lengths if n <= MOST_SPELLED for at in range(len(keys) - n + 1)}
    spelled = [(pattern, part) for part in parts if (pattern := number_pattern(language, part))]
    spelled.sort(key=lambda found: (len(found[1]), len(found[0])), reverse=True)
    return "|".join([*(f"(?P<n{part}>{pattern})" for pattern, part in spelled), figure_pattern(language)])


@lru_cache(10_000)
def number_pattern(language: str, figures: str) -> str:
    """A regular expression for a number in words, in all its genders, hyphenated or not; empty: it has none."""
    tag, base = language.replace("_", "-"), base_language(language)
    forms = _FORMS if figures == "0" or figures[0] != "0" else ()
    ways = {message(f"{{n,spellout{form}}}", tag).format({"n": int(figures)}) for form in forms}
    if base == "ja":
        kana = {_in_kana(way) for way in ways}
        ways |= kana | {re.sub("[ぁ-ゖ]", lambda letter: chr(ord(letter[0]) + 0x60), way) for way in kana}
    if len(figures) in (2, 3) and len(set(figures)) == 1 and base in _REPEATS:
        repeats = _REPEATS[base].split("|")[len(figures) - 2].split()
        digits = [word for word, figure in figure_words(language).items() if figure == figures[0]]
        ways |= {f"{repeat} {digit}" for repeat in repeats for digit in digits}
    return "|".join(_as_written(way, base) for way in sorted(ways, key=len, reverse=True))


def _as_written(words: str, base: str) -> str:
    gap = f",?{_GAP}{{0,2}}" + (r"(?:and\s)?" if base == "en" else "")
    pattern = gap.join(map(re.escape, re.split(f"{_GAP}+", words)))
    for letter, others in _LETTERS.get(base, {}).items():
        pattern = pattern.replace(letter, others)
    return pattern if UNSPACED.search(words) else rf"(?<!\w){pattern}(?!\w)"


def _in_kana(words: str) -> str:
    for kanji, kana in _KANA.items():
        words = words.replace(kanji, kana)
    return words

"""Numbers and addresses in the form in which they are said, for voices that do not know better.

All of it is off unless the assistant's file asks for it (`speech`): most voices read "$3.50" and "9:30" well, and know
what stands around them. Words for numbers and money are CLDR's, in the assistant's language.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache

import regex

from actors.call.abbreviations import ORDINALS_BY_PERIOD
from actors.figures import message
from config.assistant import OWN_TEXTS, AssistantConfig, Speech
from config.languages import address_marks, base_language, spells_numbers

Form = Callable[[str], str]

_CODES = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "₩": "KRW", "₽": "RUB", "₺": "TRY", "₪": "ILS"}
_NAMES = "USD|EUR|GBP|JPY|INR|KRW|RUB|TRY|ILS|CHF|CAD|AUD|NZD|CNY|SEK|NOK|DKK|PLN|CZK|HUF|MXN|BRL|AED|SAR|PKR|THB|SGD"
_SIGN = "|".join(map(regex.escape, _CODES))
_LETTER = (
    r"\p{Latin}\p{Greek}\p{Cyrillic}\p{Arabic}\p{Hebrew}\p{Devanagari}\p{Nd}_"  # no figure stands in a word of these
)
_FIGURES = r"\d+(?:[.,'\u00a0\u202f]\d{3})*(?:[.,]\d+)?"
_MONEY = regex.compile(
    rf"(?<![{_LETTER}.,])(?P<sign>{_SIGN}|{_NAMES})\s?(?P<sum>{_FIGURES})(?![{_LETTER}])"
    rf"|(?<![{_LETTER}.,])(?P<sum>{_FIGURES})\s?(?P<sign>{_SIGN}|(?:{_NAMES})\b)"
)
_TIME = regex.compile(
    rf"(?<![{_LETTER}:.,])([01]?\d|2[0-3]):([0-5]\d)(?![{_LETTER}:])(?P<noon>\s?(?:[ap]\.?m\b\.?))?(?:\s?Uhr\b)?",
    regex.I,
)
_ORDINAL = regex.compile(r"(?<![\w.,])(\d{1,9})(?:st|nd|rd|th)\b")
_NUMBER = regex.compile(rf"(?<![{_LETTER}.,:/@-])-?(?:{_FIGURES})(?![{_LETTER}/@]|[.,:-]\d)")
_NO_PHONE = (  # dates, sums, years from and to
    r"(?!\d{1,4}[-./]\d{1,2}[-./]\d{1,4}(?!\d))(?!\d{1,3}(?:\.\d{3})+(?!\d))"
    r"(?!(?:1\d|20)\d\d\s?[-\u2013]\s?(?:1\d|20)\d\d(?!\d))"
)
_PHONE = regex.compile(
    rf"(?<![{_LETTER}.,:/@{''.join(_CODES)}]){_NO_PHONE}(?P<plus>\+)?\(?\d(?:(?:[\s\u00a0()\-/\u2010-\u2013]|\.(?=\d)){{0,3}}\d){{5,19}}"
    rf"(?![{_LETTER}@/]|[.,:]\d)"
)
_SCALE = (  # behind a sum: all of it is one number
    r"\s?(?:[KMB]\b|(?:thousand|[mb]n|[mbtr]{1,2}illi(?:on|ard)\w*|mille|mil|mio|mrd|mld|milh\w+|bilh\w+|mill[oó]n\w*)\b"
    r"|[\u5343\u4e07\u842c\u4ebf\u5104]|lakhs?\b|crores?\b)"
)
# What a voice reads better as it is written: sums of a scale, from and to, or of less than one; telephone numbers.
_LEFT = regex.compile(
    rf"(?:{_SIGN}|\b(?:{_NAMES}))\s?{_FIGURES}(?:{_SCALE}|\s?[-\u2013]\s?\d+(?:[.,]\d+)*)|(?:{_SIGN})\s?0[.,]\d+"
    rf"|(?=\+\d|0\d|\(\d|\d{{2,}}[ -]\d)(?>{_PHONE.pattern})",
    regex.I,
)
_ADDRESS = regex.compile(
    r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+|(?<![\w.@/])(?:[\w-]+\.)+\p{L}{2,24}(?:/[\w./#?=&%~+-]*[\w/])?(?![\w@])"
)
_TIMES = {  # hours and minutes; full hours
    "de": ("{h} Uhr {m}", "{h} Uhr"),
    "en": ("{h} {m}", "{h} o'clock"),
    "es": ("{h} y {m}", "{h} en punto"),
    "fr": ("{h} heures {m}", "{h} heures"),
    "it": ("{h} e {m}", "{h} in punto"),
    "ja": ("{h}時{m}分", "{h}時"),
    "nl": ("{h} uur {m}", "{h} uur"),
    "pt": ("{h} e {m}", "{h} em ponto"),
    "zh": ("{h}点{m}分", "{h}点"),
}
_NO_BLANKS = ("zh", "ja", "th")
_YEARS = ("en", "de", "nl", "sv", "da", "nb")  # 1999 is nineteen ninety-nine


def forms(speech: Speech, language: str) -> tuple[Form, ...]:
    """What is done with each clause, in this order."""
    return _forms(speech.addresses, speech.phone_numbers, speech.numbers, language)


def _outside(left: regex.Pattern[str], form: Form, text: str) -> str:
    """The form of all but what is left as it is."""
    parts, at = [], 0
    for found in left.finditer(text):
        parts += [form(text[at : found.start()]), found[0]]
        at = found.end()
    return "".join(parts) + form(text[at:])


def own_texts_said(assistant: AssistantConfig) -> AssistantConfig:
    """The assistant, with what it says by itself in the same form as its answers."""
    wanted = forms(assistant.speech, assistant.language)
    if not wanted:
        return assistant

    def said(text: str) -> str:
        for form in wanted:
            text = form(text)
        return text

    idle = assistant.idle
    prompts = tuple(map(said, idle.prompts))
    texts = {name: said(getattr(assistant, name)) for name in OWN_TEXTS}
    changed = idle.model_copy(update={"prompts": prompts, "goodbye": said(idle.goodbye)})
    return assistant.model_copy(update={**texts, "idle": changed})


@lru_cache(100)
def _forms(addresses: str, phone_numbers: str, numbers: str, language: str) -> tuple[Form, ...]:
    wanted: list[Form] = []
    if addresses == "words" and (marks := address_marks(language)):
        wanted.append(lambda text: _ADDRESS.sub(lambda found: _spelled_address(found[0], marks), text))
    if phone_numbers == "digits":
        wanted.append(lambda text: _PHONE.sub(_by_digits, text))
    if numbers == "words" and spells_numbers(language):
        wanted.append(Numbers(language).said)
    return tuple(wanted)


def _spelled_address(address: str, marks: dict[str, str]) -> str:
    spelled = regex.sub(r"[@./_-]", lambda found: f" {marks[found[0]]} ", address.rstrip("/"))
    return " ".join(spelled.split())


def _by_digits(found: regex.Match[str]) -> str:
    """Digit by digit, with a pause where it is written with one, else after three or four."""
    groups = regex.findall(r"\d+", found[0])
    if len(groups) == 1:
        size = 4 if len(groups[0]) % 4 == 0 else 3
        groups = regex.findall(rf"\d{{{size}}}(?=\d{{{size}}})|\d+", groups[0])
    said = ", ".join(" ".join(group) for group in groups)
    return f"+ {said}" if found["plus"] else said


class Numbers:
    """Numbers, times of day and amounts of money in the words of a language."""

    def __init__(self, language: str) -> None:
        self._tag, self._language = language.replace("_", "-"), base_language(language)
        self._decimal = "," if "," in self._format("{n,number}", Decimal("1.5")) else "."
        # "am 5. Mai" has an end that depends on the sentence
        self._ordinal = (
            regex.compile(r"(?<![\w.,])\d{1,2}\.(?=\s\p{L})") if base_language(language) in ORDINALS_BY_PERIOD else None
        )
        self._groups_by_blank = bool(regex.search(r"\s", self._format("{n,number}", 1234567)))

    def said(self, text: str) -> str:
        if not regex.search(r"\d", text):
            return text
        if self._groups_by_blank:
            text = regex.sub(r"(?<=(?<![\d.,])\d{1,3}(?: \d{3})*) (?=\d{3}(?!\d))", "\u00a0", text)
        return _outside(_LEFT, self._outside_ordinals, text)

    def _outside_ordinals(self, text: str) -> str:
        return _outside(self._ordinal, self._spelled_out, text) if self._ordinal else self._spelled_out(text)

    def _spelled_out(self, text: str) -> str:
        text = _TIME.sub(self._time, _MONEY.sub(self._money, text))
        if self._language == "en":
            text = _ORDINAL.sub(lambda found: self._spelled(found[1], "spellout,%spellout-ordinal"), text)
        return _NUMBER.sub(self._number, text)

    def _money(self, found: regex.Match[str]) -> str:
        sign, amount = found["sign"], self._value(found["sum"])
        if amount is None:
            return found[0]
        whole, minor = int(amount), round((amount - int(amount)) * 100)
        code = "CNY" if sign == "¥" and self._language == "zh" else _CODES.get(sign, sign)
        unit = f"{{n,number,::currency/{code} unit-width-full-name precision-integer group-off}}"
        name = self._format(unit, whole)
        if self._language == "en":
            name = name.replace("US dollar", "dollar")
        if not minor or self._language in _NO_BLANKS:
            words = self._spelled(str(amount.normalize() if minor else whole))
            return name.replace(str(whole), words)
        return f"{name.replace(str(whole), self._spelled(str(whole)))} {self._spelled(str(minor))}"

    def _time(self, found: regex.Match[str]) -> str:
        if self._language not in _TIMES:
            return found[0]
        with_minutes, full = _TIMES[self._language]
        hour, minute, noon = self._spelled(str(int(found[1]))), int(found[2]), found["noon"]
        if not minute:
            return f"{hour}{noon}" if noon else full.format(h=hour)
        minutes = self._spelled(str(minute))
        if self._language == "en" and minute < 10:
            minutes = f"oh {minutes}"
        return with_minutes.format(h=hour, m=minutes) + (noon or "")

    def _number(self, found: regex.Match[str]) -> str:
        figures = found[0]
        if figures.isdigit() and (len(figures) > 12 or (figures[0] == "0" and len(figures) > 1)):
            return " ".join(self._spelled(figure) for figure in figures)
        value = self._value(figures)
        if value is None:
            return figures
        if figures.isdigit() and 1100 <= value < 2100 and value % 1000 >= 10 and self._language in _YEARS:
            return self._spelled(figures, "spellout,%spellout-numbering-year")
        return self._spelled(str(value))

    def _value(self, figures: str) -> Decimal | None:
        """By the language's use of comma and period; None: it is no number in it (1.2.3, or 1.234 in English)."""
        group = "." if self._decimal == "," else ","
        plain = regex.sub("['\u00a0\u202f]", "", figures)
        if group in plain:
            if not regex.fullmatch(
                rf"-?\d{{1,3}}(?:{regex.escape(group)}\d{{3}})+(?:{regex.escape(self._decimal)}\d+)?", plain
            ):
                return None
            plain = plain.replace(group, "")
        if plain.count(self._decimal) > 1:
            return None
        return Decimal(plain.replace(self._decimal, "."))

    def _spelled(self, figures: str, form: str = "spellout") -> str:
        """In words, without the places where a long one may be divided."""
        words = self._format(f"{{n,{form}}}", Decimal(figures))
        return regex.sub("[\u00ad\u200b]", "", words)

    def _format(self, pattern: str, number: Decimal | int) -> str:
        return message(pattern, self._tag).format({"n": number})

"""Values in what was heard: numbers, digits, times of day, dates, as English says or writes them.

All work on words (`grammar.normalise`: lower case, no marks) and give where a value stands and what it is. What is not
there is not found; nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

FoundKind = Literal["number", "digits", "time", "date"]
SAMPLES: dict[FoundKind, str] = {
    "number": "two",
    "digits": "five five five one two three",
    "time": "seven thirty",
    "date": "Friday",
}
MIN_DIGITS = 3  # fewer are a number

_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen".split()  # noqa: SIM905
_ONES += ["seventeen", "eighteen", "nineteen"]
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()  # noqa: SIM905
_UNITS = {word: number for number, word in enumerate(_ONES)}
_TEN_TIMES = {word: 20 + 10 * number for number, word in enumerate(_TENS)}
_SCALES = {"hundred": 100, "thousand": 1000}
_FIGURES = {**{word: str(number) for word, number in _UNITS.items() if number < 10}, "oh": "0", "o": "0"}
_TIMES = {"double": 2, "triple": 3}
_DAYS = frozenset("monday tuesday wednesday thursday friday saturday sunday today tonight tomorrow".split())  # noqa: SIM905
_MONTHS = frozenset("january february march april may june july august september october november december".split())  # noqa: SIM905
_ORDINALS = {
    **{w: n for n, w in enumerate("first second third fourth fifth sixth seventh eighth ninth tenth".split(), 1)},  # noqa: SIM905
    **{w: n for n, w in enumerate("eleventh twelfth thirteenth fourteenth fifteenth sixteenth".split(), 11)},  # noqa: SIM905
    **{"seventeenth": 17, "eighteenth": 18, "nineteenth": 19, "twentieth": 20, "thirtieth": 30},
}
_ORDINAL = re.compile(r"(\d{1,2})(?:st|nd|rd|th)")
_CLOCK = re.compile(r"(\d{1,2})(?: (\d{2}))?")


class Found(NamedTuple):
    """A value, in the words from `begin` up to `end`."""

    begin: int
    end: int
    value: str


def values_in(words: Sequence[str], kind: FoundKind) -> list[Found]:
    """All that are there, in their order. number: "12"; digits: "5550123"; time: "19:30"; date: as it was said."""
    found, at = [], 0
    while at < len(words):
        hit = _FINDERS[kind](words, at)
        if hit:
            found.append(hit)
        at = hit.end if hit else at + 1
    return found


def _number(words: Sequence[str], at: int) -> Found | None:
    """Not one that is a part of a time, a date or a row of digits."""
    for other in (_time, _date, _digits):
        if any((hit := other(words, begin)) and hit.end > at for begin in range(max(at - 6, 0), at + 1)):
            return None
    read = _cardinal(words, at)
    return read and Found(at, read[0], str(read[1]))


def _cardinal(words: Sequence[str], at: int) -> tuple[int, int] | None:
    """Where a whole number ends that begins here, and what it is: 12, "twenty five", "two hundred and ten"."""
    if at < len(words) and words[at].isascii() and words[at].isdigit():
        return at + 1, int(words[at][:15])
    total = part = 0
    end = begin = at
    while end < len(words):
        word = words[end]
        if word in _TEN_TIMES and part % 100 == 0:
            part += _TEN_TIMES[word]
        elif word in _UNITS and (part % 100 == 0 or (part % 10 == 0 and part % 100 >= 20 and 0 < _UNITS[word] < 10)):
            part += _UNITS[word]
        elif word == "hundred" and 0 < part < 10:
            part *= 100
        elif word == "thousand" and part and not total:
            total, part = part * 1000, 0
        elif not (word == "and" and end > begin and words[end - 1] in _SCALES):
            break
        end += 1
        if word in _UNITS and part % 100 < 20 and not (end < len(words) and words[end] in _SCALES):
            break
    while end > begin and words[end - 1] == "and":
        end -= 1
    return (end, total + part) if end > begin else None


def _digits(words: Sequence[str], at: int) -> Found | None:
    figures, end = "", at
    while end < len(words):
        times, word = _TIMES.get(words[end], 0), words[min(end + 1, len(words) - 1)]
        if times and (figure := _figure(word)) and len(figure) == 1 and end + 1 < len(words):
            figures, end = figures + figure * times, end + 2
        elif figure := _figure(words[end]):
            figures, end = figures + figure, end + 1
        else:
            break
    return Found(at, end, figures) if len(figures) >= MIN_DIGITS and (end - at > 1 or len(figures) > 4) else None


def _figure(word: str) -> str:
    return word if word.isascii() and word.isdigit() else _FIGURES.get(word, "")


def _time(words: Sequence[str], at: int) -> Found | None:
    """Such as "(at) seven", "seven thirty", "half past six", "a quarter to eight", "7 pm", "noon"; of 24 hours."""
    if words[at] in ("noon", "midnight"):
        return Found(at, at + 1, "12:00" if words[at] == "noon" else "00:00")
    for read in (_to_or_past, _clock):
        if hit := read(words, at):
            return _with_half_of_day(words, at, *hit)
    return None


def _to_or_past(words: Sequence[str], at: int) -> tuple[int, int, int] | None:
    """End, hour, minute."""
    minutes = {"half": 30, "quarter": 15}.get(words[at])
    end = at + 1
    if minutes is None and (read := _cardinal(words, at)) and 0 < read[1] < 60:
        end, minutes = read
        end += end < len(words) and words[end] == "minutes"
    if minutes is None or end + 1 >= len(words) or words[end] not in ("past", "to", "after", "before"):
        return None
    hour = _hour(words, end + 1)
    if hour is None or (words[end] in ("to", "before") and minutes == 30):
        return None
    if words[end] in ("past", "after"):
        return end + 2, hour, minutes
    return end + 2, (hour - 1) % 24 or (12 if hour == 1 else 0), 60 - minutes


def _clock(words: Sequence[str], at: int) -> tuple[int, int, int] | None:
    hour, end = _hour(words, at), at + 1
    if hour is None:
        return None
    minute = _cardinal(words, end) if end < len(words) else None
    if minute and (10 <= minute[1] < 60) and minute[0] - end <= 2:
        return minute[0], hour, minute[1]
    if end + 1 < len(words) and words[end] in ("oh", "o", "zero") and 0 < _UNITS.get(words[end + 1], 0) < 10:
        return end + 2, hour, _UNITS[words[end + 1]]
    marked = at > 0 and words[at - 1] in ("at", "around", "by", "until", "till")
    after = words[end] if end < len(words) else ""
    of_day = after in ("o'clock", "am", "pm", "a", "p") or (after == "in" and words[end + 1 : end + 2] == ["the"])
    counted = after in ("people", "persons", "guests", "of")
    return (end + (after == "o'clock"), hour, 0) if (marked and not counted) or of_day else None


def _hour(words: Sequence[str], at: int) -> int | None:
    read = _cardinal(words, at)
    return read[1] if read and read[0] == at + 1 and read[1] <= 24 else None


def _with_half_of_day(words: Sequence[str], at: int, end: int, hour: int, minute: int) -> Found:
    rest = " ".join(words[end : end + 3])
    later = {"pm": 1, "p m": 2, "in the evening": 3, "in the afternoon": 3, "tonight": 0, "at night": 2}
    early = {"am": 1, "a m": 2, "in the morning": 3}
    for said, count in {**later, **early}.items():
        if rest == said or rest.startswith(f"{said} "):
            hour = hour % 12 + 12 * (said in later) if hour <= 12 else hour
            return Found(at, end + count, f"{hour:02}:{minute:02}")
    return Found(at, end, f"{hour % 24:02}:{minute:02}")


def _date(words: Sequence[str], at: int) -> Found | None:
    """A day of the week, today, tomorrow; "the third of May", "May 3rd": in the words that were said."""
    if words[at] in _DAYS:
        begin = at - (at > 0 and words[at - 1] == "next")
        return Found(begin, at + 1, " ".join(_named(word) for word in words[begin : at + 1]))
    if words[at] in _MONTHS and (day := _day(words, at + 1)):
        return Found(at, day[0], f"{_named(words[at])} {day[1]}")
    if day := _day(words, at):
        month = day[0] + (words[day[0] : day[0] + 1] == ["of"])
        if month < len(words) and words[month] in _MONTHS:
            return Found(at, month + 1, f"{_named(words[month])} {day[1]}")
    return None


def _day(words: Sequence[str], at: int) -> tuple[int, int] | None:
    """Of a month: where it ends, and which."""
    at += words[at : at + 1] == ["the"]
    if at >= len(words):
        return None
    if match := _ORDINAL.fullmatch(words[at]):
        return (at + 1, int(match[1])) if 1 <= int(match[1]) <= 31 else None
    if words[at] in _ORDINALS:
        return at + 1, _ORDINALS[words[at]]
    if words[at] in _TEN_TIMES and at + 1 < len(words) and _ORDINALS.get(words[at + 1], 10) < 10:
        return at + 2, _TEN_TIMES[words[at]] + _ORDINALS[words[at + 1]]
    read = _cardinal(words, at)
    return read if read and 1 <= read[1] <= 31 else None


def _named(word: str) -> str:
    return word.capitalize() if word in _MONTHS or word not in ("today", "tonight", "tomorrow", "next") else word


_FINDERS: dict[FoundKind, Callable[[Sequence[str], int], Found | None]] = {
    "number": _number,
    "digits": _digits,
    "time": _time,
    "date": _date,
}


def listed_in(words: Sequence[str], values: Sequence[tuple[tuple[str, ...], str]]) -> Iterator[Found]:
    """Those of a list (their words, the value) that stand there, the longest first where several begin."""
    at = 0
    while at < len(words):
        here = [(len(said), value) for said, value in values if said and tuple(words[at : at + len(said)]) == said]
        if here:
            size, value = max(here, key=lambda one: one[0])
            yield Found(at, at + size, value)
        at += max((size for size, _ in here), default=1)

"""How far into a text a voice has come: in letters of the text, whatever the voice makes of it.

A vendor's times are of words as it says them: "4111" may be four words, a Chinese sentence one, or one a letter. So
the text and the vendor's words are laid side by side as units (a word, a number, a letter of a script without blanks),
equal ones are anchors, and what lies between two anchors shares their time in proportion to the letters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

import regex

from actors.call.boundaries import whole_until
from actors.call.clauses import letters
from actors.providers.spec import Word

MS_PER_CHAR = 70.0  # an unhurried voice, for what is not known better

_WIDE = r"[\p{Han}\p{Hiragana}\p{Katakana}]"
# long numbers are spoken by their digits, a word that was begun and one with an apostrophe are one
_UNIT = regex.compile(
    rf"{_WIDE}\p{{M}}*|(?=\p{{Line_Break=SA}})\X|\p{{Nd}}(?=\p{{Nd}}{{4}})|(?<=\p{{Nd}}{{4}})\p{{Nd}}"
    rf"|\p{{Nd}}+(?:[.,:/]\p{{Nd}}+)*|(?:(?!{_WIDE})[\w'\u2019])+"
)
_GLUED = regex.compile(r"[^\s\p{Ps}\p{Pi}]*")  # marks that belong to what stands before them
_NO_BLANK = regex.compile(rf"(?:{_WIDE}|[\u3000-\u303f\uff00-\uff65])")


class Unit(NamedTuple):
    """text[start:end]"""

    start: int
    end: int
    said: str


class Timed(NamedTuple):
    """A unit as the vendor says it."""

    said: str
    start_ms: float
    end_ms: float


def joined(texts: Sequence[str]) -> str:
    """Texts as one: with a blank between them, where their script has blanks."""
    text = ""
    for part in filter(None, texts):
        glue = "" if not text or (_NO_BLANK.match(text[-1]) and _NO_BLANK.match(part)) else " "
        text += glue + part
    return text


def heard_until(text: str, words: Sequence[Word], ms: float, length_ms: float, done: bool, share: float = 1.0) -> int:
    """The end of what of `text` is spoken in the first `ms` of its `length_ms`: of each unit this share at least.

    `words`: with their times, as far as they are known; none: the letters share the time. `done`: all are known."""
    if done and ms >= length_ms:
        return len(text)
    units = _units(text)
    spans = _spans(text, units, words, length_ms if done else None) if words else _even(text, units, length_ms)
    share = share if words else 1.0
    end = 0
    for index, (start_ms, end_ms) in enumerate(spans):
        if start_ms + share * (end_ms - start_ms) > ms:
            break
        following = units[index + 1].start if index + 1 < len(units) else len(text)
        glued = _GLUED.match(text, units[index].end, following)
        end = glued.end() if glued else units[index].end
    return whole_until(text, end)


def _units(text: str) -> list[Unit]:
    return [Unit(m.start(), m.end(), m[0].casefold()) for m in _UNIT.finditer(text)]


def _even(text: str, units: Sequence[Unit], length_ms: float) -> list[tuple[float, float]]:
    ms_per_letter = length_ms / letters(text) if text else 0.0
    return [(letters(text[: u.start]) * ms_per_letter, letters(text[: u.end]) * ms_per_letter) for u in units]


def _timed(words: Sequence[Word]) -> list[Timed]:
    """The vendor's words as units, each with its time."""
    timed: list[Timed] = []
    for word in words:
        units = _units(word.text)
        weights = [letters(unit.said) for unit in units]
        at_ms, ms_per_letter = word.start_ms, (word.end_ms - word.start_ms) / (sum(weights) or 1)
        for unit, weight in zip(units, weights, strict=True):
            timed.append(Timed(unit.said, at_ms, at_ms + weight * ms_per_letter))
            at_ms += weight * ms_per_letter
    return timed


def _spans(
    text: str, units: Sequence[Unit], words: Sequence[Word], length_ms: float | None
) -> list[tuple[float, float]]:
    """When each unit is spoken; `length_ms` None: more words may follow."""
    timed = _timed(words)
    matcher = SequenceMatcher(None, [unit.said for unit in units], [said for said, _, _ in timed], autojunk=False)
    spans: list[tuple[float, float]] = []
    spoken = 0  # of `timed`
    for block in matcher.get_matching_blocks():  # the last one is empty, and at both ends
        gap, between = units[len(spans) : block.a], timed[spoken : block.b]
        last = block.size == 0
        spans += _shared(gap, between, spans[-1][1] if spans else 0.0, length_ms, last)
        spans += [(start_ms, end_ms) for _, start_ms, end_ms in timed[block.b : block.b + block.size]]
        spoken = block.b + block.size
    return spans


def _shared(
    gap: Sequence[Unit],
    between: Sequence[tuple[str, float, float]],
    from_ms: float,
    length_ms: float | None,
    last: bool,
) -> list[tuple[float, float]]:
    """Units that the vendor says otherwise share the time in which it does; behind all that is known, nothing is."""
    if len(gap) == 1 and between and not last:  # a number, of which half is another one: heard with its last word
        return [between[-1][1:]]
    weights = [letters(unit.said) for unit in gap]
    start_ms, end_ms = (between[0][1], between[-1][2]) if between else (from_ms, from_ms)
    known_ms = math.inf
    if last and length_ms is not None:
        end_ms = length_ms
    elif last:  # in the middle of it
        known_ms, end_ms = end_ms, start_ms + sum(weights) * MS_PER_CHAR
    spans, at = [], 0.0
    for weight in weights:
        span = [start_ms + (end_ms - start_ms) * part / sum(weights) for part in (at, at + weight)]
        spans.append((span[0], span[1] if span[1] <= known_ms else math.inf))
        at += weight
    return spans

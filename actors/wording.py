"""What a caller says in one turn: words, and keys, which may be a PIN.

The keys of a turn are a type of their own. Whatever prints, formats, stores, logs or shows them gets their number; the
request to a language model is the one place that asks for `told`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple
from unicodedata import digit

from actors.figure_counts import counts_pattern
from actors.figures import figure_pattern, figure_words, read_back_pattern

REPEATED = 3  # so many figures in a row, that were pressed as keys, are a repetition and not a coincidence

MOST_BETWEEN = 16  # characters between two figures of them that are read back one by one
_TOGETHER = re.compile(r"[\W_]{0,3}")


class Digits:
    """Keys in the order in which they were pressed."""

    __slots__ = ("_keys",)

    def __init__(self, keys: str | Digits = "") -> None:
        self._keys: str = keys._keys if isinstance(keys, Digits) else keys

    def __str__(self) -> str:
        return f"[pressed {len(self._keys)} keys]"

    __repr__ = __str__

    def __len__(self) -> int:
        return len(self._keys)

    def __add__(self, other: Digits) -> Digits:
        return Digits(self._keys + other._keys)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Digits) and self._keys == other._keys

    def __hash__(self) -> int:
        return hash(self._keys)

    @property
    def told(self) -> str:
        """What a language model is told."""
        return f"pressed {' '.join(self._keys)}"

    def hidden_in(self, text: str, language: str = "", fewest: int = REPEATED) -> str:
        """The text without what it repeats of them in figures or in words, as somebody does that reads a number back
        ("four two one seven", "forty-two seventeen"); fewer are left."""
        keys = _figures(self._keys)
        if len(keys) < REPEATED:
            return text
        text = _hidden_in_runs(keys, text, language, fewest)
        text = _hidden_singly(keys, text, language) if len(keys) >= fewest else text
        return _hidden_counts(keys, text, language, fewest)

    def last(self, count: int) -> Digits:
        """The end of them."""
        return Digits(self._keys[-count:] if count > 0 else "")


class Read(NamedTuple):
    """A part of a text that reads as figures: one, or a number in words."""

    start: int
    end: int
    figures: str
    counted: bool = False  # as so many of the same


def _hidden_in_runs(keys: str, text: str, language: str, fewest: int) -> str:
    """Without those that follow each other."""
    runs: list[list[Read]] = []
    for read in _reads(keys, text, language):
        if runs and _TOGETHER.fullmatch(text, runs[-1][-1].end, read.start):
            runs[-1].append(read)
        else:
            runs.append([read])
    for run in reversed(runs):
        figures = "".join(read.figures for read in run)
        if len(figures) >= fewest and (figures in keys or keys in figures):
            text = _without(text, run, len(figures))
    return text


def _hidden_singly(keys: str, text: str, language: str) -> str:
    """Without all of them one by one, with a few words between: "a 4, then a 2, and a 1"."""
    reads = _reads(keys, text, language)
    found = [read for read in reads for _ in read.figures]
    figures = "".join(read.figures for read in reads)
    at = figures.rfind(keys)
    while at >= 0:
        theirs = found[at : at + len(keys)]
        if all(after.start - before.end <= MOST_BETWEEN for before, after in pairwise(theirs)):
            text = _without(text, theirs, len(keys))
            figures = figures[:at]
        at = figures.rfind(keys, 0, at + len(keys) - 1)
    return text


def _hidden_counts(keys: str, text: str, language: str, fewest: int) -> str:
    """Without so many of the same, as "four nines" or "two ones and two twos": last, because it begins as the figures
    one by one do."""
    if not (pattern := counts_pattern(language, keys)):
        return text
    reads = _reads(keys, text, language, f"{pattern}|{read_back_pattern(language, keys)}")
    end = len(reads)
    while end:
        since = max(0, end - len(keys))  # each is a figure at least
        begin = next((at for at in range(since, end) if _is_counted(keys, reads[at:end], fewest)), -1)
        if begin >= 0:
            text = _without(text, reads[begin:end], sum(len(read.figures) for read in reads[begin:end]))
        end = begin if begin >= 0 else end - 1
    return text


def _is_counted(keys: str, reads: list[Read], fewest: int) -> bool:
    figures = "".join(read.figures for read in reads)
    near = all(after.start - before.end <= MOST_BETWEEN for before, after in pairwise(reads))
    return near and len(figures) >= fewest and figures in keys and any(read.counted for read in reads)


def _without(text: str, reads: list[Read], count: int) -> str:
    return f"{text[: reads[0].start]}[{count} keys]{text[reads[-1].end :]}"


def _reads(keys: str, text: str, language: str, pattern: str = "") -> list[Read]:
    """What reads as figures, but for the numbers of keys that are hidden."""
    found = re.finditer(pattern or read_back_pattern(language, keys), text, re.I)
    return [_read(match, language) for match in found if not text.startswith(" keys]", match.end())]


def _read(match: re.Match[str], language: str) -> Read:
    group = match.lastgroup or ""
    figures = group[1:].rstrip("_") or _figure(match[0], language)
    return Read(match.start(), match.end(), figures, group.startswith("c"))


def _figures(keys: str) -> str:
    """Those of any script, as they are on a keypad."""
    return "".join(_figure(key, "") for key in re.findall(figure_pattern(""), keys))


def _figure(figure: str, language: str) -> str:
    return str(digit(figure)) if figure.isdigit() else figure_words(language)[figure.lower()]


@dataclass(frozen=True, slots=True)
class Wording:
    """Words and keys in their order; as a string, what may be stored and shown."""

    parts: tuple[str | Digits, ...] = ()

    @classmethod
    def of(cls, *parts: str | Digits) -> Wording:
        return cls(tuple(part for part in parts if part))

    def __str__(self) -> str:
        return " ".join(map(str, self.parts))

    def __bool__(self) -> bool:
        return bool(self.parts)

    def __add__(self, other: Wording) -> Wording:
        return Wording(self.parts + other.parts)

    @property
    def told(self) -> str:
        """What a language model is told: the keys are in it, so it goes nowhere else."""
        return " ".join(part.told if isinstance(part, Digits) else part for part in self.parts)

    @property
    def keys(self) -> list[Digits]:
        return [part for part in self.parts if isinstance(part, Digits)]

    @property
    def ends_with_keys(self) -> bool:
        return bool(self.parts) and isinstance(self.parts[-1], Digits)

    def cut(self, most: int, cut_words: Callable[[str, int], str]) -> Wording:
        """Its end, in at most so many characters of what a model is told; `cut_words(text, most)` cuts a text."""
        kept: list[str | Digits] = []
        for part in reversed(self.parts):
            if isinstance(part, Digits):
                rest: str | Digits = part.last((most - len("pressed")) // 2)
                size = len(part.told)
            else:
                rest, size = cut_words(part, most) if most > 0 else "", len(part)
            if rest:
                kept.append(rest)
            most -= size + 1
        return Wording(tuple(reversed(kept)))

"""What a script's patterns mean: the sentences that they stand for, and the JSGF grammar that hears just those.

JSGF: https://www.w3.org/TR/jsgf/
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

MAX_SENTENCES = 1000  # of one pattern, and of a whole script: the recognizer must search them all

_SLOT = re.compile(r"\{(\w*)\}")
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")


class Sentence(NamedTuple):
    """One thing that a caller may say: normalised words, and the slot values in it."""

    text: str
    slots: dict[str, str]


def normalise(text: str) -> str:
    """Lower-case words, one space between them, no punctuation: "What's up, Doc?" -> "what's up doc"."""
    return " ".join(word.replace("\u2019", "'") for word in _WORD.findall(text.lower()))


def slot_names(pattern: str) -> list[str]:
    """The names in braces, in order: "from {place} on {day}" -> ["place", "day"]."""
    return _SLOT.findall(pattern)


def count(pattern: str, slots: Mapping[str, Sequence[str]]) -> int:
    """How many sentences the pattern stands for, 1 to `MAX_SENTENCES`. Raises `ValueError` naming what is wrong."""
    names = slot_names(pattern)
    for name in names:
        if not slots.get(name):
            raise ValueError(f"{pattern!r}: no values for the slot {{{name}}}; there are {sorted(slots) or 'no slots'}")
    if not normalise(_SLOT.sub("x", pattern)):
        raise ValueError(f"{pattern!r}: must hold at least one word")
    if (found := math.prod(len(slots[name]) for name in names)) > MAX_SENTENCES:
        raise ValueError(f"{pattern!r}: stands for {found} sentences; at most {MAX_SENTENCES} are legal")
    return found


def expand(pattern: str, slots: Mapping[str, Sequence[str]]) -> list[Sentence]:
    """All sentences that the pattern stands for, first values first. Raises `ValueError` as `count` does."""
    count(pattern, slots)
    names = slot_names(pattern)
    choices = itertools.product(*(slots[name] for name in names))
    return [_sentence(pattern, dict(zip(names, values, strict=True))) for values in choices]


def fill(pattern: str, values: Mapping[str, str]) -> str | None:
    """The pattern with its slots filled, or None if a value is missing."""
    if any(name not in values for name in slot_names(pattern)):
        return None
    return _SLOT.sub(lambda match: values[match[1]], pattern)


def vocabulary(sentences: Iterable[str]) -> list[str]:
    """All words of the normalised sentences, sorted."""
    return sorted({word for sentence in sentences for word in normalise(sentence).split()})


def jsgf(sentences: Iterable[str]) -> str:
    """The grammar that accepts exactly these sentences."""
    alternatives = dict.fromkeys(normalise(sentence) for sentence in sentences)
    return f"#JSGF V1.0; grammar sentences; public <sentence> = {' | '.join(filter(None, alternatives))} ;"


def _sentence(pattern: str, values: dict[str, str]) -> Sentence:
    return Sentence(normalise(fill(pattern, values) or ""), values)

"""Sentences that are expected: what was heard may be one of them in other words that sound alike ("fry day")."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

NEAR = 0.75  # of the letters are the same
_MARKS = re.compile(r"[^\w']+")
_END = re.compile(r"[\W_]*$")


def plain(text: str) -> str:
    """Lower-case words, a blank between them, no marks."""
    return " ".join(_MARKS.sub(" ", text.lower().replace("\u2019", "'")).split())


class Hints:
    """The sentences of one assistant."""

    def __init__(self, phrases: Iterable[str]) -> None:
        self._phrases = list(dict.fromkeys(map(plain, phrases)))
        self._known = set(self._phrases)
        self._letters = {_letters(phrase): phrase for phrase in self._phrases}

    def knows(self, text: str) -> bool:
        """Whether it is one of them, but for capitals and marks."""
        return plain(text) in self._known

    def nearest(self, text: str) -> tuple[str, bool]:
        """The sentence that the text may be, in the text's own capitals and marks, or ""; and whether only blanks and
        marks differ ("good-bye"), so that nobody can hear the difference."""
        said = plain(text)
        if not said or said in self._known:
            return "", False
        if same := self._letters.get(_letters(said)):
            return rewritten(text, same), True
        found = difflib.get_close_matches(said, self._phrases, 1, NEAR)
        return (rewritten(text, found[0]) if found else ""), False


def rewritten(text: str, phrase: str) -> str:
    """The phrase, with the text's capitals and marks where their words are the same."""
    words = text.split()
    target = phrase.split()
    result: list[str] = []
    for kind, first, end, low, high in difflib.SequenceMatcher(None, [plain(w) for w in words], target).get_opcodes():
        result += words[first:end] if kind == "equal" else _as_in(words[first:end], target[low:high])
    return " ".join(result)


def _as_in(old: Sequence[str], new: Sequence[str]) -> list[str]:
    """The new words with the capital of the first old one and the marks behind the last."""
    if not (old and new):
        return list(new)
    capital = new[0][:1].upper() + new[0][1:] if old[0][:1].isupper() else new[0]
    marks = _END.search(old[-1])
    words = [capital, *new[1:]]
    return [*words[:-1], words[-1] + (marks.group() if marks else "")]


def _letters(text: str) -> str:
    return text.replace(" ", "")

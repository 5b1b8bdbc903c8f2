"""Cuts a streaming answer into clauses that can be spoken by themselves.

The first clause is cut early because somebody waits for it: at a comma, and at a period after a word without waiting
for the blank behind it, which is a token later. Later ones are cut at the end of a sentence, where a voice has its
natural pause. A period inside a number, after an abbreviation or a single capital ends nothing.
"""

from __future__ import annotations

import re

FIRST_MIN_CHARS = 16  # a shorter first clause sounds torn off
MAX_CHARS = 240  # an answer without any punctuation is cut at a blank

_SENTENCE_END = re.compile(r"[.!?…]+[\"')\]]*(?=\s)|\n+|[\u3002\uff01\uff1f]")
_WORD_END = re.compile(r"[a-z]{3}[.!?]$")
_OPENS = re.compile(r"[\"(\[]")
_CLAUSE_END = re.compile(r"[,;:\u2013\u2014][\"')\]]*(?=\s)")
_ABBREVIATION = re.compile(r"(?:^|\s)(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|No|vs|etc|e\.g|i\.e|approx|a\.m|p\.m)\.$")


class Clauser:
    """`feed` tokens, get the clauses that they complete; `rest` gives what is left at the end. `first`: nothing of the
    answer was said yet."""

    def __init__(self, first: bool = True) -> None:
        self._buffer = ""
        self._first = first

    def feed(self, token: str) -> list[str]:
        """The clauses that are complete now, without blanks around them."""
        self._buffer += token
        clauses = []
        while (end := self._cut()) is not None:
            clause, self._buffer = self._buffer[:end].strip(), self._buffer[end:]
            if _is_speakable(clause):
                clauses.append(clause)
                self._first = False
        return clauses

    def rest(self) -> str:
        """What is left when the answer is complete."""
        rest, self._buffer = self._buffer.strip(), ""
        return rest if _is_speakable(rest) else ""

    def _cut(self) -> int | None:
        for match in _SENTENCE_END.finditer(self._buffer):
            if not _ABBREVIATION.search(self._buffer[: match.end()]):
                return match.end()
        if self._first:
            for match in _CLAUSE_END.finditer(self._buffer):
                if match.end() >= FIRST_MIN_CHARS:
                    return match.end()
            if self._ends_with_a_sentence():
                return len(self._buffer)
        if len(self._buffer) > MAX_CHARS:
            return self._buffer.rfind(" ", 1, MAX_CHARS) + 1 or MAX_CHARS
        return None

    def _ends_with_a_sentence(self) -> bool:
        """So far; a word, so neither a number nor initials go on, and no quotation or bracket is open."""
        text = self._buffer
        return bool(
            len(text) >= FIRST_MIN_CHARS
            and _WORD_END.search(text, len(text) - 4)
            and not _OPENS.search(text)
            and not _ABBREVIATION.search(text)
        )


def _is_speakable(clause: str) -> bool:
    """A voice has nothing to say of marks alone."""
    return any(map(str.isalnum, clause))

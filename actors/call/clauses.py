"""Cuts a streaming answer into clauses that can be spoken by themselves, in any language.

The first clause is cut early because somebody waits for it: at a comma, too, once it is long enough to be said. Later
ones are cut at the end of a sentence, where a voice has its natural pause. What ends a sentence or may divide it is
Unicode's word (UAX 29: STerm, ATerm, SContinue, Close); a period, which has many uses, is left to `periods.py`. Thai,
Lao, Khmer and Burmese separate by a blank what others separate by a comma.
"""

from __future__ import annotations

from collections.abc import Iterator

import regex

from actors.call.boundaries import whole_until
from actors.call.periods import is_full_stop, period_ends, sentence_begins
from actors.call.plain import is_word
from config.languages import base_language

FIRST_MIN_CHARS = 16  # letters, about a second: a shorter first clause sounds torn off
MAX_CHARS = 240  # letters of an answer without any punctuation, which is cut at a blank
BLANK_MIN_CHARS = 60  # letters before a blank that stands for a comma cuts a later clause

_CLOSE = r"(?:(?![\p{Ps}\p{Pi}])\p{Sentence_Break=Close}|[\u201c\u2018«](?=\s))"
_SHAD = "\u0f0d-\u0f11"  # Tibetan, for which Unicode has a line break only
_STERM = rf"[\p{{Sentence_Break=STerm}}…{_SHAD}]"
_STOP = rf"\p{{Sentence_Break=STerm}}\p{{Sentence_Break=ATerm}}…{_SHAD}"
_END = regex.compile(rf"\n\s*|[{_STOP}]+{_CLOSE}*")
_END_OF = {"el": regex.compile(rf"\n\s*|[{_STOP};]+{_CLOSE}*")}  # the Greek question mark
_PAUSE = regex.compile(
    rf"[[\p{{Sentence_Break=SContinue}}]--[\u0000-\u007f\u2013\u2014]]{_CLOSE}*(?!\d)"
    rf"|[,:;]{_CLOSE}*(?=\s+[^\s\d])|(?<=\s)[-\u2013](?=\s)|\u2014(?=[^\d])"
    r"|(?<=\p{Line_Break=SA})[^\S\n]+(?=\S)",
    regex.V1,
)
_WIDE = regex.compile(rf"(?:(?![!?…]){_STERM})+{_CLOSE}*\Z")  # nothing but an end of a sentence
_OPENS = regex.compile(r"[\p{Ps}\p{Pi}]")
_CLOSES = regex.compile(r"[\p{Pe}\p{Pf}]")
_MARKS = regex.compile(r"[^\w\s]+")
_ADDRESS = regex.compile(r"[./@:]\S*\Z")
_NO_BLANKS = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Line_Break=SA}]")
_SLOW = (  # letters that take longer to say, and by how much: syllables, morae, consonants whose vowels are not written
    (regex.compile(r"[\p{Han}\p{Hangul}]"), 2.0),
    (regex.compile(r"[\p{Hiragana}\p{Katakana}\p{Ethiopic}]"), 1.0),
    (regex.compile(r"[\p{Arabic}\p{Hebrew}\p{Devanagari}\p{Bengali}\p{Gujarati}\p{Gurmukhi}\p{Tamil}\p{Telugu}]"), 0.5),
)
_MOST_LETTERS = 3  # that any character counts for
_TRAILING_MARKS = regex.compile(r"(?:\s+[\p{Pd}\p{So}\p{Extended_Pictographic}…]+)+\Z")


def letters(text: str) -> float:
    """How long it takes to say, in letters of a European language."""
    if text.isascii():
        return len(text)
    return len(text) + sum(more * len(slow.findall(text)) for slow, more in _SLOW)


def is_speakable(clause: str) -> bool:
    """A voice has nothing to say of marks alone."""
    return any(map(str.isalnum, clause))


class Clauser:
    """`feed` tokens, get the clauses that they complete; `rest` gives what is left at the end. `first`: nothing of the
    answer was said yet."""

    def __init__(self, first: bool = True, language: str = "en") -> None:
        self._buffer = ""
        self._passed = 0  # of it: no sentence ends before
        self._is_settled = False  # all marks of it are judged, and more letters change nothing
        self._by_letters = True  # so far the text comes letter by letter: a period may be the first of three
        self._first = first
        self._language = base_language(language)
        self._end = _END_OF.get(self._language, _END)

    def feed(self, token: str) -> list[str]:
        """The clauses that are complete now, without blanks around them."""
        self._by_letters = self._by_letters and len(token) == 1
        if self._is_settled and is_word(token) and self._has_room(token):
            self._buffer += token
            return []
        return [clause for at in range(0, len(token), MAX_CHARS) for clause in self._feed(token[at : at + MAX_CHARS])]

    def _has_room(self, token: str) -> bool:
        length = len(self._buffer) + len(token)
        return length * _MOST_LETTERS <= MAX_CHARS or letters(self._buffer) + len(token) * _MOST_LETTERS <= MAX_CHARS

    def _feed(self, token: str) -> Iterator[str]:
        """Not a whole answer at once: what is searched must not grow."""
        self._buffer += token
        while (end := self._cut()) is not None:
            clause, self._buffer, self._passed = self._buffer[:end].strip(), self._buffer[end:], 0
            if is_speakable(clause):
                self._first = False
                yield clause

    def rest(self) -> str:
        """What is left when the answer is complete."""
        rest = _TRAILING_MARKS.sub("", self._buffer.strip())
        self._buffer, self._passed, self._is_settled = "", 0, False
        return rest if is_speakable(rest) else ""

    def _cut(self) -> int | None:
        self._is_settled = False
        while match := self._end.search(self._buffer, self._passed):
            ends = self._ends(match)
            if ends:
                return match.end()
            if ends is None:
                break
            self._passed = match.end()
        else:
            self._is_settled = is_word(self._buffer[-1:])
        if (end := self._pause()) is not None:
            return end
        return self._force() if letters(self._buffer) > MAX_CHARS else None

    def _pause(self) -> int | None:
        """Where the first clause may end before its sentence does; and later ones, in a language without stops."""
        least = FIRST_MIN_CHARS if self._first else BLANK_MIN_CHARS
        if len(self._buffer) * 3 < least:
            return None
        for match in _PAUSE.finditer(self._buffer):
            if (self._first or match[0].isspace()) and letters(self._buffer[: match.end()]) >= least:
                return match.end()
        return None

    def _ends(self, match: regex.Match[str]) -> bool | None:
        """Whether these marks end a sentence; None: what follows will tell."""
        mark, after = match[0], self._buffer[match.end() :]
        if mark[0] == "\n":
            return True
        if _WIDE.match(mark):
            return bool(after) or self._is_closed() or None
        if not after:
            return (self._first and self._may_be_said(match)) or None
        if _MARKS.fullmatch(after):
            return None
        if not after[0].isspace():
            if _NO_BLANKS.match(after):
                return bool(_NO_BLANKS.match(self._buffer, match.start() - 1))
            return sentence_begins(self._buffer[: match.start()], mark, after, self._language)
        if "." not in mark:
            return True
        return period_ends(self._buffer[: match.start()], mark, after, self._language)

    def _may_be_said(self, match: regex.Match[str]) -> bool:
        """At once: it is long enough, and this is no address (`example.com/?q=1`)."""
        if letters(self._buffer) < FIRST_MIN_CHARS or not self._is_closed():
            return False
        before = self._buffer[: match.start()]
        if "." in match[0]:
            return match[0] == "." and not self._by_letters and is_full_stop(before, self._language)
        return not _ADDRESS.search(before)

    def _is_closed(self) -> bool:
        """No quotation and no bracket is open, whose end would belong to the sentence."""
        text = self._buffer
        return len(_OPENS.findall(text)) <= len(_CLOSES.findall(text)) and not text.count('"') % 2

    def _force(self) -> int:
        """Without an end in sight: at the last comma, else blank, else letter that the length allows."""
        head = self._buffer[: max(1, int(len(self._buffer) * MAX_CHARS / letters(self._buffer)))]
        pauses = [match.end() for match in _PAUSE.finditer(head)]
        if end := max(pauses, default=0) or head.rfind(" ", 1) + 1:
            return end
        return whole_until(self._buffer, len(head)) or len(head)

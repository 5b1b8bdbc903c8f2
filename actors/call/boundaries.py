"""Where a text may be cut: never within what a reader sees as one letter, nor within a word.

Thai, Lao, Khmer and Burmese write no blanks between words, and vowels before the consonant that they follow: there the
words are told by ICU's dictionaries (UAX 14, `Line_Break=SA`). A letter is an extended grapheme cluster (UAX 29).
"""

from __future__ import annotations

import regex

_UNDIVIDED = regex.compile(r"\p{Line_Break=SA}")
_RUN = regex.compile(r"[\p{Line_Break=SA}\p{M}]+")
_CLUSTER = regex.compile(r"\X")


def whole_until(text: str, end: int) -> int:
    """The last place in `text`, not behind `end`, that divides no letter and no word of an undivided script."""
    if not 0 < end < len(text) or (text.isascii() and text[end - 1 : end + 1] != "\r\n"):
        return end
    for cluster in _CLUSTER.finditer(text, _before(text, end)):
        if cluster.end() >= end:
            end = end if cluster.end() == end else cluster.start()
            break
    if end and _RUN.match(text, end) and _UNDIVIDED.match(text, end - 1):
        return _word_until(text, end)
    return end


def _before(text: str, end: int) -> int:
    """Where to begin to look for letters: at the last blank, which always begins one."""
    return max(text.rfind(" ", 0, end), 0)


def _word_until(text: str, end: int) -> int:
    from icu4py.breakers import WordBreaker  # 10 ms, which most calls never need

    run = next(run for run in _RUN.finditer(text) if run.end() > end)
    at = start = run.start()
    for word in WordBreaker(run[0], "th"):  # the script tells the dictionary
        if at + len(word) > end:
            return at
        at += len(word)
    return start

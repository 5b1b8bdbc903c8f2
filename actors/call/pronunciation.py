"""How the voice is given words that it says wrongly, whoever wrote them: model, script or assistant's file."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import regex

from config.assistant import Speech

_BLANKLESS = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Line_Break=SA}]"


def pronounced(speech: Speech) -> Callable[[str], str]:
    """From a text to the text that the voice gets. What is stored is the word, not how it is spelled here."""
    return _replacing(tuple(speech.pronunciations.items()))


@lru_cache(200)
def _replacing(pronunciations: tuple[tuple[str, str], ...]) -> Callable[[str], str]:
    """Whole words, the longest first, in upper or lower case."""
    if not pronunciations:
        return lambda text: text
    said = {word.casefold(): spelled for word, spelled in pronunciations}
    words = "|".join(map(regex.escape, sorted(said, key=len, reverse=True)))
    before, after = rf"(?<!(?!{_BLANKLESS})\w)", rf"(?!(?!{_BLANKLESS})\w)"
    pattern = regex.compile(rf"{before}(?:{words}){after}", regex.I | regex.F)
    return lambda text: pattern.sub(lambda found: said.get(found[0].casefold(), found[0]), text)

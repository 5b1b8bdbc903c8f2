"""From the tokens of an answer to the clauses that are said: the one stage between a model and the voice.

Plain text (`plain.py`), then clauses (`clauses.py`), then the form in which they are said (`forms.py`). What comes out
is given to the voice and is what the history holds, so that the model, the transcript and the caller know of the same
words.
"""

from __future__ import annotations

from collections.abc import Iterable

import regex

from actors.call.clauses import Clauser, is_speakable
from actors.call.forms import forms
from actors.call.plain import Plain
from config.assistant import Speech

_GAP = regex.compile(r"[^\S\u00a0\u202f]{2,}|\n")
_BEFORE_MARK = regex.compile(r"(?<=\S)[^\S\u00a0\u202f]+(?=[,.;!?]+(?:\s|$))")  # where an emoji was

# What an assistant says to nobody: it thinks aloud, and the end of the thought will probably come.
_THINKS_ALOUD = regex.compile(
    r"\b(?:the|this) user(?:'s|\u2019s)?\b|\b(?:I|we) (?:should|need to|must|have to) (?:respond|reply|answer|greet)\b",
    regex.I,
)
_IN_A_THOUGHT = (" user", "should", "need to", "must", "have to")  # one of them, in each of these


class Phrasing:
    """One answer. `feed` its tokens, get the clauses that are complete; `end` gives the last ones.

    `said`: of the answer, by an earlier attempt: no model resumes an answer, so what repeats that is passed over.
    `thinks_first`: the model is known to begin within a thought.
    """

    def __init__(self, speech: Speech, language: str, said: str = "", thinks_first: bool = False) -> None:
        self._plain = Plain(speech.markup, thinks_first or speech.thinks_first)
        self._first, self._language, self._before = not said, language, said
        self._unrepeated = Unrepeated(said)
        self._doubted: list[str] | None = None  # clauses that look like a thought, and all that follow them
        self._clauser = Clauser(self._first, language)
        self._forms = forms(speech, language)
        self._french = language.lower().startswith("fr")  # has a blank before some marks

    @property
    def thought_first(self) -> bool:
        """The model began within a thought: its next answer probably will, too."""
        return self._plain.thought_first

    def feed(self, token: str) -> list[str]:
        """The clauses that are complete now."""
        text = self._plain.feed(token)
        self._take_back()
        clauses = self._clauser.feed(text) if text else []
        return self._follow(clauses) if clauses else []

    def end(self) -> list[str]:
        """What is left when the answer is complete."""
        text = self._plain.end()
        self._take_back()
        clauses = [*self._clauser.feed(text), self._clauser.rest()]
        clauses = self._follow(filter(None, clauses))
        doubted, self._doubted = self._doubted or [], None
        return [*doubted, *clauses, *self._unrepeated.end()]

    def _take_back(self) -> None:
        if self._plain.took_back:
            self._clauser, self._doubted = Clauser(self._first, self._language), None
            self._unrepeated = Unrepeated(self._before)

    def _follow(self, clauses: Iterable[str]) -> list[str]:
        said = [rest for clause in clauses for rest in self._unrepeated.feed(self._said(clause))]
        if self._doubted is None and self._first and any(map(_thinks_aloud, said)):
            self._doubted = []
        if self._doubted is not None:
            self._doubted += said
            return []
        self._first = self._first and not said
        return said

    def _said(self, clause: str) -> str:
        """Without the gaps that marks leave behind, and as it is said."""
        clause = _GAP.sub(" ", clause)
        clause = clause if self._french else _BEFORE_MARK.sub("", clause)
        for form in self._forms:
            clause = form(clause)
        return clause


class Unrepeated:
    """Lets through what follows `said`, whether a model repeats that first or goes on as it was asked to.

    Letters and figures are compared, so that neither marks nor other places to cut make a difference."""

    def __init__(self, said: str) -> None:
        self._left = _alphanumeric(said)
        self._held: list[str] = []  # may be the beginning of a repetition

    def feed(self, clause: str) -> list[str]:
        """What is to be said of the next clause, and of those that were held."""
        letters = _alphanumeric(clause)
        if self._left and self._left.startswith(letters):
            self._held.append(clause)
            self._left = self._left[len(letters) :]
            return []
        left, held, self._left, self._held = self._left, self._held, "", []
        if left or held:
            if letters.startswith(left):
                return list(filter(is_speakable, [_behind(clause, len(left))]))
            return [*held, clause]
        return [clause]

    def end(self) -> list[str]:
        """What was held and is no whole repetition."""
        held, self._held = self._held, []
        return held if self._left else []


def _thinks_aloud(clause: str) -> bool:
    text = clause.lower()
    return any(part in text for part in _IN_A_THOUGHT) and _THINKS_ALOUD.search(text) is not None


def _alphanumeric(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


def _behind(text: str, count: int) -> str:
    """What follows so many letters, without the marks that end them."""
    for index, letter in enumerate(text):
        if count <= 0 and (letter.isspace() or letter.isalnum()):
            return text[index:].strip()
        count -= len(_alphanumeric(letter))
    return ""

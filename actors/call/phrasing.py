"""From the tokens of an answer to the clauses that are said: the one stage between a model and the voice.

Plain text (`plain.py`), then clauses (`clauses.py`), then the form in which they are said (`forms.py`). What comes out
is given to the voice and is what the history holds, so that the model, the transcript and the caller know of the same
words.
"""

from __future__ import annotations

import regex

from actors.call.clauses import Clauser
from actors.call.forms import forms
from actors.call.plain import Plain
from config.assistant import Speech

_GAP = regex.compile(r"[^\S\u00a0\u202f]{2,}|\n")
_BEFORE_MARK = regex.compile(r"(?<=\S)[^\S\u00a0\u202f]+(?=[,.;!?]+(?:\s|$))")  # where an emoji was


class Phrasing:
    """One answer. `feed` its tokens, get the clauses that are complete; `end` gives the last ones.

    `first`: nothing of the answer was said yet. `thinks_first`: the model is known to begin within a thought.
    """

    def __init__(self, speech: Speech, language: str, first: bool = True, thinks_first: bool = False) -> None:
        self._plain = Plain(speech.markup, thinks_first or speech.thinks_first)
        self._clauser = Clauser(first, language)
        self._forms = forms(speech, language)
        self._french = language.lower().startswith("fr")  # has a blank before some marks
        self.thinks_first = thinks_first  # what was learnt of it

    def feed(self, token: str) -> list[str]:
        """The clauses that are complete now."""
        return self._clauses(self._plain.feed(token))

    def end(self) -> list[str]:
        """What is left when the answer is complete."""
        clauses = self._clauses(self._plain.end())
        return [*clauses, *filter(None, [self._said(self._clauser.rest())])]

    def _clauses(self, text: str) -> list[str]:
        if self._plain.took_back:
            self.thinks_first = True
            self._clauser.forget()
        return [self._said(clause) for clause in self._clauser.feed(text)] if text else []

    def _said(self, clause: str) -> str:
        """Without the gaps that marks leave behind, and as it is said."""
        clause = _GAP.sub(" ", clause)
        clause = clause if self._french else _BEFORE_MARK.sub("", clause)
        for form in self._forms:
            clause = form(clause)
        return clause

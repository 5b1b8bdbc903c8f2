"""What was said in a call, as it was heard, and the caller's question that is not history yet."""

from __future__ import annotations

from collections.abc import Callable

from actors.call.effects import Effect, Said
from actors.call.spending import Spending
from actors.call.utterance import Utterance
from actors.providers.spec import ChatMessage


class History:
    """A question becomes history when its answer becomes audible: until then the caller may go on with it."""

    def __init__(self, do: Callable[[Effect], None], system_prompt: str, spending: Spending) -> None:
        self._do, self.spending = do, spending
        self._system = (ChatMessage("system", system_prompt),) if system_prompt else ()
        self.lines: list[ChatMessage] = []
        self.question = ""  # asked, and no answer was heard yet: still part of the caller's turn
        self._shown = ""  # the question as it may be stored
        self._began_s = 0.0  # when the caller began to say it

    def ask(self, question: str, shown: str, began_s: float) -> None:
        if not self.question:  # else the caller goes on with it
            self._began_s = began_s
        self.question, self._shown = question, shown

    def question_with(self, words: str) -> str:
        """What was asked and has no audible answer yet is part of the turn."""
        return self.spending.cut(" ".join(filter(None, (self.question, words))))

    def before(self, question: str) -> tuple[ChatMessage, ...]:
        """What a language model is given that shall answer the question, which may be empty: of a long call the end."""
        asked = (ChatMessage("user", question),) if question else ()
        return (*self._system, *self.spending.recent(self.lines), *asked)

    def remember_caller(self, turn: int) -> None:
        if self.question:
            self.lines.append(ChatMessage("user", self.question))
            self._do(Said("user", turn, self._shown, self._began_s))
            self.question = ""

    def remember_heard(self, utterance: Utterance, text: str, interrupted: bool = False) -> None:
        if text:
            self.lines.append(ChatMessage("assistant", text))
            self._do(Said("assistant", utterance.turn, text, utterance.started_s, interrupted))

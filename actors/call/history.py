"""What was said in a call, as it was heard, and the caller's question that is not history yet."""

from __future__ import annotations

from collections.abc import Callable

from actors.call.effects import Effect, Said
from actors.call.spending import Spending
from actors.call.utterance import Utterance
from actors.providers.spec import ChatMessage
from actors.wording import Digits, Wording


class History:
    """A question becomes history when its answer becomes audible: until then the caller may go on with it."""

    def __init__(self, do: Callable[[Effect], None], system_prompt: str, spending: Spending, language: str) -> None:
        self._do, self.spending, self._language = do, spending, language
        self._system = (ChatMessage("system", system_prompt),) if system_prompt else ()
        self.lines: list[ChatMessage] = []
        self.question = Wording()  # asked, and no answer was heard yet: still part of the caller's turn
        self._pressed: list[Digits] = []  # in this call
        self._is_withheld = False
        self._began_s = 0.0  # when the caller began to say it

    def ask(self, question: Wording, began_s: float) -> None:
        if not self.question:  # else the caller goes on with it
            self._began_s = began_s
        self.question = question

    def question_with(self, said: Wording) -> Wording:
        """What was asked and has no audible answer yet is part of the turn."""
        return self.spending.cut_wording(self.question + said)

    def before(self, question: Wording) -> tuple[ChatMessage, ...]:
        """What a language model is given that shall answer the question, which may be empty: of a long call the end."""
        asked = (ChatMessage("user", question),) if question else ()
        return (*self._system, *self.spending.recent(self.lines), *asked)

    def before_the_answer(self) -> tuple[ChatMessage, ...]:
        """Likewise, for a model that shall go on with its last answer."""
        last = len(self.lines)
        while last and self.lines[last - 1].role == "assistant":
            last -= 1
        return (*self._system, *self.spending.recent(self.lines[:last]))

    def withhold(self) -> None:
        """No model takes the question: it was said, but is given to none with those that follow, either."""
        self._is_withheld = True

    def remember_caller(self, turn: int) -> None:
        if self.question:
            if not self._is_withheld:
                self.lines.append(ChatMessage("user", self.question))
            self._do(Said("user", turn, self.hide_keys(str(self.question)), self._began_s))
            self._pressed += self.question.keys
            self.question, self._is_withheld = Wording(), False

    def remember_heard(self, utterance: Utterance, text: str, interrupted: bool = False) -> None:
        if text:
            self.lines.append(ChatMessage("assistant", text))
            self._do(Said("assistant", utterance.turn, self.hide_keys(text), utterance.started_s, interrupted))

    def hide_keys(self, text: str) -> str:
        """A text of somebody who knows them, such as a model or the caller: without the keys that it repeats."""
        pressed = (*self._pressed, *self.question.keys)
        for keys in pressed:
            text = keys.hidden_in(text, self._language)
        return sum(pressed, Digits()).hidden_in(text, self._language, fewest=4)  # a PIN may be pressed in two goes

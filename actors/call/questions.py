"""The questions to the responder: the one whose answer is awaited, or one that was asked ahead.

Theory of operation. A transcriber that knows of turns says that this one is probably ending, before it is sure. Then
the question is asked ahead, and what comes of its answer is held back: nothing of it is heard, shown or remembered.
When the turn ends with the same words, the answer is handed over as if it had come at that moment; when the caller goes
on, or does anything else, it is cancelled and forgotten.
"""

from __future__ import annotations

from collections.abc import Callable

from actors.call.effects import Effect, Speculated, To, Unasked
from actors.call.history import History
from actors.messages import Answer, AnswerDone, Ask, CancelAnswer
from actors.providers.spec import Question
from actors.wording import Wording


class Questions:
    """At most one is under way. Their numbers are never used twice: a late word of an answer that was given up is
    recognised by it."""

    def __init__(self, do: Callable[[Effect], None], history: History) -> None:
        self._do, self._history, self.spending = do, history, history.spending
        self.open = False  # the responder owes something that is awaited
        self._number = 0
        self._ahead = Wording()  # the question that was asked ahead; empty: there is none
        self._held: list[Answer] = []  # of its answer

    def ask(self, question: Wording, began_s: float) -> list[Answer]:
        """The turn is over with this question, which the caller began to say at `began_s`. What there is of its answer
        already; an empty one if it may not be asked."""
        question = self.spending.cut_wording(question)
        self._history.ask(question, began_s)
        self.open = True
        if question != self._ahead:
            self.drop_ahead()
            if refusal := self.spending.refusal():
                self._do(Unasked(refusal))
                return [AnswerDone(self._number, hang_up=False)]
            self._send(question)
            return []
        held, self._held, self._ahead = self._held, [], Wording()
        self._do(Speculated(kept=True))
        return held

    def ask_again(self, said: str) -> None:
        """To a new responder; `said` is what the old one had said already."""
        self._send(self._history.question, said)

    def go_on(self, said: str) -> None:
        """With an answer that was cancelled though nobody wanted that; `said` is what is known of it."""
        self.open = True
        self._number += 1
        self._do(To("responder", Ask(Question(self._number, self._history.before_the_answer(), said))))

    def ask_ahead(self, words: str) -> None:
        """The turn is probably over with these words."""
        if words and not self._ahead and not self.spending.refusal():
            self._ahead = self._history.question_with(Wording.of(words))
            self._send(self._ahead)

    def take(self, answer: Answer) -> bool:
        """Whether it is awaited; what belongs to a question that was asked ahead is kept until it is."""
        if answer.turn != self._number:
            return False
        if self.pending_ahead:
            self._held.append(answer)
        return self.open

    def cancel(self) -> None:
        """Nobody waits for an answer any more."""
        if self.open:
            self.open = False
            self._do(To("responder", CancelAnswer()))
        self.drop_ahead()

    def drop_ahead(self) -> None:
        if self._ahead:
            self._ahead, self._held = Wording(), []
            self._do(To("responder", CancelAnswer()))
            self._do(Speculated(kept=False))

    def words_are(self, words: str) -> None:
        """Of the turn, so far: a question that was asked ahead must be the same."""
        if self._ahead and self._ahead != self._history.question_with(Wording.of(words)):
            self.drop_ahead()

    def responder_lost(self) -> None:
        """An unfinished answer is not worth a second try ahead of time: it is asked when the turn is over."""
        if self.pending_ahead:
            self.drop_ahead()

    def work(self, turn: int) -> str:
        """What the responder does while turn number `turn` is the last one; asked ahead or in its time, it is the
        same work."""
        if self.open:
            return f"question {turn}"
        return f"question {turn + 1}" if self.pending_ahead else ""

    @property
    def pending_ahead(self) -> bool:
        return bool(self._ahead) and not (self._held and isinstance(self._held[-1], AnswerDone))

    def _send(self, question: Wording, said: str = "") -> None:
        self._number += 1
        self._do(To("responder", Ask(Question(self._number, self._history.before(question), said))))

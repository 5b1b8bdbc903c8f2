"""Thinks: a question in, an answer out, clause by clause.

An answer without a word that could be said (empty, blanks, a refusal, nothing but thoughts) is asked for once more;
then the call is told that there is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, ClassVar

from thespian.actors import ActorAddress

from actors.call.member import SessionMember
from actors.call.phrasing import Phrasing
from actors.messages import AnswerDone, AnswerStarted, Ask, CancelAnswer, Clause, OpenResponder, TokensUsed
from actors.providers.spec import Answered, Kind, Question, Token, Usage
from config.assistant import Speech

NO_ANSWER = "no first word of the answer"
MOST_CHARACTERS = 50_000  # of one answer: an hour of speech
_WORD = re.compile(r"\w")
_THINK_FIRST: set[str] = set()  # models whose last answer in this process held the end of a thought alone


class Responder(SessionMember):
    """Owns an LLM session; one answer at a time."""

    role = "responder"
    kind: ClassVar[Kind] = "llm"
    alive_s: ClassVar[float] = 30.0  # it may think

    def __init__(self) -> None:
        super().__init__()
        self._turn = 0  # being answered; 0: none
        self._started = False
        self._question: Question | None = None  # if the answer may be asked for once more
        self._spoke = False  # something of it
        self._characters = 0
        self._speech, self._language, self._model = Speech(), "", ""
        self._phrasing = Phrasing(self._speech, "")

    def receiveMsg_OpenResponder(self, message: OpenResponder, sender: ActorAddress) -> None:
        self._speech, self._language, services = message.speech, message.language, message.services.value
        self._model = message.choice.model_dump_json()
        self.hold(
            message.choice,
            message.stalls,
            services,
            lambda emit: services.registry.open_llm(message.choice, emit, message.language),
        )

    def receiveMsg_Ask(self, message: Ask, sender: ActorAddress) -> None:
        question = message.question
        self._turn, self._started = question.turn, False
        self._question, self._spoke = question, bool(question.said)
        self._begin(question.said)
        self._expect_answer()
        self.session.ask(question)

    def receiveMsg_CancelAnswer(self, message: CancelAnswer, sender: ActorAddress) -> None:
        self._done()
        self.session.cancel()

    def receiveMsg_Token(self, event: Token, sender: ActorAddress) -> None:
        if event.turn != self._turn:
            return
        if not self._started:
            self._started = True
            self.tell(AnswerStarted(event.turn))
        self.watch.came_and_expect("next", self.stalls.next_token_ms, "the answer stopped in the middle")
        self._say(self._phrasing.feed(event.text))
        self._characters += len(event.text)
        if self._characters > MOST_CHARACTERS:
            self.session.cancel()
            self._end(Answered(event.turn, flaw="length"))

    def receiveMsg_Answered(self, event: Answered, sender: ActorAddress) -> None:
        if event.turn == self._turn:
            self._end(event)

    def receiveMsg_Usage(self, event: Usage, sender: ActorAddress) -> None:
        self.tell(TokensUsed(event.tokens))

    def session_opened(self) -> None:
        self._expect_answer()

    def _begin(self, said: str) -> None:
        self._phrasing = Phrasing(self._speech, self._language, said, self._model in _THINK_FIRST)
        self._characters = 0

    def _say(self, clauses: Iterable[str]) -> None:
        for clause in clauses:
            if _WORD.search(clause):
                self._spoke = True
                self.tell(Clause(self._turn, clause))

    def _end(self, event: Answered) -> None:
        self._say(self._phrasing.end())
        (_THINK_FIRST.add if self._phrasing.thought_first else _THINK_FIRST.discard)(self._model)
        question, self._question = self._question, None
        is_empty = not (self._spoke or event.hang_up)
        if is_empty and question is not None:
            self._begin("")
            if self.opened:
                self.watch.expect("first", self.stalls.first_token_ms, NO_ANSWER)
            self.session.ask(question)
            return
        self._done()
        self.tell(AnswerDone(event.turn, event.hang_up, event.flaw or ("empty" if is_empty else "")))

    def _expect_answer(self) -> None:
        if self._turn and self.opened and not self._started:
            self.watch.expect("first", self.stalls.first_token_ms, NO_ANSWER)

    def inspect(self) -> dict[str, Any]:
        return {**super().inspect(), "answering_turn": self._turn, "started": self._started}

    def _done(self) -> None:
        self._turn = 0
        if self.opened:
            self.watch.relax()

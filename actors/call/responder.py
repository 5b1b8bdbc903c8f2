"""Thinks: a question in, an answer out, clause by clause."""

from __future__ import annotations

from typing import Any, ClassVar

from thespian.actors import ActorAddress

from actors.call.member import SessionMember
from actors.call.phrasing import Phrasing
from actors.messages import AnswerDone, AnswerStarted, Ask, CancelAnswer, Clause, OpenResponder, TokensUsed
from actors.providers.spec import Answered, Kind, Token, Usage
from config.assistant import Speech


class Responder(SessionMember):
    """Owns an LLM session; one answer at a time."""

    role = "responder"
    kind: ClassVar[Kind] = "llm"

    def __init__(self) -> None:
        super().__init__()
        self._turn = 0  # being answered; 0: none
        self._started = False
        self._speech, self._language = Speech(), ""
        self._phrasing = Phrasing(self._speech, "")

    def receiveMsg_OpenResponder(self, message: OpenResponder, sender: ActorAddress) -> None:
        self._speech, self._language, services = message.speech, message.language, message.services.value
        self.hold(
            message.choice,
            message.stalls,
            services,
            lambda emit: services.registry.open_llm(message.choice, emit),
        )

    def receiveMsg_Ask(self, message: Ask, sender: ActorAddress) -> None:
        question = message.question
        self._turn, self._started = question.turn, False
        self._phrasing = Phrasing(self._speech, self._language, not question.said, self._phrasing.thinks_first)
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
        for clause in self._phrasing.feed(event.text):
            self.tell(Clause(event.turn, clause))

    def receiveMsg_Answered(self, event: Answered, sender: ActorAddress) -> None:
        if event.turn != self._turn:
            return
        self._done()
        for clause in self._phrasing.end():
            self.tell(Clause(event.turn, clause))
        self.tell(AnswerDone(event.turn, event.hang_up))

    def receiveMsg_Usage(self, event: Usage, sender: ActorAddress) -> None:
        self.tell(TokensUsed(event.tokens))

    def session_opened(self) -> None:
        self._expect_answer()

    def _expect_answer(self) -> None:
        if self._turn and self.opened and not self._started:
            self.watch.expect("first", self.stalls.first_token_ms, "no first word of the answer")

    def inspect(self) -> dict[str, Any]:
        return {**super().inspect(), "answering_turn": self._turn, "started": self._started}

    def _done(self) -> None:
        self._turn = 0
        if self.opened:
            self.watch.relax()

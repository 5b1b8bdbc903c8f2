"""Hears the caller: audio in, words out."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, ClassVar

from thespian.actors import ActorAddress

from actors.call.dictation import Dictation, Told
from actors.call.member import SessionMember
from actors.messages import Finalize, Heard, OpenTranscriber, TurnEnding, TurnResumed
from actors.providers import spec
from actors.providers.spec import Alive, EagerEndOfTurn, EndOfTurn, Final, Interim, Kind

NO_AUDIO_S = 0.3  # a caller's audio that comes so late has stalled on its way
MOST_EXTENDED = 3  # so often an answer that is late may come later still, from a provider that says something else


class Transcriber(SessionMember):
    """Owns an STT session and its deadlines; `dictation.py` says what the session owes.

    It owes a result while a voice is given to it, and an answer to each `Finalize`.
    """

    role = "transcriber"
    kind: ClassVar[Kind] = "stt"
    mailbox_limit = 2000  # a replay of 30 s in pieces of 20 ms comes at once, and none of it is stale

    def __init__(self) -> None:
        super().__init__()
        self._dictation = Dictation()
        self._transcript_ms = 0
        self._extended = 0
        self._fed_s = 0.0

    def receiveMsg_OpenTranscriber(self, message: OpenTranscriber, sender: ActorAddress) -> None:
        self._transcript_ms = message.transcript_ms
        self.hold(
            message.choice,
            message.stalls,
            message.services.value,
            lambda emit: message.services.value.registry.open_stt(
                message.choice, emit, message.audio, message.language, message.phrases
            ),
        )

    def session_opened(self) -> None:
        self._dictation.open = True
        self._hand_over()

    # --- what it is given -----------------------------------------------------------------------------------------

    def receiveMsg_Heard(self, message: Heard, sender: ActorAddress) -> None:
        self._fed_s = time.monotonic()
        self._dictation.feed(message)
        self.session.hear(message.payload)
        if self.opened and (message.voiced != self.watch.waiting or self._dictation.is_asked):
            self._hand_over()

    def receiveMsg_Finalize(self, message: Finalize, sender: ActorAddress) -> None:
        self._dictation.ask(message.until_ms)
        self._hand_over()

    def _hand_over(self) -> None:
        if self._dictation.take_question():
            self._extended = 0
            self.session.finalize()
            self.watch.expect("first", self._transcript_ms, "no transcript after the end of speech")
        elif self.opened and not self._dictation.owes:
            self._expect_result()

    def _expect_result(self) -> None:
        if not self._dictation.voiced:
            self.watch.relax()
        elif not self.watch.waiting:
            self.watch.expect("next", self.stalls.stt_ms, "no result while the caller speaks")

    # --- what it says ---------------------------------------------------------------------------------------------

    def receiveMsg_Interim(self, event: Interim, sender: ActorAddress) -> None:
        self._told(self._dictation.interim(event, self.session.unsent_ms))

    def receiveMsg_Final(self, event: Final, sender: ActorAddress) -> None:
        self._told(self._dictation.final(event.text, event.end_ms))

    def receiveMsg_Alive(self, event: Alive, sender: ActorAddress) -> None:
        """Nothing to a deadline by which the words are believed that there are (see `overdue`)."""
        self._dictation.lives()
        if not self._dictation.owes:
            super().receiveMsg_Alive(event, sender)

    def receiveMsg_EndOfTurn(self, event: EndOfTurn, sender: ActorAddress) -> None:
        self._told(self._dictation.end_of_turn(event.end_ms))

    def receiveMsg_EagerEndOfTurn(self, event: EagerEndOfTurn, sender: ActorAddress) -> None:
        told = self._dictation.interim(Interim(event.text), self.session.unsent_ms)
        self._told(told)
        if told:
            self.tell(TurnEnding())

    def receiveMsg_TurnResumed(self, event: spec.TurnResumed, sender: ActorAddress) -> None:
        self.tell(TurnResumed())

    def _told(self, messages: Iterable[Told]) -> None:
        for message in messages:
            self.tell(message)
        if self.opened and not self._dictation.owes:
            self.watch.came()
            self._expect_result()

    # --- what it owes ---------------------------------------------------------------------------------------------

    def overdue(self) -> None:
        if not self._dictation.owes:
            if time.monotonic() - self._fed_s > NO_AUDIO_S:
                self.watch.relax()  # it has said what there is to say of what it was given
                return
            raise self.watch.stalled()
        settled = self._dictation.settle()
        if not self._dictation.owes:
            self.watch.came()
            self._told(settled)
        elif self.session.unsent_ms:  # what it was asked about has not gone out yet
            self.watch.extend()
        elif self._extended < MOST_EXTENDED and self._dictation.take_life():
            self._extended += 1
            self.watch.extend()
        else:
            raise self.watch.stalled()

    def inspect(self) -> dict[str, Any]:
        heard_ms = round(self._dictation.fed_ms)
        return {**super().inspect(), "heard_ms": heard_ms, "replays": self._dictation.replays}

"""Hears the caller: audio in, words out."""

from __future__ import annotations

from typing import Any

from thespian.actors import ActorAddress

from actors.call.member import SessionMember
from actors.messages import Finalize, Heard, OpenTranscriber, Transcript, TurnEnded, TurnEnding, TurnResumed
from actors.providers import spec
from actors.providers.spec import EagerEndOfTurn, EndOfTurn, Final, Interim


class Transcriber(SessionMember):
    """Owns an STT session. Replayed audio leaves out what was silent, so the session's clock is not the caller's: a
    list of seams tells where they part."""

    role = "transcriber"

    def __init__(self) -> None:
        super().__init__()
        self._fed_ms = 0.0
        self._seams: list[tuple[float, float]] = []  # (session ms, what to add for the caller's ms), ascending

    def receiveMsg_OpenTranscriber(self, message: OpenTranscriber, sender: ActorAddress) -> None:
        self.hold(
            message.choice.provider,
            message.stalls.connect_ms,
            lambda emit: message.registry.value.open_stt(
                message.choice, emit, message.audio, message.language, message.phrases
            ),
        )

    def receiveMsg_Heard(self, message: Heard, sender: ActorAddress) -> None:
        shift = message.start_ms - self._fed_ms
        if not self._seams or abs(self._seams[-1][1] - shift) > 1.0:
            self._seams.append((self._fed_ms, shift))
        self._fed_ms += message.end_ms - message.start_ms
        self.session.hear(message.payload)

    def receiveMsg_Finalize(self, message: Finalize, sender: ActorAddress) -> None:
        self.session.finalize()

    def receiveMsg_Interim(self, event: Interim, sender: ActorAddress) -> None:
        self.tell(Transcript(event.text, False, self._callers_ms(self._fed_ms)))

    def receiveMsg_Final(self, event: Final, sender: ActorAddress) -> None:
        self.tell(Transcript(event.text, True, self._callers_ms(event.end_ms)))

    def receiveMsg_EndOfTurn(self, event: EndOfTurn, sender: ActorAddress) -> None:
        self.tell(TurnEnded())

    def receiveMsg_EagerEndOfTurn(self, event: EagerEndOfTurn, sender: ActorAddress) -> None:
        self.tell(Transcript(event.text, False, self._callers_ms(self._fed_ms)))
        self.tell(TurnEnding())

    def receiveMsg_TurnResumed(self, event: spec.TurnResumed, sender: ActorAddress) -> None:
        self.tell(TurnResumed())

    def inspect(self) -> dict[str, Any]:
        return {**super().inspect(), "heard_ms": round(self._fed_ms), "replays": max(0, len(self._seams) - 1)}

    def _callers_ms(self, session_ms: float) -> float:
        shift = 0.0
        for at_ms, shift_ms in self._seams:
            if at_ms > session_ms:
                break
            shift = shift_ms
        return session_ms + shift

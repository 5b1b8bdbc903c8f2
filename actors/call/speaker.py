"""Speaks: clauses in, audio out."""

from __future__ import annotations

from collections import deque
from typing import Any

from thespian.actors import ActorAddress

from actors.call.member import SessionMember
from actors.call.watch import StallWatch
from actors.media.audio import AudioFormat
from actors.messages import Audio, AudioEnd, CancelSpeech, EndUtterance, OpenSpeaker, SegmentSpoken, Speak
from actors.providers.spec import SegmentAudio, SegmentDone
from config.assistant import Stalls


class Speaker(SessionMember):
    """Owns a TTS session. Its audio goes straight to the transport; the call is told how much of which segment."""

    role = "speaker"

    def __init__(self) -> None:
        super().__init__()
        self._stalls = Stalls()
        self._watch = StallWatch(self)
        self._transport: ActorAddress | None = None
        self._audio: AudioFormat | None = None
        self._owed: deque[tuple[int, int]] = deque()  # (utterance, segment), in order
        self._ending = 0  # the utterance that ends with the last segment owed

    def receiveMsg_OpenSpeaker(self, message: OpenSpeaker, sender: ActorAddress) -> None:
        self._transport, self._audio, self._stalls = message.transport, message.audio, message.stalls
        self.hold(
            message.choice.provider,
            message.stalls.connect_ms,
            lambda emit: message.registry.value.open_tts(message.choice, emit, message.audio, message.language),
        )

    def receiveMsg_Speak(self, message: Speak, sender: ActorAddress) -> None:
        self._owed.append((message.utterance, message.segment))
        self._expect()
        self.session.speak(message.segment, message.text)

    def receiveMsg_EndUtterance(self, message: EndUtterance, sender: ActorAddress) -> None:
        self._ending = message.utterance
        self.session.end()
        self._end_if_done()

    def receiveMsg_CancelSpeech(self, message: CancelSpeech, sender: ActorAddress) -> None:
        self._owed.clear()
        self._ending = 0
        self._watch.relax()
        self.session.cancel()

    def receiveMsg_SegmentAudio(self, event: SegmentAudio, sender: ActorAddress) -> None:
        if not self._owed or self._owed[0][1] != event.segment:
            return  # of a cancelled segment
        assert self._audio is not None
        self._expect()
        utterance = self._owed[0][0]
        self.send(self._transport, Audio(utterance, event.payload))
        self.tell(SegmentSpoken(utterance, event.segment, self._audio.duration_ms(len(event.payload)), event.words))

    def receiveMsg_SegmentDone(self, event: SegmentDone, sender: ActorAddress) -> None:
        if not self._owed or self._owed[0][1] != event.segment:
            return
        utterance, segment = self._owed.popleft()
        self.tell(SegmentSpoken(utterance, segment, 0.0, done=True))
        self._expect()
        self._end_if_done()

    def receiveMsg_StallCheck(self, message: object, sender: ActorAddress) -> None:
        self._watch.check()

    def session_opened(self) -> None:
        self._expect()

    def inspect(self) -> dict[str, Any]:
        return {**super().inspect(), "segments_owed": len(self._owed), "ending_utterance": self._ending}

    def _expect(self) -> None:
        if self._owed and self.opened:
            self._watch.expect(self._stalls.tts_ms, "the voice stopped in the middle")
        else:
            self._watch.relax()

    def _end_if_done(self) -> None:
        if self._ending and not self._owed:
            self.send(self._transport, AudioEnd(self._ending))
            self._ending = 0

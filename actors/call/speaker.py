"""Speaks: clauses in, audio out."""

from __future__ import annotations

from collections import deque
from typing import Any, ClassVar

from thespian.actors import ActorAddress

from actors.call.member import SessionMember
from actors.call.pronunciation import pronounced
from actors.errors import ProviderError
from actors.media.audio import AudioFormat
from actors.messages import Audio, AudioEnd, CancelSpeech, EndUtterance, OpenSpeaker, SegmentSpoken, Speak
from actors.providers.spec import Kind, SegmentAudio, SegmentDone
from config.assistant import Speech

STOPPED = "the voice stopped in the middle"
MOST_MS, MOST_MS_A_CHARACTER = 30_000.0, 1_000.0  # of audio for a segment: ten times what the slowest voice makes


class Speaker(SessionMember):
    """Owns a TTS session. Its audio goes straight to the transport; the call is told how much of which segment."""

    role = "speaker"
    kind: ClassVar[Kind] = "tts"

    def __init__(self) -> None:
        super().__init__()
        self._transport: ActorAddress | None = None
        self._audio: AudioFormat | None = None
        self._owed: deque[tuple[int, int, int]] = deque()  # (utterance, segment, characters), in order
        self._ending: deque[int] = deque()  # utterances that end with the last of their segments owed
        self._begun = False  # the segment owed next has audio already
        self._made_ms = 0.0  # so much
        self._pronounced = pronounced(Speech())

    def receiveMsg_OpenSpeaker(self, message: OpenSpeaker, sender: ActorAddress) -> None:
        self._transport, self._audio, services = message.transport, message.audio, message.services.value
        self._pronounced = pronounced(message.speech)
        self.hold(
            message.choice,
            message.stalls,
            services,
            lambda emit: services.registry.open_tts(message.choice, emit, message.audio, message.language),
        )

    def receiveMsg_Speak(self, message: Speak, sender: ActorAddress) -> None:
        self._owed.append((message.utterance, message.segment, len(message.text)))
        if len(self._owed) == 1:
            self._expect()
        self.session.speak(message.segment, self._pronounced(message.text))

    def receiveMsg_EndUtterance(self, message: EndUtterance, sender: ActorAddress) -> None:
        self._ending.append(message.utterance)
        self.session.end()
        self._end_if_done()

    def receiveMsg_CancelSpeech(self, message: CancelSpeech, sender: ActorAddress) -> None:
        self._owed.clear()
        self._ending.clear()
        self._begun = False
        if self.opened:
            self.watch.relax()
        self.session.cancel()

    def receiveMsg_SegmentAudio(self, event: SegmentAudio, sender: ActorAddress) -> None:
        if not self._owed or self._owed[0][1] != event.segment:
            return  # of a cancelled segment
        assert self._audio is not None
        if not self._begun:
            self._begun, self._made_ms = True, 0.0
        self.watch.came_and_expect("next", self.stalls.tts_ms, STOPPED)
        utterance, _, characters = self._owed[0]
        ms = self._audio.duration_ms(len(event.payload))
        self._made_ms += ms
        if self._made_ms > MOST_MS + characters * MOST_MS_A_CHARACTER:
            raise ProviderError(self.provider, f"made {self._made_ms / 1000:.0f} s of audio of {characters} characters")
        self.send(self._transport, Audio(utterance, event.payload))
        self.tell(SegmentSpoken(utterance, event.segment, ms, event.words))

    def receiveMsg_SegmentDone(self, event: SegmentDone, sender: ActorAddress) -> None:
        if not self._owed or self._owed[0][1] != event.segment:
            return
        utterance, segment, _ = self._owed.popleft()
        self._begun = False
        self.tell(SegmentSpoken(utterance, segment, 0.0, done=True))
        self._expect()
        self._end_if_done()

    def session_opened(self) -> None:
        self._expect()

    def inspect(self) -> dict[str, Any]:
        return {**super().inspect(), "segments_owed": len(self._owed), "utterances_ending": len(self._ending)}

    def _expect(self) -> None:
        if not self.opened:
            return
        if self._owed:
            self.watch.expect("next" if self._begun else "first", self.stalls.tts_ms, STOPPED)
        else:
            self.watch.relax()

    def _end_if_done(self) -> None:
        """Utterances are spoken in their order: one is over when the next segment owed is not its own."""
        while self._ending and not (self._owed and self._owed[0][0] <= self._ending[0]):
            self.send(self._transport, AudioEnd(self._ending.popleft()))

"""Owns the wire of a call: audio in and out, playout position, keys, hang-up.

The leg (`actors.media.leg`) does the audio on the media clock's tick and calls back; this actor turns its events into
messages. The caller's audio goes straight to the transcriber, the speaker's straight to the leg.
"""

from __future__ import annotations

from typing import Any

from thespian.actors import ActorAddress

from actors.call.member import Member
from actors.call.replay import Replay
from actors.errors import Termination
from actors.media.leg import Leg
from actors.messages import (
    Acknowledge,
    Audio,
    AudioEnd,
    CloseWire,
    Dtmf,
    FlushPlayout,
    Heard,
    HearingResumed,
    HearingStalled,
    OpenTransport,
    PausePlayout,
    PlayoutDone,
    PlayoutDry,
    PlayoutStarted,
    PlayoutStopped,
    ResumePlayout,
    RouteAudio,
    SpeechEnded,
    SpeechStarted,
    TakeAudioFrom,
    Typed,
    WireClosed,
)
from actors.wording import Digits


class Transport(Member):
    """The significant child of a call: when the wire is gone, the call is over."""

    role = "transport"

    def __init__(self) -> None:
        super().__init__()
        self.leg: Leg | None = None
        self._wire: Any = None
        self._transcriber: Any = None
        self._speaker: Any = None
        self._replay = Replay()
        self._voice = False
        self._playing = 0  # the utterance that the caller hears, or is about to hear

    # --- messages -------------------------------------------------------------------------------------------------

    def receiveMsg_OpenTransport(self, message: OpenTransport, sender: ActorAddress) -> None:
        self._wire = message.wire.value
        self.leg = Leg(self._wire, message.clock.value, self, message.endpointing, message.echo)
        self.leg.open()

    def receiveMsg_RouteAudio(self, message: RouteAudio, sender: ActorAddress) -> None:
        self._transcriber = message.transcriber
        for chunk in self._replay.chunks() if message.transcriber else ():
            self.send(self._transcriber, chunk)

    def receiveMsg_TakeAudioFrom(self, message: TakeAudioFrom, sender: ActorAddress) -> None:
        self._speaker = message.speaker

    def receiveMsg_Acknowledge(self, message: Acknowledge, sender: ActorAddress) -> None:
        self._replay.acknowledge(message.end_ms)

    def receiveMsg_Audio(self, message: Audio, sender: ActorAddress) -> None:
        if self.leg and sender == self._speaker:
            self._playing = message.utterance
            self.leg.play(message.utterance, message.payload)

    def receiveMsg_AudioEnd(self, message: AudioEnd, sender: ActorAddress) -> None:
        if self.leg and sender == self._speaker:
            self._playing = message.utterance
            self.leg.end(message.utterance)

    def receiveMsg_PausePlayout(self, message: PausePlayout, sender: ActorAddress) -> None:
        if self.leg:
            self.tell(PlayoutStopped(self._playing, self.leg.pause(), flushed=False))

    def receiveMsg_ResumePlayout(self, message: ResumePlayout, sender: ActorAddress) -> None:
        if self.leg:
            self.leg.resume()

    def receiveMsg_FlushPlayout(self, message: FlushPlayout, sender: ActorAddress) -> None:
        if self.leg:
            heard_ms = self.leg.flush(message.utterance)
            self.tell(PlayoutStopped(message.utterance, heard_ms, flushed=True))

    def receiveMsg_CloseWire(self, message: CloseWire, sender: ActorAddress) -> None:
        if self._wire is not None:
            self._wire.hang_up()

    def close(self) -> None:
        if self.leg is not None:
            self.leg.close()
            self._wire.hang_up()
            self.leg, self._replay = None, Replay()  # the leg knows us: the audio would wait for the collector

    def inspect(self) -> dict[str, Any]:
        leg = self.leg
        return {
            **super().inspect(),
            "open": leg is not None and leg.is_open,
            "voice": self._voice,
            "utterance": self._playing,
            "unacknowledged_ms": round(self._replay.length_ms),
            "lost_ms": round(leg.inbound.arrivals.lost_ms) if leg else 0,
            "echo_db": round(leg.inbound.echo.gain_db) if leg else None,
            "echo_delay_ms": leg.inbound.echo.echo_delay_ms if leg else None,
            "echo_windows": leg.inbound.echo.held_back if leg else 0,
        }

    # --- the leg's events (actors.media.leg.LegEvents), on the clock's tick ---------------------------------------

    def on_heard(self, payload: bytes, start_ms: float, end_ms: float) -> None:
        chunk = Heard(payload, start_ms, end_ms, self._voice)
        self._replay.add(chunk, self._voice)
        if self._transcriber is not None:
            self.send(self._transcriber, chunk)

    def on_speech_started(self, at_ms: float) -> None:
        self._voice = True
        self.tell(SpeechStarted(at_ms))

    def on_speech_ended(self, at_ms: float) -> None:
        self._voice = False
        self.tell(SpeechEnded(at_ms))

    def on_hearing_stalled(self) -> None:
        self.tell(HearingStalled())

    def on_hearing_resumed(self) -> None:
        self.tell(HearingResumed())

    def on_playout_started(self, utterance: int) -> None:
        self.tell(PlayoutStarted(utterance))

    def on_playout_dry(self, utterance: int) -> None:
        self.tell(PlayoutDry(utterance))

    def on_playout_done(self, utterance: int) -> None:
        self.tell(PlayoutDone(utterance))

    def on_dtmf(self, digit: str) -> None:
        self.tell(Dtmf(Digits(digit)))

    def on_text(self, text: str) -> None:
        self.tell(Typed(text))

    def on_closed(self, termination: Termination) -> None:
        if self.leg is not None and self._playing:
            self.tell(PlayoutStopped(self._playing, self.leg.flush(self._playing), flushed=True))
        self.tell(WireClosed(termination))

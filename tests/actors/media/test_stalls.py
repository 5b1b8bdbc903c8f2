"""A network that stalls is not a silent caller: by what a wire promises, or by what comes at the end of a gap."""

from __future__ import annotations

import pytest

from actors.media import g711
from actors.media.audio import PCM_8K
from actors.media.inbound import Heard, Inbound, Resumed, Stalled, hear
from actors.media.speech import SpeechEnded, SpeechStarted
from actors.media.vad import BatchedVad
from config.assistant import Endpointing
from tests.fakes.voice import voice
from transports.audiosocket import AudioSocketWire
from transports.browser import RtviWire
from transports.twilio import TwilioWire

FRAME = 320
PAUSE = bytes(16000)  # a second of silence


@pytest.fixture(scope="module")
def vad() -> BatchedVad:
    return BatchedVad()


class Wire:
    """Brings frames to a leg, tick by tick, in virtual time."""

    def __init__(self, vad: BatchedVad, stall_ms: float | None) -> None:
        self.leg = Inbound(PCM_8K, Endpointing(silence_ms=100), stall_ms)
        self.now_ms = 0.0
        self._vad = vad

    def tick(self, audio: bytes = b"") -> None:
        self.leg.arrivals.receive(audio)
        hear([self.leg], self._vad, self.now_ms)
        self.now_ms += 20.0

    def bring(self, audio: bytes) -> None:
        """In real time."""
        for at in range(0, len(audio), FRAME):
            self.tick(audio[at : at + FRAME])

    def nothing(self, seconds: float) -> None:
        for _ in range(round(seconds * 50)):
            self.tick()

    @property
    def heard_s(self) -> float:
        self.leg.tell(everything=True)
        return sum(len(event.payload) for event in self.leg.events if isinstance(event, Heard)) / 16000

    @property
    def told(self) -> list[type]:
        return [type(event) for event in self.leg.events if not isinstance(event, Heard)]


@pytest.mark.parametrize("gap_s", [0.3, 0.8, 2.0, 6.0])
def test_a_wire_that_always_sends_stalls_and_is_not_silent(vad: BatchedVad, gap_s: float):
    wire = Wire(vad, TwilioWire.stall_ms)
    speech = voice(4000)
    wire.bring(bytes(8000) + speech[:16000])
    before_s = wire.heard_s
    assert wire.told == [SpeechStarted]
    wire.nothing(gap_s)
    assert wire.told == [SpeechStarted, Stalled]
    assert wire.heard_s == before_s, "the recognizer is given nothing"
    wire.tick(speech[16000 : 16000 + round(gap_s * 50) * FRAME])  # it comes in one go
    wire.nothing(0.08)
    wire.bring(speech[-16000:])
    assert wire.told == [SpeechStarted, Stalled, Resumed], "one voice, without an end"
    wire.bring(PAUSE)
    assert wire.told[3:] == [SpeechEnded]


def test_audio_that_is_lost_for_good_is_no_silence_either(vad: BatchedVad):
    wire = Wire(vad, TwilioWire.stall_ms)
    wire.bring(bytes(8000) + voice(1000))
    wire.nothing(0.8)
    wire.bring(voice(1000))
    assert wire.told == [SpeechStarted, Stalled, Resumed]


def test_a_stall_that_does_not_end_is_silence_at_last(vad: BatchedVad):
    wire = Wire(vad, TwilioWire.stall_ms)
    wire.bring(bytes(8000) + voice(1000))
    wire.nothing(10.5)
    assert wire.told == [SpeechStarted, Stalled, Resumed, SpeechEnded]


@pytest.mark.parametrize("kind", [AudioSocketWire, RtviWire])
def test_a_wire_that_may_pause_is_believed_to_stall_until_it_pauses(vad: BatchedVad, kind: type):
    wire = Wire(vad, kind.stall_ms)
    speech = voice(3000)
    wire.bring(bytes(8000) + speech[:16000])
    wire.nothing(0.8)
    wire.tick(speech[16000 : 16000 + 40 * FRAME])  # a stall: all of it comes
    wire.nothing(0.08)
    wire.bring(speech[-16000:])
    assert wire.told == [SpeechStarted, Stalled, Resumed]
    wire.nothing(1.3)  # a pause: from a second on it is the caller's silence
    assert wire.told == [SpeechStarted, Stalled, Resumed, Stalled, Resumed, SpeechEnded]
    wire.bring(voice(1000))
    wire.nothing(0.4)  # the next pause is believed at once
    assert wire.told[-2:] == [SpeechStarted, SpeechEnded]


def test_a_pause_that_is_over_soon_is_learnt_too(vad: BatchedVad):
    wire = Wire(vad, None)
    wire.bring(bytes(8000))
    wire.nothing(0.6)
    wire.bring(bytes(1600) + voice(1000))
    wire.nothing(0.4)
    assert wire.told == [Stalled, Resumed, SpeechStarted, SpeechEnded]


def test_before_its_first_audio_a_wire_has_promised_nothing(vad: BatchedVad):
    wire = Wire(vad, TwilioWire.stall_ms)
    wire.nothing(1.0)
    assert wire.told == [] and wire.heard_s == pytest.approx(0.88, abs=0.05)


def test_a_mulaw_leg_stalls_likewise(vad: BatchedVad):
    leg = Inbound(TwilioWire.format, Endpointing(silence_ms=100), TwilioWire.stall_ms)
    audio = g711.encode(bytes(8000) + voice(1000))
    for tick in range(len(audio) // 160 + 40):
        leg.arrivals.receive(audio[tick * 160 : (tick + 1) * 160])
        hear([leg], vad, tick * 20.0)
    assert [type(event) for event in leg.events if not isinstance(event, Heard)] == [SpeechStarted, Stalled]

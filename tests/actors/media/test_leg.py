"""A leg and the clock together, in virtual time, on wires of both kinds."""

from __future__ import annotations

import asyncio
import logging
from random import Random

import pytest

from actors.call.wire import PlayoutMode
from actors.errors import Result, Termination
from actors.media import g711
from actors.media.audio import MULAW_8K, PCM_8K, PCM_16K, AudioFormat, Encoding
from actors.media.clock import MediaClock
from actors.media.inbound import LONG_MS
from actors.media.leg import Leg
from actors.media.vad import BatchedVad
from config.assistant import Endpointing
from tests.fakes.leg import FakeOwner
from tests.fakes.voice import voice
from tests.fakes.wire import FakeWire

LOCAL, REMOTE = PlayoutMode.LOCALLY_PACED, PlayoutMode.REMOTE_BUFFERED
HUNG_UP = Termination(Result.SUCCESS, "caller_hung_up")


class Stage:
    """A clock that is ticked by hand, and its legs."""

    def __init__(self, loop, vad):
        self.now = 1000.0
        self.clock = MediaClock(loop, vad, lambda: self.now)
        self.wires = []

    def leg(self, playout=LOCAL, audio_format=MULAW_8K):
        wire, owner = FakeWire(lambda: self.now, playout, audio_format), FakeOwner()
        self.wires.append(wire)
        leg = Leg(wire, self.clock, owner, Endpointing())
        leg.open()
        return leg, wire, owner

    def run(self, ms, audio=None):
        """Ticks; `audio` is {wire: bytes}, 20 ms of it for each."""
        for tick in range(ms // 20):
            for wire, payload in (audio or {}).items():
                size = wire.format.frame_bytes
                wire.ears.on_audio(payload[tick * size : (tick + 1) * size])
            for wire in self.wires:
                wire.run()
            self.clock.tick()
            self.now += 0.02


@pytest.fixture(scope="module")
def vad():
    return BatchedVad()


@pytest.fixture
async def stage(vad):
    return Stage(asyncio.get_running_loop(), vad)


@pytest.mark.parametrize(
    ("rate", "hearing"), [(8000, PCM_8K), (12000, PCM_16K), (16000, PCM_16K), (24000, PCM_16K), (48000, PCM_16K)]
)
async def test_a_leg_hears_at_8_or_16_khz(stage, rate, hearing):
    assert stage.leg(audio_format=AudioFormat(Encoding.PCM, rate))[0].hearing == hearing


async def test_a_caller_s_sentence(stage):
    _, wire, owner = stage.leg()
    stage.run(3000, {wire: g711.encode(bytes(16000) + voice(1000) + bytes(16000))})
    assert [name for name, *_ in owner.told] == ["speech_started", "speech_ended"]
    assert owner.told[0][1] == pytest.approx(1000, abs=100)
    assert 3000 - 60 - LONG_MS < owner.heard[-1][2] <= 3060


@pytest.mark.parametrize("audio_format", [MULAW_8K, PCM_8K, PCM_16K])
async def test_a_locally_paced_wire_gets_one_frame_a_tick_from_the_start(stage, audio_format):
    _, wire, _ = stage.leg(audio_format=audio_format)
    stage.run(100)
    assert [payload for _, payload in wire.sent] == [audio_format.silence(20)] * 5
    assert [round(at - 1000, 3) for at, _ in wire.sent] == [0, 0.02, 0.04, 0.06, 0.08]


@pytest.mark.parametrize("playout", PlayoutMode)
async def test_the_caller_hears_an_utterance_with_a_pause_in_it_whole(stage, playout):
    leg, wire, owner = stage.leg(playout)
    speech = g711.encode(voice(1000))
    leg.play(1, speech)
    leg.end(1)
    stage.run(300)
    assert leg.pause() == 300
    stage.run(500)
    leg.resume()
    stage.run(2000)
    assert bytes(wire.played).replace(b"\xff", b"") == speech.replace(b"\xff", b"")
    assert owner.told == [("playout_started", 1), ("playout_done", 1)]


@pytest.mark.parametrize("playout", PlayoutMode)
@pytest.mark.parametrize("seed", range(10))
async def test_whatever_the_pauses_nothing_is_lost_and_nothing_said_twice(stage, playout, seed):
    """Utterances that come in odd pieces, paused and resumed at random: the caller hears each sample once."""
    random = Random(seed)
    leg, wire, owner = stage.leg(playout)
    said = bytes(index % 250 for index in range(random.randrange(20_000, 40_000)))
    utterance = 1
    for start in range(0, len(said), 777):
        leg.play(utterance, said[start : start + 777])
        if random.random() < 0.1:
            leg.end(utterance)
            utterance += 1
        if random.random() < 0.2:
            random.choice((leg.pause, leg.resume))()
        stage.run(20 * random.randrange(8))
    leg.end(utterance)
    leg.resume()
    stage.run(7_000)
    assert bytes(wire.played).replace(b"\xff", b"") == said
    assert [number for name, number in owner.told if name == "playout_done"] == list(range(1, utterance + 1))


@pytest.mark.parametrize("playout", PlayoutMode)
async def test_a_flush_is_silence_at_once_and_says_what_was_heard(stage, playout):
    leg, wire, owner = stage.leg(playout)
    leg.play(1, g711.encode(voice(3000)))
    stage.run(500)
    assert leg.flush(1) == 500
    leg.play(1, g711.encode(voice(1000)))
    leg.end(1)
    stage.run(4000)
    assert len(bytes(wire.played).rstrip(b"\xff")) <= 4000
    assert owner.told == [("playout_started", 1)]


async def test_the_marks_that_a_clear_brings_back_are_not_taken_for_played(stage):
    leg, wire, owner = stage.leg(REMOTE)
    leg.play(1, g711.encode(voice(1000)))
    leg.end(1)
    stage.run(200)
    leg.pause()
    stage.run(2000)
    assert [name for _, name in wire.marks] == ["g0-u1"] and wire.clears
    assert owner.told == [("playout_started", 1)]


async def test_a_carrier_without_echoes_still_comes_to_an_end(stage):
    leg, wire, owner = stage.leg(REMOTE)
    wire.echoes = False
    leg.play(1, g711.encode(voice(500)))
    leg.end(1)
    stage.run(1480)
    assert owner.told == [("playout_started", 1)]
    stage.run(60)
    assert owner.told == [("playout_started", 1), ("playout_done", 1)]


@pytest.mark.parametrize("playout", PlayoutMode)
async def test_a_gap_in_the_audio_is_told_once(stage, playout):
    leg, _, owner = stage.leg(playout)
    leg.play(1, g711.encode(voice(100)))
    stage.run(1000)
    assert owner.told == [("playout_started", 1), ("playout_dry", 1)]


async def test_an_owner_may_flush_in_the_middle_of_an_event(stage):
    """The order on the wire stays: what was sent, then the clear."""
    leg, wire, owner = stage.leg(REMOTE)
    owner.on["playout_started"] = lambda: leg.flush(1)
    leg.play(1, g711.encode(voice(1000)))
    stage.run(100)
    assert len(wire.clears) == 1
    assert wire.played == b""


async def test_dtmf_goes_straight_through(stage):
    _, wire, owner = stage.leg()
    wire.ears.on_dtmf("#")
    assert owner.told == [("dtmf", "#")]


async def test_the_wire_s_end_is_told_once_after_the_last_audio(stage):
    leg, wire, owner = stage.leg()
    stage.run(1000, {wire: b"\x10" * 8000})
    wire.ears.on_audio(b"\x10" * 160)
    stage.run(20)
    wire.ears.on_closed(HUNG_UP)
    wire.ears.on_closed(HUNG_UP)
    assert owner.told == [("closed", HUNG_UP)]
    assert owner.heard[-1][2] == 1020
    assert not leg.is_open and stage.clock.stats.legs == 0


async def test_a_closed_leg_is_deaf_and_dumb(stage):
    leg, wire, owner = stage.leg()
    leg.close()
    leg.close()
    leg.open()
    wire.ears.on_audio(b"\x10" * 160)
    wire.ears.on_dtmf("1")
    wire.ears.on_closed(HUNG_UP)
    leg.play(1, bytes(160))
    stage.run(100)
    assert (owner.told, owner.heard, wire.sent) == ([], [], [])


@pytest.mark.parametrize("event", ["heard", "playout_started", "dtmf", "speech_started"])
async def test_an_owner_that_raises_ends_its_own_call_and_no_other(stage, caplog, event):
    leg, wire, owner = stage.leg()
    _, other_wire, other_owner = stage.leg()
    owner.on[event] = lambda: 1 / 0
    audio = g711.encode(voice(1000))
    with caplog.at_level(logging.ERROR):
        if event == "dtmf":
            wire.ears.on_dtmf("1")
        if event == "playout_started":
            leg.play(1, bytes(160))
        stage.run(1000, {wire: audio, other_wire: audio})
    assert owner.told[-1] == ("closed", Termination(Result.SERVER_ERROR, "media_error"))
    assert wire.hung_up and not leg.is_open
    assert [name for name, *_ in other_owner.told] == ["speech_started"]
    assert len(other_wire.sent) == 50
    assert len(caplog.records) == 1


async def test_a_call_may_close_from_within_an_event(stage):
    leg, wire, owner = stage.leg()
    owner.on["heard"] = leg.close
    stage.run(200, {wire: b"\x10" * 1600})
    assert len(owner.heard) == 1

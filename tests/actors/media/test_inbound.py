"""What legs hear, batched: formats, pieces, silence, speech."""

from __future__ import annotations

from itertools import pairwise

import pytest

from actors.media import g711
from actors.media.arrivals import BACKLOG_MS, REAL_TIME
from actors.media.audio import MULAW_8K, PCM_8K, PCM_16K, AudioFormat, Encoding
from actors.media.inbound import BRISK_MS, LONG_MS, Heard, Inbound, hear
from actors.media.resample import Converter
from actors.media.speech import SpeechEnded, SpeechStarted
from actors.media.vad import BatchedVad
from config.assistant import Endpointing
from tests.fakes.voice import voice

PCM_12K, PCM_48K = AudioFormat(Encoding.PCM, 12000), AudioFormat(Encoding.PCM, 48000)


@pytest.fixture(scope="module")
def vad() -> BatchedVad:
    return BatchedVad()


def inbound(wire_format: AudioFormat = MULAW_8K) -> Inbound:
    return Inbound(wire_format, Endpointing(silence_ms=400))


def feed(legs: list[tuple[Inbound, bytes]], vad: BatchedVad) -> None:
    """Give each leg its audio as 20 ms frames, one a tick."""
    frames = max(len(audio) // leg.arrivals.format.frame_bytes for leg, audio in legs)
    for tick in range(frames):
        for leg, audio in legs:
            size = leg.arrivals.format.frame_bytes
            leg.arrivals.receive(audio[tick * size : (tick + 1) * size])
        hear([leg for leg, _ in legs], vad, tick * 20.0)


def pcm(leg: Inbound) -> bytes:
    return b"".join(event.payload for event in leg.events if isinstance(event, Heard))


def speech(leg: Inbound) -> list:
    return [event for event in leg.events if not isinstance(event, Heard)]


@pytest.mark.parametrize("wire_format", [MULAW_8K, PCM_8K, PCM_12K, PCM_16K, PCM_48K])
def test_every_format_hears_the_same_sentence_at_the_same_time(vad, wire_format):
    leg = inbound(wire_format)
    audio = Converter(PCM_8K, wire_format).convert(bytes(16000) + voice(1500) + bytes(16000))
    feed([(leg, audio)], vad)
    started, ended = speech(leg)
    assert isinstance(started, SpeechStarted) and started.at_ms == pytest.approx(1000, abs=100)
    assert isinstance(ended, SpeechEnded) and ended.at_ms == pytest.approx(2500, abs=160)


def test_what_is_heard_is_the_wire_s_audio_without_a_gap(vad):
    leg = inbound()
    audio = g711.encode(voice(1200))
    feed([(leg, audio)], vad)
    leg.tell(everything=True)
    assert pcm(leg) == g711.decode(audio)
    heard = [event for event in leg.events if isinstance(event, Heard)]
    assert heard[0].start_ms == 0
    assert all(before.end_ms == after.start_ms for before, after in pairwise(heard))
    assert all(event.end_ms - event.start_ms == len(event.payload) / 16 for event in heard)


def test_pieces_are_short_when_it_matters_and_long_when_nothing_changes(vad):
    leg = inbound()
    feed([(leg, g711.encode(bytes(16000) + voice(1500) + bytes(24000)))], vad)
    lengths = [(event.start_ms, event.end_ms - event.start_ms) for event in leg.events if isinstance(event, Heard)]
    assert all(length == 20 for start, length in lengths if start < BRISK_MS)
    assert all(length == LONG_MS for start, length in lengths if BRISK_MS <= start < 900)
    assert all(length == 20 for start, length in lengths if 1100 <= start < 2500 + BRISK_MS - 100)  # somebody waits
    assert all(length == LONG_MS for start, length in lengths if start > 3600)


def test_all_audio_is_told_before_speech_begins_and_ends(vad):
    """So that the transcriber has it when it is asked to finish."""
    leg = inbound()
    audio = g711.encode(bytes(8000) + voice(1000) + bytes(16000))
    told_ms = []
    for tick in range(len(audio) // 160):
        leg.events.clear()
        feed([(leg, audio[tick * 160 : (tick + 1) * 160])], vad)
        kinds = [type(event) for event in leg.events]
        if speech(leg):
            assert kinds[0] is Heard and kinds[-1] is not Heard
            told_ms.append((leg.events[-2].end_ms, (tick + 1) * 20))
    assert len(told_ms) == 2
    assert all(told == received for told, received in told_ms)


def test_legs_of_one_batch_do_not_hear_each_other(vad):
    formats = [MULAW_8K, PCM_16K, PCM_8K, PCM_16K, MULAW_8K]
    sounds = [voice(900), bytes(14400), voice(900, 180), voice(900, 200), bytes(14400)]
    legs = [inbound(wire_format) for wire_format in formats]
    audio = [Converter(PCM_8K, form).convert(sound) for form, sound in zip(formats, sounds, strict=True)]
    feed(list(zip(legs, audio, strict=True)), vad)
    assert [len(speech(leg)) for leg in legs] == [1, 0, 1, 1, 0]
    for leg, sound, form in zip(legs, audio, formats, strict=True):
        leg.tell(everything=True)
        assert pcm(leg) == (g711.decode(sound) if form == MULAW_8K else sound)


def test_a_carrier_that_stops_sending_is_silent_for_us(vad):
    leg = inbound()
    audio = g711.encode(voice(1000))
    feed([(leg, audio)], vad)
    for tick in range(50, 100):
        hear([leg], vad, tick * 20.0)
    ended = speech(leg)[-1]
    assert isinstance(ended, SpeechEnded) and ended.at_ms == pytest.approx(1000, abs=160)
    assert 1900 - 60 - LONG_MS < leg.events[-1].end_ms <= 1960  # the first 100 ms of the gap could be jitter


def test_late_frames_are_waited_for(vad):
    leg = inbound()
    for tick in range(6):
        if tick in (0, 5):
            leg.arrivals.receive(g711.encode(voice(20)))
        hear([leg], vad, tick * 20.0)
    assert len(pcm(leg)) == 640


def test_a_carrier_of_long_frames_is_not_taken_for_silent(vad):
    leg = inbound()
    for tick in range(60):
        if tick % 10 == 0:
            leg.arrivals.receive(b"\x10" * 1600)  # 200 ms
        hear([leg], vad, tick * 20.0)
    leg.tell(everything=True)
    assert pcm(leg) == g711.decode(b"\x10" * 9600)


def test_after_a_stall_of_ours_the_audio_is_read_before_silence_is_assumed(vad):
    leg = inbound()
    leg.arrivals.receive(b"\x10" * 160)
    hear([leg], vad, 0.0)
    hear([leg], vad, 500.0, late_ms=480.0)
    leg.arrivals.receive(b"\x10" * 160 * 25)
    for tick in range(26, 30):
        hear([leg], vad, tick * 20.0)
    leg.tell(everything=True)
    assert pcm(leg) == g711.decode(b"\x10" * 160 * 26)


def test_torn_samples_are_put_together(vad):
    audio = voice(400)
    legs = [inbound(PCM_8K), inbound(PCM_8K)]
    feed([(legs[0], audio)], vad)
    for start in range(0, len(audio), 301):
        legs[1].arrivals.receive(audio[start : start + 301])
        hear([legs[1]], vad, start / 16)
    for leg in legs:
        leg.tell(everything=True)
    assert pcm(legs[0]) == pcm(legs[1]) == audio


def test_a_flood_is_heard_bit_by_bit_and_cut_at_ten_seconds(vad):
    leg = inbound()
    leg.arrivals.receive(b"\x10" * 8 * (BACKLOG_MS + 5000))
    assert leg.arrivals.lost_ms == 5000
    hear([leg], vad, 0.0)
    assert len(pcm(leg)) / 16 <= 200


def test_no_legs_is_no_work(vad):
    hear([], vad, 0.0)


def test_a_caller_is_heard_in_real_time_in_the_long_run(vad):
    leg = inbound(PCM_8K)
    for tick in range(2000):  # 40 s, in which 200 come
        leg.arrivals.receive(bytes(5 * PCM_8K.frame_bytes))
        hear([leg], vad, tick * 20.0)
    heard_s = len(pcm(leg)) / 2 / leg.hearing.rate
    assert heard_s == pytest.approx(40 * REAL_TIME + BACKLOG_MS / 1000, abs=0.5)
    assert leg.arrivals.lost_ms / 1000 == pytest.approx(200 - heard_s - BACKLOG_MS / 1000, abs=0.5)

"""Our own voice that comes back is no caller; a caller who speaks over it is one. In virtual time, with real legs."""

from __future__ import annotations

import asyncio
from random import Random

import numpy as np
import pytest

from actors.call.wire import PlayoutMode
from actors.media import g711
from actors.media.audio import MULAW_8K, PCM_8K, PCM_16K
from actors.media.clock import MediaClock
from actors.media.echo import FIRST_GAIN_DB, LEAST_GAIN_DB, EchoGuard, Played, measure
from actors.media.leg import Leg
from actors.media.resample import Converter
from actors.media.vad import BatchedVad
from config.assistant import Echo, Endpointing
from tests.fakes.leg import FakeOwner
from tests.fakes.voice import voice
from tests.fakes.wire import FakeWire

LOCAL, REMOTE = PlayoutMode.LOCALLY_PACED, PlayoutMode.REMOTE_BUFFERED
SILENCE = bytes(320)


@pytest.fixture(scope="module")
def vad():
    return BatchedVad()


def samples(pcm: bytes) -> np.ndarray:
    return np.frombuffer(pcm, "<i2").astype(float)


def phrases(seconds: float, pitch_hz: float = 120.0, seed: int = 1) -> np.ndarray:
    """Speech-like: pieces of a voice and pauses, all of different length and loudness."""
    random, pieces = Random(seed), []
    while sum(map(len, pieces)) < 8000 * seconds:
        pieces.append(samples(voice(random.randrange(160, 600, 20), pitch_hz)) * random.uniform(0.4, 1.0))
        pieces.append(np.zeros(random.randrange(4, 16) * 160))
    return np.concatenate(pieces)[: int(8000 * seconds)]


def pcm(signal: np.ndarray) -> bytes:
    return np.clip(signal, -32768, 32767).astype("<i2").tobytes()


class Line:
    """A leg whose wire sends back what it plays, and the caller's voice in it."""

    def __init__(self, vad, playout=LOCAL, audio_format=MULAW_8K, **options):
        self.now = 1000.0
        self.clock = MediaClock(asyncio.get_running_loop(), vad, lambda: self.now)
        self.owner = FakeOwner()
        self.wire = FakeWire(lambda: self.now, playout, audio_format)
        self.leg = Leg(self.wire, self.clock, self.owner, Endpointing(silence_ms=100), Echo(**options))
        self.leg.open()
        self._noise = np.random.default_rng(1)

    def play(self, signal):
        audio = Converter(PCM_8K, self.wire.format).convert(pcm(signal))
        self.leg.play(1, audio[: len(audio) // 2 * 2])
        self.leg.end(1)

    def run(self, signal):
        """What comes, tick by tick."""
        noisy = signal + self._noise.normal(0, 20, len(signal))
        audio = Converter(PCM_8K, self.wire.format).convert(pcm(noisy))
        size = self.wire.format.frame_bytes
        for start in range(0, len(audio), size):
            self.now += 0.02
            self.wire.ears.on_audio(audio[start : start + size])
            self.wire.run()
            self.clock.tick()

    @property
    def voices_ms(self):
        return [at_ms for name, at_ms in self.owner.told if name == "speech_started"]


def echo(played, level_db, delay_ms):
    return np.concatenate((np.zeros(8 * delay_ms), played * 10 ** (level_db / 20)))


@pytest.mark.parametrize("delay_ms", [20, 140, 300])
@pytest.mark.parametrize("level_db", [-20, -30])
@pytest.mark.parametrize(
    ("playout", "audio_format"), [(LOCAL, MULAW_8K), (REMOTE, MULAW_8K), (LOCAL, PCM_8K), (LOCAL, PCM_16K)]
)
async def test_an_echo_is_nobody_s_voice(vad, playout, audio_format, level_db, delay_ms):
    line, played = Line(vad, playout, audio_format), phrases(4)
    line.play(played)
    line.run(echo(played, level_db, delay_ms))
    assert line.voices_ms == []
    assert line.leg.inbound.echo.held_back > 0


async def test_switched_off_any_voice_is_the_caller_s(vad):
    line, played = Line(vad, enabled=False), phrases(4)
    line.play(played)
    line.run(echo(played, -20, 140))
    assert line.voices_ms


@pytest.mark.parametrize("at_ms", [200, 1500, 3000])
@pytest.mark.parametrize("level_db", [None, -20, -30])
async def test_a_caller_is_heard_through_the_echo(vad, level_db, at_ms):
    line, played = Line(vad), phrases(5)
    comes = np.zeros(len(played)) if level_db is None else echo(played, level_db, 140)
    said = phrases(0.8, pitch_hz=190, seed=7)
    comes[8 * at_ms :][: len(said)] += 0.7 * said
    line.play(played)
    line.run(comes)
    assert line.voices_ms[0] == pytest.approx(at_ms, abs=200)


async def test_where_no_echo_was_found_a_caller_is_heard_as_soon_as_without_the_guard(vad):
    """However his frames lie in the VAD's windows: a voice begins softly, and its first window may be in doubt."""

    def told_after_ms(number, **options):
        line, played, said = Line(vad, **options), phrases(3), samples(voice(500, 190)) * 0.5
        line.play(played)
        line.run(np.zeros(160 * (50 + number)))
        for frame in range(0, len(said), 160):
            line.run(said[frame : frame + 160])
            if line.voices_ms:
                return frame // 8
        return 500

    later = [told_after_ms(phase) - told_after_ms(phase, enabled=False) for phase in range(8)]
    assert sorted(later)[4] == 0 and max(later) <= 40  # where the second window is soft, too


async def test_a_caller_who_speaks_when_we_have_spoken_may_whisper(vad):
    line, played = Line(vad), phrases(2)
    said = 0.1 * phrases(1, pitch_hz=190, seed=7)
    line.play(played)
    line.run(np.concatenate((echo(played, -20, 20), np.zeros(8000), said)))
    assert len(line.voices_ms) >= 1 and line.voices_ms[0] > 3000


async def test_loss_and_delay_are_learnt(vad):
    line, played = Line(vad), phrases(6)
    line.play(played)
    line.run(echo(played, -24, 160))
    guard = line.leg.inbound.echo
    assert guard.echo_delay_ms == pytest.approx(160, abs=60)
    assert guard.gain_db == pytest.approx(-24, abs=3)


async def test_a_line_without_echo_is_learnt_too(vad):
    line, played = Line(vad), phrases(12)
    line.play(played)
    line.run(np.zeros(len(played)))
    assert line.leg.inbound.echo.gain_db < FIRST_GAIN_DB - 3
    assert line.leg.inbound.echo.gain_db >= LEAST_GAIN_DB


async def test_a_delay_that_grows_in_the_call_is_followed(vad):
    line, played = Line(vad), phrases(8)
    comes = np.where(np.arange(8 * 8000) < 4 * 8000, echo(played, -20, 40)[:64000], echo(played, -20, 180)[:64000])
    line.play(played)
    line.run(comes)
    assert line.voices_ms == []


async def test_what_a_clear_has_taken_back_has_no_echo(vad):
    """We are cut off in the middle of what the carrier has buffered: a voice after that is the caller's."""
    line, played = Line(vad, REMOTE), phrases(6)
    line.play(played)
    line.run(np.zeros(8000))
    line.leg.flush(1)
    line.run(np.zeros(8000))
    line.run(0.05 * phrases(1, seed=5))
    assert line.voices_ms


def test_levels_are_those_of_the_time_when_they_are_heard():
    played = Played(MULAW_8K, 2000)
    loud, quiet = (g711.encode(pcm(np.full(800, height))) for height in (16384, 164))
    played.add(loud, 1000)
    played.add(quiet, 1100)
    measure([played])
    assert played.loudest_db(1000, 1080) == pytest.approx(-6, abs=0.3)
    assert played.loudest_db(1120, 1180) == pytest.approx(-46, abs=0.5)
    assert played.loudest_db(1300, 1400) == -90
    played.cut(1040)
    assert played.loudest_db(1080, 1180) == -90


def test_what_is_older_than_the_memory_is_forgotten_and_nothing_else():
    played = Played(MULAW_8K, 200)
    loud, quiet = (g711.encode(pcm(np.full(160, height))) for height in (16384, 164))
    played.add(loud, 1000)
    for number in range(1, 100):
        played.add(quiet, 1000 + 20 * number)
    measure([played])
    assert len(played._levels) <= 20
    assert played.loudest_db(1000, 1020) == -90
    assert played.loudest_db(2800, 2980) == pytest.approx(-46, abs=0.5)
    played.add(loud, 9000)
    measure([played])
    assert played.loudest_db(2800, 2980) == -90 and played.loudest_db(9000, 9000) == pytest.approx(-6, abs=0.3)


def test_a_piece_that_comes_late_lands_where_it_is_heard():
    played = Played(MULAW_8K, 2000)
    loud, quiet = (g711.encode(pcm(np.full(height[1], height[0]))) for height in ((16384, 200), (164, 800)))
    played.add(quiet, 1000)
    played.add(loud, 1140)  # 25 ms: the rest of its second frame is silent
    measure([played])
    assert played.loudest_db(1100, 1120) == -90
    assert played.levels(1080, 1180).tolist() == pytest.approx([-46, -90, -90, -6, -12, -90], abs=1)


def test_nothing_is_judged_long_after_what_was_played():
    guard = EchoGuard(MULAW_8K, Echo(delay_ms=300))
    guard.play(MULAW_8K.silence(100), 5000)
    assert guard.wants(0.9, 5399) and not guard.wants(0.9, 5400)
    guard.cut(5050)
    assert guard.wants(0.9, 5349) and not guard.wants(0.9, 5350)


async def test_on_a_line_that_is_known_to_be_quiet_only_voices_are_looked_at(vad):
    """And, for a while after each, what follows it: a loudspeaker may have been put on."""
    line, played, judged = Line(vad), phrases(40), []
    guard = line.leg.inbound.echo
    judge = guard.judge
    guard.judge = lambda probability, level_db, end_ms: judged.append(end_ms) or judge(probability, level_db, end_ms)
    line.play(played)
    line.run(np.zeros(len(played) // 2))
    assert guard.gain_db == LEAST_GAIN_DB
    quiet = len(judged)
    assert 100 < quiet < 625 / 2  # of 20 s
    line.run(np.zeros(5 * 8000))
    assert len(judged) == quiet
    line.run(np.concatenate((samples(voice(1000)), np.zeros(5 * 8000))))
    assert 40 < len(judged) - quiet < 100

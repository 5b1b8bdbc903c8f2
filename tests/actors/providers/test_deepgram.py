"""The Deepgram session against its fake: turns, failures, and what it sends."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from actors.errors import ProviderError, Remedy
from actors.media.audio import MULAW_8K, PCM_8K, PCM_16K, AudioFormat
from actors.media.resample import Converter
from actors.providers import deepgram
from actors.providers.deepgram import BURST_MS, DeepgramOptions, DeepgramStt, Pace
from actors.providers.spec import EndOfTurn, Final, Interim
from tests.fakes import tones
from tests.fakes.deepgram import FakeDeepgram
from tests.fakes.emitted import Emitted

CHUNK = 960  # 60 ms of PCM at 8 kHz


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("DEEPGRAM_API_KEY", FakeDeepgram.key)


@pytest.fixture
async def fake():
    async with FakeDeepgram() as fake:
        yield fake


def session(fake: FakeDeepgram, emitted: Emitted, audio: AudioFormat = PCM_8K, **options) -> DeepgramStt:
    return DeepgramStt(DeepgramOptions(base_url=fake.url, **options), emitted, audio, "en-US", ())


def say(stt: DeepgramStt, text: str, silence_ms: int = 400) -> None:
    convert = Converter(PCM_8K, stt.audio)
    audio = convert.convert(tones.spell(text) + PCM_8K.silence(silence_ms))
    size = CHUNK * stt.audio.rate // 8000 * stt.audio.sample_bytes // 2
    for start in range(0, len(audio), size):
        stt.hear(audio[start : start + size])


async def left(fake: FakeDeepgram) -> None:
    await fake.until(lambda: not fake.open)


@pytest.mark.parametrize("audio", [PCM_8K, PCM_16K, MULAW_8K])
async def test_a_turn_ends_with_speech_final(fake, audio):
    emitted = Emitted()
    stt = session(fake, emitted, audio)
    await stt.open()
    say(stt, "hello there")
    await emitted.until(EndOfTurn)
    assert emitted.heard == ["hello there", "|"]
    assert emitted.of(Interim)
    assert emitted.of(Final)[0].end_ms == pytest.approx(400 + 250, abs=80)
    stt.close()
    await left(fake)
    assert fake.controls == ["CloseStream"] and not fake.violations


async def test_what_is_said_before_it_is_open_is_heard(fake):
    emitted = Emitted()
    stt = session(fake, emitted)
    say(stt, "early bird")
    await stt.open()
    await emitted.until(EndOfTurn)
    assert emitted.heard == ["early bird", "|"]
    stt.close()


async def test_finalize_is_answered_once(fake):
    emitted = Emitted()
    stt = session(fake, emitted, endpointing_ms=5000)
    await stt.open()
    say(stt, "stop here", silence_ms=100)
    stt.finalize()
    await emitted.until(EndOfTurn)
    say(stt, "next one", silence_ms=100)
    stt.finalize()
    await emitted.until(EndOfTurn, 2)
    assert emitted.heard == ["stop here", "|", "next one", "|"]
    stt.close()


async def test_speech_final_is_also_the_answer_to_a_finalize_that_crosses_it(fake):
    emitted = Emitted()
    stt = session(fake, emitted)
    await stt.open()
    say(stt, "both at once")
    stt.finalize()  # sent before its speech_final has come back
    say(stt, "and more")
    await emitted.until(EndOfTurn, 2)
    assert emitted.heard == ["both at once", "|", "and more", "|"]
    stt.close()


async def test_a_finalize_without_an_answer_ends_the_turn_of_one_that_lives(monkeypatch):
    monkeypatch.setattr(deepgram, "FINALIZE_GRACE_S", 0.05)
    async with FakeDeepgram(empty_finalize=False) as fake:
        emitted = Emitted()
        stt = session(fake, emitted)
        await stt.open()
        say(stt, "", silence_ms=400)
        await emitted.until(Interim)
        stt.finalize()
        await emitted.until(EndOfTurn)
        assert emitted.heard == ["|"]
        stt.close()


async def test_one_that_is_dead_is_left_to_the_call_to_find(fake, monkeypatch):
    monkeypatch.setattr(deepgram, "FINALIZE_GRACE_S", 0.02)
    fake.script(stall=True)
    emitted = Emitted()
    stt = session(fake, emitted)
    await stt.open()
    say(stt, "anybody there")
    stt.finalize()
    with pytest.raises(TimeoutError):
        await emitted.until(EndOfTurn, within_s=0.2)
    stt.close()


async def test_utterance_end_ends_the_turn_where_noise_suppresses_speech_final():
    async with FakeDeepgram(speech_final=False) as fake:
        emitted = Emitted()
        stt = session(fake, emitted)
        await stt.open()
        say(stt, "noisy place", silence_ms=1400)
        await emitted.until(EndOfTurn)
        assert emitted.heard == ["noisy place", "|"]
        stt.close()


async def test_finals_are_given_as_they_come(fake):
    """A pause that is shorter than the endpointing makes no turn; a Finalize in between makes a second final."""
    emitted = Emitted()
    stt = session(fake, emitted, endpointing_ms=1000)
    await stt.open()
    say(stt, "first half", silence_ms=300)
    stt.finalize()
    await emitted.until(Final)
    say(stt, "second half", silence_ms=1100)
    await emitted.until(EndOfTurn, 2)
    assert emitted.heard == ["first half", "|", "second half", "|"]
    stt.close()


async def test_silence_gives_signs_of_life(fake):
    emitted = Emitted()
    stt = session(fake, emitted)
    await stt.open()
    say(stt, "", silence_ms=2000)
    await emitted.until(Interim, 3)
    assert {event.text for event in emitted.of(Interim)} == {""}
    assert not emitted.of(EndOfTurn)
    stt.close()


async def test_it_is_kept_alive_where_no_audio_flows(monkeypatch):
    monkeypatch.setattr(deepgram, "KEEP_ALIVE_S", 0.05)
    async with FakeDeepgram(idle_s=0.2) as fake:
        emitted = Emitted()
        stt = session(fake, emitted)
        await stt.open()
        await fake.until(lambda: fake.controls.count("KeepAlive") >= 6)
        assert not emitted.events
        stt.close()


async def test_without_it_the_connection_is_closed_and_another_try_helps():
    async with FakeDeepgram(idle_s=0.05) as fake:
        emitted = Emitted()
        stt = session(fake, emitted)
        await stt.open()
        error = await emitted.failure()
        assert error.remedy is Remedy.RETRY and "NET-0001" in str(error)
        stt.close()


async def test_the_request_says_what_the_options_say(fake):
    stt = session(fake, Emitted(), PCM_16K, endpointing_ms=300, smart_format=True, keyterms=["Acme", "Röhre & Co"])
    await stt.open()
    query = fake.requests[0]["query"]
    assert dict(query) | {"keyterm": ""} == {
        **{"model": "nova-3", "language": "en-US", "encoding": "linear16", "sample_rate": "16000", "channels": "1"},
        **{"interim_results": "true", "punctuate": "true", "endpointing": "300", "utterance_end_ms": "1000"},
        **{"smart_format": "true", "keyterm": ""},
    }
    assert [value for name, value in query if name == "keyterm"] == ["Acme", "Röhre & Co"]
    stt.close()


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (400, Remedy.CONFIG),
        (401, Remedy.CONFIG),
        (402, Remedy.QUOTA),
        (403, Remedy.CONFIG),
        (404, Remedy.CONFIG),
        (429, Remedy.THROTTLED),
        (500, Remedy.RETRY),
        (503, Remedy.RETRY),
        (302, Remedy.CONFIG),
    ],
)
async def test_a_refused_handshake_says_what_helps(fake, status, remedy):
    fake.script(status=status, headers={"dg-error": "because of a-test-key", "Location": "/x"})
    with pytest.raises(ProviderError, match=str(status)) as caught:
        await session(fake, Emitted()).open()
    assert caught.value.remedy is remedy
    assert ("because" in str(caught.value)) == (status not in (401, 403))  # there such answers quote the key


@pytest.mark.parametrize(
    ("code", "reason", "remedy"),
    [
        (1008, "DATA-0000", Remedy.REFUSED),
        (1011, "NET-0000", Remedy.RETRY),
        (1000, "", Remedy.RETRY),
        (1001, "", Remedy.RETRY),
        (1012, "restart", Remedy.RETRY),
        (4001, "of its own", Remedy.RETRY),
    ],
)
async def test_a_close_in_mid_utterance_says_what_helps(fake, code, reason, remedy):
    fake.script(after=300, close=(code, reason))
    emitted = Emitted()
    stt = session(fake, emitted)
    await stt.open()
    say(stt, "one two three four")
    error = await emitted.failure()
    assert error.remedy is remedy
    assert str(code) in str(error) and reason in str(error)
    stt.close()


async def test_a_cut_socket_is_worth_another_try(fake):
    fake.script(after=300, drop=True)
    emitted = Emitted()
    stt = session(fake, emitted)
    await stt.open()
    say(stt, "one two three four")
    assert (await emitted.failure()).remedy is Remedy.RETRY
    say(stt, "nobody hears this")
    stt.finalize()
    stt.close()
    assert not emitted.of(EndOfTurn)


@pytest.mark.parametrize(
    "message",
    [
        *("not JSON", "[]", "{}", '{"type":"Results"}', '{"type":"Results","channel":null}', '"Results"', "null", ""),
        *('{"type":"Results","channel":{"alternatives":[]}}', '{"type":"Novelty","channel":7}', '{"channel":{}}'),
    ],
)
async def test_what_carries_nothing_is_passed_over(fake, message):
    fake.script(message=message)
    emitted = Emitted()
    stt = session(fake, emitted)
    await stt.open()
    say(stt, "still here")
    await emitted.until(EndOfTurn)
    assert emitted.heard == ["still here", "|"]
    stt.close()


@pytest.mark.parametrize(("variant", "remedy"), [("SchemaError", Remedy.REFUSED), ("Other", Remedy.RETRY)])
async def test_an_error_message_ends_the_session(fake, variant, remedy):
    fake.script(message=f'{{"type":"Error","variant":"{variant}","description":"it is\\n broken"}}')
    emitted = Emitted()
    stt = session(fake, emitted)
    await stt.open()
    error = await emitted.failure()
    assert error.remedy is remedy and "broken" in str(error)
    stt.close()


async def test_no_key_where_one_is_needed(monkeypatch):
    monkeypatch.delenv("DEEPGRAM_API_KEY")
    stt = DeepgramStt(DeepgramOptions(), Emitted(), PCM_8K, "en-US", ())
    with pytest.raises(ProviderError, match="DEEPGRAM_API_KEY is not set") as caught:
        await stt.open()
    assert caught.value.remedy is Remedy.CONFIG
    stt.close()


async def test_closing_before_during_and_after_opening_leaves_nothing(fake):
    stt = session(fake, Emitted())
    stt.close()
    stt.close()
    stt.hear(b"\0\0")
    stt.finalize()
    fake.script(never_upgrade=True)
    stt = session(fake, Emitted())
    opening = asyncio.get_running_loop().create_task(stt.open())
    await fake.until(lambda: fake.open)
    stt.close()
    opening.cancel()
    await asyncio.wait([opening])


async def test_a_long_replay_is_sent_no_faster_than_it_is_taken(fake, monkeypatch):
    monkeypatch.setattr(deepgram, "BURST_MS", 400.0)
    emitted = Emitted()
    stt = session(fake, emitted, endpointing_ms=100)
    await stt.open()
    say(stt, "one two three", silence_ms=300)  # 900 ms, of which 400 at once
    stt.finalize()
    await emitted.until(EndOfTurn)
    assert emitted.heard == ["one two three", "|"]
    assert fake.lead_ms < 400 + 2 * 60
    await fake.until(lambda: fake.controls == ["Finalize"])  # and what follows the audio comes after it
    stt.close()


def test_the_pace_of_live_audio_is_never_held_back():
    pace, now = Pace(), 100.0
    for _ in range(3000):
        assert pace.take(60.0, now) == 0.0
        now += 0.06
    assert pace.take(BURST_MS, now) == 0.0
    assert pace.take(60.0, now) == pytest.approx(0.048, abs=0.002)


async def test_what_waits_for_the_pace_is_not_handed_over_yet(fake, monkeypatch):
    monkeypatch.setattr(deepgram, "BURST_MS", 400.0)
    emitted = Emitted()
    stt = session(fake, emitted, endpointing_ms=5000)
    await stt.open()
    say(stt, "one two three", silence_ms=300)
    assert 440 <= stt.unsent_ms <= 560
    stt.finalize()
    await emitted.until(EndOfTurn)
    assert stt.unsent_ms == 0
    stt.close()


async def test_a_service_that_is_slow_and_alive_is_not_taken_for_one_that_has_heard_nothing(fake):
    """Results come 0.8 s late: those of the silence before show that it lives, and say nothing of the words."""
    fake.script(late_s=0.8)
    emitted = Emitted()
    stt = session(fake, emitted, endpointing_ms=5000)
    await stt.open()
    say(stt, "", silence_ms=400)
    await asyncio.sleep(0.5)
    say(stt, "hello there", silence_ms=400)
    stt.finalize()
    await emitted.until(EndOfTurn)
    assert emitted.heard == ["hello there", "|"]
    stt.close()


# --- what comes late ------------------------------------------------------------------------------------------------


def hears(stt: DeepgramStt, words: str, start: float, duration: float, **more: object) -> None:
    channel = {"alternatives": [{"transcript": words}]}
    result = {"type": "Results", "start": start, "duration": duration, "channel": channel, **more}
    stt._socket._events.feed(orjson.dumps(result))


async def test_a_late_answer_to_a_finalize_is_none_to_the_next(fake):
    emitted = Emitted()
    stt = session(fake, emitted)
    stt.hear(PCM_8K.silence(1000))
    stt.finalize()
    hears(stt, "hello", 0.0, 1.0, is_final=True, speech_final=True)  # which ends the turn, too
    stt.hear(PCM_8K.silence(1000))
    stt.finalize()
    hears(stt, "", 1.0, 0.0, is_final=True, from_finalize=True)  # of the first
    assert emitted.heard == ["hello", "|"]
    hears(stt, "goodbye", 1.0, 1.0, is_final=True, from_finalize=True)
    assert emitted.heard == ["hello", "|", "goodbye", "|"]
    assert [event.end_ms for event in emitted.of(EndOfTurn)] == [1000.0, 2000.0]
    stt.close()


async def test_a_finalize_that_is_never_answered_has_no_effect_on_the_next(fake):
    emitted = Emitted()
    stt = session(fake, emitted)
    for turn in (1, 2, 3):
        stt.hear(PCM_8K.silence(1000))
        stt.finalize()
        if turn != 2:
            hears(stt, "hello", turn - 1.0, 1.0, is_final=True, from_finalize=True)
    assert emitted.heard == ["hello", "|", "hello", "|"]
    stt.close()


@pytest.mark.parametrize(("last_word_end", "ends"), [(0.9, 1), (1.9, 2), (None, 2), (-1, 2)])
async def test_a_late_utterance_end_does_not_end_the_next_turn(fake, last_word_end, ends):
    emitted = Emitted()
    stt = session(fake, emitted)
    stt.hear(PCM_8K.silence(2000))
    hears(stt, "hello", 0.0, 1.0, is_final=True, speech_final=True)
    hears(stt, "good", 1.0, 0.8)
    stt._socket._events.feed(orjson.dumps({"type": "UtteranceEnd", "last_word_end": last_word_end}))
    assert len(emitted.of(EndOfTurn)) == ends
    stt.close()

"""The Cartesia session against its fake: segments, cancelling, failures, a connection that rests."""

from __future__ import annotations

import pytest

from actors.errors import ProviderError, Remedy
from actors.media.audio import MULAW_8K, PCM_8K, PCM_16K, AudioFormat, Encoding
from actors.media.resample import Converter
from actors.providers import cartesia
from actors.providers.cartesia import CartesiaOptions, CartesiaTts, made_format
from actors.providers.spec import SegmentAudio, SegmentDone, SessionFailed
from tests.fakes import tones
from tests.fakes.cartesia import FakeCartesia
from tests.fakes.emitted import Emitted

PCM_44K = AudioFormat(Encoding.PCM, 44100)
PCM_12K = AudioFormat(Encoding.PCM, 12000)


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("CARTESIA_API_KEY", FakeCartesia.key)


@pytest.fixture
async def fake():
    async with FakeCartesia() as fake:
        yield fake


@pytest.fixture
async def make(fake):
    made = []

    def make(emitted: Emitted, audio: AudioFormat = PCM_8K, **options) -> CartesiaTts:
        made.append(CartesiaTts(CartesiaOptions(base_url=fake.url, **options), emitted, audio, "en-US"))
        return made[-1]

    yield make
    for session in made:
        session.close()


def words(emitted: Emitted, segment: int, audio: AudioFormat) -> list[str]:
    convert = Converter(audio, PCM_8K)
    return tones.read(convert.convert(emitted.audio(segment)) + convert.flush())


@pytest.mark.parametrize("audio", [MULAW_8K, PCM_8K, PCM_16K, PCM_44K, PCM_12K])
async def test_a_segment_is_spoken_in_the_wires_format(fake, make, audio):
    emitted = Emitted()
    tts = make(emitted, audio)
    await tts.open()
    tts.speak(7, "Good morning, caller.")
    assert await emitted.until(SegmentDone) == SegmentDone(7)
    assert words(emitted, 7, audio) == ["good", "morning", "caller"]
    assert audio.duration_ms(len(emitted.audio(7))) == pytest.approx(600, abs=20)
    assert not fake.violations


async def test_every_word_has_its_time(fake, make):
    emitted = Emitted()
    tts = make(emitted)
    await tts.open()
    for segment in (1, 2):
        tts.speak(segment, "Good morning, caller.")
    await emitted.until(SegmentDone, 2)
    for segment in (1, 2):
        timed = [word for event in emitted.of(SegmentAudio) if event.segment == segment for word in event.words]
        assert [word.text for word in timed] == ["Good", "morning,", "caller."]
        assert [word.start_ms for word in timed] == pytest.approx([0, 200, 400])
        assert [word.end_ms for word in timed] == pytest.approx([160, 360, 560])


async def test_word_times_may_come_late(fake, make):
    fake.late_times = True
    emitted = Emitted()
    tts = make(emitted)
    tts.speak(1, "Better late")
    await tts.open()
    await emitted.until(SegmentDone)
    assert [word.text for event in emitted.of(SegmentAudio) for word in event.words] == ["Better", "late"]
    assert emitted.events[-1] == SegmentDone(1)


async def test_segments_come_in_order_one_at_a_time(fake, make):
    emitted = Emitted()
    tts = make(emitted)
    for segment, text in ((3, "one two"), (4, "three"), (6, "four five six")):
        tts.speak(segment, text)
    await tts.open()
    await emitted.until(SegmentDone, 3)
    assert emitted.segments_done == [3, 4, 6]
    assert [words(emitted, segment, PCM_8K) for segment in (3, 4, 6)] == [
        ["one", "two"],
        ["three"],
        ["four", "five", "six"],
    ]
    order = [event.segment for event in emitted.events]
    assert order == sorted(order)
    assert fake.most_live == 1


async def test_nothing_comes_of_what_was_cancelled(fake, make):
    fake.pause_s = 0.01
    emitted = Emitted()
    tts = make(emitted)
    await tts.open()
    tts.speak(1, "this is never heard to its end")
    tts.speak(2, "and this not at all")
    await emitted.until(SegmentAudio, 2)
    tts.cancel()
    count = len(emitted.events)
    tts.cancel()
    tts.speak(3, "but this")
    await emitted.until(SegmentDone)
    assert emitted.segments_done == [3]
    assert all(event.segment == 3 for event in emitted.events[count:])  # the fake sends a late chunk of the first
    assert words(emitted, 3, PCM_8K) == ["but", "this"]
    assert fake.cancelled == ["segment-1"]
    assert [request["transcript"] for request in fake.spoken] == ["this is never heard to its end", "but this"]


async def test_the_request_says_what_the_options_say(fake, make):
    emitted = Emitted()
    tts = make(emitted, MULAW_8K, model="sonic-9", voice="a-voice", speed=1.2)
    await tts.open()
    tts.speak(1, "hello")
    await emitted.until(SegmentDone)
    assert fake.spoken == [
        {
            "context_id": "segment-1",
            "model_id": "sonic-9",
            "transcript": "hello",
            "continue": False,
            "voice": {"mode": "id", "id": "a-voice"},
            "language": "en",
            "output_format": {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000},
            "add_timestamps": True,
            "max_buffer_delay_ms": 0,
            "generation_config": {"speed": 1.2},
        }
    ]


@pytest.mark.parametrize(
    ("status", "remedy"),
    [(400, Remedy.CONFIG), (401, Remedy.CONFIG), (402, Remedy.QUOTA), (429, Remedy.THROTTLED), (500, Remedy.RETRY)],
)
async def test_a_refused_handshake_says_what_helps(fake, make, status, remedy):
    fake.script(status=status, body=b"no " + FakeCartesia.key.encode() if status == 401 else b"no")
    with pytest.raises(ProviderError, match=str(status)) as caught:
        await make(Emitted()).open()
    assert caught.value.remedy is remedy
    assert FakeCartesia.key not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "remedy"),
    [
        ('"error_code":"concurrency_limited","status_code":429', Remedy.THROTTLED),
        ('"error_code":"quota_exceeded","status_code":402', Remedy.QUOTA),
        ('"error_code":"voice_not_found","status_code":404', Remedy.CONFIG),
        ('"title":"Oops","status_code":500', Remedy.RETRY),
        ('"message":"nothing else"', Remedy.RETRY),
    ],
)
@pytest.mark.parametrize("context", ['"context_id":"segment-1",', ""])
async def test_an_error_says_what_helps(fake, make, fields, remedy, context):
    fake.script(after=1, message=f'{{"type":"error","done":true,{context}{fields}}}')
    emitted = Emitted()
    tts = make(emitted)
    await tts.open()
    tts.speak(1, "hello there")
    assert (await emitted.failure()).remedy is remedy


async def test_an_error_of_a_cancelled_segment_is_passed_over(fake, make):
    fake.script(after=1, message='{"type":"error","done":true,"context_id":"segment-0","status_code":400}')
    emitted = Emitted()
    tts = make(emitted)
    await tts.open()
    tts.speak(1, "hello there")
    await emitted.until(SegmentDone)
    assert not emitted.of(SessionFailed)


@pytest.mark.parametrize(
    "what", [{"drop": True}, {"close": (1011, "internal")}, {"message": "no JSON"}, {"message": '{"type":"chunk"}'}]
)
async def test_a_failure_in_mid_segment_is_worth_another_try(fake, make, what):
    fake.script(after=1, **what)
    if "chunk" in str(what):
        fake.scripts[0].message = '{"type":"chunk","context_id":"segment-1"}'
    emitted = Emitted()
    tts = make(emitted)
    await tts.open()
    tts.speak(1, "hello there")
    assert (await emitted.failure()).remedy is Remedy.RETRY


async def test_a_connection_that_was_closed_while_it_rested_is_made_again(fake, make, monkeypatch):
    monkeypatch.setattr(cartesia, "RESTED_S", 0.0)
    fake.idle_s = 0.05
    emitted = Emitted()
    tts = make(emitted)
    await tts.open()
    await fake.until(lambda: len(fake.requests) == 2)
    fake.idle_s = 300.0
    tts.speak(1, "still here")
    await emitted.until(SegmentDone)
    assert not emitted.of(SessionFailed)


async def test_one_that_cannot_be_made_again_is_a_failure(fake, make, monkeypatch):
    monkeypatch.setattr(cartesia, "RESTED_S", 0.0)
    fake.script(close=(1000, "rest"))
    fake.script(status=429)
    emitted = Emitted()
    await make(emitted).open()
    assert (await emitted.failure()).remedy is Remedy.THROTTLED


async def test_one_that_closes_as_soon_as_it_is_open_is_a_failure(fake, make):
    fake.script(close=(1008, "unpaid"))
    emitted = Emitted()
    await make(emitted).open()
    assert (await emitted.failure()).remedy is Remedy.CONFIG


async def test_closing_before_opening_leaves_nothing(fake, make):
    emitted = Emitted()
    tts = make(emitted)
    tts.speak(1, "never")
    tts.close()
    tts.close()
    tts.speak(2, "never")
    assert not emitted.events


def test_the_format_that_loses_least():
    assert made_format(MULAW_8K) is MULAW_8K
    assert made_format(PCM_44K) is PCM_44K
    assert made_format(PCM_12K) == PCM_16K
    assert made_format(AudioFormat(Encoding.PCM, 192000)).rate == 48000
    assert made_format(AudioFormat(Encoding.MULAW, 16000)) == PCM_16K

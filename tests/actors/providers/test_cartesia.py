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
    assert {request["context_id"] for request in fake.spoken} == {"context-1"}
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
    tts.speak(2, "than never")
    await tts.open()
    await emitted.until(SegmentDone, 2)
    timed = [(event.segment, word.text, word.start_ms) for event in emitted.of(SegmentAudio) for word in event.words]
    assert timed == [(1, "Better", 0.0), (1, "late", 200.0), (2, "than", 0.0), (2, "never", 200.0)]
    assert emitted.events[-1] == SegmentDone(2)


async def test_a_word_that_comes_after_its_segment_is_not_taken_for_the_next_ones(fake, make):
    times = '{"words":["hello","there"],"start":[0.0,0.1],"end":[0.16,0.5]}'
    fake.script(after=3, message=f'{{"type":"timestamps","context_id":"context-1","word_timestamps":{times}}}')
    emitted = Emitted()
    tts = make(emitted)
    await tts.open()
    tts.speak(1, "hello")
    tts.speak(2, "there you")  # chunks 3 to 6, from 200 ms on
    await emitted.until(SegmentDone, 2)
    timed = [word for event in emitted.of(SegmentAudio) if event.segment == 2 for word in event.words]
    assert [word.text for word in timed] == ["there", "you", "there"]
    assert timed[-1].start_ms == 0.0 and timed[-1].end_ms == pytest.approx(300)


@pytest.mark.parametrize("together", [True, False])
async def test_converted_sound_is_one_stream_and_whole(fake, make, together):
    """Segments that follow each other are converted as one; with one that is the last for now its tail comes."""
    emitted = Emitted()
    tts = make(emitted, PCM_12K)  # made at 16 kHz: nobody makes 12
    await tts.open()
    for segment in (1, 2, 3):
        tts.speak(segment, "good morning caller")
        if not together:
            await emitted.until(SegmentDone, segment)
    await emitted.until(SegmentDone, 3)
    made = Converter(PCM_8K, PCM_16K)
    sentence = made.convert(tones.spell("good morning caller")) + made.flush()
    expected = b""
    for stream in [3 * sentence] if together else 3 * [sentence]:
        convert = Converter(PCM_16K, PCM_12K)
        expected += convert.convert(stream) + convert.flush()
    sound = [emitted.audio(segment) for segment in (1, 2, 3)]
    assert len(b"".join(sound)) == len(expected)
    assert [PCM_12K.duration_ms(len(audio)) for audio in sound] == pytest.approx([602] * 3, abs=4)


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


async def test_the_next_utterance_waits_for_the_end_of_the_one_before(fake, make):
    fake.pause_s = 0.01
    emitted = Emitted()
    tts = make(emitted)
    tts.speak(1, "one two")
    tts.speak(2, "three")
    tts.end()
    tts.speak(3, "four")
    tts.end()
    tts.speak(4, "five")
    await tts.open()
    await emitted.until(SegmentDone, 4)
    assert [words(emitted, segment, PCM_8K) for segment in (1, 2, 3, 4)] == [
        ["one", "two"],
        ["three"],
        ["four"],
        ["five"],
    ]
    order = [event.segment for event in emitted.events]
    assert order == sorted(order)
    spoken = [(request["context_id"][-1], request["transcript"]) for request in fake.spoken]
    assert spoken == [("1", "one two "), ("1", "three "), ("2", "four "), ("3", "five ")]
    assert fake.ended == ["context-1", "context-2"]
    assert fake.most_live == 1


async def test_an_end_without_segments_is_nothing(fake, make):
    emitted = Emitted()
    tts = make(emitted)
    await tts.open()
    tts.end()
    tts.speak(1, "hello")
    await emitted.until(SegmentDone)
    tts.end()
    tts.end()
    tts.speak(2, "there")
    await emitted.until(SegmentDone, 2)
    assert fake.ended == ["context-1"]
    assert emitted.segments_done == [1, 2]


async def test_a_server_that_does_not_tell_segments_apart(fake, make):
    """Its audio counts for the first, until the context is done."""
    fake.flushes = False
    emitted = Emitted()
    tts = make(emitted)
    await tts.open()
    tts.speak(1, "one two")
    tts.speak(2, "three")
    tts.end()
    tts.speak(3, "four")
    tts.end()
    await emitted.until(SegmentDone, 3)
    assert emitted.segments_done == [1, 2, 3]
    assert words(emitted, 1, PCM_8K) == ["one", "two", "three"]
    assert words(emitted, 3, PCM_8K) == ["four"]
    assert len(fake.spoken) == 3


# --- contexts that expire: nothing is lost, nothing is said twice ---------------------------------------------------


async def test_a_context_expires_after_its_last_audio(fake, make):
    fake.expire_s = 0.02
    emitted = Emitted()
    tts = make(emitted)
    await tts.open()
    tts.speak(1, "one two")
    await emitted.until(SegmentDone)
    await fake.until(lambda: fake.expired)
    tts.speak(2, "three")
    tts.end()
    await emitted.until(SegmentDone, 2)
    assert [words(emitted, segment, PCM_8K) for segment in (1, 2)] == [["one", "two"], ["three"]]
    assert not emitted.of(SessionFailed)


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("how", ["", "flushes", "flushes revives", "flushes expires_silently"])
async def test_text_that_crosses_the_expiry_is_given_again(fake, make, how, ends):
    for name in ("flushes", "revives", "expires_silently"):
        setattr(fake, name, name in how)
    emitted = Emitted()
    tts = make(emitted)
    await tts.open()
    tts.speak(1, "one two")
    await emitted.until(*((SegmentDone, 1) if fake.flushes else (SegmentAudio, 4)))
    fake.expire()
    tts.speak(2, "three")
    tts.speak(3, "four five")
    if ends:
        tts.end()
    await emitted.until(SegmentDone, 2 if fake.flushes else 1)
    tts.end()
    await emitted.until(SegmentDone, 3)
    await fake.until(lambda: fake.ended[-1:] == ["context-2"])
    assert emitted.segments_done == [1, 2, 3]
    spoken = [word for segment in (1, 2, 3) for word in words(emitted, segment, PCM_8K)]
    assert spoken == ["one", "two", "three", "four", "five"]
    timed = [word.start_ms for event in emitted.of(SegmentAudio) if event.segment == 2 for word in event.words]
    assert timed[0] == 0.0
    assert fake.cancelled == ["context-1"]  # what it revives is not wanted, and takes one of the account's contexts
    assert not emitted.of(SessionFailed)


async def test_an_end_that_crosses_the_expiry_does_no_harm(fake, make):
    fake.expires_silently = True
    emitted = Emitted()
    tts = make(emitted)
    await tts.open()
    tts.speak(1, "one two")
    await emitted.until(SegmentDone)
    fake.expire()
    tts.end()
    tts.speak(2, "three")
    await emitted.until(SegmentDone, 2)
    assert words(emitted, 2, PCM_8K) == ["three"]
    assert not emitted.of(SessionFailed)


async def test_what_is_refused_in_a_new_context_too_is_a_failure(fake, make):
    emitted = Emitted()
    tts = make(emitted)
    await tts.open()
    tts.speak(1, "one two")
    await emitted.until(SegmentDone)
    tts._request["output_format"]["sample_rate"] = 7
    tts.speak(2, "three")
    assert (await emitted.failure()).remedy is Remedy.REFUSED
    assert emitted.segments_done == [1]


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
    assert fake.cancelled == ["context-1"]
    assert [request["context_id"] for request in fake.spoken] == ["context-1", "context-1", "context-2"]


async def test_a_cancel_in_the_second_segment(fake, make):
    fake.pause_s = 0.01
    emitted = Emitted()
    tts = make(emitted)
    await tts.open()
    tts.speak(1, "hello")
    tts.speak(2, "this is never heard to its end")
    tts.end()
    tts.speak(3, "and this not at all")
    await emitted.until(SegmentAudio, 3)
    tts.cancel()
    count = len(emitted.events)
    tts.speak(4, "but this")
    tts.end()
    await emitted.until(SegmentDone, 2)
    assert emitted.segments_done == [1, 4]
    assert all(event.segment == 4 for event in emitted.events[count:])
    assert words(emitted, 4, PCM_8K) == ["but", "this"]
    timed = [word.start_ms for event in emitted.of(SegmentAudio) if event.segment == 4 for word in event.words]
    assert timed == pytest.approx([0, 200])
    assert fake.cancelled == ["context-1"]


async def test_the_request_says_what_the_options_say(fake, make):
    emitted = Emitted()
    tts = make(emitted, MULAW_8K, model="sonic-9", voice="a-voice", speed=1.2)
    await tts.open()
    tts.speak(1, "hello")
    await emitted.until(SegmentDone)
    assert fake.spoken == [
        {
            "context_id": "context-1",
            "model_id": "sonic-9",
            "transcript": "hello ",
            "continue": True,
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
        ('"error_code":"invalid_request","status_code":400', Remedy.REFUSED),
        ('"title":"Oops","status_code":500', Remedy.RETRY),
        ('"message":"nothing else"', Remedy.RETRY),
    ],
)
@pytest.mark.parametrize("context", ['"context_id":"context-1",', ""])
async def test_an_error_says_what_helps(fake, make, fields, remedy, context):
    fake.script(after=1, message=f'{{"type":"error","done":true,{context}{fields}}}')
    emitted = Emitted()
    tts = make(emitted)
    await tts.open()
    tts.speak(1, "hello there")
    assert (await emitted.failure()).remedy is remedy


async def test_an_error_of_a_cancelled_segment_is_passed_over(fake, make):
    fake.script(after=1, message='{"type":"error","done":true,"context_id":"context-0","status_code":400}')
    emitted = Emitted()
    tts = make(emitted)
    await tts.open()
    tts.speak(1, "hello there")
    await emitted.until(SegmentDone)
    assert not emitted.of(SessionFailed)


@pytest.mark.parametrize("what", [{"drop": True}, {"close": (1011, "internal")}])
async def test_a_failure_in_mid_segment_is_worth_another_try(fake, make, what):
    fake.script(after=1, **what)
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


async def test_a_connection_may_close_between_two_segments_of_an_utterance(fake, make, monkeypatch):
    monkeypatch.setattr(cartesia, "RESTED_S", 0.0)
    fake.idle_s = 0.05
    emitted = Emitted()
    tts = make(emitted)
    await tts.open()
    tts.speak(1, "one two")
    await fake.until(lambda: len(fake.requests) == 2)
    fake.idle_s = 300.0
    tts.speak(2, "three")
    tts.end()
    await emitted.until(SegmentDone, 2)
    await fake.until(lambda: fake.ended)
    assert [words(emitted, segment, PCM_8K) for segment in (1, 2)] == [["one", "two"], ["three"]]
    assert fake.ended == ["context-2"]


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
    assert (await emitted.failure()).remedy is Remedy.REFUSED


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

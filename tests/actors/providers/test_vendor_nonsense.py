"""What vendors send that looks like something and is none: it costs itself, not the session, the loop or the log."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import time
from typing import Any

import pytest

from actors.call.utterance import Purpose, Utterance
from actors.errors import ProviderError, Remedy
from actors.media.audio import PCM_8K
from actors.providers.cartesia import CartesiaOptions, CartesiaTts
from actors.providers.deepgram import DeepgramOptions, DeepgramStt
from actors.providers.deepgram_flux import FluxStt
from actors.providers.openai_answer import Answer
from actors.providers.spec import MOST_WORDS, EndOfTurn, Interim, Question, SegmentAudio, SegmentDone, Usage, Word
from tests.actors.providers.test_websocket import Heard, _raw, _upgrade
from tests.fakes.emitted import Emitted


def made_of(session: Any, *events: dict[str, Any]) -> list[Any]:
    """What a session makes of these events."""

    async def play() -> list[Any]:
        emitted = Emitted()
        listener = session(emitted)
        try:
            for event in events:
                listener._socket._events.feed(json.dumps(event).encode())
        finally:
            listener.close()
        return emitted.events

    return asyncio.run(play())


def nova(emitted: Emitted) -> DeepgramStt:
    session = DeepgramStt(DeepgramOptions(base_url="ws://127.0.0.1:1"), emitted, PCM_8K, "en-US", ())
    session.hear(PCM_8K.silence(3000))
    return session


def flux(emitted: Emitted) -> FluxStt:
    options = DeepgramOptions(base_url="ws://127.0.0.1:1", model="flux-general-en")
    return FluxStt(options, emitted, PCM_8K, "en-US", ())


def sonic(emitted: Emitted) -> CartesiaTts:
    session = CartesiaTts(CartesiaOptions(base_url="ws://127.0.0.1:1"), emitted, PCM_8K, "en-US")
    session.speak(1, "Hello there")
    session.end()
    return session


def result(words: str, **fields: Any) -> dict[str, Any]:
    return {"type": "Results", "channel": {"alternatives": [{"transcript": words}]}, "start": 0, "duration": 1} | fields


def spoken(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "context_id": "context-1", **fields}


def sound(payload: bytes) -> dict[str, Any]:
    return spoken("chunk", data=base64.b64encode(payload).decode())


def answered(*events: dict[str, Any]) -> list[Any]:
    emitted = Emitted()
    answer = Answer(Question(1, ()), emitted)
    for event in events:
        answer.feed(b"data: " + json.dumps(event).encode() + b"\n\n")
    return emitted.events


# --- fields --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("no", ["false", "no", "", [], {}, None, 0, float("nan"), [True]])
def test_what_says_no_in_another_type_is_no(no: object):
    assert made_of(nova, result("hello", is_final=no, speech_final=no)) == [Interim("hello", 1000.0)]


def test_a_start_beyond_the_audio_does_not_keep_the_turn_open():
    over = {"type": "UtteranceEnd", "last_word_end": 1.0}
    assert made_of(nova, result("hello", start=1e9), over)[-1] == EndOfTurn(3000.0)


@pytest.mark.parametrize("data", ["hello world this is no base64!!", "!!!!", "\u00e9\u00e9", "====", "A"])
def test_what_is_no_base64_is_not_played(data: str):
    heard = made_of(sonic, spoken("chunk", data=data), sound(b"\1\1"))
    assert heard == [SegmentAudio(1, b"\1\1")]


def test_base64_in_lines_is_base64():
    wrapped = base64.encodebytes(bytes(200)).decode()
    assert made_of(sonic, spoken("chunk", data=wrapped)) == [SegmentAudio(1, bytes(200))]


def test_a_sample_in_two_pieces_is_one():
    heard = made_of(sonic, sound(b"\1\2\3"), sound(b"\4\5\6"), sound(b"\7"), spoken("flush_done", flush_id=1))
    assert [event.payload for event in heard if isinstance(event, SegmentAudio)] == [b"\1\2", b"\3\4\5\6", b""]
    assert heard[-1] == SegmentDone(1)


def times(count: int, word: str = "a") -> dict[str, Any]:
    found = {"words": [word] * count, "start": [0.5] * count, "end": [0.1] * count}
    return spoken("timestamps", word_timestamps=found)


def test_no_number_of_words_stops_the_loop():
    began = time.process_time()
    heard = made_of(sonic, times(50_000), times(50_000, "b" * 1000), sound(b"\1\1"))
    assert heard == [SegmentAudio(1, b"\1\1", (Word("a", 500.0, 500.0),) * MOST_WORDS)]
    assert time.process_time() - began < 5, "it takes 0.1 s, and took 80"


def test_a_segment_keeps_no_more_words_than_it_can_have():
    utterance = Utterance(1, Purpose.ANSWER)
    segment = utterance.add(1, "Hello there")
    for _ in range(3):
        utterance.delivered(1, 10.0, (Word("a", 0.0, 1.0),) * 700, False)
    assert len(segment.words) == MOST_WORDS


def test_an_impossible_number_of_tokens_is_none():
    usage = [{"choices": [], "usage": {"total_tokens": count}} for count in (1e14, -5, 7)]
    assert answered(*usage) == [Usage(7)]


# --- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [0, 100, 200, 206, 302, -3, 700, 1e14, "400", None])
def test_an_error_whose_status_is_none_of_an_error_is_no_wrong_configuration(status: object):
    with pytest.raises(ProviderError) as voice:
        made_of(sonic, spoken("error", status_code=status, title="no"))
    with pytest.raises(ProviderError) as model:
        answered({"error": {"message": "no", "code": status if status != "400" else "206"}})
    assert (voice.value.remedy, model.value.remedy) == (Remedy.RETRY, Remedy.RETRY)


def test_an_endless_code_is_an_error_like_another():
    with pytest.raises(ProviderError, match="an error in the answer: no"):
        answered({"error": {"message": "no", "code": "5" * 5000}})


@pytest.mark.parametrize(
    "error",
    [
        lambda: made_of(nova, {"type": "Error", "description": "a\ud83d\nb\x1b[31m\0"}),
        lambda: made_of(flux, {"type": "Error", "code": "a\ud83d", "description": "b\r\n"}),
        lambda: made_of(flux, {"type": "Error", "code": None}),
        lambda: answered({"error": "a\ud83d\n\x1b[0m"}),
        lambda: answered({"detail": "a\ud83d\u2028b"}),
    ],
)
def test_an_error_is_one_line_that_can_be_written(error: Any):
    with pytest.raises(ProviderError) as raised:
        error()
    assert str(raised.value).encode() and str(raised.value).isprintable()
    assert "None" not in str(raised.value)


# --- frames --------------------------------------------------------------------------------------------------------

ONE = b'\x81\x07{"n":1}'


async def frames(payload: bytes, heard: Heard, *, fails: bool) -> Any:
    """The first event of a peer that sends these bytes, or its failure; then the socket is gone."""

    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _upgrade(reader, writer)
        writer.write(payload)
        await reader.read()
        writer.close()
        gone.set()

    async with _raw(serve) as url:
        client = heard.client()
        await client.open(url, {})
        found = await asyncio.wait_for((heard.failures if fails else heard.events).get(), 5)
        client.close()
        await asyncio.wait_for(gone.wait(), 5)  # not `wait_closed`, which takes what would be logged
    return found


@pytest.mark.parametrize(
    ("payload", "event"),
    [
        (b"\x02\x01x" + b'\x01\x03{"n' + b'\x80\x03":2' + ONE, {"n": 1}),  # a half event within a half message
        (b"\x02\x01x" + b'\x01\x03{"n' + b'\x80\x04":2}' + ONE, {"n": 2}),
        (b'\x01\x03{"n' + ONE, {"n": 1}),
        (b'\x01\x03{"n' + b"\x82\x01x" + ONE, {"n": 1}),
        (b'\x01\x03{"n' + b"\x82\x01x" + b"\x8a\x01p" + b'\x80\x04":3}', {"n": 3}),
        (b"\x80\x02ab" + ONE, {"n": 1}),
    ],
)
async def test_a_message_that_is_never_ended_costs_itself(payload: bytes, event: dict[str, int]):
    assert await frames(payload, Heard(), fails=False) == event


@pytest.mark.parametrize(
    "payload",
    [
        b"\x88\x01\x03",  # half a close code
        b"\x88\x04\x03\xe8\xff\xfe",  # a reason in no UTF-8
        b"\x08\x02\x03\xe8",  # half a close frame
        b"\x89\x7e\x01\x00" + bytes(256),  # a ping that is too long
    ],
)
async def test_what_is_no_frame_ends_the_session_and_logs_no_traceback(payload: bytes, caplog: Any):
    error = await frames(payload, Heard(), fails=True)
    assert error.remedy is Remedy.RETRY
    for _ in range(3):
        await asyncio.sleep(0)
    gc.collect()  # of a failed future asyncio tells when it goes
    assert not caplog.records


async def test_a_close_reason_is_one_line():
    error = await frames(b"\x88\x09\x03\xf3a\x1b[3\0\nb", Heard(), fails=True)
    assert str(error).isprintable() and "1011 a" in str(error)

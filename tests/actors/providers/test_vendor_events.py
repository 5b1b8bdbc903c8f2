"""Events that carry nothing, anywhere in what each vendor sends: what comes of the stream is the same.

The streams are recorded ones; the noise is what vendors, proxies and half-compatible servers are known to put between.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.errors import ProviderError
from actors.media.audio import PCM_8K
from actors.providers import events
from actors.providers.cartesia import CartesiaOptions, CartesiaTts
from actors.providers.deepgram import DeepgramOptions, DeepgramStt
from actors.providers.deepgram_flux import FluxStt
from actors.providers.openai_answer import Answer
from actors.providers.spec import (
    Answered,
    ChatMessage,
    EagerEndOfTurn,
    EndOfTurn,
    Final,
    Interim,
    Question,
    SegmentAudio,
    SegmentDone,
    Token,
    TurnResumed,
    Usage,
    Word,
)
from tests.fakes.emitted import Emitted

EXAMPLES = 50

# --- what carries nothing ------------------------------------------------------------------------------------------

ANYWHERE = [
    *(
        b"",
        b" ",
        b"null",
        b"[]",
        b"{}",
        b"7",
        b'"text"',
        b"[[]]",
        b"not JSON",
        b'{"half',
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
    ),
    *(
        b'{"type":null}',
        b'{"type":"ping"}',
        b'{"type":[]}',
        b'{"type":"Novelty","channel":7}',
        b'{"x":NaN,"y":-Infinity}',
    ),
    *(b'{"x":"\\ud83d"}', b'{"x":' + b"9" * 400 + b"}", b'{"x":"\\u0000"}', b"[" * 5000),
]
strange = st.dictionaries(
    st.text(max_size=5).map("x".__add__),
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists, max_leaves=5),
    max_size=3,
).map(lambda fields: json.dumps(fields).encode())


def noise(*payloads: bytes) -> st.SearchStrategy[bytes]:
    return st.sampled_from([*ANYWHERE, *payloads]) | strange


def with_noise(stream: list[bytes], between: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[bytes]]:
    """The stream, with up to five events of noise at each place."""
    gaps = st.lists(st.lists(between, max_size=5), min_size=len(stream) + 1, max_size=len(stream) + 1)
    return gaps.map(
        lambda found: [*found[0], *(p for own, gap in zip(stream, found[1:], strict=True) for p in (own, *gap))]
    )


def packed(*messages: dict[str, Any]) -> list[bytes]:
    return [orjson.dumps(message) for message in messages]


def heard_by(session: Callable[[Emitted], Any], stream: list[bytes]) -> list[Any]:
    """What a session with a WebSocket makes of these messages."""

    async def play() -> list[Any]:
        emitted = Emitted()
        listener = session(emitted)
        for payload in stream:
            listener._socket._events.feed(payload)
        listener.close()
        return emitted.events

    return asyncio.run(play())


# --- Deepgram ------------------------------------------------------------------------------------------------------


def result(words: str, start: float = 0.0, duration: float = 1.0, **more: Any) -> dict[str, Any]:
    channel = {"alternatives": [{"transcript": words, "confidence": 0.9, "words": []}]}
    return {"type": "Results", "channel": channel, "start": start, "duration": duration, "is_final": False, **more}


NOVA = packed(
    {"type": "Metadata", "request_id": "r"},
    result("hello"),
    result("hello there", is_final=True, speech_final=True),
    {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 0.9},
    result("", 1.0),
    result("and", 1.0, 0.5),
    result("and goodbye", 1.0, 1.0, is_final=True, from_finalize=True),
)
NOVA_NOISE = noise(
    *packed(
        {"type": "Results"},
        {"type": "Results", "channel": None},
        {"type": "Results", "channel": {"alternatives": []}},
        {"type": "Results", "channel": {"alternatives": [None]}},
        {"type": "Results", "channel": {"alternatives": [{"transcript": None}]}, "start": None},
        {"type": "Results", "channel": {"alternatives": [{"transcript": 7}]}, "is_final": True},
        {"channel": {"alternatives": [{"transcript": "no type"}]}},
        {"type": "SpeechStarted", "timestamp": 0.1},
    )
)
NOVA_HEARD = [
    Interim("hello", 1000.0),
    Final("hello there", 1000.0),
    EndOfTurn(1000.0),
    Interim("", 2000.0),
    Interim("and", 1500.0),
    Final("and goodbye", 2000.0),  # the first end of turn was the answer to the only Finalize
]


def nova(emitted: Emitted, cls: type[DeepgramStt] | type[FluxStt] = DeepgramStt, model: str = "nova-3") -> Any:
    session = cls(DeepgramOptions(base_url="ws://127.0.0.1:1", model=model), emitted, PCM_8K, "en-US", ())
    session.hear(PCM_8K.silence(3000))
    session.finalize()
    return session


@settings(max_examples=EXAMPLES, deadline=None)
@given(with_noise(NOVA, NOVA_NOISE))
def test_nova(stream: list[bytes]) -> None:
    assert heard_by(nova, stream) == NOVA_HEARD


FLUX = packed(
    {"type": "Connected", "sequence_id": 0},
    {"type": "TurnInfo", "event": "Update", "transcript": "", "audio_window_end": 0.25},
    {"type": "TurnInfo", "event": "StartOfTurn", "transcript": "book", "audio_window_end": 0.5},
    {"type": "TurnInfo", "event": "EagerEndOfTurn", "transcript": "book it", "audio_window_end": 1.0},
    {"type": "TurnInfo", "event": "TurnResumed", "transcript": "book it", "audio_window_end": 1.25},
    {"type": "TurnInfo", "event": "EndOfTurn", "transcript": "book it now", "audio_window_end": 2.0},
)
FLUX_NOISE = noise(
    *packed(
        {"type": "TurnInfo"},
        {"type": "TurnInfo", "event": None, "transcript": None},
        {"type": "TurnInfo", "event": "Update", "transcript": None, "audio_window_end": None},
        {"type": "TurnInfo", "event": "Novelty", "transcript": "nothing", "audio_window_end": 1.0},
        {"type": "Warning", "code": "x"},
        {"type": "ConfigureSuccess"},
    )
)
FLUX_HEARD = [
    Interim("", 250.0),
    Interim("book", 500.0),
    EagerEndOfTurn("book it"),
    TurnResumed(),
    Interim("book it", 1250.0),
    Final("book it now", 2000.0),
    EndOfTurn(2000.0),
]


@settings(max_examples=EXAMPLES, deadline=None)
@given(with_noise(FLUX, FLUX_NOISE))
def test_flux(stream: list[bytes]) -> None:
    assert heard_by(lambda emitted: nova(emitted, FluxStt, "flux-general-en"), stream) == FLUX_HEARD


@pytest.mark.parametrize("lost", ["start", "duration"])
@pytest.mark.parametrize("value", [None, "1.0", float("nan"), float("inf"), 1e308, [], True, "gone"])
def test_a_result_that_does_not_say_when_it_was_is_of_all_that_was_sent(lost: str, value: object) -> None:
    message = result("hello there", is_final=True, speech_final=True)
    if value == "gone":
        del message[lost]
    else:
        message[lost] = value
    heard = heard_by(nova, [json.dumps(message).encode()])
    assert heard == [Final("hello there", 3000.0), EndOfTurn(3000.0)]


@pytest.mark.parametrize(
    "channel", [None, [], {}, {"alternatives": []}, {"alternatives": [{}]}, {"alternatives": None}]
)
def test_what_a_result_without_words_says_of_the_turn_holds(channel: object) -> None:
    over = {**result(""), "channel": channel, "is_final": True, "speech_final": True}
    heard = heard_by(nova, packed(result("hello"), over))
    assert heard == [Interim("hello", 1000.0), EndOfTurn(1000.0)]


def test_an_empty_final_confirms_the_interim() -> None:
    over = result("", is_final=True, speech_final=True)
    heard = heard_by(nova, packed(result("hello"), over, result("", 1.0, is_final=True)))
    assert heard == [Interim("hello", 1000.0), Final("", 1000.0), EndOfTurn(1000.0), Interim("", 2000.0)]


# --- Cartesia ------------------------------------------------------------------------------------------------------


def spoken(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "context_id": "context-1", "status_code": 206, **fields}


SOUND = [base64.b64encode(bytes([n]) * 1600).decode() for n in (1, 2, 3)]
SONIC = packed(
    spoken("timestamps", word_timestamps={"words": ["Hello", "there"], "start": [0.0, 0.1], "end": [0.1, 0.2]}),
    spoken("chunk", data=SOUND[0]),
    spoken("chunk", data=SOUND[1]),
    spoken("flush_done", flush_id=1),
    spoken("chunk", data=SOUND[2]),
    spoken("flush_done", flush_id=2),
    spoken("done", done=True),
)
SONIC_NOISE = noise(
    *packed(
        spoken("chunk"),
        spoken("chunk", data=None),
        spoken("chunk", data=""),
        spoken("chunk", data=7),
        spoken("chunk", data="A"),
        spoken("timestamps"),
        spoken("timestamps", word_timestamps=None),
        spoken("timestamps", word_timestamps={"words": None, "start": [0.1], "end": "x"}),
        spoken("timestamps", word_timestamps={"words": ["gone"], "start": [None], "end": [0.1]}),
        spoken("phoneme_timestamps", phoneme_timestamps={}),
        {"type": "chunk", "context_id": None, "data": SOUND[0]},
        {"type": "done"},
    )
)
SONIC_SPOKEN = [
    SegmentAudio(1, bytes([1]) * 1600, (Word("Hello", 0.0, 100.0), Word("there", 100.0, 200.0))),
    SegmentAudio(1, bytes([2]) * 1600),
    SegmentDone(1),
    SegmentAudio(2, bytes([3]) * 1600),
    SegmentDone(2),
]


def sonic(emitted: Emitted) -> CartesiaTts:
    session = CartesiaTts(CartesiaOptions(base_url="ws://127.0.0.1:1"), emitted, PCM_8K, "en-US")
    session.speak(1, "Hello there")
    session.speak(2, "you")
    session.end()
    return session


@settings(max_examples=EXAMPLES, deadline=None)
@given(with_noise(SONIC, SONIC_NOISE))
def test_sonic(stream: list[bytes]) -> None:
    assert heard_by(sonic, stream) == SONIC_SPOKEN


def test_a_flush_that_is_done_twice_ends_one_segment() -> None:
    assert heard_by(sonic, [*SONIC[:4], SONIC[3], *SONIC[4:]]) == SONIC_SPOKEN


# --- language models -----------------------------------------------------------------------------------------------


def said(content: Any = None, finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    fields = {**({"content": content} if content is not None else {}), **delta}
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish_reason}]}


CHAT = packed(said("", role="assistant"), said("We are"), said(" open"), said(" today."), said(finish_reason="stop"))
CHAT_NOISE = noise(
    *packed(
        {"choices": None},
        {"choices": []},
        {"choices": [None]},
        {"choices": [{}]},
        {"choices": [{"delta": None}]},
        {"choices": [{"delta": {"content": None}}]},
        {"choices": [{"delta": {"content": []}}]},
        {"choices": [{"delta": {"content": {}}}]},
        {"choices": [{"delta": {"content": 7}, "finish_reason": ""}]},
        {"choices": [{"delta": {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}}]},
        {"choices": {}, "usage": None},
        {"choices": [], "usage": {"total_tokens": None}},
        {"error": None, "choices": []},
        said(reasoning_content="let me think"),
        said(reasoning="let me think", content=None),
        said(tool_calls=None, refusal=None, audio=None),
        said(tool_calls=[{"index": 0, "function": {"name": "x", "arguments": ""}}]),
        {"choices": [], "prompt_filter_results": [{"prompt_index": 0}]},
    ),
    b'{"choices":[{"delta":{},"logprobs":{"content":[{"logprob":-Infinity}]}}]}',
)
COMMENTS = st.sampled_from(
    [b": ping\n\n", b":\n", b"\n", b"\r\n\r\n", b"id: 7\n\n", b"retry: 5\n\n", b"event: ping\n\n", b"data\n\n"]
)
SENT = with_noise(CHAT, CHAT_NOISE).map(lambda found: [b"data: " + payload + b"\n\n" for payload in found])


def answered(body: bytes, cuts: list[int] | None = None, is_whole: bool = True) -> list[Any]:
    emitted = Emitted()
    answer = Answer(Question(1, (ChatMessage("user", "?"),)), emitted)
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts or []), len(body)]
    for start, end in pairwise(edges):
        if start != end:
            answer.feed(body[start:end])
    answer.end(is_whole)
    return emitted.events


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    SENT.flatmap(lambda found: with_noise(found, COMMENTS)),
    st.lists(st.integers(0, 100_000), max_size=5),
    st.booleans(),
)
def test_chat(stream: list[bytes], cuts: list[int], tells: bool) -> None:
    body = b"".join(stream) + (b"data: [DONE]\n\n" if tells else b"")
    assert answered(body, cuts) == [Token(1, "We are"), Token(1, " open"), Token(1, " today."), Answered(1)]


def sse(*chunks: bytes) -> bytes:
    return b"".join(b"data: " + chunk + b"\n\n" for chunk in chunks)


def words(*chunks: bytes) -> str:
    return "".join(event.text for event in answered(sse(*chunks)) if isinstance(event, Token))


@pytest.mark.parametrize(
    ("chunks", "spoken_words"),
    [
        ([b'{"choices":[{"delta":{"content":[{"type":"text","text":"We"},{"type":"text","text":"!"}]}}]}'], "We!"),
        ([b'{"choices":[{"delta":{"content":[{"type":"text","text":{"value":"Yes"}},"!"]}}]}'], "Yes!"),
        (
            [b'{"choices":[{"delta":{"content":"ok \\ud83d"}}]}', b'{"choices":[{"delta":{"content":"\\ude00!"}}]}'],
            "ok \U0001f600!",
        ),
        ([b'{"choices":[{"delta":{"content":"a\\ud83d"}}]}', b'{"choices":[{"delta":{"content":"b"}}]}'], "a\ufffdb"),
        ([b'{"choices":[{"delta":{"content":"a\\u0000b"}}]}'], "ab"),
        ([b'{"choices":[{"delta":{"content":"yes"},"logprobs":NaN}],"usage":Infinity}'], "yes"),
        ([b'{"choices":[{"message":{"content":"in one piece"},"finish_reason":"stop"}]}'], "in one piece"),
        ([b'{"choices":[{"delta":{"content":"yes"}}]}', b'{"choices":[]}'], "yes"),
    ],
)  # fmt: skip
def test_words_in_other_shapes(chunks: list[bytes], spoken_words: str) -> None:
    assert words(*chunks) == spoken_words


@pytest.mark.parametrize("tail", [b"", b"\n", b"\n\n"])
def test_an_answer_in_one_piece(tail: bytes) -> None:
    whole = {
        "choices": [{"message": {"content": "We are open."}, "finish_reason": "length"}],
        "usage": {"total_tokens": 7},
    }
    body = json.dumps(whole, indent=1).encode() + tail
    assert answered(body, [3, 30]) == [Usage(7), Token(1, "We are open."), Answered(1, flaw="length")]


@pytest.mark.parametrize("body", [b'{"error":{"message":"no","code":500}}', b'[{"error":{"message":"no","code":500}}]'])
def test_an_error_in_one_piece(body: bytes) -> None:
    with pytest.raises(ProviderError, match="an error in the answer: no"):
        answered(body)


@pytest.mark.parametrize("end", [b"data: [DONE]", b"data: [DONE]\n", b"data:[DONE] \r\n\r\n"])
def test_the_last_event_may_lack_the_line_behind_it(end: bytes) -> None:
    assert answered(sse(CHAT[1]) + end, is_whole=False) == [Token(1, "We are"), Answered(1)]


@pytest.mark.parametrize(
    ("reason", "flaw"),
    [
        *(("stop", ""), ("length", "length"), ("content_filter", "content_filter"), ("tool_calls", "")),
        *(("MAX_TOKENS", "length"), ("SAFETY", "content_filter"), ("content_filter: BLOCKLIST", "content_filter")),
    ],
)
def test_an_answer_that_is_not_whole_says_why(reason: str, flaw: str) -> None:
    assert answered(sse(CHAT[1], *packed(said(finish_reason=reason))))[-1] == Answered(1, flaw=flaw)


def test_a_refusal_in_words_is_none_of_the_answer() -> None:
    assert answered(sse(*packed(said(refusal="I cannot"), said(finish_reason="stop")))) == [Answered(1, flaw="refusal")]


def test_bytes_without_words_are_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "ALIVE_EVERY_S", 0.0)
    emitted = Emitted()
    answer = Answer(Question(1, ()), emitted)
    answer.feed(b": OPENROUTER PROCESSING\n\n")
    answer.feed(sse(*packed(said(reasoning_content="hm"))))
    assert [sign.busy for sign in emitted.alive] == [False, False]
    answer.feed(sse(*packed(said(tool_calls=[{"index": 0, "function": {"arguments": '{"a'}}]))))
    assert emitted.alive[-1].busy and not emitted.events


def test_an_answer_of_nothing_but_garbage_is_none() -> None:
    with pytest.raises(ProviderError, match="no event that makes sense"):
        answered(b"data: <html>\n\n")


# --- any field, any value ------------------------------------------------------------------------------------------

WEIRD = st.sampled_from(
    [
        *("null", "true", "7", "-1", "1e308", "NaN", "-Infinity", '""', '"x"', '"\\ud83d"', '"\\u0000"'),
        *("[]", "{}", "[null]", "[[]]", '{"a":1}'),
    ]
).map(json.loads)


def places(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


@st.composite
def damaged(draw: st.DrawFn, stream: list[bytes]) -> list[bytes]:
    """The stream with another value in some place of some event."""
    found = [json.loads(payload) for payload in stream]
    for _ in range(draw(st.integers(1, 4))):
        number = draw(st.integers(0, len(found) - 1))
        path, value = draw(st.sampled_from(places(found[number]))), draw(WEIRD)
        if not path:
            found[number] = value
            continue
        holder = found[number]
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = value
    return [json.dumps(event).encode() for event in found]


def is_sane(event: Any) -> bool:
    """What a call can store, count and play."""
    words = getattr(event, "words", ())
    texts = [getattr(event, "text", ""), *(word.text for word in words)]
    times = [getattr(event, "end_ms", 0.0), *(ms for word in words for ms in (word.start_ms, word.end_ms))]
    return all(of.encode() == of.replace("\0", "").encode() for of in texts) and all(map(math.isfinite, times))


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data())
def test_any_field_may_hold_anything(data: st.DataObject) -> None:
    flux: Callable[[Emitted], Any] = lambda emitted: nova(emitted, FluxStt, "flux-general-en")  # noqa: E731
    for session, stream in ((nova, NOVA), (flux, FLUX), (sonic, SONIC)):
        found = data.draw(damaged(stream))
        try:
            assert all(map(is_sane, heard_by(session, found)))
        except ProviderError as error:
            assert "error" in str(found) or "no sense" in str(error)
    try:
        assert all(map(is_sane, answered(sse(*data.draw(damaged(CHAT))))))
    except ProviderError as error:
        assert error.provider == "openai"

"""Streams of OpenAI-compatible servers in the shapes that bug reports show: what is said of each is the same."""

from __future__ import annotations

from typing import Any

import pytest

from actors.errors import ProviderError
from actors.providers.openai_answer import Answer
from actors.providers.spec import Answered, Question, Token, Usage
from tests.actors.providers.test_vendor_events import CHAT, answered, packed, said, sse
from tests.fakes.emitted import Emitted

HELLO = [Token(1, "We are"), Token(1, " open"), Answered(1)]
SHORT = packed(said("We are"), said(" open"), said(finish_reason="stop"))


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + sse(*SHORT),
        sse(*SHORT).replace(b"\n", b"\r\n"),
        sse(*SHORT).replace(b"\n", b"\r"),
        sse(*SHORT).replace(b"\n\n", b"\n") + b"data: [DONE]\n",
        sse(*SHORT).replace(b'"choices":', b'\ndata:"choices":\ndata: '),
        sse(*packed(said("We are"), {"choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "stop"}]}))
        + sse(*packed(said(" open"), said(finish_reason="stop"))),
        sse(*packed(said("We are", "null"), said(" open", "none"), said(finish_reason="stop"))),
        sse(*packed(said("We are", "stop"), said(reasoning_content="hm", finish_reason="stop"), said(" open", "stop"))),
        sse(*packed(said("We are"), said(" open"), {"choices": [{"delta": {}, "finishReason": "STOP"}]}), b"[DONE]"),
        sse(*packed(said("We are"), said(" open"), {"choices": [{"message": {"content": "We are open"}}]})),
    ],
)
def test_streams_in_other_shapes(body: bytes) -> None:
    assert answered(body) == HELLO
    assert answered(body, list(range(len(body)))) == HELLO


def lines(*objects: dict[str, Any], end: bytes = b"\n") -> bytes:
    return b"".join(line + end for line in packed(*objects))


def choices(*found: dict[str, Any]) -> bytes:
    return sse(*packed(*({"choices": [choice]} for choice in found)))


CHUNKS = (said("We are"), said(" open"), said(finish_reason="stop"))


@pytest.mark.parametrize(
    "body",
    [
        lines(*CHUNKS),
        lines(*CHUNKS, end=b"\r\n"),
        b"\xef\xbb\xbf\n" + lines(*CHUNKS),
        lines(*CHUNKS).removesuffix(b"\n"),
        b"[" + b",\r\n".join(packed(*CHUNKS)) + b"]",
        lines(
            {"message": {"role": "assistant", "content": "We are"}, "done": False},
            {"message": {"content": "", "thinking": "hm"}, "done": False},
            {"message": {"content": " open"}, "done": False},
            {"message": {"content": ""}, "done": True, "done_reason": "stop"},
        ),
        lines({"response": "We are", "done": False}, {"response": " open", "done": False}, {"done": True}),
        sse(*packed({"content": "We are", "stop": False}, {"content": " open", "stop": False}, {"stop": True})),
        choices({"text": "We are"}, {"text": " open"}, {"text": "", "finish_reason": "stop"}),
        choices({"delta": "We are"}, {"delta": " open"}, {"delta": "", "finish_reason": "stop"}),
        choices({"delta": {"text": "We are"}}, {"delta": {"type": "text_delta", "text": " open"}}) + b"data:[DONE]",
        choices({"message": {"content": "We are"}}, {"message": {"content": " open"}}),
        choices({"delta": None, "message": {"content": "We are"}}, {"message": {"content": "We are open"}}),
        choices(
            {"message": {"content": "We are"}},
            {"message": {"content": " open"}},
            {"message": {"content": "We are open"}, "finish_reason": "stop"},
        ),
        b": hi\n\nevent: x\nid: 4\nretry: 9\n" + b"".join(b"data:" + line + b"\n\n" for line in packed(*CHUNKS)),
    ],
)
def test_look_alikes(body: bytes) -> None:
    assert answered(body) == HELLO
    assert answered(body, list(range(len(body)))) == HELLO


def test_a_line_is_an_event_as_soon_as_it_is_there() -> None:
    emitted = Emitted()
    answer = Answer(Question(1, ()), emitted)
    for chunk, count in zip(packed(*CHUNKS), (1, 2, 3), strict=True):
        answer.feed(chunk + b"\n")
        assert emitted.events == HELLO[:count]


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html>\n<title>Log in</title>",
        b"We are open",
        sse(*packed({"type": "message_start"}, {"type": "content_block_delta", "delta": {"text": "We"}})),
        sse(*packed({"type": "response.output_text.delta", "delta": "We"})),
        sse(*packed({"candidates": [{"content": {"parts": [{"text": "We"}]}}]})),
        b'{"status":"ok","message":"hello"}',
    ],
)
def test_what_is_no_chat_completion_is_an_error_and_no_answer_without_words(body: bytes) -> None:
    with pytest.raises(ProviderError, match="no chat completion; is base_url right"):
        answered(body)


@pytest.mark.parametrize("body", [lines(said("We")) + b'{"error":"no"}\n', b'{"error":"no"}\n'])
def test_an_error_among_lines(body: bytes) -> None:
    with pytest.raises(ProviderError, match="an error in the answer: no"):
        answered(body)


def test_tokens_that_are_told_of_with_each_chunk_are_counted_once() -> None:
    counted = [said("We") | {"usage": {"total_tokens": total}} for total in (7, 9, 9, 12)]
    assert sum(event.tokens for event in answered(sse(*packed(*counted))) if isinstance(event, Usage)) == 12


@pytest.mark.parametrize(
    "end",
    [
        b'{"error":{"message":"no"}}\n\n',
        b'event: error\ndata: {"message":"no","code":"server_error"}\n\n',
        b'data: {"code":"Throttling","message":"no","request_id":"1"}\n\n',
        b'data: {"success":false,"errors":[{"code":7009,"message":"no"}]}\n\n',
        b'data: {"error_code":336003,"error_msg":"no"}\n\n',
        b'data: {"error":true,"message":"no"}\n\n',
        b'data: [{"error":{"code":503,"message":"no","status":"UNAVAILABLE"}}]\n\n',
        b'data: {"choices":[{"index":0,"delta":{"content":""},"error":{"code":502,"message":"no"}}]}\n\n',
    ],
)
def test_an_error_in_the_middle_is_never_an_end(end: bytes) -> None:
    with pytest.raises(ProviderError, match="an error in the answer: no"):
        answered(sse(CHAT[1]) + end)


@pytest.mark.parametrize("code", [0, "0", 200, "200", "OK", "success", 20000])
def test_a_code_that_says_all_is_well_is_no_error(code: Any) -> None:
    well = {"code": code, "message": "success"}
    assert answered(sse(*packed(well, said("We are"), well, said(" open"), said(finish_reason="stop")))) == HELLO


@pytest.mark.parametrize("code", [1, "500", "bad_gateway"])
def test_a_code_of_an_error_is_one(code: Any) -> None:
    with pytest.raises(ProviderError):
        answered(sse(*packed({"code": code, "message": "it broke"})))

"""Streams of OpenAI-compatible servers in the shapes that bug reports show: what is said of each is the same."""

from __future__ import annotations

import pytest

from actors.errors import ProviderError
from actors.providers.spec import Answered, Token, Usage
from tests.actors.providers.test_vendor_events import CHAT, answered, packed, said, sse

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

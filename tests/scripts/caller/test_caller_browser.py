"""The browser's half of RTVI: what a server must not send, and what silence means to the ear."""

from __future__ import annotations

import json

import pytest

from scripts.caller.browser import BrowserCall, parse_answer
from scripts.caller.errors import BrokenAnswer
from transports.rtvi import audio_frame, message_frame

VOICE = b"\x00\x20" * 320


def test_the_address_of_the_answer() -> None:
    url = "wss://example.test/v1/talk/browser/ctx/42"
    assert parse_answer(json.dumps({"wsUrl": url, "more": 1}).encode()) == url


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"wsUrl": 5}', b'{"wsUrl": "https://example.test/"}'])
def test_answers_that_hold_no_address(body: bytes) -> None:
    with pytest.raises(BrokenAnswer):
        parse_answer(body)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x2a\x00",  # an interruption: the published client would throw
        b"\x22",
        b"\x22\x05abc",
        b"\x21" + bytes(8),
        message_frame("x")[:-1] + b"]",
        message_frame("x").replace(b"rtvi-ai", b"rtvi-xx"),
        b"\x22\x04\x0a\x02[]",
        audio_frame(VOICE, 24000),
        audio_frame(b"\0", 16000),
    ],
)
def test_what_a_server_must_not_send(frame: bytes) -> None:
    with pytest.raises(BrokenAnswer):
        BrowserCall().receive(frame, 0.0)


def test_a_gap_is_late_in_a_word_and_not_after_silence() -> None:
    call = BrowserCall()
    for payload, at_s in ((VOICE, 0.0), (VOICE, 0.1), (bytes(640), 0.12), (VOICE, 5.0), (VOICE, 5.02)):
        call.receive(audio_frame(payload, 16000), at_s)
    assert (call.playout.frames, call.playout.late_frames) == (5, 1)
    assert call.playout.max_gap_ms == pytest.approx(100)

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.transports.peers import CALL_SID, CONNECTED, CONTEXT_ID, STREAM_SID, message, start
from transports.twilio import (
    BadBase64,
    BadJson,
    Connected,
    Dtmf,
    Ignored,
    Mark,
    Media,
    Started,
    Stopped,
    TwilioError,
    TwilioStream,
    UnexpectedMessage,
    UnsupportedMedia,
)

AUDIO = bytes(range(160))


def media(payload: Any, **more: Any) -> bytes:
    return message("media", media={"track": "inbound", "chunk": "2", "timestamp": "40", "payload": payload, **more})


def started() -> TwilioStream:
    stream = TwilioStream()
    stream.receive(CONNECTED)
    stream.receive(start())
    return stream


def test_a_call() -> None:
    stream = TwilioStream()
    events = [
        stream.receive(text)
        for text in (
            CONNECTED,
            start(),
            media(base64.b64encode(AUDIO).decode()),
            message("dtmf", dtmf={"track": "inbound_track", "digit": "5"}),
            message("mark", mark={"name": "t3-s2"}),
            message("stop", stop={"accountSid": "AC1", "callSid": CALL_SID}),
        )
    ]
    assert events == [
        Connected(),
        Started(STREAM_SID, CALL_SID, {"ctx": str(CONTEXT_ID)}),
        Media(AUDIO),
        Dtmf("5"),
        Mark("t3-s2"),
        Stopped(),
    ]


def test_what_we_send() -> None:
    stream = started()
    assert json.loads(stream.media(AUDIO)) == {
        "event": "media",
        "streamSid": STREAM_SID,
        "media": {"payload": base64.b64encode(AUDIO).decode()},
    }
    assert json.loads(stream.mark('a "quoted" näme')) == {
        "event": "mark",
        "streamSid": STREAM_SID,
        "mark": {"name": 'a "quoted" näme'},
    }
    assert json.loads(stream.clear()) == {"event": "clear", "streamSid": STREAM_SID}


def test_what_is_of_no_use_is_ignored() -> None:
    stream = started()
    assert stream.receive(message("something-new", data=1)) == Ignored()
    assert stream.receive(media("not even base64!", track="outbound")) == Ignored()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"", BadJson),
        (b"{", BadJson),
        (b"[]", BadJson),
        (b"null", BadJson),
        (b'{"event":"\xff"}', BadJson),
        (b"[" * 5000, BadJson),
        (b"{}", TwilioError),
        (b'{"event":1}', TwilioError),
        (b'{"event":{}}', TwilioError),
        (media("====")[:-1], BadJson),
        (media("a"), BadBase64),
        (media("/w==\n"), BadBase64),
        (media("ä"), BadBase64),
        (media("/w==/w=="), BadBase64),
        (media(None), TwilioError),
        (media("/w==").replace(STREAM_SID.encode(), b"MZother"), TwilioError),
        (message("media"), TwilioError),
        (message("media", media=[]), TwilioError),
        (message("mark", mark={}), TwilioError),
        (message("dtmf", dtmf={"digit": "55"}), TwilioError),
        (b'{"event":"media","media":{"payload":""}}', TwilioError),
        (CONNECTED, UnexpectedMessage),
        (start(), UnexpectedMessage),
    ],
)
def test_bad_messages(text: bytes, error: type[TwilioError]) -> None:
    with pytest.raises(TwilioError) as caught:
        started().receive(text)
    assert type(caught.value) is error
    assert len(str(caught.value)) < 300


def test_a_digit_is_never_repeated() -> None:
    with pytest.raises(TwilioError) as caught:
        started().receive(message("dtmf", dtmf={"digit": "9876"}))
    assert "9876" not in str(caught.value)


@pytest.mark.parametrize("text", [start(), media("/w=="), message("stop")])
def test_connected_comes_first(text: bytes) -> None:
    with pytest.raises(UnexpectedMessage):
        TwilioStream().receive(text)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (media("/w=="), UnexpectedMessage),
        (start(mediaFormat={"encoding": "audio/x-l16", "sampleRate": 8000}), UnsupportedMedia),
        (start(mediaFormat={"encoding": "audio/x-mulaw", "sampleRate": 16000}), UnsupportedMedia),
        (start(mediaFormat=None), TwilioError),
        (start(customParameters=[1]), TwilioError),
        (start(callSid=None), TwilioError),
        (start().replace(STREAM_SID.encode(), b'MZ\\"},{'), TwilioError),
        (start().replace(STREAM_SID.encode(), b""), TwilioError),
    ],
)
def test_bad_starts(text: bytes, error: type[TwilioError]) -> None:
    stream = TwilioStream()
    stream.receive(CONNECTED)
    with pytest.raises(TwilioError) as caught:
        stream.receive(text)
    assert type(caught.value) is error

"""Messages made to cost much or to break a parser: each is refused in its wire's own words, or passed over."""

from __future__ import annotations

import logging
import os
import time

import pytest

from config.errors import BadInput, shown
from tests.transports.peers import CALL_SID, CONNECTED, STREAM_SID, masked, start
from tests.transports.test_floods import Dial, dial  # noqa: F401  a fixture
from transports import masking, rtvi
from transports.rtvi import Message, message_frame
from transports.twilio import TwilioStream
from transports.websocket import BINARY, TEXT, Close, unmask

DEEP = b"[" * 900 + b"]" * 900  # what orjson takes, and a recursive `repr` does not
LONG = b'"' + b"x" * 60_000 + b'"'
BOMBS = [DEEP, b"{" + b'"a":{' * 900 + b"}" * 900 + b"}", LONG, b"1" * 5000, b"1e99999", b"[" + b"0," * 30_000 + b"0]"]


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: repr(bomb[:6]))
@pytest.mark.parametrize(
    "text",
    [
        b"%b",
        b'{"event":%b}',
        b'{"event":"media","streamSid":%b}',
        b'{"event":"media","streamSid":"' + STREAM_SID.encode() + b'","media":%b}',
        b'{"event":"media","streamSid":"' + STREAM_SID.encode() + b'","media":{"payload":%b}}',
        b'{"event":"mark","streamSid":"' + STREAM_SID.encode() + b'","mark":{"name":[%b]}}',
    ],
)
def test_twilio(text: bytes, bomb: bytes) -> None:
    stream = TwilioStream()
    stream.receive(CONNECTED)
    stream.receive(start())
    began_s = time.thread_time()
    try:
        stream.receive(text % bomb)
    except BadInput as error:
        assert len(str(error)) < 200
    else:
        assert bomb == LONG  # an event that we do not know, or audio
    assert time.thread_time() - began_s < 0.05


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: repr(bomb[:6]))
@pytest.mark.parametrize("name", ["callSid", "mediaFormat", "customParameters"])
def test_twilio_start(name: str, bomb: bytes) -> None:
    stream = TwilioStream()
    stream.receive(CONNECTED)
    field = b'"%b":%b' % (name.encode(), bomb if name != "customParameters" else b'{"a":[%b]}' % bomb)
    head = b'{"event":"start","streamSid":"M1","start":{"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000},'
    text = head + b'"callSid":"%b",' % CALL_SID.encode() + field + b"}}"
    try:
        stream.receive(text)
    except BadInput as error:
        assert len(str(error)) < 200
    else:
        assert name == "callSid" and bomb == LONG  # a text


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: repr(bomb[:6]))
@pytest.mark.parametrize("name", ["type", "id", "data"])
def test_rtvi(name: str, bomb: bytes) -> None:
    text = b'{"label":"rtvi-ai","type":"x","id":"1","data":{},"%b":%b}' % (name.encode(), bomb)
    inner = b"\x0a" + rtvi._varint(len(text)) + text
    frame = b"\x22" + rtvi._varint(len(inner)) + inner
    try:
        event = rtvi.receive(frame)
    except BadInput as error:
        assert len(str(error)) < 200
    else:
        assert isinstance(event, Message) and bomb in (LONG, BOMBS[1])


FIELDS = b"\x08\x00" * 30_000
INNER = rtvi._varint(len(FIELDS)) + FIELDS


@pytest.mark.parametrize("frame", [FIELDS, b"\x22\x00" * 30_000, b"\x12" + INNER, b"\x22" + INNER], ids="abcd")
def test_a_protobuf_frame_of_very_many_fields(frame: bytes) -> None:
    began_s = time.thread_time()
    with pytest.raises(rtvi.RtviError, match="fields"):
        rtvi.receive(frame)
    assert time.thread_time() - began_s < 0.01  # 30,000 fields are 20 ms


@pytest.mark.parametrize("data", [{"t": [[]]}, {"t": "x" * 50_000}, {"t": {"a": 1}}])
async def test_a_request_of_another_shape_is_answered(dial: Dial, data: dict[str, object]) -> None:  # noqa: F811
    line = await dial("browser")
    line.peer.send(masked(BINARY, message_frame("client-message", data, "q")))
    assert b"bot-ready" in (await line.peer.frame()).payload
    answer = (await line.peer.frame()).payload
    assert b"no such request" in answer and len(answer) < 300


async def test_a_bomb_is_the_peers_fault(dial: Dial, caplog: pytest.LogCaptureFixture) -> None:  # noqa: F811
    line = await dial("twilio")
    with caplog.at_level(logging.WARNING):
        line.peer.send(masked(TEXT, b'{"event":' + DEEP + b"}"))
        frame = await line.peer.frame()
    assert isinstance(frame, Close) and frame.code == 1008 and "a list" in frame.reason
    await line.ears.ended.wait()
    assert line.ears.termination.reason == "protocol_error"
    assert [record.exc_info for record in caplog.records] == [None]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("word", "'word'"),
        ("x" * 50, "'" + "x" * 40 + "'..."),
        (12, "12"),
        (1.5, "1.5"),
        (True, "True"),
        (None, "None"),
        (2**70, "a huge number"),
        ([], "a list"),
        ({}, "an object"),
        (object, "type"),
    ],
)
def test_what_a_peer_sent_is_shown_short(value: object, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 125, 160, 1001])
def test_the_mask_in_python_is_the_mask_in_c(size: int) -> None:
    key, data = os.urandom(4), os.urandom(size)
    assert masking.unmask(key, data) == unmask(key, data) == bytes(b ^ key[i % 4] for i, b in enumerate(data))


def test_the_fast_mask_is_there() -> None:
    """Tornado's wheels have it; where it is missing a call costs a little more."""
    assert unmask is not masking.unmask

"""The carrier's half of both protocols: golden frames, pieces, and what a server must not send."""

from __future__ import annotations

import base64
import json
from uuid import UUID

import pytest

from scripts.caller.audiosocket import AudioArrived, AudioSocketCall, HungUp, frame, parse_uuid
from scripts.caller.errors import BrokenAnswer, CallRefused
from scripts.caller.twilio import TwilioCall, parse_twiml
from transports.carriers import carrier

CONTEXT = UUID("40325ec2-5efd-4bd3-805f-53576e581d13")
TWIML = b"""<?xml version="1.0" encoding="UTF-8"?>
<Response><Connect><Stream url="wss://example.test/v1/talk/twilio/ctx/42"><Parameter name="ctx" value="42"/></Stream>
</Connect></Response>"""


def test_twiml_orders_a_stream() -> None:
    order = parse_twiml(TWIML)
    assert order.url == "wss://example.test/v1/talk/twilio/ctx/42"
    assert order.parameters == {"ctx": "42"}


@pytest.mark.parametrize(
    "document",
    [
        b"oops",
        b"<Response/>",
        b"<Other><Connect><Stream url='wss://h/x'/></Connect></Other>",
        b"<Response><Connect><Stream url='https://h/x'/></Connect></Response>",
        b"<Response><Connect><Stream url='wss://h/x?key=1'/></Connect></Response>",
    ],
)
def test_twiml_that_twilio_would_not_take(document: bytes) -> None:
    with pytest.raises(BrokenAnswer):
        parse_twiml(document)


def test_a_server_that_is_busy_rejects_the_call() -> None:
    refusal = carrier("twilio").refusal
    assert refusal is not None
    with pytest.raises(CallRefused, match="rejected: busy"):
        parse_twiml(refusal.body)


def test_twilio_messages_are_numbered_and_timed_as_strings() -> None:
    call = TwilioCall({"ctx": "42"})
    connected, start = (json.loads(message) for message in call.opening())
    assert connected == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    assert start["sequenceNumber"] == "1" and start["streamSid"] == start["start"]["streamSid"]
    assert start["start"]["callSid"] == call.call_sid and start["start"]["customParameters"] == {"ctx": "42"}
    first, second = json.loads(call.media(b"\xff" * 160)), json.loads(call.media(b"\x00" * 160))
    assert (first["sequenceNumber"], second["sequenceNumber"]) == ("2", "3")
    assert (second["media"]["chunk"], second["media"]["timestamp"]) == ("2", "20")
    assert base64.b64decode(second["media"]["payload"]) == b"\x00" * 160
    assert json.loads(call.dtmf("5"))["dtmf"] == {"track": "inbound_track", "digit": "5"}
    assert json.loads(call.stop())["stop"]["callSid"] == call.call_sid
    assert call.call_sid.startswith("CA") and len(call.call_sid) == 34


def server_message(call: TwilioCall, event: str, **body: object) -> str:
    return json.dumps({"event": event, "streamSid": call.stream_sid, **body})


def test_twilio_plays_echoes_and_clears() -> None:
    call = TwilioCall({})
    payload = base64.b64encode(b"\x11" * 320).decode()
    assert call.receive(server_message(call, "media", media={"payload": payload})) == []
    assert call.receive(server_message(call, "mark", mark={"name": "a"})) == []
    assert call.play_frame() == (b"\x11" * 160, [])
    (echo,) = call.receive(server_message(call, "clear"))
    assert json.loads(echo)["mark"] == {"name": "a"}
    assert call.play_frame() == (b"\xff" * 160, [])


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"event":"media"}',
        '{"event":"media","streamSid":"MZother","media":{"payload":""}}',
        '{"event":"dance","streamSid":"SID"}',
        '{"event":"media","streamSid":"SID"}',
        '{"event":"media","streamSid":"SID","media":{"payload":"???"}}',
        '{"event":"mark","streamSid":"SID","mark":{"name":5}}',
    ],
)
def test_what_a_server_must_not_send_over_twilio(text: str) -> None:
    call = TwilioCall({})
    with pytest.raises(BrokenAnswer):
        call.receive(text.replace("SID", call.stream_sid))


def test_audiosocket_golden_frames() -> None:
    assert frame(0x01, CONTEXT.bytes).hex(" ") == "01 00 10 40 32 5e c2 5e fd 4b d3 80 5f 53 57 6e 58 1d 13"
    assert frame(0x03, b"5").hex(" ") == "03 00 01 35"
    assert frame(0x10, bytes(320)) == b"\x10\x01\x40" + bytes(320)


def test_audiosocket_in_pieces_gives_the_same_events() -> None:
    stream = frame(0x10, b"\1\0" * 160) + frame(0x10, b"\2\0" * 160) + frame(0x00)
    whole = AudioSocketCall().receive(stream)
    call = AudioSocketCall()
    pieces = [event for index in range(len(stream)) for event in call.receive(stream[index : index + 1])]
    assert whole == pieces == [AudioArrived(b"\1\0" * 160), AudioArrived(b"\2\0" * 160), HungUp()]


@pytest.mark.parametrize("data", [frame(0x03, b"5"), frame(0x01, CONTEXT.bytes), frame(0x10), frame(0x12, bytes(640))])
def test_what_kills_a_call_in_asterisk(data: bytes) -> None:
    with pytest.raises(BrokenAnswer):
        AudioSocketCall().receive(data)


def test_the_webhooks_uuid_is_bare_and_dashed() -> None:
    assert parse_uuid(b" 40325ec2-5efd-4bd3-805f-53576e581d13 ") == CONTEXT
    for body in (b"", str(CONTEXT).encode() + b"\n", CONTEXT.hex.encode(), b"not found"):
        with pytest.raises(BrokenAnswer):
            parse_uuid(body)

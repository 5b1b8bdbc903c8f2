"""Fuzz targets: bytes from outside, into a codec. Anything raised but the codec's documented errors is a finding.

The suite feeds them by hypothesis (tests/fuzz/test_codecs.py), `scripts/fuzz` by atheris, guided by coverage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.transports.peers import events_of
from transports.audiosocket import AudioSocketError, AudioSocketStream, FormatChanged, NotIdentified
from transports.rtvi import Audio, BadMessage, RtviError, UnsupportedAudio, receive
from transports.twilio import (
    BadBase64,
    BadJson,
    TwilioError,
    TwilioStream,
    UnexpectedMessage,
    UnsupportedMedia,
)
from transports.websocket import BadText, MessageTooBig, WebSocketCodec, WebSocketError

MAX_MESSAGE_BYTES = 1000
# what each codec documents; a subclass that is not listed is a finding too
WEBSOCKET_ERRORS = (WebSocketError, BadText, MessageTooBig)
TWILIO_ERRORS = (TwilioError, BadJson, BadBase64, UnexpectedMessage, UnsupportedMedia)
AUDIOSOCKET_ERRORS = (AudioSocketError, NotIdentified, FormatChanged)
RTVI_ERRORS = (RtviError, UnsupportedAudio, BadMessage)

PRELUDE = (
    b'{"event":"connected"}',
    b'{"event":"start","streamSid":"MZ1","start":{"callSid":"CA1","customParameters":{},'
    b'"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}}}',
)


def websocket(data: bytes) -> None:
    """Any bytes after the upgrade."""
    try:
        for event in events_of(WebSocketCodec(MAX_MESSAGE_BYTES), data):
            assert len(getattr(event, "payload", b"")) <= MAX_MESSAGE_BYTES
    except WebSocketError as error:
        assert type(error) in WEBSOCKET_ERRORS and error.close_code in (1002, 1007, 1009)


def twilio(data: bytes) -> None:
    """Lines are messages; an odd first byte stands for a stream that has started."""
    stream = TwilioStream()
    started = PRELUDE if data[:1] and data[0] % 2 else ()
    try:
        for text in (*started, *data[1:].split(b"\n")):
            stream.receive(text)
    except TwilioError as error:
        assert type(error) in TWILIO_ERRORS and error.close_code in (1003, 1007, 1008)


def audiosocket(data: bytes) -> None:
    """Any bytes after the accept; an odd first byte stands for a connection that has said which call it is."""
    identified = b"\x01\x00\x10" + bytes(16) if data[:1] and data[0] % 2 else b""
    try:
        for event in events_of(AudioSocketStream(), identified + data[1:]):
            assert len(getattr(event, "payload", b"")) <= 65535
    except AudioSocketError as error:
        assert type(error) in AUDIOSOCKET_ERRORS


def rtvi(data: bytes) -> None:
    """One binary message of a browser."""
    try:
        event = receive(data)
        if isinstance(event, Audio):
            assert 8000 <= event.rate <= 48000 and len(event.payload) <= len(data)
    except RtviError as error:
        assert type(error) in RTVI_ERRORS and error.close_code in (1003, 1007)


# what a run by coverage starts from; without them it would never guess a JSON message
SEEDS: Mapping[str, tuple[bytes, ...]] = {
    "websocket": (b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", b"\x88\x82\0\0\0\0\x03\xe8"),
    "twilio": (
        b"\0" + b"\n".join(PRELUDE),
        b'\1{"event":"media","streamSid":"MZ1","media":{"track":"inbound","payload":"/w=="}}',
        b'\1{"event":"mark","streamSid":"MZ1","mark":{"name":"a"}}\n{"event":"stop","streamSid":"MZ1"}',
        b'\1{"event":"dtmf","streamSid":"MZ1","dtmf":{"digit":"5"}}',
    ),
    "audiosocket": (b"\0\x01\0\x10" + bytes(16) + b"\x03\0\x015", b"\1\x10\0\x02\0\0\0\0\0"),
    "rtvi": (
        bytes.fromhex("12141205617564696f1a060100ffff000120807d2801"),
        b'\x22\x2b\x0a\x29{"label":"rtvi-ai","type":"client-ready"}',
    ),
}
TARGETS: Mapping[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (websocket, twilio, audiosocket, rtvi)
}

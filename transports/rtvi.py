"""RTVI over a WebSocket: a sans-IO codec of Pipecat's protobuf frames and of the JSON messages inside them.

A binary message is one protobuf `Frame{ oneof: text=1, audio=2, transcription=3, message=4, interruption=5 }` with
`audio{ id=1, name=2, audio=3 bytes, sample_rate=4, num_channels=5, pts=6 }` and `message{ data=1 string }`, whose data
is `{"label": "rtvi-ai", "type": ..., "id": ..., "data": {...}}`. Written by hand: 20 ms of audio cost 1.3 us to write
and 3.8 to read, and no dependency.
https://github.com/pipecat-ai/pipecat (frames.proto), https://docs.pipecat.ai/client/rtvi-standard
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from config.errors import BadInput, shown

PROTOCOL_VERSION = "2.1.0"
LABEL = "rtvi-ai"
LEGAL_RATES = range(8000, 48001)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types
_AUDIO_BYTES, _SAMPLE_RATE, _CHANNELS = 3, 4, 5  # fields of AudioRawFrame
_DATA = 1  # field of MessageFrame
MAX_FIELDS = 32  # of one protobuf message: ours have up to 6


class RtviError(BadInput):
    """Not a frame of this protocol; `close_code` is what the client is told."""

    code = "rtvi_bad_frame"
    close_code = 1007


class UnsupportedAudio(RtviError):
    """Audio that is not mono at 8 to 48 kHz, or not of the rate that it began with."""

    code = "rtvi_unsupported_audio"
    close_code = 1003


class BadMessage(RtviError):
    """The message inside a frame is not JSON, or not an RTVI message."""

    code = "rtvi_bad_message"


@dataclass(frozen=True, slots=True)
class Audio:
    """Audio of the caller: PCM s16le, mono."""

    payload: bytes
    rate: int


@dataclass(frozen=True, slots=True)
class Message:
    """One RTVI message; `data` is {} if it has none."""

    type: str
    id: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ignored:
    """A frame that we have no use for: another branch of the protocol, or a message with another label."""


Event = Audio | Message | Ignored


def receive(frame: bytes) -> Event:
    """The frame of one binary message as an event. Raises `RtviError`."""
    branch, content = 0, b""
    for number, value in _fields(frame):  # of several branches of a oneof the last one counts
        if number in _BRANCHES and isinstance(value, bytes):
            branch, content = number, value
    return _BRANCHES[branch](content) if branch else Ignored()


def audio_frame(pcm: bytes, rate: int) -> bytes:
    """A frame of mono PCM s16le at `rate`."""
    head, tail = b"\x1a" + _varint(len(pcm)), b"\x20" + _varint(rate) + b"\x28\x01"
    return b"\x12" + _varint(len(head) + len(pcm) + len(tail)) + head + pcm + tail


def message_frame(kind: str, data: dict[str, Any] | None = None, identity: str = "") -> bytes:
    """A frame with one RTVI message; an answer carries the `identity` of its question."""
    message: dict[str, Any] = {"label": LABEL, "type": kind, "id": identity}
    if data is not None:
        message["data"] = data
    text = orjson.dumps(message)
    inner = b"\x0a" + _varint(len(text)) + text
    return b"\x22" + _varint(len(inner)) + inner


# --- protobuf (https://protobuf.dev/programming-guides/encoding/) -----------------------------------------------------


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, and where it ends."""
    if at < len(data) and data[at] < 0x80:  # nearly always
        return data[at], at + 1
    value = 0
    for count, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            return value, at + count + 1
    raise RtviError("a number in a protobuf frame has no end")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field: an int of a varint, else its bytes."""
    at = count = 0
    while at < len(data):
        count += 1
        if count > MAX_FIELDS:
            raise RtviError(f"a protobuf message has more than {MAX_FIELDS} fields")
        tag, at = _read_varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _read_varint(data, at)
            yield number, value
            continue
        if kind == _BYTES:
            length, at = _read_varint(data, at)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise RtviError(f"wire type {kind} is not legal in a protobuf frame")
        if number == 0 or at + length > len(data):
            raise RtviError("a field of a protobuf frame is longer than the frame, or has no number")
        yield number, data[at : at + length]
        at += length


# --- the two branches that matter -------------------------------------------------------------------------------------


def _audio(frame: bytes) -> Audio:
    payload, rate, channels = b"", 0, 1
    for number, value in _fields(frame):
        if number == _AUDIO_BYTES and isinstance(value, bytes):
            payload = value
        elif number == _SAMPLE_RATE and isinstance(value, int):
            rate = value
        elif number == _CHANNELS and isinstance(value, int):
            channels = value
    if rate not in LEGAL_RATES or channels != 1 or len(payload) % 2:
        raise UnsupportedAudio(
            f"audio must be 16-bit mono at {LEGAL_RATES[0]} to {LEGAL_RATES[-1]} Hz,"
            f" got {channels:.3g} channels at {rate:.6g} Hz, {len(payload)} bytes"
        )
    return Audio(payload, rate)


def _message(frame: bytes) -> Message | Ignored:
    text = b""
    for number, value in _fields(frame):
        if number == _DATA and isinstance(value, bytes):
            text = value
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadMessage(f"a message is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise BadMessage(f"a message must be an object, got {type(message).__name__}")
    if message.get("label") != LABEL:
        return Ignored()
    kind, identity, data = message.get("type"), message.get("id", ""), message.get("data")
    if not isinstance(kind, str) or not isinstance(identity, str):
        raise BadMessage(f"type and id must be strings, got {shown(kind)} and {shown(identity)}")
    if data is not None and not isinstance(data, dict):
        raise BadMessage(f"data of {kind:.40} must be an object, got {type(data).__name__}")
    return Message(kind, identity, data or {})


_BRANCHES: Mapping[int, Callable[[bytes], Event]] = {2: _audio, 4: _message}  # fields of Frame

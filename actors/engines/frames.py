"""The protocol between a worker and its engine processes, sans-IO.

A frame is a header (kind, channel, payload length) and a payload: JSON, or raw audio. A channel is one piece of work:
a caller that is being heard, a segment that is being spoken. No pickle: what an engine sends is data, never code.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from config.errors import CallboardError

HEADER = struct.Struct("!BII")
MAX_PAYLOAD_BYTES = 4 * 1024 * 1024


class FrameKind(IntEnum):
    """Who sends it, and what it means."""

    OPEN = 1  # worker: JSON, start this work
    EVENT = 2  # both: JSON, a command to the work or something that it says
    AUDIO = 3  # both: raw samples
    CLOSE = 4  # worker: forget the channel
    FAILED = 5  # engine: JSON {detail, remedy}; the channel is gone
    PING = 6  # worker asks, engine answers JSON {late_s}: it is alive, and somebody has waited so long for a result


class BadFrame(CallboardError):
    """What came over the pipe is not a frame of ours: the peer is broken."""

    code = "bad_engine_frame"


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; `payload` is JSON or samples, by its kind."""

    kind: FrameKind
    channel: int
    payload: bytes

    @property
    def json(self) -> dict[str, Any]:
        try:
            value = json.loads(self.payload)
        except ValueError as error:
            raise BadFrame(f"{self.kind.name} frame: payload is not JSON: {self.payload[:40]!r}") from error
        if not isinstance(value, dict):
            raise BadFrame(f"{self.kind.name} frame: payload must be an object, not {type(value).__name__}")
        return value


def encode(kind: FrameKind, channel: int, payload: bytes | dict[str, Any] = b"") -> bytes:
    """The bytes of one frame; a dict is written as JSON."""
    raw = json.dumps(payload).encode() if isinstance(payload, dict) else payload
    if len(raw) > MAX_PAYLOAD_BYTES:
        raise BadFrame(f"payload of {len(raw)} bytes; at most {MAX_PAYLOAD_BYTES} are legal")
    return HEADER.pack(kind, channel, len(raw)) + raw


class FrameReader:
    """Cuts a byte stream into frames, however it is chopped."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive(self, data: bytes) -> list[Frame]:
        """The frames that are complete now. Raises `BadFrame` for an unknown kind or an illegal length."""
        self._buffer += data
        frames: list[Frame] = []
        start = 0
        while len(self._buffer) - start >= HEADER.size:
            kind, channel, length = HEADER.unpack_from(self._buffer, start)
            if kind not in FrameKind.__members__.values() or length > MAX_PAYLOAD_BYTES:
                raise BadFrame(f"header with kind {kind} and length {length}")
            end = start + HEADER.size + length
            if len(self._buffer) < end:
                break
            frames.append(Frame(FrameKind(kind), channel, bytes(self._buffer[start + HEADER.size : end])))
            start = end
        del self._buffer[:start]
        return frames

"""Asterisk's half of AudioSocket, without I/O: `kind u8 | length u16 big-endian | payload` (res_audiosocket.c)."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from scripts.caller.errors import BrokenAnswer

HANG_UP, UUID_KIND, DTMF, SLIN_8K = 0x00, 0x01, 0x03, 0x10
_AUDIO_KINDS = range(0x10, 0x19)
_HEADER_BYTES = 3


@dataclass(frozen=True, slots=True)
class AudioArrived:
    """PCM s16le mono at 8 kHz."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class HungUp:
    """The server ends the call."""


Event = AudioArrived | HungUp


def frame(kind: int, payload: bytes = b"") -> bytes:
    return bytes((kind, *len(payload).to_bytes(2, "big"))) + payload


def parse_uuid(body: bytes) -> UUID:
    """The webhook's answer: a bare dashed UUID, blanks around it trimmed as the dialplan does; no line end."""
    text = body.decode("ascii", "replace").strip(" ")
    try:
        context_id = UUID(text)
    except ValueError:
        raise BrokenAnswer(f"the webhook's answer is not a UUID: {text[:60]!r}") from None
    if str(context_id) != text.lower():
        raise BrokenAnswer(f"the webhook's UUID is not a bare dashed one: {text[:60]!r}")
    return context_id


class AudioSocketCall:
    """Reads what a server sends; everything that kills a call in Asterisk is a `BrokenAnswer`."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive(self, data: bytes) -> list[Event]:
        """Whole or in pieces: the events are the same."""
        self._buffer += data
        events: list[Event] = []
        while len(self._buffer) >= _HEADER_BYTES:
            end = _HEADER_BYTES + int.from_bytes(self._buffer[1:3], "big")
            if len(self._buffer) < end:
                break
            events.append(_event(self._buffer[0], bytes(self._buffer[_HEADER_BYTES:end])))
            del self._buffer[:end]
        return events


def _event(kind: int, payload: bytes) -> Event:
    if kind == HANG_UP:
        return HungUp()
    if kind not in _AUDIO_KINDS:
        raise BrokenAnswer(f"a frame of kind 0x{kind:02x} kills a call in Asterisk")
    if not payload or len(payload) % 2:
        raise BrokenAnswer(f"an audio frame of {len(payload)} bytes is no whole number of samples")
    if kind != SLIN_8K:
        raise BrokenAnswer(f"audio of kind 0x{kind:02x} answers 0x10: the wire has one format")
    return AudioArrived(payload)

"""The client's half of RTVI over a WebSocket, without I/O: protobuf frames of PCM and of JSON messages.

Written from the protocol, not from the server's code (`transports/rtvi.py`), so that one checks the other.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

from actors.media.audio import PCM_8K, PCM_16K
from actors.media.resample import Converter
from scripts.caller.errors import BrokenAnswer
from scripts.caller.playout import PacedPlayout

PROTOCOL_VERSION = "2.1.0"
_FRAME_AUDIO, _FRAME_MESSAGE = 2, 4
_AUDIO_BYTES, _AUDIO_RATE, _AUDIO_CHANNELS = 3, 4, 5


def parse_answer(body: bytes) -> str:
    """The address in the webhook's `{"wsUrl": ...}`."""
    try:
        url = orjson.loads(body)["wsUrl"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise BrokenAnswer('the answer is not {"wsUrl": ...}') from None
    if not isinstance(url, str) or urlsplit(url).scheme not in ("ws", "wss"):
        raise BrokenAnswer(f"wsUrl is not a ws(s) address: {url!r:.60}")
    return url


@dataclass(frozen=True, slots=True)
class Told:
    """One RTVI message of the server."""

    type: str
    data: dict[str, Any]


class BrowserCall:
    """One call as a browser holds it; audio is PCM at 8 kHz here and at 16 kHz on the wire."""

    def __init__(self) -> None:
        self.ready = False
        self.playout = PacedPlayout()
        self._upwards, self._downwards = Converter(PCM_8K, PCM_16K), Converter(PCM_16K, PCM_8K)

    def opening(self) -> bytes:
        """`client-ready`, the first message."""
        return _message("client-ready", {"version": PROTOCOL_VERSION, "about": {"library": "callboard-caller"}})

    def audio(self, pcm: bytes) -> bytes:
        """The caller's next 20 ms."""
        payload = self._upwards.convert(pcm)
        return _part(_FRAME_AUDIO, _part(_AUDIO_BYTES, payload) + b"\x20" + _number(PCM_16K.rate) + b"\x28\x01")

    def dtmf(self, digit: str) -> bytes:
        return _message("dtmf", {"buttons": [digit]})

    def goodbye(self) -> bytes:
        return _message("disconnect-bot", {})

    def receive(self, frame: bytes, now_s: float) -> Told | None:
        """Take one binary message of the server; raises `BrokenAnswer` for what the npm client would not take."""
        ((branch, content),) = _fields(frame)[-1:] or [(0, b"")]
        if branch == _FRAME_AUDIO and isinstance(content, bytes):
            self._hear(dict(_fields(content)), now_s)
            return None
        if branch == _FRAME_MESSAGE and isinstance(content, bytes):
            return self._told(dict(_fields(content)).get(1))
        raise BrokenAnswer(f"a frame with branch {branch}: the client knows audio and message only")

    def _hear(self, audio: dict[int, int | bytes], now_s: float) -> None:
        pcm, rate, channels = audio.get(_AUDIO_BYTES), audio.get(_AUDIO_RATE), audio.get(_AUDIO_CHANNELS)
        if rate != PCM_16K.rate or channels != 1 or not isinstance(pcm, bytes) or len(pcm) % 2:
            raise BrokenAnswer(f"audio must be whole samples, mono at {PCM_16K.rate} Hz, got {rate!r} Hz")
        self.playout.frame_arrived(self._downwards.convert(pcm), now_s)
        if not any(pcm):
            self.playout.pause()

    def _told(self, text: int | bytes | None) -> Told:
        try:
            message = orjson.loads(text if isinstance(text, bytes) else b"")
            told = Told(message["type"], message.get("data") or {})
            label = message["label"]
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            raise BrokenAnswer("a message is not an RTVI object") from None
        if label != "rtvi-ai":
            raise BrokenAnswer(f"label is {label!r:.20}, not 'rtvi-ai'")
        self.ready = self.ready or told.type == "bot-ready"
        return told


def _message(kind: str, data: dict[str, Any]) -> bytes:
    text = orjson.dumps({"label": "rtvi-ai", "type": kind, "id": str(uuid.uuid4()), "data": data})
    return _part(_FRAME_MESSAGE, _part(1, text))


def _number(value: int) -> bytes:
    return bytes((value,)) if value < 0x80 else bytes((value & 0x7F | 0x80,)) + _number(value >> 7)


def _part(field: int, content: bytes) -> bytes:
    return bytes((field << 3 | 2,)) + _number(len(content)) + content


def _fields(data: bytes) -> list[tuple[int, int | bytes]]:
    """Field numbers and values; the server uses varints and lengths, nothing else."""
    found: list[tuple[int, int | bytes]] = []
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            if at >= len(data):
                raise BrokenAnswer("a frame ends too early")
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag = number()
        value = number()
        if tag & 7 == 0:
            found.append((tag >> 3, value))
        elif tag & 7 == 2 and at + value <= len(data):
            found.append((tag >> 3, data[at : at + value]))
            at += value
        else:
            raise BrokenAnswer(f"a frame holds a field of wire type {tag & 7}, or one that is cut off")
    return found

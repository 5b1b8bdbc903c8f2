"""The other ends of our wires, for the tests: frames as a client writes them, and raw sockets."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from actors.errors import Termination
from config.errors import BadInput
from store.records import CallContext
from transports.codec import Codec
from transports.connection import Limits
from transports.websocket import Binary, Close, Event, Ping, Pong, Text

KEY = b"\x37\xfa\x21\x3d"
CONTEXT_ID = UUID("40325ec2-5efd-4bd3-805f-53576e581d13")
CALL_SID = "CA00000000000000000000000000000001"
STREAM_SID = "MZ00000000000000000000000000000001"
FAST = Limits(first_frame_s=0.1, start_s=0.1, closing_s=0.1)


def masked(opcode: int, payload: bytes = b"", *, final: bool = True, key: bytes = KEY) -> bytes:
    """One frame as a client sends it (RFC 6455 section 5.3)."""
    length = len(payload)
    if length < 126:
        head = bytes((final << 7 | opcode, 0x80 | length))
    elif length < 65536:
        head = bytes((final << 7 | opcode, 0xFE)) + length.to_bytes(2, "big")
    else:
        head = bytes((final << 7 | opcode, 0xFF)) + length.to_bytes(8, "big")
    return head + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


def events_of(codec: Codec[Any], data: bytes) -> Iterator[Any]:
    """One event after the other that `data` completes."""
    codec.feed(data)
    while (event := codec.next_event()) is not None:
        yield event


def everything(codec: Codec[Any], pieces: Iterable[bytes]) -> tuple[list[Any], str | None]:
    """All events of a stream that comes in these pieces, and the `BadInput` that ended it."""
    events: list[Any] = []
    try:
        for piece in pieces:
            events += events_of(codec, piece)  # a list keeps what it got before the iterator raised
    except BadInput as error:
        return events, f"{type(error).__name__}: {error}"
    return events, None


def context(**changed: Any) -> CallContext:
    fields: dict[str, Any] = {
        "id": CONTEXT_ID,
        "project_id": 1,
        "assistant_id": 1,
        "assistant_version": 1,
        "conversation_id": 1,
        "provider": "twilio",
        "direction": "inbound",
        "caller": "+15550100",
        "callee": "+15550199",
        "provider_call_id": CALL_SID,
        "expires_at": datetime(2030, 1, 1, tzinfo=UTC),
    }
    return CallContext(**{**fields, **changed})


# --- Twilio's messages -------------------------------------------------------------------------------------------

CONNECTED = b'{"event":"connected","protocol":"Call","version":"1.0.0"}'


def start(**changed: Any) -> bytes:
    body: dict[str, Any] = {
        "accountSid": "AC1",
        "streamSid": STREAM_SID,
        "callSid": CALL_SID,
        "tracks": ["inbound"],
        "customParameters": {"ctx": str(CONTEXT_ID)},
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
    }
    return message("start", start={**body, **changed})


def message(event: str, **parts: Any) -> bytes:
    return json.dumps({"event": event, "sequenceNumber": "1", "streamSid": STREAM_SID, **parts}).encode()


# --- the call's side ---------------------------------------------------------------------------------------------


@dataclass
class Ears:
    """A call that only listens; `ended` is set when the wire is closed."""

    heard: list[tuple[str, Any]] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    something: asyncio.Event = field(default_factory=asyncio.Event)
    termination: Termination | None = None

    def on_audio(self, payload: bytes) -> None:
        self._hear("audio", payload)

    def on_dtmf(self, digit: str) -> None:
        self._hear("dtmf", digit)

    def on_text(self, text: str) -> None:
        self._hear("text", text)

    def on_mark(self, name: str) -> None:
        self._hear("mark", name)

    def on_closed(self, termination: Termination) -> None:
        assert self.termination is None, "told twice"
        self.termination = termination
        self._hear("closed", termination.reason)
        self.ended.set()

    def _hear(self, event: str, value: Any) -> None:
        self.heard.append((event, value))
        self.something.set()

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.heard) < count:
                self.something.clear()
                await self.something.wait()


class Switchboard:
    """Opens every wire at once with `Ears`, unless told to let it wait."""

    def __init__(self, *, opens: bool = True, error: Exception | None = None) -> None:
        self.opens, self.error = opens, error
        self.calls: asyncio.Queue[tuple[CallContext, Any, Ears]] = asyncio.Queue()

    def __call__(self, context: CallContext, wire: Any) -> None:
        if self.error is not None:
            raise self.error
        ears = Ears()
        if self.opens:
            wire.open(ears)
        self.calls.put_nowait((context, wire, ears))

    async def call(self) -> tuple[CallContext, Any, Ears]:
        async with asyncio.timeout(5):
            return await self.calls.get()


class Ticks:
    """A clock that ticks when the test says so."""

    def __init__(self) -> None:
        self.tickers: list[Callable[[], None]] = []

    def add_ticker(self, ticker: Callable[[], None]) -> None:
        self.tickers.append(ticker)

    def remove_ticker(self, ticker: Callable[[], None]) -> None:
        self.tickers.remove(ticker)

    def tick(self) -> None:
        for ticker in tuple(self.tickers):
            ticker()


# --- sockets -----------------------------------------------------------------------------------------------------


class Peer:
    """A raw TCP client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int) -> Peer:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def read(self, count: int) -> bytes:
        async with asyncio.timeout(5):
            return await self.reader.readexactly(count)

    async def rest(self) -> bytes:
        """Everything until the other side closes; a reset is an end too."""
        received = b""
        async with asyncio.timeout(5):
            try:
                while data := await self.reader.read(65536):
                    received += data
            except ConnectionResetError:
                pass
        return received

    async def frame(self) -> Event:
        """The server's next WebSocket frame; it must not be masked."""
        first, second = await self.read(2)
        assert first & 0x80 and not second & 0x80
        length = second
        if second == 126:
            length = int.from_bytes(await self.read(2), "big")
        elif second == 127:
            length = int.from_bytes(await self.read(8), "big")
        payload = await self.read(length)
        if first & 0x0F == 8:
            return Close(int.from_bytes(payload[:2], "big"), payload[2:].decode())
        return {1: Text, 2: Binary, 9: Ping, 10: Pong}[first & 0x0F](payload)

    def reset(self) -> None:
        """End the connection by a RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            pass

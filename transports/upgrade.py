"""From an HTTP request to a WebSocket connection: Tornado does the HTTP, then its socket is taken over.

A Tornado WebSocket message costs 59-81 us in and out, an `asyncio.Protocol` on the upgraded socket 10-13.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
from collections.abc import Callable
from typing import Any

from tornado.iostream import IOStream
from tornado.web import RequestHandler

from actors.errors import Result, Termination
from actors.services.metrics import Metrics
from config.errors import BadInput
from store.records import CallContext
from transports import websocket
from transports.connection import AGENT_HUNG_UP, CALLER_HUNG_UP, Limits, MediaConnection, harden
from transports.websocket import Binary, Close, Ping, Text, WebSocketCodec, WebSocketError

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_EARLY_BYTES = 65536
_PEER_IS_DONE = frozenset((1000, 1001, websocket.NO_STATUS))


class NotAWebSocket(BadInput):
    """The request is not a WebSocket handshake of version 13 (RFC 6455 section 4.2.1)."""

    code = "not_a_websocket"


class UnsupportedMessage(WebSocketError):
    """The peer sent a kind of message that this wire does not use."""

    code = "websocket_unsupported"
    close_code = 1003


class StartTimeout(WebSocketError):
    """The connection was opened, but the carrier has not said in time which call it carries."""

    code = "start_timeout"
    close_code = 1008


class WebSocketConnection(MediaConnection):
    """Drives a `WebSocketCodec` on a socket: answers pings, keeps the closing handshake, bounds memory and time.

    Subclasses are wires. `on_text` and `on_binary` may raise `BadInput`: the peer is then told the error's
    `close_code` (1008 if it has none) and dropped.
    """

    def __init__(
        self,
        context: CallContext,
        limits: Limits,
        switchboard: Callable[[CallContext, Any], None],
        early: bytes = b"",
        metrics: Metrics | None = None,
    ) -> None:
        super().__init__(context.provider, WebSocketCodec(limits.message_bytes), limits, switchboard, metrics)
        self.context: CallContext = context
        self._early_bytes = early
        self._close_sent = False

    def on_text(self, payload: bytes) -> None:
        raise UnsupportedMessage("text messages are not used here")

    def on_binary(self, payload: bytes) -> None:
        raise UnsupportedMessage("binary messages are not used here")

    def send_text(self, payload: bytes) -> None:
        self._write(websocket.frame(websocket.TEXT, payload))

    def hang_up(self) -> None:
        self.end(AGENT_HUNG_UP)
        self.close(1000)

    def close(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake after what was sent; the peer has `closing_s` to finish it."""
        if self._close_sent or self.transport is None:
            return
        self._write(websocket.close_frame(code, reason))
        self._close_sent = True
        self._arm(self.limits.closing_s, self.transport.abort)

    def ping(self) -> None:
        self._write(websocket.frame(websocket.PING, b""))

    def _write(self, data: bytes) -> None:
        if not self._close_sent and self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    # --- asyncio.Protocol ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._arm(self.limits.start_s, self._not_started)
        early, self._early_bytes = self._early_bytes, b""
        if early:
            self.data_received(early)

    def on_bad_input(self, error: BadInput) -> None:
        self.go_deaf()
        self.refuse(error)
        self.close(getattr(error, "close_code", 1008), str(error))

    def on_event(self, event: websocket.Event) -> None:
        if isinstance(event, Text) and not self._close_sent:
            self.on_text(event.payload)
        elif isinstance(event, Close):
            self._on_close(event)
        elif self._close_sent:
            return  # section 5.5.1: what arrives between our Close and the peer's is of no use any more
        elif isinstance(event, Binary):
            self.on_binary(event.payload)
        elif isinstance(event, Ping):
            self._write(websocket.frame(websocket.PONG, event.payload))

    def _on_close(self, event: Close) -> None:
        if event.code in _PEER_IS_DONE:
            self.end(CALLER_HUNG_UP)
        else:
            self.end(Termination(Result.CLIENT_ERROR, "connection_lost", f"close code {event.code}"))
        self.close(event.code)  # the echo, unless ours was first
        if self.transport is not None:
            self.transport.close()

    def _not_started(self) -> None:
        error = StartTimeout(f"no start within {self.limits.start_s:g} s")
        self.refuse(error)
        self.close(error.close_code, str(error))


def accept_key(handler: RequestHandler) -> str:
    """The `Sec-WebSocket-Accept` for this request; raises `NotAWebSocket` (RFC 6455 section 4.2)."""
    headers = handler.request.headers
    tokens = [token.strip().lower() for token in headers.get("Connection", "").split(",")]
    key = headers.get("Sec-WebSocket-Key", "")
    if headers.get("Upgrade", "").lower() != "websocket" or "upgrade" not in tokens:
        raise NotAWebSocket("this address takes WebSocket connections: Upgrade and Connection headers are missing")
    if headers.get("Sec-WebSocket-Version") != "13":
        raise NotAWebSocket("Sec-WebSocket-Version must be 13")
    try:
        is_key = len(base64.b64decode(key, validate=True)) == 16
    except ValueError:
        is_key = False
    if not is_key:
        raise NotAWebSocket("Sec-WebSocket-Key must be 16 bytes in base64")
    return base64.b64encode(hashlib.sha1((key + _GUID).encode(), usedforsecurity=False).digest()).decode()


async def take_over(handler: RequestHandler, key: str, connection: Callable[[bytes], WebSocketConnection]) -> bool:
    """Answer 101 and move the socket from Tornado to `connection(early_bytes)`; False if the peer is gone.

    Only public API is used: the socket is duplicated, Tornado's stream gives up what it has read, then its own end is
    closed. Plain TCP only: TLS ends at the proxy in front.
    """
    stream = handler.detach()
    sock: socket.socket | None = None
    try:
        await stream.write(_SWITCHING % key.encode())
        if stream.closed():
            return False
        sock = stream.socket.dup()
        sock.setblocking(False)
        harden(sock)
        early = _read_ahead(stream)
        stream.close()
        await asyncio.get_running_loop().connect_accepted_socket(lambda: connection(early), sock)
    except OSError:  # StreamClosedError is one
        if sock is not None:
            sock.close()
        return False
    finally:
        stream.close()
    return True


_SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n"
)


def _read_ahead(stream: IOStream) -> bytes:
    """What Tornado has read beyond the request: a read that has something is done at once."""
    early = bytearray()
    while True:
        read = asyncio.ensure_future(stream.read_bytes(_EARLY_BYTES, partial=True))
        if not read.done():
            read.add_done_callback(lambda pending: pending.exception())  # closing the stream ends this read
            return bytes(early)
        early += read.result()
        if len(early) > _EARLY_BYTES:
            raise OSError("too much before the handshake was over")

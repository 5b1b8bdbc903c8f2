"""A WebSocket to a provider: events in, messages out, and every failure as a `ProviderError`.

On picows (Cython): 9.8 us a message in and out with uvloop; Tornado's client costs 54-65.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from picows import WSCloseCode, WSError, WSFrame, WSHandshakeError, WSListener, WSMsgType, WSTransport, ws_connect

from actors.errors import ProviderError, ProviderStalled, Remedy
from actors.providers.events import Events, LifeSigns
from actors.providers.intake import Intake
from actors.providers.remote import CONNECT_S, refused, retry_after_s, tls_context
from actors.providers.spec import SessionFailed

MAX_MESSAGE_BYTES = 4_194_304
MAX_UNSENT_BYTES = 1_048_576  # 32 s of 16 kHz PCM: whoever takes nothing for so long is dead
CLOSING_S = 1.0  # for the last message to arrive and the peer to close

# RFC 6455 section 7.4.1: what was sent is at fault, and would be again; not what will be sent next
_OUR_FAULT = dict.fromkeys((1003, 1007, 1008, 1009), Remedy.REFUSED)
_NO_CLOSE_FRAME = 1006
# to look at one of them in its enum costs as much as to compare all of these
_BINARY, _TEXT, _CONTINUATION = WSMsgType.BINARY, WSMsgType.TEXT, WSMsgType.CONTINUATION
_CLOSE, _PING = WSMsgType.CLOSE, WSMsgType.PING

_silent = logging.getLogger(f"{__name__}.picows")  # what it would log is what we raise
_silent.setLevel(logging.CRITICAL)

Message = bytes | str


class WebSocketClient(WSListener):
    """One connection. What is sent before it is open waits; after `close` nothing is called any more.

    `on_event(event)` takes each event that carries something (see `events.py`), and may raise `ProviderError` to end
    the connection. `on_failed(error)` is called once, when an open connection is of no use any more; left out, that is
    emitted. `life` is what the session emits by. `keepalive` is sent as text when nothing else was for `keepalive_s`.
    `error_header`: where the provider says why it refuses a handshake.
    """

    def __init__(
        self,
        provider: str,
        on_event: Callable[[dict[str, Any]], None],
        life: LifeSigns,
        on_failed: Callable[[ProviderError], None] | None = None,
        *,
        keepalive: str = "",
        keepalive_s: float = 0.0,
        error_header: str = "",
    ) -> None:
        self._provider = provider
        self._on_failed = on_failed or (lambda error: life.emit(SessionFailed(error)))
        self._keepalive, self._keepalive_s, self._error_header = keepalive, keepalive_s, error_header
        self._events, self._intake, self._life = Events(provider, on_event), Intake(provider, "frames"), life
        self._transport: WSTransport | None = None
        self._early: list[Message] = []
        self._early_bytes = 0
        self._parts = bytearray()  # of a message in several frames
        self._skips = False  # those of a binary message, which no protocol of ours has
        self._over = False  # closed, or failed
        self._idle = True
        self._timer: asyncio.TimerHandle | None = None
        self._gone: asyncio.Task[None] | None = None

    async def open(self, url: str, headers: Mapping[str, str]) -> None:
        """Connect and send what waits. Raises `ProviderError`."""
        try:
            async with asyncio.timeout(CONNECT_S):
                await ws_connect(
                    lambda: self,
                    url,
                    ssl_context=tls_context() if url.startswith("wss:") else None,
                    extra_headers=headers,
                    websocket_handshake_timeout=CONNECT_S,
                    max_frame_size=MAX_MESSAGE_BYTES,
                    max_redirects=0,  # the key is for this host only
                    enable_auto_pong=False,  # pings count, too
                    logger_name=_silent,
                )
        except WSHandshakeError as error:
            raise self._refusal(error) from None
        except (OSError, WSError) as error:  # TimeoutError and ssl.SSLError are OSErrors
            raise ProviderError(self._provider, f"cannot be reached: {str(error) or type(error).__name__}") from None
        if self._transport is None and not self._over:
            raise ProviderError(self._provider, "closed the connection in the handshake")

    def send(self, message: Message) -> None:
        """A str goes as a text message, bytes as a binary one."""
        if self._over:
            return
        if self._transport is None:
            self._keep(message)
            return
        self._idle = False
        self._transport.send(_TEXT if isinstance(message, str) else _BINARY, message)

    def close(self, last: str = "") -> None:
        """Say goodbye: by `last`, which the provider answers by closing, or by a close frame."""
        if self._over:
            return
        self._over = True
        self._early = []
        self._stop_timer()
        if self._transport is not None:
            if last:
                self._transport.send(_TEXT, last)
            else:
                self._transport.send_close(WSCloseCode.OK)
            self._leave(self._transport)

    async def wait_closed(self) -> None:
        """After `close`: once the goodbye was taken, and the socket is gone."""
        if self._transport is not None:
            await _gone(self._transport)

    # --- what picows calls ----------------------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        if self._over:  # closed while it was opening
            transport.disconnect(False)
            return
        self._transport = transport
        transport.underlying_transport.set_write_buffer_limits(high=MAX_UNSENT_BYTES)
        early, self._early = self._early, []
        for message in early:
            self.send(message)
        if self._keepalive_s and not self._over:
            self._arm(self._keepalive_s, self._keep_alive)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type  # made when it is asked for
        if kind is _CLOSE:
            self._on_close(transport, frame)
        elif not self._over:
            try:
                self._intake.took(frame.payload_size)
                self._life.came()
                if kind is _TEXT and frame.fin and not self._parts:
                    self._events.feed(frame.get_payload_as_bytes())
                else:
                    self._take(kind, transport, frame)
            except ProviderError as error:
                self._fail(error)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._fail(ProviderError(self._provider, f"the connection was lost (close code {_NO_CLOSE_FRAME})"))
        self._stop_timer()
        self._gone = asyncio.get_running_loop().create_task(_gone(transport))

    def pause_writing(self) -> None:
        self._fail(ProviderStalled(self._provider, f"has not taken {MAX_UNSENT_BYTES} bytes"))

    def resume_writing(self) -> None: ...

    # --- the rest -------------------------------------------------------------------------------------------------

    def _keep(self, message: Message) -> None:
        self._early.append(message)
        self._early_bytes += len(message)
        while self._early_bytes > MAX_UNSENT_BYTES:  # late audio is of less use than what comes
            self._early_bytes -= len(self._early.pop(0))

    def _take(self, kind: WSMsgType, transport: WSTransport, frame: WSFrame) -> None:
        """Whatever is not one whole text message."""
        if kind is _PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif kind is _BINARY:
            self._skips = not frame.fin
            self._events.pass_over("a binary message")
        elif kind is _TEXT:
            self._parts, self._skips = bytearray(), False  # whatever was begun before is never ended
            self._take_part(frame)
        elif kind is _CONTINUATION and not self._skips:
            self._take_part(frame)
        elif kind is _CONTINUATION:
            self._skips = not frame.fin

    def _take_part(self, frame: WSFrame) -> None:
        self._parts += frame.get_payload_as_bytes()
        if len(self._parts) > MAX_MESSAGE_BYTES:
            raise ProviderError(self._provider, f"sent a message of more than {MAX_MESSAGE_BYTES} bytes")
        if frame.fin:
            payload, self._parts = bytes(self._parts), bytearray()
            self._events.feed(payload)

    def _on_close(self, transport: WSTransport, frame: WSFrame) -> None:
        code, reason = _close_code(frame), frame.get_close_message() or b""
        text = f"closed the connection ({code} {' '.join(reason.decode('utf-8', 'replace').split())}".rstrip() + ")"
        if not transport.is_close_frame_sent:
            transport.send_close(WSCloseCode.OK)
        transport.disconnect()
        self._fail(ProviderError(self._provider, text, _OUR_FAULT.get(code, Remedy.RETRY)), abort=False)

    def _fail(self, error: ProviderError, abort: bool = True) -> None:
        if self._over:
            return
        self._over = True
        self._stop_timer()
        if self._transport is not None and abort:
            self._transport.disconnect(False)
        elif self._transport is not None:
            self._leave(self._transport)
        self._on_failed(error)

    def _leave(self, transport: WSTransport) -> None:
        """The peer has a moment to take what was sent and to close; then the socket is gone whatever it does."""
        self._arm(CLOSING_S, lambda: transport.disconnect(False))

    def _keep_alive(self) -> None:
        if self._idle:
            self.send(self._keepalive)
        self._idle = True
        self._arm(self._keepalive_s, self._keep_alive)

    def _arm(self, delay_s: float, callback: Callable[[], None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, callback)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refusal(self, error: WSHandshakeError) -> ProviderError:
        response = error.response
        if response is None:
            return ProviderError(self._provider, "its answer to the handshake is not HTTP")
        headers = {name.lower(): value for name, value in response.headers.items()}
        reason = headers.get(self._error_header) or (error.raw_body or b"").decode("utf-8", "replace")
        return refused(self._provider, int(response.status), reason, retry_after_s=retry_after_s(headers))


async def _gone(transport: WSTransport) -> None:
    """Once the socket is gone. What the peer's last frame was, if it was none, nobody else asks: asyncio would log it
    with a traceback."""
    with suppress(WSError):
        await transport.wait_disconnected()


def _close_code(frame: WSFrame) -> int:
    payload = frame.get_payload_as_bytes()
    return int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005

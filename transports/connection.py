"""What every media socket needs, whatever it carries: limits in time and memory, early events kept, one ending."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from actors.budget import Bucket
from actors.call.wire import WireEars
from actors.errors import Result, Termination
from actors.services.metrics import Metrics
from config.errors import CallboardError
from config.logging import peer_line
from config.settings import Settings
from store.records import CallContext
from transports.budget import Budget
from transports.codec import Codec
from transports.reader import Reader

log = logging.getLogger(__name__)

KEEPALIVE_S, PROBE_S, PROBES = 10, 5, 3  # TCP's: a peer that has vanished is found after some 25 s
PINGS = 3  # in the silence that a carrier may keep who must answer them
EARLY_EVENTS = 500  # ten seconds of 20 ms frames wait for a call to open its wire; older ones are dropped

CALLER_HUNG_UP = Termination(Result.SUCCESS, "caller_hung_up")
AGENT_HUNG_UP = Termination(Result.SUCCESS, "agent_hung_up")
SHUTDOWN = Termination(Result.SUCCESS, "shutdown")
INTERNAL_ERROR = Termination(Result.SERVER_ERROR, "internal_error")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one peer may cost us before it is dropped."""

    message_bytes: int = 65536
    messages_per_s: float = 400  # frames of every kind, in the long run
    bytes_per_s: float = 1_048_576
    burst_s: float = 10.0  # so many seconds' worth may come at once
    keys_per_minute: int = 300
    texts_per_minute: int = 30  # typed by the caller
    unsent_bytes: int = 262_144  # we have written it, the peer has not read it
    first_frame_s: float = 2.0  # AudioSocket: until the first frame has said which call this is
    start_s: float = 5.0  # WebSocket: until the carrier's `start`; any wire: until the call has opened it
    idle_s: float = 30.0  # nothing heard of who has no call yet, or of a carrier that always sends something
    silent_s: Mapping[str, float] = field(default_factory=dict)  # likewise, by the carrier's name; 0: may be silent
    closing_s: float = 2.0  # the peer's part of a polite end
    request_s: float = 10.0  # HTTP: for a request's head, for its body, and between two requests

    @classmethod
    def from_settings(cls, settings: Settings) -> Limits:
        return cls(
            message_bytes=settings.limits.message_bytes,
            messages_per_s=settings.limits.messages_per_s,
            bytes_per_s=settings.limits.bytes_per_s,
            burst_s=settings.limits.burst_s,
            keys_per_minute=settings.limits.keys_per_minute,
            texts_per_minute=settings.limits.texts_per_minute,
            first_frame_s=settings.audiosocket.first_frame_s,
            start_s=settings.limits.start_deadline_s,
            silent_s={
                "twilio": settings.twilio.silent_s,
                "asterisk": settings.audiosocket.silent_s,
                "browser": settings.browser.silent_s,
            },
        )

    def budget(self) -> Budget:
        """A connection's own, full."""
        return Budget(self.messages_per_s, self.bytes_per_s, self.burst_s)


def harden(sock: socket.socket) -> None:
    """Bounds what a dead peer holds: its kernel is asked after so much silence, and must acknowledge whatever it is
    sent. Set on a listening socket, accepted sockets inherit it."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", KEEPALIVE_S), ("TCP_KEEPINTVL", PROBE_S), ("TCP_KEEPCNT", PROBES)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux: data unacknowledged for so long ends the connection
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 10_000)


class MediaConnection(Reader):
    """A socket that carries a call's audio: the common part of all wires (`actors.call.wire.Wire`).

    `hand_over` gives the wire to the switchboard once its format is known; until the call opens it, events wait. A
    context that was claimed gets its call even if the connection is lost before: somebody must write down its end.
    The first cause of the end wins and is told once. Subclasses implement `hang_up`.

    A call lives while its connection lives. Who says nothing is not dead: a page without a microphone, a muted phone.
    But a carrier that always sends something (`always_sends`), or must answer our pings (`pings`), is.
    """

    always_sends: ClassVar[bool] = False
    pings: ClassVar[bool] = False
    stall_ms: float | None = None  # of `actors.call.wire.Wire`

    def __init__(
        self,
        provider: str,
        codec: Codec[Any],
        limits: Limits,
        switchboard: Callable[[CallContext, Any], None],
        metrics: Metrics | None = None,
    ) -> None:
        super().__init__(codec, limits.budget())
        self.provider, self.limits = provider, limits
        self.context: CallContext | None = None
        self.peer = "unknown"
        self._switchboard, self._metrics = switchboard, metrics
        self._keys = Bucket.per_minute(limits.keys_per_minute)
        self._texts = Bucket.per_minute(limits.texts_per_minute)
        self._ears: WireEars | None = None
        self._early: deque[tuple[str, Any]] = deque(maxlen=EARLY_EVENTS)
        self._ending: Termination | None = None
        self._told_end = self._handed_over = False
        self._deadline: asyncio.TimerHandle | None = None
        self._idle_check: asyncio.TimerHandle | None = None

    @property
    def carries_call(self) -> bool:
        """It is connected and has claimed a call's context."""
        return self.context is not None and self.transport is not None

    # --- the wire --------------------------------------------------------------------------------------------

    def open(self, ears: WireEars) -> None:
        self._ears = ears
        if self._ending is None or self.transport is None:
            self._disarm()
        while self._early:
            event, argument = self._early.popleft()
            getattr(ears, event)(argument)

    def hang_up(self) -> None:
        raise NotImplementedError

    def hand_over(self) -> None:
        """Give the wire to the call of its context, which must open it in time. A second call does nothing."""
        if self.context is None or self._handed_over:
            return
        self._handed_over = True
        self._arm(self.limits.start_s, self._not_opened)
        try:
            self._switchboard(self.context, self)
        except Exception as error:
            self._not_taken(error)

    def _not_taken(self, error: Exception) -> None:
        if isinstance(error, CallboardError):
            line = "refused call: provider=%s peer=%s %s: %s"
            peer_line(log, error.code, self.peer, line, self.provider, self.peer, error.code, error)
        else:
            log.error("the switchboard failed: provider=%s peer=%s", self.provider, self.peer, exc_info=error)
        self.end(INTERNAL_ERROR)
        self.hang_up()

    def _not_opened(self) -> None:
        log.error("no call has opened its wire: provider=%s peer=%s", self.provider, self.peer)
        self.end(INTERNAL_ERROR)
        self.hang_up()

    # --- telling the call ------------------------------------------------------------------------------------

    def tell(self, event: str, argument: Any) -> None:
        """Call `ears.<event>(argument)`, now or when the wire is opened; nothing follows `on_closed`."""
        if self._told_end:
            return
        self._told_end = event == "on_closed"
        if self._ears is not None:
            getattr(self._ears, event)(argument)
        else:
            self._early.append((event, argument))

    def tell_audio(self, payload: bytes) -> None:
        """As `tell`: nearly always the call listens."""
        if self._ears is None or self._told_end:
            self.tell("on_audio", payload)
        else:
            self._ears.on_audio(payload)

    def tell_keys(self, keys: Sequence[str]) -> bool:
        """The caller has pressed these; False: they are not heard, as more come than a call may cost."""
        if not self._keys.take(len(keys), self._heard_at):
            self._count_ignored("keys", len(keys))
            return False
        for key in keys:
            self.tell("on_dtmf", key)
        return True

    def tell_text(self, text: str) -> bool:
        """The caller has typed this; False: it is not heard, as for keys."""
        if not self._texts.take(1, self._heard_at):
            self._count_ignored("text", 1)
            return False
        self.tell("on_text", text)
        return True

    def _count_ignored(self, kind: str, count: int) -> None:
        if self._metrics is not None:
            self._metrics.input_ignored(self.provider, kind, count)

    def end(self, termination: Termination) -> None:
        """Remember why this connection ends; the first cause wins."""
        self._ending = self._ending or termination

    def refuse(self, error: CallboardError) -> None:
        """The peer's fault: one log line, and the reason is kept for the call."""
        if self._ending is None:
            line = "dropped peer: provider=%s peer=%s %s: %s"
            peer_line(log, error.code, self.peer, line, self.provider, self.peer, error.code, error)
            self._count_dropped(error.code)
        self.end(Termination(Result.CLIENT_ERROR, "protocol_error", f"{error.code}: {error}"))

    def drop(self, reason: str) -> None:
        """Close at once, without waiting for the peer."""
        if self._ending is None:
            line = "dropped peer: provider=%s peer=%s %s"
            peer_line(log, reason, self.peer, line, self.provider, self.peer, reason)
            self._count_dropped(reason)
        self.end(Termination(Result.CLIENT_ERROR, reason))
        self.abort()

    def _count_dropped(self, code: str) -> None:
        if self._metrics is not None:
            self._metrics.peer_dropped(self.provider, code)

    def on_failure(self, error: Exception) -> None:
        log.error("a wire failed: provider=%s peer=%s", self.provider, self.peer, exc_info=error)
        self.end(INTERNAL_ERROR)
        self.abort()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    # --- asyncio.Protocol ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.transport is not None
        self.peer = str((transport.get_extra_info("peername") or ("unknown",))[0])
        self.transport.set_write_buffer_limits(high=self.limits.unsent_bytes)
        self._check_idle()

    def pause_writing(self) -> None:
        self.drop("peer_not_reading")

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        if self._idle_check is not None:
            self._idle_check.cancel()
        if exc is not None and not isinstance(exc, OSError):
            self.end(INTERNAL_ERROR)  # an error of ours in data_received; asyncio has logged it
        self.end(self.lost(exc))
        assert self._ending is not None
        self.tell("on_closed", self._ending)
        self.transport = None
        self.hand_over()

    def lost(self, exc: Exception | None) -> Termination:
        """What it means that the peer's connection ended without a word: `exc` is the error, None if it was closed."""
        detail = "closed" if exc is None else "reset" if isinstance(exc, ConnectionResetError) else type(exc).__name__
        return Termination(Result.CLIENT_ERROR, "connection_lost", detail)

    # --- time ------------------------------------------------------------------------------------------------

    def _arm(self, delay_s: float, action: Callable[[], None]) -> None:
        """There is one deadline at a time: a new one replaces it."""
        self._disarm()
        self._deadline = self._loop.call_later(delay_s, action)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    @property
    def _may_be_silent_s(self) -> float:
        """0: for ever."""
        if self._ears is None:
            return self.limits.idle_s
        promised_s = self.limits.idle_s if self.always_sends else 0.0
        return self.limits.silent_s.get(self.provider, promised_s)

    def _check_idle(self) -> None:
        most_s = self._may_be_silent_s
        silent_s = self._loop.time() - self._heard_at
        if most_s and silent_s >= most_s:
            self._lost_silently()
            return
        wait_s = min(most_s - silent_s if most_s else self.limits.idle_s, self.limits.idle_s)
        if most_s and self.pings and self._ears is not None:
            wait_s = min(wait_s, most_s / PINGS)
            self.ping()
        self._idle_check = self._loop.call_later(wait_s + 0.001, self._check_idle)

    def ping(self) -> None:
        """Ask the peer to show that it is there."""

    def _lost_silently(self) -> None:
        """If it is there after all, it is told politely."""
        if self._ears is None:
            self.drop("media_timeout")
            return
        if self._ending is None:
            line = "dropped peer: provider=%s peer=%s %s"
            peer_line(log, "media_timeout", self.peer, line, self.provider, self.peer, "media_timeout")
            self._count_dropped("media_timeout")
        self.end(Termination(Result.CLIENT_ERROR, "media_timeout"))
        self.hang_up()

"""What peers may hold in requests that are not finished, and what is read of a request before somebody vouches for it.

Headers decide: method, path, key and length are checked in `prepare`, before any of a body is read. What then comes is
kept up to the route's limit, and all requests of a listener together have one budget; beyond it the peer that holds
most loses the body that has been silent for the longest. A deadline runs while a body is silent, not while we are slow.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from typing import Any, ClassVar, Protocol

from tornado.httputil import HTTPConnection
from tornado.iostream import IOStream
from tornado.web import HTTPError, RequestHandler, stream_request_body

from config.errors import BadInput
from transports.gate import GateClosed

REQUEST_BYTES = 24_576  # what a request costs beside its body: its headers, its handler
REQUESTS_PER_TURN = 4  # 1-2 ms
GRACE_S = 0.25  # for what has arrived and was not read yet when a deadline is noticed
BODY_S = 60.0  # for a whole body that trickles
# A refused body is read and forgotten so far, and of so many peers, so that they read our answer.
LINGERING, LINGER_BYTES, LINGER_S = 256, 1 << 20, 2.0


class BodyTooLarge(BadInput):
    """A request's body is longer than its route allows."""

    code = "body_too_large"
    http_status = 413


class BadLength(BadInput):
    """A request does not say how long its body is: Content-Length is no number, or several."""

    code = "bad_length"


class BodyTooSlow(BadInput):
    """A request's body was silent for too long, or trickled."""

    code = "body_too_slow"
    http_status = 408


class Overwhelmed(GateClosed):
    """All requests together hold as much as we allow."""

    code = "overwhelmed"


class Held(Protocol):
    """A request that holds memory."""

    peer: str
    reads_body: bool  # it waits for its peer, not for us

    def give_up(self) -> None:
        """Refuse it at once: its place is needed."""


class Turns:
    """So many requests begin in one turn of the loop, which also plays audio; peers take turns."""

    def __init__(self, per_turn: int = REQUESTS_PER_TURN) -> None:
        self._per_turn, self._begun = per_turn, 0
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def take(self, peer: str) -> None:
        """Wait for a turn; at once, while few come."""
        loop = asyncio.get_running_loop()
        if not self._begun and not self._waiting:
            loop.call_soon(self._next)
        if self._begun < self._per_turn and not self._waiting:
            self._begun += 1
            return
        turn = loop.create_future()
        self._waiting.setdefault(peer, deque()).append(turn)
        await turn

    def _next(self) -> None:
        self._begun = 0
        while self._waiting and self._begun < self._per_turn:
            self._begun += 1
            peer = next(iter(self._waiting))
            queue = self._waiting.pop(peer)
            if not (turn := queue.popleft()).done():
                turn.set_result(None)
            if queue:
                self._waiting[peer] = queue  # behind the others
        if self._begun:
            asyncio.get_running_loop().call_soon(self._next)


class Intake:
    """The unfinished requests of one listener."""

    def __init__(self, most_bytes: int, silence_s: float = 10.0) -> None:
        self.most_bytes, self.silence_s = most_bytes, silence_s
        self.held_bytes = self.lingering = 0
        self._held: dict[Held, int] = {}  # bytes; those that were heard of last are last
        self._of_peer: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._held)

    def enter(self, request: Held) -> None:
        """Raises `Overwhelmed` where no other request can be given up for it."""
        self._add(request, REQUEST_BYTES)
        if not self._make_place(request):
            self.leave(request)
            raise Overwhelmed(f"unfinished requests hold {self.most_bytes:,} bytes already")

    def grew(self, request: Held, count: int) -> None:
        """`count` bytes of its body have come. It may be given up for it itself."""
        if request in self._held:
            self._add(request, count)
            self._make_place(request)

    def leave(self, request: Held) -> None:
        """It is finished; a second call does nothing."""
        count = self._held.pop(request, 0)
        self.held_bytes -= count
        self._of_peer[request.peer] -= count
        if self._of_peer[request.peer] <= 0:
            del self._of_peer[request.peer]

    def _add(self, request: Held, count: int) -> None:
        self._held[request] = self._held.pop(request, 0) + count
        self._of_peer[request.peer] += count
        self.held_bytes += count

    def _make_place(self, request: Held) -> bool:
        """Nobody holds more than a half: another finds a place though all of one peer's requests wait for us."""
        while True:
            is_greedy = self._of_peer[request.peer] > self.most_bytes // 2
            if self.held_bytes <= self.most_bytes and not is_greedy:
                return True
            victim = self._victim(request, request.peer if is_greedy else self._of_peer.most_common(1)[0][0])
            if victim is None:
                return False
            self.leave(victim)
            victim.give_up()

    def _victim(self, newest: Held, peer: str) -> Held | None:
        """Of this peer's requests that wait for it, the one that was silent for the longest."""
        waiting = (held for held in self._held if held.peer == peer and held.reads_body and held is not newest)
        return next(waiting, None)


class _Lingering:
    """A connection whose answer is finished when the body that nobody wants has come: a socket that is closed while
    its peer writes takes the answer with it (a reset)."""

    def __init__(self, connection: HTTPConnection, intake: Intake, body_bytes: int) -> None:
        self._connection, self._intake, self._left = connection, intake, body_bytes
        self._timer: asyncio.TimerHandle | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def finish(self) -> None:
        if 0 < self._left <= LINGER_BYTES and self._intake.lingering < LINGERING:
            self._intake.lingering += 1
            self._timer = asyncio.get_running_loop().call_later(LINGER_S, self.finish_now)
        else:
            self._connection.finish()

    def finish_now(self) -> None:
        if self.closed():
            self._connection.finish()

    def received(self, count: int) -> None:
        self._left -= count
        if self._left <= 0:
            self.finish_now()

    def closed(self) -> bool:
        """Whether it lingered until now."""
        if self._timer is None:
            return False
        self._timer.cancel()
        self._timer = None
        self._intake.lingering -= 1
        return True


@stream_request_body
class FrontHandler(RequestHandler):
    """Base of all handlers: nothing of a body is read before `check` has returned."""

    body_limit: ClassVar[int] = 0  # bytes that a POST may bring; other methods bring nothing
    intake: Intake

    def setup(self, intake: Intake) -> None:
        """Called by `initialize`."""
        self.intake, self.peer = intake, str(self.request.remote_ip)
        self.body = bytearray()
        self.reads_body = self._given_up = self._is_checked = False
        self._silence: asyncio.TimerHandle | None = None
        self._lingering: _Lingering | None = None
        self._body_bytes = _length(self.request.headers.get("Content-Length", "0"))
        if self._body_bytes > 0:
            assert self.request.connection is not None
            self.request.connection.set_max_body_size(self._body_bytes)  # type: ignore[attr-defined]  # ours counts
            if "Expect" not in self.request.headers:  # who asks first sends nothing after our answer
                self._lingering = _Lingering(self.request.connection, intake, self._body_bytes)
                self.request.connection = self._lingering  # type: ignore[assignment]

    async def check(self) -> None:
        """May this request go on? Raises what refuses it."""

    def most_body_bytes(self) -> int:
        """What this request may bring."""
        return self.body_limit if self.request.method == "POST" else 0

    async def prepare(self) -> None:
        self.intake.enter(self)
        method = (self.request.method or "").lower()
        if getattr(type(self), method, None) is getattr(RequestHandler, method, None):
            raise HTTPError(405)
        self._check_length()
        await self.check()
        self._is_checked = True
        if self._has_body and not self._finished:
            self.reads_body = True
            loop = asyncio.get_running_loop()
            self._body_since = self._heard_at = loop.time()
            self._silence = loop.call_later(self.intake.silence_s, self._on_silence, False)

    def _check_length(self) -> None:
        limit = self.most_body_bytes()
        if self._body_bytes < 0:
            raise BadLength(f"Content-Length must be one number, got {self.request.headers['Content-Length']!r:.40}")
        if self._body_bytes > limit or (self._has_body and not limit):
            raise BodyTooLarge(f"a body may have up to {limit} bytes here, got {self._body_bytes or 'chunks'}")

    @property
    def _has_body(self) -> bool:
        return self._body_bytes > 0 or "Transfer-Encoding" in self.request.headers

    # --- while it comes ------------------------------------------------------------------------------------------

    def data_received(self, chunk: bytes) -> None:
        if self._lingering is not None:
            self._lingering.received(len(chunk))
        if self._finished or self._given_up:
            return
        self._heard_at = asyncio.get_running_loop().time()
        self.body += chunk
        if len(self.body) > self.most_body_bytes():  # in chunks, whose sum nobody has announced
            self._refuse(BodyTooLarge(f"a body may have up to {self.most_body_bytes()} bytes here"))
            return
        self.intake.grew(self, len(chunk))
        if len(self.body) == self._body_bytes:
            self.whole_body()

    def whole_body(self) -> bytes:
        """All of it has come: from now on the request waits for us."""
        self.reads_body = False
        if self._silence is not None:
            self._silence.cancel()
        return bytes(self.body)

    def _on_silence(self, noticed: bool) -> None:
        """What has come while this process did something else is read before the silence counts."""
        loop = asyncio.get_running_loop()
        left_s = min(self._heard_at + self.intake.silence_s, self._body_since + BODY_S) - loop.time()
        if not self.reads_body or self._finished:
            return
        if left_s <= 0 and noticed:
            self._refuse(BodyTooSlow(f"of {self._body_bytes or 'some'} bytes {len(self.body)} have come"))
        else:
            self._silence = loop.call_later(left_s if left_s > 0 else GRACE_S, self._on_silence, left_s <= 0)

    def give_up(self) -> None:
        self._refuse(Overwhelmed("its place is needed: other requests have come since it was last heard of"))

    def _refuse(self, error: BadInput | GateClosed) -> None:
        """While its body still comes: nothing more is read."""
        self._given_up, self.reads_body = True, False
        self.log_exception(type(error), error, None)
        self.send_error(error.http_status, exc_info=(type(error), error, None))
        if self._lingering is not None:
            self._lingering.finish_now()

    # --- the end -------------------------------------------------------------------------------------------------

    @property
    def is_unread(self) -> bool:
        """Whether some of it was not read, so that the connection is of no use any more: Tornado closes one that was
        answered by `prepare`, with a body or without."""
        return not self._is_checked or (self._has_body and len(self.body) != self._body_bytes)

    def on_finish(self) -> None:
        self._over()

    def on_connection_close(self) -> None:
        if self._lingering is not None:
            self._lingering.closed()
        self._over()
        super().on_connection_close()

    def detach(self) -> IOStream:
        self._over()
        return super().detach()

    def _over(self) -> None:
        self.intake.leave(self)
        if self._silence is not None:
            self._silence.cancel()


def _length(text: str) -> int:
    """A Content-Length in bytes; -1 if it is none."""
    if not (text.isascii() and text.isdigit()):
        return -1
    return int(text) if len(text) < 19 else 10**18

"""How a socket's bytes become its protocol's events: within the peer's budget, and a slice of them a turn of the loop.

Every wire stands on this, whatever it carries (the theory is in `transports.budget`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, cast

from config.errors import BadInput
from transports.budget import SLICE, Budget, Turns
from transports.codec import Codec

_LARGE_READ = 8192  # bytes
_SETTLE_MESSAGES, _SETTLE_BYTES = 64, 65536  # smaller amounts are added up before the budget is asked


class TooFast(BadInput):
    """The peer sends more than LIMITS__MESSAGES_PER_S, LIMITS__BYTES_PER_S and LIMITS__BURST_S allow."""

    code = "too_fast"
    close_code = 1008


class Reader(asyncio.Protocol):
    """The reading half of a connection: `codec` says what bytes mean, subclasses what then happens.

    Every frame, whole message or not, must be an event of the codec: that is what is counted.
    """

    # Each read looks at most of these. Beyond 30 attributes CPython gives an instance a dictionary of its own.
    __slots__ = (
        "_budget",
        "_bytes",
        "_codec",
        "_deaf",
        "_halted",
        "_heard_at",
        "_held",
        "_loop",
        "_messages",
        "_paused",
        "_queued",
        "_unfed",
        "_unfinished",
        "transport",
    )

    def __init__(self, codec: Codec[Any], budget: Budget) -> None:
        self.transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._codec, self._budget = codec, budget
        self._messages = self._bytes = 0  # that the budget does not know yet
        self._heard_at = self._loop.time()
        self._deaf = self._held = False
        self._halted = False  # one of the two
        self._unfinished = False  # the codec may have more events of what it was fed
        self._unfed: deque[bytes] = deque()  # came although we had paused
        self._queued = self._paused = False

    def on_event(self, event: Any) -> None:
        """One of them. May raise `BadInput`."""
        raise NotImplementedError

    def on_bad_input(self, error: BadInput) -> None:
        """The peer's fault: tell it in the wire's way, and go deaf."""
        raise NotImplementedError

    def on_failure(self, error: Exception) -> None:
        """Our fault, in a turn of our own."""
        raise NotImplementedError

    def go_deaf(self) -> None:
        """Throw away what comes from now on. It is still counted: who goes on for too long is cut off."""
        self._deaf = self._halted = True

    def hold(self) -> None:
        """Neither read nor handle anything until `release`."""
        self._held = self._halted = True
        self._pause()

    def release(self) -> None:
        if self._held:
            self._held, self._halted = False, self._deaf
            self._queue()

    # --- asyncio.Protocol ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        self._bytes += len(data)
        if self._halted or self._unfinished:
            self._put_off(data)
            return
        self._codec.feed(data)
        # a large read is few frames perhaps, but each of them long: one a turn, if need be
        if len(data) >= _LARGE_READ or self._handle(SLICE):
            self._unfinished = True
            self._wait_for_turn()

    def counts_as_one(self, data: bytes) -> bool:
        """For a read that is known to be one whole message: True if nothing waits before it, and it is counted. False
        also where the budget is to be asked, which `data_received` does."""
        messages, read_bytes = self._messages + 1, self._bytes + len(data)
        if messages >= _SETTLE_MESSAGES or read_bytes >= _SETTLE_BYTES or len(data) >= _LARGE_READ:
            return False
        if self._halted or self._unfinished or not self._codec.is_idle:
            return False
        self._messages, self._bytes, self._heard_at = messages, read_bytes, self._loop.time()
        return True

    # --- inside ----------------------------------------------------------------------------------------------

    def _handle(self, most: int) -> bool:
        """Handle the next events. True: so many, or we were halted, and there may be more."""
        next_event, count, more = self._codec.next_event, 0, False
        try:
            while (event := next_event()) is not None:
                count += 1
                self.on_event(event)
                if count == most or self._halted:
                    more = True
                    break
            # a read that completes nothing counts too, else a peer could bring its bytes one by one
            self._messages += count or 1
            if self._messages >= _SETTLE_MESSAGES or self._bytes >= _SETTLE_BYTES:
                self._settle()
        except BadInput as error:
            self.on_bad_input(error)
        return more and not self._deaf

    def _put_off(self, data: bytes) -> None:
        if self._deaf:
            self._throw_away()
        else:
            self._unfed.append(data)

    def _settle(self) -> None:
        kept = self._budget.spend(self._messages, self._bytes, self._loop.time())
        self._messages = self._bytes = 0
        if not kept and not self._deaf:
            raise TooFast("more messages or bytes than a call needs, and than a burst may hold")

    def _throw_away(self) -> None:
        size, self._bytes = self._bytes, 0
        if not self._budget.discard(size, self._heard_at) and self.transport is not None:
            self.transport.abort()

    def _wait_for_turn(self) -> None:
        self._pause()  # libuv reads 32 times in a row otherwise, 64 KB each
        self._queue()

    def _queue(self) -> None:
        if not self._queued:
            self._queued = True
            Turns.queue(self._loop, self._turn)

    def _turn(self) -> bool:
        """Go on with what was read. True: it is not all."""
        try:
            self._queued = self._go_on()
        except Exception as error:
            self._queued = False
            self.on_failure(error)
        return self._queued

    def _go_on(self) -> bool:
        if self.transport is None or self._held:
            return False
        if self._unfed and not self._unfinished:
            self._codec.feed(self._unfed.popleft())
            self._unfinished = True
        self._unfinished = self._unfinished and not self._deaf and self._handle(1)
        if self._unfinished or (self._unfed and not self._deaf):
            return not self._held
        self._unfed.clear()
        self._resume()
        return False

    def _pause(self) -> None:
        if self.transport is not None and not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def _resume(self) -> None:
        if self.transport is not None and self._paused and not self.transport.is_closing():
            self.transport.resume_reading()
        self._paused = False

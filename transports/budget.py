"""What one peer may make its worker do, the same for every wire: a budget of messages and bytes, and turns.

Theory of operation. All calls of a worker share one loop, so what one socket brings must neither keep the loop for long
nor keep coming without end. A `Budget` counts what a connection has sent, frames of every kind and reads that complete
none, in two token buckets. Their burst is generous, as a carrier that catches up after a hiccup of the network sends
ten seconds of audio at once; who goes beyond it is dropped. Within the budget the first `SLICE` messages of a
read are handled at once, the rest one by one in the next turns of the loop (`Turns`), where all connections with a rest
share `TURN_S` a turn; until it is done nothing more is read from that socket.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import ClassVar

from actors.budget import Bucket

SLICE = 16  # messages of one connection that are handled as they are read
TURN_S = 0.005  # for the rests of all connections in one turn of the loop


class Budget:
    """What one connection may still send: messages and bytes, at once `burst_s` seconds' worth of either."""

    __slots__ = ("_bytes", "_messages")

    def __init__(self, messages_per_s: float, bytes_per_s: float, burst_s: float) -> None:
        self._messages = Bucket(messages_per_s, messages_per_s * burst_s)
        self._bytes = Bucket(bytes_per_s, bytes_per_s * burst_s)

    def spend(self, messages: int, size: int, now: float) -> bool:
        """They have come, `size` bytes in all; False: more than this peer may send."""
        kept = self._messages.spend(messages, now)
        return self._bytes.spend(size, now) and kept

    def discard(self, size: int, now: float) -> bool:
        """So many bytes were thrown away unread; False: more than this peer may send."""
        return self._bytes.spend(size, now)


class Turns:
    """The connections of one loop that have read more than fits one turn; each handles one message after the other."""

    _of: ClassVar[dict[asyncio.AbstractEventLoop, Turns]] = {}  # while something waits

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] = time.perf_counter) -> None:
        self._loop, self._clock = loop, clock
        self._waiting: deque[Callable[[], bool]] = deque()

    @classmethod
    def queue(cls, loop: asyncio.AbstractEventLoop, go_on: Callable[[], bool]) -> None:
        """Call `go_on` in the next turn, and in those that follow for as long as it returns True."""
        turns = cls._of.get(loop)
        if turns is None:
            turns = cls._of[loop] = Turns(loop)
            loop.call_soon(turns.run)
        turns.add(go_on)

    def add(self, go_on: Callable[[], bool]) -> None:
        self._waiting.append(go_on)

    def run(self) -> None:
        """One turn."""
        waiting, clock = self._waiting, self._clock
        deadline_s = clock() + TURN_S
        try:
            while waiting and clock() < deadline_s:
                go_on = waiting.popleft()
                if go_on():
                    waiting.append(go_on)
        finally:
            if waiting:
                self._loop.call_soon(self.run)
            else:
                self._of.pop(self._loop, None)

"""The common part of the protocols that we read: bytes in, one event after the other out, without sockets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from config.errors import BadInput

_LONG = 1024  # bytes of a frame

Event = TypeVar("Event")


class Codec(ABC, Generic[Event]):
    """`feed` takes bytes, `next_event` gives what they complete; both copy no more than what is left of a read.

    After an error, or its protocol's last event (`_end`), it takes nothing more.
    """

    __slots__ = ("_at", "_buffer", "_late", "_missing", "_over")

    def __init__(self) -> None:
        self._buffer = b""
        self._at = 0  # everything before was consumed
        self._missing = 0  # bytes of a long frame, without which there is nothing to look at
        self._late: list[bytes] = []  # its pieces that have come
        self._over = False

    @property
    def is_idle(self) -> bool:
        """Between two frames: nothing of the next has come."""
        return self._at == len(self._buffer) and not self._missing and not self._over

    def feed(self, data: bytes) -> None:
        """`data` has come, and there is no event left of what came before."""
        if self._missing:
            data = self._put_together(data)
        if self._over:
            return
        self._buffer = data if self._at == len(self._buffer) else self._buffer[self._at :] + data
        self._at = 0

    def next_event(self) -> Event | None:
        """The next event that is complete, if any. Raises `BadInput` at the first byte that breaks the protocol."""
        if self._at == len(self._buffer):  # as after nearly every read of one frame
            return None
        try:
            return self._parse()
        except BadInput:
            self._end()
            raise

    @abstractmethod
    def _parse(self) -> Event | None:
        """The event that `_buffer` holds from `_at` on, which moves on; None while it is incomplete."""

    def _wait_for(self, end: int) -> None:
        """The frame under way ends there in the buffer: if it is long, it is put together once, not piece by piece."""
        if end - self._at > _LONG:
            self._missing = end - len(self._buffer)
            self._late.append(self._buffer[self._at :])
            self._buffer, self._at = b"", 0

    def _put_together(self, data: bytes) -> bytes:
        """All that has come of the long frame once it is whole, nothing before."""
        self._late.append(data)
        self._missing = max(0, self._missing - len(data))
        if self._missing:
            return b""
        data = b"".join(self._late)
        self._late.clear()
        return data

    def _end(self) -> None:
        self._over = True
        self._buffer, self._at = b"", 0

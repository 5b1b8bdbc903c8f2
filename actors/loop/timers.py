"""Timers that can be cancelled, even when their message waits in the mailbox already."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

from thespian.actors import ActorSystemMessage

if TYPE_CHECKING:
    from actors.loop.cell import Cell


class Timer(ActorSystemMessage):  # type: ignore[misc]
    """A message that its actor will get later, through the mailbox. Loop thread only."""

    __slots__ = ("_cell", "_handle", "_message", "delay_s", "kind")

    def __init__(self, cell: Cell, delay_s: float, message: Any) -> None:
        self.delay_s = delay_s if delay_s > 0 else 0.0
        self._cell: Cell | None = cell
        self._message = message
        self.kind = type(message).__name__  # for the log, which never shows the message
        cell.pending[self] = None
        base = cell.base
        delay_s = whole_ms(self.delay_s) if base.coarse_timers else self.delay_s
        self._handle: asyncio.TimerHandle | None = base.loop.call_later(delay_s, self._fire)

    @property
    def pending(self) -> bool:
        """Neither delivered nor cancelled yet."""
        return self._cell is not None

    def cancel(self) -> None:
        """The message will not be delivered. A second call, or one after the delivery, does nothing."""
        if self._cell is not None:
            self.claim()

    def claim(self) -> Any:
        """The message, for the one delivery; the timer is done."""
        assert self._cell is not None
        self._cell.pending.pop(self, None)
        if self._handle is not None:
            self._handle.cancel()
        message, self._cell, self._handle, self._message = self._message, None, None, None
        return message

    def remaining_s(self) -> float:
        """Seconds until it fires; 0 when its message waits in the mailbox or was delivered."""
        if self._cell is None or self._handle is None:
            return 0.0
        return max(0.0, self._handle.when() - self._cell.base.loop.time())

    def _fire(self) -> None:
        self._handle = None
        if self._cell is not None:
            self._cell.accept(self, self._cell.address)


def whole_ms(delay_s: float) -> float:
    """Rounded up: libuv counts in milliseconds and rounds down, so a timer would fire early and be set again."""
    return math.ceil(delay_s * 1000) / 1000

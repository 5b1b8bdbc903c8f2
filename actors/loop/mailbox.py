"""A bounded mailbox: what waits for one actor, and what is dropped when too much waits.

Messages of a class with `droppable = True` (audio that is stale by then) give way, the oldest first, once `limit`
messages wait. All others are always accepted: to lose one of those is worse than to grow.
"""

from __future__ import annotations

import logging
from collections import deque
from itertools import islice
from threading import get_ident
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actors.loop.address import LoopAddress
    from actors.loop.base import LoopBase

log = logging.getLogger(__name__)

MAILBOX_LIMIT = 1000
LOG_EVERY_S = 1.0


class Overflow:
    """The record of a mailbox that was full at least once."""

    __slots__ = ("dropped", "logged_at", "search_from", "warned")

    def __init__(self) -> None:
        self.dropped = 0
        self.logged_at = float("-inf")
        self.search_from = 0  # no droppable message waits before this place, counted from the actor's first message
        self.warned = False


class Mailbox:
    """What waits, as (message, sender), and its counts. It is in `base.ready` exactly while something waits."""

    __slots__ = ("address", "base", "busy_s", "limit", "max_depth", "overflow", "queue", "received", "watermark")

    def __init__(self, base: LoopBase, limit: int) -> None:
        self.base = base
        self.address: LoopAddress = base.addresses.issue(self)
        self.limit = limit
        self.queue: deque[tuple[Any, Any]] = deque()
        self.received = 0  # messages taken out so far
        self.busy_s = 0.0  # spent in handling them
        self.max_depth = 0
        self.watermark = 0  # the depth at which `_rise` has something to do
        self.overflow: Overflow | None = None

    @property
    def label(self) -> str:
        """Whose mailbox this is, for the log."""
        return self.address.name

    @property
    def dropped(self) -> int:
        return self.overflow.dropped if self.overflow else 0

    def accept(self, message: Any, sender: Any) -> None:
        base = self.base
        if get_ident() != base.thread_id:
            base.post(base.deliver, self.address, message, sender)
            return
        queue = self.queue
        depth = len(queue)
        if depth >= self.watermark and not self._rise(depth, message):
            return
        queue.append((message, sender))
        if not depth:
            base.ready.append(self)
            if not base.awake:
                base.wake()

    def handle(self, message: Any, sender: Any) -> None:
        raise NotImplementedError

    def _rise(self, depth: int, message: Any) -> bool:
        """Deeper than ever, or full. False: `message` is dropped."""
        if depth < self.limit:
            self.watermark = self.max_depth = depth + 1
            return True
        self.watermark = self.limit
        droppable = getattr(message, "droppable", False)
        if self._drop_oldest():
            return True
        if droppable:
            self._count_drop()
            return False
        self.max_depth = max(self.max_depth, depth + 1)
        self._warn_once()
        return True

    def _drop_oldest(self) -> bool:
        overflow = self.overflow = self.overflow or Overflow()
        start = max(0, overflow.search_from - self.received)
        for index, (waiting, _) in enumerate(islice(self.queue, start, None), start):
            if getattr(waiting, "droppable", False):
                del self.queue[index]
                overflow.search_from = self.received + index
                self._count_drop()
                return True
        overflow.search_from = self.received + len(self.queue)
        return False

    def _count_drop(self) -> None:
        assert self.overflow is not None
        self.overflow.dropped += 1
        now = self.base.loop.time()
        if now - self.overflow.logged_at >= LOG_EVERY_S:
            self.overflow.logged_at = now
            log.warning("mailbox of %s is full: %d messages dropped so far", self.label, self.overflow.dropped)

    def _warn_once(self) -> None:
        assert self.overflow is not None
        if not self.overflow.warned:
            self.overflow.warned = True
            log.warning("mailbox of %s has passed its limit of %d messages", self.label, self.limit)

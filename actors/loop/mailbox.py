"""A bounded mailbox: what waits for one actor, and what is dropped when too much waits.

Messages of a class with `droppable = True` (audio that is stale by then) give way, the oldest first, once `limit`
messages wait. All others are always accepted: to lose one of those is worse than to grow. How many a peer can make of
those is bounded where they come in (`transports.budget`).

To accept, to drop and to take a message out cost the same however many wait: each message is looked at once, when the
mailbox is first full with it, and where one is dropped a `HOLE` stays until its turn comes.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from itertools import islice
from threading import get_ident
from typing import TYPE_CHECKING, Any

from thespian.actors import ActorSystemMessage

if TYPE_CHECKING:
    from actors.loop.address import LoopAddress
    from actors.loop.base import LoopBase

log = logging.getLogger(__name__)

MAILBOX_LIMIT = 1000
LOG_EVERY_S = 1.0


class Hole(ActorSystemMessage):  # type: ignore[misc]
    """What is left in a queue where a message was dropped: nobody is told of it, nobody handles it."""

    __slots__ = ()


HOLE = Hole()


class Overflow:
    """The record of a mailbox that was full at least once. Places are counted from the actor's first message."""

    __slots__ = ("droppable", "dropped", "holes", "logged_at", "passed", "seen_until", "warned")

    def __init__(self) -> None:
        self.dropped = 0
        self.logged_at = float("-inf")
        self.seen_until = 0  # all messages before this place were looked at
        self.droppable: deque[tuple[int, list[Any]]] = deque()  # of those: place and entry, the oldest first
        self.holes = 0  # that wait in the queue
        self.passed = 0  # holes that were taken out of it
        self.warned = False

    def forget_holes(self, queue: deque[Any], taken: int) -> None:
        """Close the queue up. It costs less than the holes that it removes."""
        rest = [entry for entry in queue if entry[0] is not HOLE]
        queue.clear()
        queue.extend(rest)
        self.holes, self.seen_until = 0, taken
        self.droppable.clear()


class Mailbox:
    """What waits, as (message, sender), and its counts. It is in `base.ready` exactly while something waits."""

    __slots__ = ("address", "base", "busy_s", "limit", "max_depth", "overflow", "queue", "taken", "watermark")

    def __init__(self, base: LoopBase, limit: int) -> None:
        self.base = base
        self.address: LoopAddress = base.addresses.issue(self)
        self.limit = limit
        self.queue: deque[Any] = deque()  # of (message, sender), and of lists of these two where one may be dropped
        self.taken = 0  # entries taken out so far
        self.busy_s = 0.0  # spent in handling them
        self.max_depth = 0
        self.watermark = 0  # the depth at which `_rise` has something to do
        self.overflow: Overflow | None = None

    @property
    def label(self) -> str:
        """Whose mailbox this is, for the log."""
        return self.address.name

    @property
    def depth(self) -> int:
        """The messages that wait."""
        return len(self.queue) - (self.overflow.holes if self.overflow else 0)

    @property
    def received(self) -> int:
        """The messages taken out so far."""
        return self.taken - (self.overflow.passed if self.overflow else 0)

    @property
    def dropped(self) -> int:
        return self.overflow.dropped if self.overflow else 0

    def waiting(self) -> Iterator[tuple[Any, Any]]:
        """The messages that wait, and their senders."""
        return ((message, sender) for message, sender in self.queue if message is not HOLE)

    def accept(self, message: Any, sender: Any) -> None:
        base = self.base
        if get_ident() != base.thread_id:
            base.post(base.deliver, self.address, message, sender)
            return
        queue = self.queue
        depth = len(queue)
        if depth >= self.watermark and not self._rise(message):
            return
        queue.append((message, sender))
        if not depth:
            base.ready.append(self)
            if not base.awake:
                base.wake()

    def handle(self, message: Any, sender: Any) -> None:
        raise NotImplementedError

    def pass_hole(self) -> None:
        """A hole had its turn."""
        assert self.overflow is not None
        self.overflow.holes -= 1
        self.overflow.passed += 1

    def _rise(self, message: Any) -> bool:
        """Deeper than ever, or full. False: `message` is dropped."""
        depth = self.depth
        if depth < self.limit:
            self.max_depth = max(self.max_depth, depth + 1)
            self.watermark = min(self.max_depth, self.limit)
            return True
        self.watermark = self.limit
        if self._drop_oldest():
            return True
        if getattr(message, "droppable", False):
            self._count_drop()
            return False
        self.max_depth = max(self.max_depth, depth + 1)
        self._warn_once()
        return True

    def _drop_oldest(self) -> bool:
        overflow = self.overflow = self.overflow or Overflow()
        self._look(overflow)
        while overflow.droppable:
            place, entry = overflow.droppable.popleft()
            if place >= self.taken:  # else its turn has come meanwhile
                entry[0] = entry[1] = HOLE
                overflow.holes += 1
                self._count_drop()
                if overflow.holes > max(self.limit, len(self.queue) // 2):
                    overflow.forget_holes(self.queue, self.taken)
                return True
        return False

    def _look(self, overflow: Overflow) -> None:
        """Find the droppable ones among the messages that came since the last time."""
        queue, end = self.queue, self.taken + len(self.queue)
        count = min(len(queue), end - overflow.seen_until)
        overflow.seen_until = end
        found: list[tuple[int, list[Any]]] = []
        for behind, entry in enumerate(islice(reversed(queue), count), 1):
            if getattr(entry[0], "droppable", False):
                found.append((end - behind, list(entry)))
        for place, entry in reversed(found):
            queue[place - end] = entry  # from the near end: where new ones are, no walk
            overflow.droppable.append((place, entry))

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

"""What workers and nodes share while they run: who owns which call, counters, rate limits, which nodes there are.

One interface, two implementations: in this process, for a worker that is alone, and Redis (`store.redis_state`).
Nothing here may hold up a call: every method answers within a fraction of a second, if need be from what this process
knows by itself.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from config.settings import Settings

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Lease:
    """Who owns a call. Of two owners the one with the higher epoch is right."""

    owner: str
    epoch: int


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """A node that has beaten lately; `info` is what it says of itself: plain values."""

    name: str
    info: dict[str, Any]
    age_s: float  # of its last beat


class SharedState(ABC):
    """Opened and used on one event loop."""

    @staticmethod
    def from_settings(settings: Settings) -> SharedState:
        """Redis where REDIS__HOST is set, else in this process."""
        if not settings.redis.host:
            return InProcessState()
        from store.redis_state import RedisState

        return RedisState(settings.redis)

    @abstractmethod
    async def lease_all(self, calls: Sequence[str], owner: str, ttl_s: float) -> dict[str, int]:
        """Own calls for `ttl_s`: their epochs, each higher than any before. A call that another owner has is left out.

        As with the next two, however many calls there are, the others' answer is waited for once.
        """

    @abstractmethod
    async def renew_all(self, leases: Mapping[str, Lease], ttl_s: float) -> set[str]:
        """Own calls for `ttl_s` from now on: those that are somebody else's by now. What was lost is restored."""

    @abstractmethod
    async def release_all(self, leases: Mapping[str, Lease]) -> None:
        """Own calls no more; nothing happens to one that is somebody else's by now."""

    async def lease(self, call_id: str, owner: str, ttl_s: float) -> int | None:
        """Own one call; None if another owner has it."""
        return (await self.lease_all([call_id], owner, ttl_s)).get(call_id)

    async def renew(self, call_id: str, lease: Lease, ttl_s: float) -> bool:
        """As `renew_all`, for one call."""
        return not await self.renew_all({call_id: lease}, ttl_s)

    async def release(self, call_id: str, lease: Lease) -> None:
        """As `release_all`, for one call."""
        await self.release_all({call_id: lease})

    @abstractmethod
    async def owner_of(self, call_id: str) -> Lease | None:
        """The lease that holds now."""

    @abstractmethod
    async def count(self, name: str, delta: int = 1) -> int:
        """Add to a counter; the sum over all processes. What a process has added stays when it ends."""

    @abstractmethod
    async def allow(self, key: str, limit: int, period_s: float) -> bool:
        """Whether this is one of at most `limit` in `period_s`; a token comes back each `period_s / limit` (GCRA)."""

    @abstractmethod
    async def beat(self, node: str, info: dict[str, Any], ttl_s: float) -> None:
        """This node is there for the next `ttl_s`."""

    @abstractmethod
    async def nodes(self) -> list[NodeInfo]:
        """The nodes whose last beat still counts, by name."""

    @abstractmethod
    async def health(self) -> str:
        """ "ok", or what is wrong."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of all connections; a second call does nothing."""


class Expiring(Generic[V]):
    """A dictionary whose entries end at a time of their own; what has ended is swept out now and then."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[V, float]] = {}
        self._sweep_at = 64  # entries

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str, now: float) -> V | None:
        value, end = self._entries.get(key, (None, 0.0))
        return value if now < end else None

    def set(self, key: str, value: V, now: float, end: float) -> None:
        if len(self._entries) >= self._sweep_at:
            self._entries = {key: entry for key, entry in self._entries.items() if now < entry[1]}
            self._sweep_at = max(64, 2 * len(self._entries))
        self._entries[key] = value, end

    def discard(self, key: str) -> None:
        self._entries.pop(key, None)

    def items(self, now: float) -> Iterator[tuple[str, V]]:
        return ((key, value) for key, (value, end) in self._entries.items() if now < end)


class InProcessState(SharedState):
    """The state of a worker that is alone; `now` is a monotonic clock in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._leases: Expiring[Lease] = Expiring()
        self._limits: Expiring[int] = Expiring()
        self._nodes: Expiring[tuple[dict[str, Any], float]] = Expiring()
        self._counters: Counter[str] = Counter()
        self._epoch = 0

    async def lease_all(self, calls: Sequence[str], owner: str, ttl_s: float) -> dict[str, int]:
        return {call: epoch for call in calls if (epoch := self._lease(call, owner, ttl_s)) is not None}

    async def renew_all(self, leases: Mapping[str, Lease], ttl_s: float) -> set[str]:
        return {call for call, lease in leases.items() if not self._renew(call, lease, ttl_s)}

    async def release_all(self, leases: Mapping[str, Lease]) -> None:
        for call, lease in leases.items():
            if self._leases.get(call, self._now()) == lease:
                self._leases.discard(call)

    def _lease(self, call_id: str, owner: str, ttl_s: float) -> int | None:
        now = self._now()
        held = self._leases.get(call_id, now)
        if held and held.owner != owner:
            return None
        # Of the wall clock, like those of Redis: they go on rising where one takes over from the other.
        self._epoch = max(self._epoch + 1, time.time_ns() // 1000)
        self._leases.set(call_id, Lease(owner, self._epoch), now, now + ttl_s)
        return self._epoch

    def _renew(self, call_id: str, lease: Lease, ttl_s: float) -> bool:
        now = self._now()
        if self._leases.get(call_id, now) not in (None, lease):
            return False
        self._epoch = max(self._epoch, lease.epoch)
        self._leases.set(call_id, lease, now, now + ttl_s)
        return True

    def learn(self, call_id: str, lease: Lease, ttl_s: float) -> None:
        """Somebody who knows better says who owns it."""
        if self._leases.get(call_id, self._now()) not in (None, lease):
            self._leases.discard(call_id)
        self._renew(call_id, lease, ttl_s)

    async def owner_of(self, call_id: str) -> Lease | None:
        return self._leases.get(call_id, self._now())

    async def count(self, name: str, delta: int = 1) -> int:
        self._counters[name] += delta
        return self._counters[name]

    async def allow(self, key: str, limit: int, period_s: float) -> bool:
        now = self._now()
        now_us, interval_us, period_us = int(now * 1e6), interval(limit, period_s), int(period_s * 1e6)
        # The time by which all that was allowed would have come, had it come evenly.
        due_us = max(self._limits.get(key, now) or 0, now_us) + interval_us
        if due_us - now_us > period_us:
            return False
        self._limits.set(key, due_us, now, due_us / 1e6)
        return True

    async def beat(self, node: str, info: dict[str, Any], ttl_s: float) -> None:
        now = self._now()
        self._nodes.set(node, (info, now), now, now + ttl_s)

    async def nodes(self) -> list[NodeInfo]:
        now = self._now()
        return [NodeInfo(name, info, now - at) for name, (info, at) in sorted(self._nodes.items(now))]

    async def health(self) -> str:
        return "ok"

    async def close(self) -> None:
        pass


def interval(limit: int, period_s: float) -> int:
    """Microseconds between two that are allowed; whole ones, so that no rounding adds up."""
    if limit < 1 or period_s <= 0:
        raise ValueError(f"limit = {limit}, period_s = {period_s}: legal: above 0")
    return max(1, int(period_s * 1e6) // limit)

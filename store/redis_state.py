"""Shared state in Redis, and what happens while Redis is away.

An operation gets `ANSWER_S`. If Redis does not answer by then, this process answers from what it knows by itself, and
does so at once for the next `RETRY_S`, after which one operation tries again: over a new connection, because the name
may lead to another server by now, and Redis is back when it takes what is written. Nothing has to be caught up with
afterwards: a lease that Redis lacks is restored by its next renewal, and a counter holds each process's own total.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from config.settings import RedisSettings
from store import redis_scripts as lua
from store.shared import InProcessState, Lease, NodeInfo, SharedState, interval

log = logging.getLogger(__name__)

T = TypeVar("T")

ANSWER_S = 0.25
RETRY_S = 1.0
CONNECTIONS = 8
PORTION = 500  # calls whose leases one script handles: 1-2 ms of Redis
PREFIX = "callboard:"
PROBE_KEY = f"{PREFIX}probe"
COUNT_KEPT_S = 86_400.0  # since a node was last asked after: nodes whose names come and go leave nothing for ever
REASON_CHARS = 200


class _Away(Exception):
    """Redis does not answer; this process has to."""


class RedisState(SharedState):
    """State that all workers and nodes at one Redis share; `now` is a monotonic clock in seconds."""

    def __init__(self, settings: RedisSettings, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._place = f"{settings.host}:{settings.port}/{settings.db}"
        self._process = uuid4().hex
        self._own = InProcessState(now)
        self._reason = ""  # why Redis is away
        self._retry_at = 0.0
        self._settings = settings
        self._connect()

    def _connect(self) -> None:
        self._redis = Redis(connection_pool=_pool(self._settings))
        self._scripts = {text: self._redis.register_script(text) for text in lua.ALL}

    async def lease_all(self, calls: Sequence[str], owner: str, ttl_s: float) -> dict[str, int]:
        leased: dict[str, int] = {}
        for some in _portions(calls):
            try:
                epochs = await self._run(lua.LEASE, _lease_keys(some), owner, _ms(ttl_s), read=partial(_epochs, some))
            except _Away:
                leased |= await self._own.lease_all(some, owner, ttl_s)
                continue
            for call, epoch in epochs.items():
                self._own.learn(call, Lease(owner, epoch), ttl_s)
            leased |= epochs
        return leased

    async def renew_all(self, leases: Mapping[str, Lease], ttl_s: float) -> set[str]:
        lost: set[str] = set()
        for some in _portions(list(leases)):
            theirs = {call: leases[call] for call in some}
            held = [_text(lease) for lease in theirs.values()]
            try:
                ours = await self._run(lua.RENEW, _lease_keys(some), _ms(ttl_s), *held, read=partial(_ours, some))
            except _Away:
                lost |= await self._own.renew_all(theirs, ttl_s)
                continue
            for call in ours:
                self._own.learn(call, leases[call], ttl_s)
            lost |= theirs.keys() - ours
        await self._own.release_all({call: leases[call] for call in lost})
        return lost

    async def release_all(self, leases: Mapping[str, Lease]) -> None:
        await self._own.release_all(leases)
        for some in _portions(list(leases)):
            held = [_text(leases[call]) for call in some]
            with suppress(_Away):  # they end by themselves
                await self._run(lua.RELEASE, _lease_keys(some)[1:], *held, read=int)

    async def owner_of(self, call_id: str) -> Lease | None:
        async def question() -> Lease | None:
            return _lease(await self._redis.get(_lease_key(call_id)))

        try:
            return await self._ask(question)
        except _Away:
            return await self._own.owner_of(call_id)

    async def count(self, name: str, delta: int = 1) -> int:
        total = await self._own.count(name, delta)
        try:
            return await self._run(lua.COUNT, [_key("count", name)], self._process, total, _ms(COUNT_KEPT_S), read=int)
        except _Away:
            return total

    async def allow(self, key: str, limit: int, period_s: float) -> bool:
        interval_us = interval(limit, period_s)
        try:
            return await self._run(lua.ALLOW, [_key("limit", key)], interval_us, int(period_s * 1e6), read=_flag)
        except _Away:
            return await self._own.allow(key, limit, period_s)

    async def beat(self, node: str, info: dict[str, Any], ttl_s: float) -> None:
        await self._own.beat(node, info, ttl_s)
        with suppress(_Away):  # the next beat comes soon
            await self._run(lua.BEAT, [_key("nodes")], node, int(ttl_s * 1e6), json.dumps(info), read=_flag)

    async def nodes(self) -> list[NodeInfo]:
        try:
            return await self._run(lua.NODES, [_key("nodes")], read=_nodes)
        except _Away:
            return await self._own.nodes()

    async def health(self) -> str:
        try:
            await self._ask(self._probe)
        except _Away:
            return f"redis {self._place}: {self._reason}"
        return "ok"

    async def close(self) -> None:
        await self._redis.aclose(close_connection_pool=True)

    async def _probe(self) -> None:
        _flag(await self._scripts[lua.PROBE]([PROBE_KEY], ()))

    async def _run(self, script: str, keys: list[str], *arguments: str | int, read: Callable[[Any], T]) -> T:
        async def question() -> T:
            return read(await self._scripts[script](keys, arguments))

        return await self._ask(question)

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Redis's answer. Raises `_Away`, at once where Redis was away a moment ago."""
        if self._reason:
            if self._now() < self._retry_at:
                raise _Away
            self._retry_at = self._now() + RETRY_S  # this one tries, the others do not wait for it
            await self._reconnect()
        try:
            async with asyncio.timeout(ANSWER_S):
                if self._reason:
                    await self._probe()
                answer = await question()
        except Exception as error:  # after a cut the client raises more than its own errors and the system's
            self._note_outage(error)
            raise _Away from None
        if self._reason:
            log.warning("redis %s is back", self._place)
            self._reason = ""
        return answer

    async def _reconnect(self) -> None:
        """Whatever state the outage has left the client in, and wherever it was connected to, is forgotten."""
        before = self._redis
        self._connect()
        with suppress(Exception):
            async with asyncio.timeout(ANSWER_S):
                await before.aclose(close_connection_pool=True)

    def _note_outage(self, error: Exception) -> None:
        reason = f"no answer within {ANSWER_S:g} s" if isinstance(error, TimeoutError) else _told(error)
        if not self._reason:
            log.error("redis %s is away, this process answers by itself: %s", self._place, reason)
        self._reason, self._retry_at = reason, self._now() + RETRY_S


def _pool(settings: RedisSettings) -> BlockingConnectionPool:
    return BlockingConnectionPool(
        max_connections=CONNECTIONS,
        timeout=ANSWER_S,
        host=settings.host,
        port=settings.port,
        db=settings.db,
        username=settings.user or None,
        password=settings.password.get_secret_value() or None,
        socket_timeout=ANSWER_S,
        socket_connect_timeout=ANSWER_S,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
        encoding_errors="replace",
        client_name="callboard",
    )


def _key(*parts: str) -> str:
    return PREFIX + ":".join(parts)


def _lease_key(call_id: str) -> str:
    return _key("lease", call_id)


def _lease_keys(calls: Sequence[str]) -> list[str]:
    return [_key("epoch"), *map(_lease_key, calls)]


def _portions(calls: Sequence[str]) -> Iterator[Sequence[str]]:
    """Redis does nothing else while a script runs, so none of them is long."""
    return (calls[start : start + PORTION] for start in range(0, len(calls), PORTION))


def _told(error: Exception) -> str:
    foreseen = isinstance(error, RedisError | OSError) and str(error)
    text = str(error) if foreseen else f"{type(error).__name__} {error}"
    return " ".join(text[:REASON_CHARS].split())


def _text(lease: Lease) -> str:
    return f"{lease.epoch} {lease.owner}"


# --- what Redis answers: whatever is no such answer raises something -------------------------------------------------


def _epochs(calls: Sequence[str], answer: Any) -> dict[str, int]:
    return {call: int(epoch) for call, epoch in zip(calls, answer, strict=True) if epoch}


def _ours(calls: Sequence[str], answer: Any) -> set[str]:
    return {call for call, is_ours in zip(calls, answer, strict=True) if _flag(is_ours)}


def _flag(answer: Any) -> bool:
    if answer not in (0, 1):
        raise ValueError(f"answers {answer!r:.40}")
    return bool(answer)


def _nodes(answer: Any) -> list[NodeInfo]:
    rows = [(str(name), int(age_us) / 1e6, _object(info)) for name, age_us, info in sorted(answer)]
    return [NodeInfo(name, info, age_s) for name, age_s, info in rows if info is not None]


def _object(text: str) -> dict[str, Any] | None:
    """Somebody else's field may hold anything."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _lease(answer: Any) -> Lease | None:
    epoch, _, owner = str(answer or "").partition(" ")
    return Lease(owner, int(epoch)) if epoch.isdecimal() and owner else None


def _ms(seconds: float) -> int:
    return max(1, int(seconds * 1000))

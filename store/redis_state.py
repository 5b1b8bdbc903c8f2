"""Shared state in Redis: the scripts, and what happens while Redis is away.

An operation gets `ANSWER_S`. If Redis does not answer by then, this process answers from what it knows by itself, and
does so at once for the next `RETRY_S`, after which one operation tries again. Nothing has to be caught up with
afterwards: a lease that Redis lacks is restored by its next renewal, and a counter holds each process's own total.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from uuid import uuid4

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from config.settings import RedisSettings
from store.shared import InProcessState, Lease, NodeInfo, SharedState, interval

log = logging.getLogger(__name__)

ANSWER_S = 0.25
RETRY_S = 1.0
CONNECTIONS = 8
PORTION = 500  # calls whose leases one script handles: 1-2 ms of Redis
PREFIX = "callboard:"

_NOW = "local t = redis.call('TIME') local now = t[1] * 1000000 + t[2] "  # microseconds: exact in Lua until 2255

# An owner's lease is "EPOCH OWNER". KEYS: the last epoch of all, then the calls' leases.
# ARGV: owner, milliseconds. The answer: an epoch for each call, "" where another owner has it.
_LEASE = (
    _NOW
    + """
local epoch, epochs = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0) + 1), {}
for i = 2, #KEYS do
    local held = redis.call('GET', KEYS[i])
    if held and string.match(held, ' (.*)$') ~= ARGV[1] then
        epochs[i - 1] = ''
    else
        epochs[i - 1] = string.format('%.0f', epoch)
        redis.call('SET', KEYS[i], epochs[i - 1] .. ' ' .. ARGV[1], 'PX', ARGV[2])
        redis.call('SET', KEYS[1], epochs[i - 1])
        epoch = epoch + 1
    end
end
return epochs
"""
)
# ARGV: milliseconds, then each call's lease, whose epoch may be of a process that could not ask Redis.
# The answer: 1 for each call that is still ours, else 0.
_RENEW = """
local ours, last = {}, tonumber(redis.call('GET', KEYS[1]) or 0)
for i = 2, #KEYS do
    local held = redis.call('GET', KEYS[i])
    if held and held ~= ARGV[i] then
        ours[i - 1] = 0
    else
        ours[i - 1] = 1
        redis.call('SET', KEYS[i], ARGV[i], 'PX', ARGV[1])
        local epoch = string.match(ARGV[i], '^%d+')
        if tonumber(epoch) > last then
            last = tonumber(epoch)
            redis.call('SET', KEYS[1], epoch)
        end
    end
end
return ours
"""
_RELEASE = """
for i = 1, #KEYS do
    if redis.call('GET', KEYS[i]) == ARGV[i] then redis.call('DEL', KEYS[i]) end
end
return 1
"""
# ARGV: the process, its own total.
_COUNT = """
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local sum = 0
for _, total in ipairs(redis.call('HVALS', KEYS[1])) do sum = sum + total end
return sum
"""
# ARGV: the interval and the period, in microseconds.
_ALLOW = (
    _NOW
    + """
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + ARGV[1]
if due - now > tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], string.format('%.0f', due), 'PX', math.ceil((due - now) / 1000))
return 1
"""
)
# A node's field is "BEAT END INFO", times in microseconds. ARGV: name, microseconds, info.
_BEAT = (
    _NOW
    + """
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %.0f %s', now, now + ARGV[2], ARGV[3]))
return 1
"""
)
_NODES = (
    _NOW
    + """
local found, all = {}, redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
    local at, ends, info = string.match(all[i + 1], '^(%d+) (%d+) (.*)$')
    if tonumber(ends) > now then
        found[#found + 1] = {all[i], string.format('%.0f', now - at), info}
    else
        redis.call('HDEL', KEYS[1], all[i])
    end
end
return found
"""
)


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
        self._redis = Redis(connection_pool=_pool(settings))
        scripts = (_LEASE, _RENEW, _RELEASE, _COUNT, _ALLOW, _BEAT, _NODES)
        self._scripts = {text: self._redis.register_script(text) for text in scripts}

    async def lease_all(self, calls: Sequence[str], owner: str, ttl_s: float) -> dict[str, int]:
        leased: dict[str, int] = {}
        for some in _portions(calls):
            try:
                answer = await self._run(_LEASE, _lease_keys(some), owner, _ms(ttl_s))
            except _Away:
                leased |= await self._own.lease_all(some, owner, ttl_s)
                continue
            epochs = {call: int(epoch) for call, epoch in zip(some, answer, strict=True) if epoch}
            for call, epoch in epochs.items():
                self._own.learn(call, Lease(owner, epoch), ttl_s)
            leased |= epochs
        return leased

    async def renew_all(self, leases: Mapping[str, Lease], ttl_s: float) -> set[str]:
        lost: set[str] = set()
        for some in _portions(list(leases)):
            theirs = {call: leases[call] for call in some}
            try:
                answer = await self._run(_RENEW, _lease_keys(some), _ms(ttl_s), *map(_text, theirs.values()))
            except _Away:
                lost |= await self._own.renew_all(theirs, ttl_s)
                continue
            for call, is_ours in zip(some, answer, strict=True):
                if is_ours:
                    self._own.learn(call, leases[call], ttl_s)
                else:
                    lost.add(call)
        await self._own.release_all({call: leases[call] for call in lost})
        return lost

    async def release_all(self, leases: Mapping[str, Lease]) -> None:
        await self._own.release_all(leases)
        for some in _portions(list(leases)):
            try:
                await self._run(_RELEASE, _lease_keys(some)[1:], *(_text(leases[call]) for call in some))
            except _Away:
                pass  # they end by themselves

    async def owner_of(self, call_id: str) -> Lease | None:
        try:
            held = await self._ask(lambda: self._redis.get(_lease_key(call_id)))
        except _Away:
            return await self._own.owner_of(call_id)
        return _lease(held) if held else None

    async def count(self, name: str, delta: int = 1) -> int:
        total = await self._own.count(name, delta)
        try:
            return int(await self._run(_COUNT, [_key("count", name)], self._process, total))
        except _Away:
            return total

    async def allow(self, key: str, limit: int, period_s: float) -> bool:
        interval_us = interval(limit, period_s)
        try:
            return bool(await self._run(_ALLOW, [_key("limit", key)], interval_us, int(period_s * 1e6)))
        except _Away:
            return await self._own.allow(key, limit, period_s)

    async def beat(self, node: str, info: dict[str, Any], ttl_s: float) -> None:
        await self._own.beat(node, info, ttl_s)
        try:
            await self._run(_BEAT, [_key("nodes")], node, int(ttl_s * 1e6), json.dumps(info))
        except _Away:
            pass  # the next beat comes soon

    async def nodes(self) -> list[NodeInfo]:
        try:
            found = await self._run(_NODES, [_key("nodes")])
        except _Away:
            return await self._own.nodes()
        return [NodeInfo(name, json.loads(info), int(age_us) / 1e6) for name, age_us, info in sorted(found)]

    async def health(self) -> str:
        try:
            await self._ask(self._redis.ping)
        except _Away:
            return f"redis {self._place}: {self._reason}"
        return "ok"

    async def close(self) -> None:
        await self._redis.aclose(close_connection_pool=True)

    async def _run(self, script: str, keys: list[str], *arguments: str | int) -> Any:
        return await self._ask(lambda: self._scripts[script](keys, arguments))

    async def _ask(self, question: Callable[[], Any]) -> Any:
        """Redis's answer. Raises `_Away`, at once where Redis was away a moment ago."""
        if self._reason:
            if self._now() < self._retry_at:
                raise _Away
            self._retry_at = self._now() + RETRY_S  # this one tries, the others do not wait for it
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await question()
        except Exception as error:  # after a cut the client raises more than its own errors and the system's
            self._note_outage(error)
            raise _Away from None
        if self._reason:
            log.warning("redis %s is back", self._place)
            self._reason = ""
        return answer

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
    return str(error) if foreseen else f"{type(error).__name__} {error}".strip()


def _text(lease: Lease) -> str:
    return f"{lease.epoch} {lease.owner}"


def _lease(text: str) -> Lease:
    epoch, _, owner = text.partition(" ")
    return Lease(owner, int(epoch))


def _ms(seconds: float) -> int:
    return max(1, int(seconds * 1000))

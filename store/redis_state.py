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
from collections.abc import Callable
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
PREFIX = "callboard:"

_NOW = "local t = redis.call('TIME') local now = t[1] * 1000000 + t[2] "  # microseconds: exact in Lua until 2255

# An owner's lease is "EPOCH OWNER". KEYS: the lease, the last epoch of all. ARGV: owner, milliseconds.
_LEASE = (
    _NOW
    + """
local held = redis.call('GET', KEYS[1])
if held and string.match(held, ' (.*)$') ~= ARGV[1] then return false end
local epoch = string.format('%.0f', math.max(now, tonumber(redis.call('GET', KEYS[2]) or 0) + 1))
redis.call('SET', KEYS[2], epoch)
redis.call('SET', KEYS[1], epoch .. ' ' .. ARGV[1], 'PX', ARGV[2])
return epoch
"""
)
# ARGV: the lease, milliseconds, its epoch, which may be of a process that could not ask Redis.
_RENEW = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
if tonumber(ARGV[3]) > tonumber(redis.call('GET', KEYS[2]) or 0) then redis.call('SET', KEYS[2], ARGV[3]) end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end return 1"
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

    async def lease(self, call_id: str, owner: str, ttl_s: float) -> int | None:
        try:
            epoch = await self._run(_LEASE, [_lease_key(call_id), _key("epoch")], owner, _ms(ttl_s))
        except _Away:
            return await self._own.lease(call_id, owner, ttl_s)
        if epoch is None:
            return None
        await self._remember(call_id, Lease(owner, int(epoch)), ttl_s)
        return int(epoch)

    async def renew(self, call_id: str, lease: Lease, ttl_s: float) -> bool:
        keys = [_lease_key(call_id), _key("epoch")]
        try:
            is_ours = bool(await self._run(_RENEW, keys, _text(lease), _ms(ttl_s), lease.epoch))
        except _Away:
            return await self._own.renew(call_id, lease, ttl_s)
        if is_ours:
            await self._remember(call_id, lease, ttl_s)
        else:
            await self._own.release(call_id, lease)
        return is_ours

    async def release(self, call_id: str, lease: Lease) -> None:
        await self._own.release(call_id, lease)
        try:
            await self._run(_RELEASE, [_lease_key(call_id)], _text(lease))
        except _Away:
            pass  # it ends by itself

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

    async def _remember(self, call_id: str, lease: Lease, ttl_s: float) -> None:
        """What Redis says replaces what this process knew."""
        if (known := await self._own.owner_of(call_id)) and known != lease:
            await self._own.release(call_id, known)
        await self._own.renew(call_id, lease, ttl_s)

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
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            self._note_outage(error)
            raise _Away from None
        if self._reason:
            log.warning("redis %s is back", self._place)
            self._reason = ""
        return answer

    def _note_outage(self, error: Exception) -> None:
        reason = str(error) or f"no answer within {ANSWER_S:g} s"
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


def _text(lease: Lease) -> str:
    return f"{lease.epoch} {lease.owner}"


def _lease(text: str) -> Lease:
    epoch, _, owner = text.partition(" ")
    return Lease(owner, int(epoch))


def _ms(seconds: float) -> int:
    return max(1, int(seconds * 1000))

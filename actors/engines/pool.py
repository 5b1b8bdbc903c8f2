"""The engine processes that all calls of a worker share.

There is one pool for each engine and event loop, made when the first session needs it: a worker has one loop, so its
calls share one set of processes. `await close_engines()` ends them, when a worker (or a test) is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Any
from weakref import WeakKeyDictionary

from actors.engines.process import Channel, ChannelListener, EngineProcess, close_starter

# espeak-ng speaks a second in 0.8 ms: one process is plenty. A recognizer takes 2-5 % of a core for each caller.
SIZES = {"voice": 1, "recognizer": max(1, (os.cpu_count() or 1) - 1)}
COMFORTABLE_CHANNELS = 16  # below this load a further process is not worth its start
SHARE_S = 2.0  # until it is tried again to start what could not be
SPARE_AFTER_S = 1.0
GONE_S = 2.0  # for killed processes to be gone; one that waits for its disk is left to its parent's end


class EnginePool:
    """Processes of one engine; work goes to the least loaded that is fit. Beside those that work one waits, warm: what
    a dead one did goes on at once. An idle process costs 16 MB and no CPU."""

    def __init__(self, name: str, size: int) -> None:
        """At most `size` processes work."""
        self.name, self.size = name, size
        self._processes: list[EngineProcess] = []
        self._ended: set[asyncio.Future[None]] = set()
        self._spare: asyncio.TimerHandle | None = None  # when the next one starts
        self._stopped = False
        self._share_until_s = 0.0

    @property
    def pids(self) -> tuple[int, ...]:
        """Of those that work; the one that waits is not among them."""
        return tuple(process.pid for process in self._processes if process.alive and process.pid and not process.spare)

    @property
    def lag_s(self) -> float:
        """How late the slowest of them answers that has work, or opens what it was asked to; to start is no lag."""
        working = [process for process in self._processes if process.alive and process.load and process.proven]
        return max((max(process.lag_s, process.opening_s) for process in working), default=0.0)

    @property
    def busy(self) -> bool:
        """One that has work has its hands full."""
        return any(process.busy for process in self._processes if process.load)

    def open(self, listener: ChannelListener, opening: dict[str, Any]) -> Channel:
        """Start a piece of work; a process that cannot be started fails it."""
        channel = self._choose().open(listener, opening)
        self._want_spare(SPARE_AFTER_S)
        return channel

    def warm(self) -> None:
        """Start the first process now, so that the first caller does not wait for it."""
        self._choose()

    def stop(self) -> None:
        """End all processes; their channels are told."""
        self._stopped = True
        if self._spare is not None:
            self._spare.cancel()
        for process in self._processes:
            process.stop()

    async def gone(self) -> None:
        """After `stop`: until nothing of them is left."""
        await asyncio.gather(*self._ended)

    def _choose(self) -> EngineProcess:
        fit = [process for process in self._processes if process.fit]
        busy = [process for process in fit if process.load]
        best = min(busy, key=lambda process: process.load, default=None)
        if best is not None and (best.load < COMFORTABLE_CHANNELS or len(busy) >= self.size or self._must_share()):
            return best
        chosen = next((process for process in fit if not process.load), None) or self._start()
        chosen.spare = False
        return chosen

    def _must_share(self) -> bool:
        """A further one could not be started just now: what is there does the work."""
        return asyncio.get_running_loop().time() < self._share_until_s

    def _start(self, spare: bool = False) -> EngineProcess:
        self._processes = [process for process in self._processes if process.alive]
        process = EngineProcess(self.name, self._doubt)
        process.spare = spare
        self._processes.append(process)
        self._ended.add(process.gone)
        process.gone.add_done_callback(self._ended.discard)
        return process

    def _doubt(self, process: EngineProcess) -> None:
        """One of them seems to be dead: its work will come back in a moment. Where none can live (a broken
        installation) it is the next work that tries again, not we, for ever."""
        if process.refused:
            self._share_until_s = asyncio.get_running_loop().time() + SHARE_S
        if process.proven:
            self._want_spare(0.0)

    def _want_spare(self, after_s: float) -> None:
        """A busy start is not made busier: the spare may wait a little."""
        if self._stopped or (self._spare is not None and after_s):
            return
        if self._spare is not None:
            self._spare.cancel()
        self._spare = asyncio.get_running_loop().call_later(after_s, self._keep_spare)

    def _keep_spare(self) -> None:
        self._spare = None
        fit = [process for process in self._processes if process.fit]
        if self._processes and all(process.load for process in fit):
            self._start(spare=True)


_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, EnginePool]] = WeakKeyDictionary()


def engine_pool(name: str) -> EnginePool:
    """The running loop's pool of this engine: `voice` or `recognizer`."""
    pools = _pools.setdefault(asyncio.get_running_loop(), {})
    if name not in pools:
        pools[name] = EnginePool(name, SIZES[name])
    return pools[name]


def warm_engines() -> None:
    """Start one process of each engine ahead of the first call."""
    for name in SIZES:
        engine_pool(name).warm()


def engines_lag_s() -> float:
    """How late the slowest engine of the running loop answers, in seconds."""
    return max((pool.lag_s for pool in _pools.get(asyncio.get_running_loop(), {}).values()), default=0.0)


async def close_engines() -> None:
    """End all engine processes of the running loop; sessions that still use them fail."""
    pools = _pools.pop(asyncio.get_running_loop(), {}).values()
    for pool in pools:
        pool.stop()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GONE_S):
            await asyncio.gather(*(pool.gone() for pool in pools))
    close_starter()

"""The engine processes that all calls of a worker share.

There is one pool for each engine and event loop, made when the first session needs it: a worker has one loop, so its
calls share one set of processes. `await close_engines()` ends them, when a worker (or a test) is done.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any
from weakref import WeakKeyDictionary

from actors.engines.process import Channel, ChannelListener, EngineProcess

# espeak-ng speaks a second in 0.8 ms: one process is plenty. A recognizer takes some 1-2 % of a core for each caller.
SIZES = {"voice": 1, "recognizer": max(1, (os.cpu_count() or 1) - 1)}
COMFORTABLE_CHANNELS = 16  # below this load a further process is not worth its start


class EnginePool:
    """Processes of one engine; work goes to the least loaded, a dead one is replaced when work comes."""

    def __init__(self, name: str, size: int) -> None:
        self.name, self.size = name, size
        self._processes: list[EngineProcess] = []

    @property
    def pids(self) -> tuple[int, ...]:
        return tuple(process.pid for process in self._processes if process.alive)

    def open(self, listener: ChannelListener, opening: dict[str, Any]) -> Channel:
        """Start a piece of work. Raises `ProviderError` if no process can be started."""
        return self._least_loaded().open(listener, opening)

    def warm(self) -> None:
        """Start the first process now, so that the first caller does not wait for it."""
        self._least_loaded()

    def stop(self) -> None:
        """End all processes; their channels are told."""
        processes, self._processes = self._processes, []
        for process in processes:
            process.stop()

    def _least_loaded(self) -> EngineProcess:
        self._processes = [process for process in self._processes if process.alive]
        best = min(self._processes, key=lambda process: process.load, default=None)
        if best is None or (best.load >= COMFORTABLE_CHANNELS and len(self._processes) < self.size):
            best = EngineProcess(self.name)
            self._processes.append(best)
        return best


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


async def close_engines() -> None:
    """End all engine processes of the running loop; sessions that still use them fail."""
    for pool in _pools.pop(asyncio.get_running_loop(), {}).values():
        pool.stop()

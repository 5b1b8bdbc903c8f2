"""This worker's leases on its calls, in the shared state: who owns which call, for the whole cluster.

The store says who *claimed* a call, once; a lease says who has it *now*, and lapses by itself with a worker that is
gone. Nothing waits for it: what is live is compared with what is held, every few seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from store.shared import Lease, SharedState

log = logging.getLogger(__name__)

TTL_S = 15.0
EVERY_S = 5.0


class Leases:
    """Keeps a lease on each call that `live` names (context ids), from `start` to `stop`."""

    def __init__(self, shared: SharedState, owner: str, live: Callable[[], set[str]]) -> None:
        self._shared, self._owner, self._live = shared, owner, live
        self._held: dict[str, Lease] = {}
        self._refused: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._keep(), name="leases")

    async def stop(self) -> None:
        """Release everything."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._release(set(self._held))

    async def reconcile(self) -> None:
        """Take a lease on what is new, renew what goes on, release what has ended."""
        live = self._live()
        await self._release(self._held.keys() - live)
        self._refused &= live
        for call in live:
            if (lease := self._held.get(call)) is None:
                await self._take(call)
            elif not await self._shared.renew(call, lease, TTL_S):
                del self._held[call]
                await self._take(call)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            await self.reconcile()

    async def _take(self, call: str) -> None:
        epoch = await self._shared.lease(call, self._owner, TTL_S)
        if epoch is not None:
            self._held[call] = Lease(self._owner, epoch)
        elif call not in self._refused:
            self._refused.add(call)
            log.error("call %s: %s owns it in the shared state", call, await self._shared.owner_of(call))

    async def _release(self, calls: set[str]) -> None:
        for call in calls:
            await self._shared.release(call, self._held.pop(call))

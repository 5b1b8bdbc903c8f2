"""This worker's leases on its calls, in the shared state: who owns which call, for the whole cluster.

The store says who *claimed* a call, once; a lease says who has it *now*, and lapses by itself with a worker that is
gone. No call waits for it: one task compares what is live with what is held.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable

from store.shared import Lease, SharedState

log = logging.getLogger(__name__)

TTL_S = 15.0
LOOK_S = 1.0  # how often what is live is compared with what is held
RENEW_EVERY = 5  # looks


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

    async def reconcile(self, renew: bool = True) -> None:
        """Take a lease on what is new, release what has ended, and `renew` what goes on. Not for two tasks at once."""
        live = self._live()
        await self._release(self._held.keys() - live)
        self._refused &= live
        for call in live:
            if (lease := self._held.get(call)) is None:
                await self._take(call)
            elif renew and not await self._shared.renew(call, lease, TTL_S):
                del self._held[call]
                await self._take(call)

    async def _keep(self) -> None:
        for look in itertools.count(1):
            await asyncio.sleep(LOOK_S)
            await self.reconcile(renew=look % RENEW_EVERY == 0)

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

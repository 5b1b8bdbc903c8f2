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
        self._failing = False  # as told in the log
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
        """Take a lease on what is new, release what has ended, and `renew` what goes on. Not for two tasks at once.

        Each of the three is one question to the shared state, however many calls there are.
        """
        live = self._live()
        await self._release(self._held.keys() - live)
        self._refused &= live
        if renew and self._held:
            for call in await self._shared.renew_all(self._held, TTL_S):
                del self._held[call]
        await self._take(sorted(live - self._held.keys()))

    async def _keep(self) -> None:
        for look in itertools.count(1):
            await asyncio.sleep(LOOK_S)
            try:
                await self.reconcile(renew=look % RENEW_EVERY == 0)
                self._failing = False
            except Exception:  # whatever it was, the next look makes up for it: a worker without leases loses its calls
                if not self._failing:
                    log.exception("leases: a look has failed; there is one each %g s", LOOK_S)
                self._failing = True

    async def _take(self, calls: list[str]) -> None:
        if not calls:
            return
        epochs = await self._shared.lease_all(calls, self._owner, TTL_S)
        self._held |= {call: Lease(self._owner, epoch) for call, epoch in epochs.items()}
        for call in set(calls) - epochs.keys() - self._refused:
            self._refused.add(call)
            log.error("call %s: %s owns it in the shared state", call, await self._shared.owner_of(call))

    async def _release(self, calls: set[str]) -> None:
        if calls:
            await self._shared.release_all({call: self._held.pop(call) for call in calls})

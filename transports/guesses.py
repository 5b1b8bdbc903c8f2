"""Peers that name calls which are not there: the id of a call is all that a media connection shows, so who guesses is
counted, and refused for a while.

An id that is known but was used or waited too long is no guess: a carrier that is late has done nothing wrong. Whoever
brings calls that are there earns a credit, so that a PBX with a wrong line in its dialplan keeps its other calls.
Behind a proxy each of its clients is counted; but whom a proxy names only the proxy knows, and who is none can claim
anything. So all that one address names for others are counted together, too, with more patience.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from uuid import UUID

from actors.budget import Bucket
from config.errors import BadInput
from config.logging import cut
from transports.arrivals import network_of

MOST_PEERS = 4096  # that are remembered; the one that was seen last the longest ago is forgotten
CREDIT = 10.0  # guesses that a call which is there makes good
PROXIED = 20  # times as many guesses are allowed to all clients of one proxy
CLIENT_CHARS = 64  # of what a proxy says of its client
TOGETHER_S, MOST_TOGETHER = 0.05, 500  # ids that one query looks up, named within so long


class TooManyGuesses(BadInput):
    """The peer has named so many calls that are not there that it is not asked for a while."""

    code = "too_many_guesses"
    http_status = 429


class Guesses:
    """One worker's account of them; `per_minute` are allowed to each peer, all at once too."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()  # of peers that have guessed

    def check(self, address: str, now: float, client: str = "") -> None:
        """Raises `TooManyGuesses`. `client`: for whom a proxy at this address asks."""
        for who, _ in self._counted(address, client):
            bucket = self._buckets.get(who)
            if bucket is not None and bucket.level(now) < 1:
                raise TooManyGuesses(f"more than {self.per_minute} unknown calls a minute: try again in a minute")

    def missed(self, address: str, now: float, client: str = "") -> None:
        """It has named a call that is not there."""
        for who, allowed in self._counted(address, client):
            self._buckets.setdefault(who, Bucket.per_minute(allowed)).take(1, now)
            self._buckets.move_to_end(who)
        while len(self._buckets) > MOST_PEERS:
            self._buckets.popitem(last=False)

    def hit(self, address: str, now: float, client: str = "") -> None:
        """It has named a call that is there."""
        for who, _ in self._counted(address, client):
            if (bucket := self._buckets.get(who)) is not None:
                bucket.give(CREDIT, now)

    def _counted(self, address: str, client: str) -> Iterator[tuple[str, int]]:
        """Whose guesses these are, and how many are allowed him; the proxy last, which is forgotten last."""
        peer = network_of(address)
        if client:
            yield f"{peer} for {cut(network_of(client), CLIENT_CHARS)}", self.per_minute
            yield f"{peer} for others", self.per_minute * PROXIED
        else:
            yield peer, self.per_minute


class Doubted:
    """Ids named by peers who have guessed too often: looked up together, so that a flood costs a query now and then.

    A call that is there is not lost for what others guess from its address, be it a PBX or a NAT.
    """

    def __init__(self, known: Callable[[set[UUID]], Awaitable[set[UUID]]]) -> None:
        """`known`: which of these are there."""
        self._known = known
        self._ids: set[UUID] = set()
        self._answer: asyncio.Task[set[UUID]] | None = None

    async def is_there(self, identity: UUID) -> bool:
        """Whether a call has this id; False also for one more than are looked up together."""
        if self._answer is None:
            self._answer = asyncio.get_running_loop().create_task(self._look())
        if len(self._ids) >= MOST_TOGETHER:
            return False
        self._ids.add(identity)
        return identity in await asyncio.shield(self._answer)

    async def _look(self) -> set[UUID]:
        await asyncio.sleep(TOGETHER_S)
        ids, self._ids, self._answer = self._ids, set(), None
        return await self._known(ids)

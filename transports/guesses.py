"""Peers that name calls which are not there: the id of a call is all that a media connection shows, so who guesses is
counted, and refused for a while.

An id that is known but was used or waited too long is no guess: a carrier that is late has done nothing wrong. Whoever
brings calls that are there earns a credit, so that a PBX with a wrong line in its dialplan keeps its other calls.
"""

from __future__ import annotations

from collections import OrderedDict

from actors.budget import Bucket
from config.errors import BadInput
from transports.arrivals import network_of

MOST_PEERS = 4096  # that are remembered; the one that was seen last the longest ago is forgotten
CREDIT = 10.0  # guesses that a call which is there makes good


class TooManyGuesses(BadInput):
    """The peer has named so many calls that are not there that it is not asked for a while."""

    code = "too_many_guesses"
    http_status = 429


class Guesses:
    """One worker's account of them; `per_minute` are allowed to each peer, all at once too."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()  # of peers that have guessed

    def check(self, address: str, now: float) -> None:
        """Raises `TooManyGuesses`."""
        bucket = self._buckets.get(network_of(address))
        if bucket is not None and bucket.level(now) < 1:
            raise TooManyGuesses(f"more than {self.per_minute} unknown calls a minute: try again in a minute")

    def missed(self, address: str, now: float) -> None:
        """It has named a call that is not there."""
        peer = network_of(address)
        bucket = self._buckets.setdefault(peer, Bucket.per_minute(self.per_minute))
        self._buckets.move_to_end(peer)
        bucket.take(1, now)
        if len(self._buckets) > MOST_PEERS:
            self._buckets.popitem(last=False)

    def hit(self, address: str, now: float) -> None:
        """It has named a call that is there."""
        bucket = self._buckets.get(network_of(address))
        if bucket is not None:
            bucket.give(CREDIT, now)

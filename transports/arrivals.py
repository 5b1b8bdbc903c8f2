"""Connections that carry no call (yet): how many there may be, and who goes when there are too many.

Every listener asks before it keeps a connection. Where the places are taken, the connection that has been idle for the
longest gives its place up: one that has asked nothing, or nothing any more. Of a peer that has more than its share it
is one of its own. So whoever opens connections and keeps silent shuts out himself, and a request that is being answered
is never cut.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address


class Arrival:
    """One connection."""

    __slots__ = ("peer", "shed")

    def __init__(self, peer: str, shed: Callable[[], None]) -> None:
        self.peer, self.shed = peer, shed


class _Peer:
    """The connections of one peer; the longest idle one first."""

    __slots__ = ("count", "idle")

    def __init__(self) -> None:
        self.count = 0
        self.idle: OrderedDict[Arrival, None] = OrderedDict()


class Arrivals:
    """The connections of one worker that carry no call. Each step costs the same however many there are."""

    def __init__(self, most: int, per_peer: int, shed: Callable[[], None] = lambda: None) -> None:
        """At most `most`, and `per_peer` of one peer; `shed` is told of each that had to go or could not stay."""
        self.most, self.per_peer, self._tell = most, per_peer, shed
        self._all: set[Arrival] = set()
        self._idle: OrderedDict[Arrival, None] = OrderedDict()
        self._peers: dict[str, _Peer] = {}

    def __len__(self) -> int:
        return len(self._all)

    def admit(self, address: str, shed: Callable[[], None]) -> Arrival | None:
        """A new one, idle at first; `shed` closes it when its place is needed. None: there is no place for it."""
        peer = network_of(address)
        if not self._make_place(peer):
            self._tell()
            return None
        arrival = Arrival(peer, shed)
        self._all.add(arrival)
        self._peers.setdefault(peer, _Peer()).count += 1
        self.idle(arrival)
        return arrival

    def shed_one_of(self, address: str) -> bool:
        """Its connection that has been idle for the longest goes; False: none is idle."""
        known = self._peers.get(network_of(address))
        return known is not None and self._shed_first(known.idle)

    def busy(self, arrival: Arrival) -> None:
        """It is being served: it stays until it is idle again."""
        if arrival in self._all:
            self._idle.pop(arrival, None)
            self._peers[arrival.peer].idle.pop(arrival, None)

    def idle(self, arrival: Arrival) -> None:
        """It asks nothing."""
        if arrival in self._all:
            for order in (self._idle, self._peers[arrival.peer].idle):
                order[arrival] = None
                order.move_to_end(arrival)

    def leave(self, arrival: Arrival) -> None:
        """It is closed, or carries a call now; a second call does nothing."""
        if arrival not in self._all:
            return
        self.busy(arrival)
        self._all.remove(arrival)
        peer = self._peers[arrival.peer]
        peer.count -= 1
        if not peer.count:
            del self._peers[arrival.peer]

    def _make_place(self, peer: str) -> bool:
        known = self._peers.get(peer)
        if known is not None and known.count >= self.per_peer:
            return self._shed_first(known.idle)
        return len(self._all) < self.most or self._shed_first(self._idle)

    def _shed_first(self, order: OrderedDict[Arrival, None]) -> bool:
        victim = next(iter(order), None)
        if victim is None:
            return False
        self.leave(victim)
        self._tell()
        victim.shed()
        return True


def network_of(address: str) -> str:
    """Who is meant by an address: of IPv6 its /64, which one customer has to himself (RFC 6177)."""
    try:
        known = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(known.ipv4_mapped or IPv6Address(int(known) >> 64 << 64))

"""How many connections and calls the descriptors of one worker carry, and the limit on them raised as far as it goes.

A process that has no descriptor left can do nothing at all: not accept, not reach a provider, not write its spool; and
Thespian's transport, which opens one each turn, ends. So what peers may take is bounded before they come near.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass

RESERVE = 192  # listeners, operators, database, Redis, spool, engines, control ports, and room to close things in order
PER_CALL = 6  # its wire, three providers' connections, and successors of two of these while they connect
WANTED = 65_536  # of descriptors; more than any worker needs
_FOR_ARRIVALS = 4  # one part in so many of what is left is for connections that carry no call


def raise_descriptor_limit() -> int:
    """Raise the soft limit of this process (and so of its children) as far as it may go; returns what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return WANTED if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


@dataclass(frozen=True, slots=True)
class Capacity:
    """What `descriptors` (a limit of open files) carry."""

    descriptors: int

    @classmethod
    def of_process(cls) -> Capacity:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return cls(WANTED if soft == resource.RLIM_INFINITY else soft)

    @property
    def _left(self) -> int:
        return max(0, self.descriptors - RESERVE)

    def calls(self, wanted: int) -> int:
        """How many of the `wanted` calls one worker can carry; 0: it can do nothing."""
        return min(wanted, (self._left - self._left // _FOR_ARRIVALS) // PER_CALL)

    def arrivals(self, wanted: int) -> int:
        """How many of the `wanted` connections without a call it can hold."""
        return min(wanted, self._left // _FOR_ARRIVALS)

    @staticmethod
    def descriptors_for(calls: int) -> int:
        """The limit that carries so many calls."""
        return RESERVE + -(-calls * PER_CALL * _FOR_ARRIVALS // (_FOR_ARRIVALS - 1))

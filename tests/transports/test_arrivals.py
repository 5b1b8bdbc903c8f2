"""Who keeps a place among the connections without a call, and who gives it up."""

from __future__ import annotations

import time

import pytest

from transports.arrivals import Arrival, Arrivals, network_of


class Door:
    """Arrivals whose connections are known by a name."""

    def __init__(self, most: int, per_peer: int) -> None:
        self.shed: list[str] = []
        self.told = 0
        self.arrivals = Arrivals(most, per_peer, self._tell)

    def _tell(self) -> None:
        self.told += 1

    def comes(self, name: str, peer: str = "10.0.0.1") -> Arrival | None:
        return self.arrivals.admit(peer, lambda: self.shed.append(name))


def test_the_longest_idle_one_gives_up_its_place() -> None:
    door = Door(3, 3)
    first, second, _third = door.comes("first"), door.comes("second"), door.comes("third")
    assert first is not None and second is not None
    door.arrivals.busy(first)
    door.arrivals.idle(first)  # it asked something: now the second one is idle for the longest
    assert door.comes("fourth") is not None
    assert door.shed == ["second"] and len(door.arrivals) == 3 and door.told == 1
    door.arrivals.leave(second)  # its socket tells its end later
    assert len(door.arrivals) == 3


def test_who_is_served_stays() -> None:
    door = Door(2, 2)
    for name in ("first", "second"):
        arrival = door.comes(name)
        assert arrival is not None
        door.arrivals.busy(arrival)
    assert door.comes("third") is None
    assert door.shed == [] and len(door.arrivals) == 2 and door.told == 1


def test_a_peer_beyond_its_share_loses_one_of_its_own() -> None:
    door = Door(10, 2)
    other = door.comes("other", "10.0.0.2")
    assert door.comes("a") and door.comes("b") and door.comes("c")
    assert door.shed == ["a"] and other is not None
    door.arrivals.leave(other)
    assert len(door.arrivals) == 2


def test_places_are_free_again() -> None:
    door = Door(4, 4)
    for _ in range(3):
        arrivals = [door.comes("x", f"10.0.0.{n}") for n in range(4)]
        for arrival in arrivals:
            assert arrival is not None
            door.arrivals.leave(arrival)
            door.arrivals.leave(arrival)
            door.arrivals.busy(arrival)
            door.arrivals.idle(arrival)  # too late: it has left
        assert len(door.arrivals) == 0
    assert not door.shed


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("", "", True),
    ],
)
def test_a_network_is_one_peer(one: str, other: str, same: bool) -> None:
    assert (network_of(one) == network_of(other)) is same


def test_a_place_costs_the_same_however_many_there_are() -> None:
    def took_s(most: int) -> float:
        door = Door(most, most)
        for _ in range(most):
            door.comes("x")
        began = time.perf_counter()
        for _ in range(2000):
            door.comes("x")
        return time.perf_counter() - began

    assert min(took_s(20_000) for _ in range(3)) < 10 * min(took_s(20) for _ in range(3))

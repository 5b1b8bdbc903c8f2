"""A worker that cannot keep up takes no more calls, and takes them again by itself. In virtual time."""

from __future__ import annotations

import threading
import time

import pytest

from actors.services.load import CLEAR_S, SAMPLE_S, TRIP_S, Load, ThreadDemand
from actors.services.pace import BEAT_S, WorkClock


class Worker:
    """A worker whose beats, CPU demand and engines do as the test says."""

    def __init__(self) -> None:
        self.now, self.demanded_s, self.engine_lag_s = 500.0, 0.0, 0.0
        self.work = WorkClock(lambda: self.now)
        self.calls = 0
        self.load = Load(
            self.work, lambda: self.demanded_s, lambda: self.engine_lag_s, lambda: self.now, lambda: self.calls
        )
        self.beat(0.0, 0.0)

    def beat(self, passed_s: float, demand: float) -> None:
        self.now += passed_s
        self.demanded_s += passed_s * demand
        self.work.beat()
        self.load.look()

    def run(self, seconds: float, demand: float, late_s: float = 0.0) -> list[tuple[float, bool]]:
        """When it changed its mind, in seconds from now, and what it then said."""
        began, changes = self.now, []
        while self.now - began < seconds:
            was = self.load.overloaded
            self.beat(BEAT_S + late_s, demand)
            if self.load.overloaded != was:
                changes.append((self.now - began, self.load.overloaded))
        return changes


@pytest.fixture
def worker() -> Worker:
    worker = Worker()
    worker.run(10.0, 0.6)
    return worker


def test_a_worker_at_three_quarters_of_its_core_takes_calls(worker: Worker) -> None:
    assert worker.run(120.0, 0.8, late_s=0.015) == []
    assert worker.load.reason == ""


def test_one_that_wants_more_than_its_core_refuses_and_says_why(worker: Worker) -> None:
    changes = worker.run(30.0, 0.97, late_s=0.012)
    assert [overloaded for _, overloaded in changes] == [True]
    assert TRIP_S < changes[0][0] < TRIP_S + 3.0
    assert worker.load.reason == "it wants 97 % of a core"
    assert worker.load.trips == 1
    assert 24.0 < worker.load.overloaded_s < 28.0


def test_one_that_lags_refuses_whatever_its_cpu_says(worker: Worker) -> None:
    assert [overloaded for _, overloaded in worker.run(20.0, 0.3, late_s=0.1)] == [True]
    assert "it lags by 100 ms" in worker.load.reason


def test_one_whose_engines_lag_refuses(worker: Worker) -> None:
    worker.engine_lag_s = 0.8
    assert [overloaded for _, overloaded in worker.run(20.0, 0.3)] == [True]
    assert worker.load.reason == "its speech engines lag by 800 ms"


def test_it_takes_calls_again_by_itself(worker: Worker) -> None:
    worker.run(30.0, 1.0, late_s=0.3)
    changes = worker.run(30.0, 0.6)
    assert [overloaded for _, overloaded in changes] == [False]
    assert CLEAR_S < changes[0][0] < CLEAR_S + 5.0


@pytest.mark.parametrize("late_s", [0.0, 0.2])
def test_a_hog_of_a_second_changes_nothing(worker: Worker, late_s: float) -> None:
    changes = worker.run(1.0, 1.0, late_s)
    worker.beat(BEAT_S + 1.0, 1.0)
    assert changes + worker.run(30.0, 0.6) == []


def test_a_load_at_the_edge_does_not_flap(worker: Worker) -> None:
    worker.run(30.0, 1.0, 0.012)
    changes = [change for _ in range(60) for change in (*worker.run(1.0, 0.96, 0.012), *worker.run(1.0, 0.8, 0.012))]
    assert changes == []
    assert worker.load.overloaded


def test_calls_that_all_begin_at_once_are_counted_before_they_are_felt(worker: Worker) -> None:
    """0.6 of the core is used: there is room for 100 that begin at once, whatever is felt of them."""
    taken = [worker.load.rush() == "" for _ in range(200)]
    assert 90 <= sum(taken) <= 110 and taken == sorted(taken, reverse=True)
    worker.run(3.0, 0.8)
    assert worker.load.rush() == ""


def test_forty_in_four_seconds_on_a_machine_that_others_use_are_no_rush(worker: Worker) -> None:
    """Little is left, but these few do not matter; whether it lags in the end is another question."""
    for _ in range(40):
        worker.beat(0.05, 0.85)
        worker.beat(0.05, 0.85)
        assert worker.load.rush() == ""


def test_a_worker_that_is_full_and_late_begins_no_further_calls_in_a_rush(worker: Worker) -> None:
    worker.run(1.5, 1.0, late_s=0.1)
    assert not worker.load.overloaded
    assert [worker.load.rush() == "" for _ in range(8)] == [True] * 5 + [False] * 3
    worker.run(2.0, 0.6)
    assert worker.load.rush() == ""


@pytest.mark.parametrize(("calls", "at_once"), [(300, 6), (50, 1)])
def test_the_slower_the_machine_the_fewer_calls_a_full_worker_begins_at_a_time(
    worker: Worker, calls: int, at_once: int
) -> None:
    """What a call costs is learned from those that run: 50 that fill a core cost six times as much as 300."""
    worker.calls = calls
    worker.run(30.0, 0.87, late_s=0.012)
    assert not worker.load.overloaded
    assert [worker.load.rush() == "" for _ in range(8)] == [True] * at_once + [False] * (8 - at_once)


def test_a_worker_that_is_full_but_not_late_takes_what_comes(worker: Worker) -> None:
    worker.calls = 50
    worker.run(30.0, 0.9, late_s=0.008)
    assert [worker.load.rush() == "" for _ in range(5)] == [True] * 5


def test_one_that_was_overloaded_takes_calls_again_though_it_is_well_used(worker: Worker) -> None:
    worker.run(10.0, 1.0, late_s=0.1)
    assert [overloaded for _, overloaded in worker.run(30.0, 0.82, late_s=0.015)] == [False]


def test_while_an_engine_is_late_calls_begin_one_by_one(worker: Worker) -> None:
    worker.engine_lag_s = 0.6
    worker.run(0.5, 0.3)
    assert not worker.load.overloaded, "it may be a hiccup"
    assert worker.load.rush() == ""
    assert worker.load.rush() == "its speech engines lag by 600 ms, and a call has just begun"
    worker.run(0.8, 0.3)
    assert worker.load.rush() == ""


def test_three_hundred_calls_in_fifteen_seconds_are_no_rush(worker: Worker) -> None:
    """As the benchmark dials: each costs 12 ms to begin and 2 ms a second."""
    worker.run(5.0, 0.0)
    for live in range(300):
        worker.beat(0.05, min(1.0, 0.002 * live + 20 * 0.012))
        assert worker.load.rush() == "" and not worker.load.overloaded, live


def test_a_thousand_at_once_are(worker: Worker) -> None:
    worker.run(5.0, 0.0)
    taken = sum(worker.load.rush() == "" for _ in range(1000))
    assert taken < 250


def test_the_demand_of_a_thread_is_what_it_runs_and_waits() -> None:
    found: list[float] = []

    def busy() -> None:
        demand = ThreadDemand()
        before, until = demand(), time.monotonic() + 2 * SAMPLE_S
        while time.monotonic() < until:
            pass
        found.append((demand() - before) / (2 * SAMPLE_S))
        before = demand()
        time.sleep(SAMPLE_S)
        found.append((demand() - before) / SAMPLE_S)

    thread = threading.Thread(target=busy)
    thread.start()
    thread.join()
    assert found[0] > 0.5, "run and wait together fill the time, also on a busy machine; the rest is the GIL's"
    assert found[1] < 0.4

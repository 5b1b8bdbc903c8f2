"""Deadlines in virtual time: on the work's clock, adaptive, and not while the worker lags or may replace nobody."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from actors.call.watch import MOST_BUSY_S, MOST_GROWN_S, MOST_SPARED, OFTEN_S, StallWatch
from actors.services.budget import Budget
from actors.services.pace import BEAT_S, WorkClock
from actors.services.patience import Patience


class Worker:
    """A member with a watch, its timers, and a process that may stand still."""

    provider = "fake"
    engine_lag_s = 0.0
    engine_busy = False

    def __init__(self) -> None:
        self.now = 100.0
        self.due: list[tuple[float, Any]] = []
        self.work = WorkClock(lambda: self.now)
        self.work.beat()
        self.replacements = Budget(1.0, lambda: self.now)
        self.patience = Patience()
        self.watch = StallWatch(self, self, "stt")  # type: ignore[arg-type]

    def call_later(self, delay_s: float, message: Any) -> Any:
        entry = (self.now + delay_s, message)
        self.due.append(entry)
        return SimpleNamespace(cancel=lambda: self.due.remove(entry) if entry in self.due else None)

    def wait(self, seconds: float) -> bool:
        """Whether the member was overdue meanwhile."""
        end, overdue = self.now + seconds, False
        while self.now < end - 1e-9:
            self.now = min(end, self.now + BEAT_S)
            self.work.beat()
            overdue = self._fire() or overdue
        return overdue

    def stand_still(self, seconds: float) -> bool:
        self.now += seconds
        self.work.beat()
        return self._fire()

    def _fire(self) -> bool:
        overdue = False
        for entry in [entry for entry in self.due if entry[0] <= self.now]:
            self.due.remove(entry)
            overdue = self.watch.overdue() or overdue
        return overdue


@pytest.fixture
def worker() -> Worker:
    return Worker()


def test_silence_for_so_long_is_a_stall(worker: Worker):
    worker.watch.expect("first", 700, "no transcript")
    assert not worker.wait(0.65)
    assert worker.wait(0.1)
    assert str(worker.watch.stalled()) == "fake: no transcript"


def test_a_sign_of_life_moves_the_deadline(worker: Worker):
    for _ in range(10):
        worker.watch.expect("next", 700, "no result")
        assert not worker.wait(0.6)
        worker.watch.came()
    assert not worker.wait(5.0)


def test_while_the_process_stands_still_nobody_is_late(worker: Worker):
    worker.watch.expect("first", 700, "no transcript")
    assert not worker.stand_still(3.0)
    assert not worker.wait(0.6)


def test_a_worker_that_lags_waits_once_more_but_not_for_ever(worker: Worker):
    worker.watch.expect("first", 700, "no transcript")
    waited_s = 0.0
    while not worker.stand_still(0.3):  # each time a little is left of it
        waited_s += 0.3
        assert waited_s < 60
    assert waited_s > 0.7 * MOST_SPARED


def test_without_a_replacement_to_spend_who_is_late_is_waited_for(worker: Worker):
    worker.watch.expect("first", 700, "no transcript")
    for _ in range(3):
        worker.replacements.take()  # others fail, too
    assert not worker.wait(0.8)
    assert worker.wait(3.0)


def test_a_deadline_that_was_too_short_grows_and_not_without_end(worker: Worker):
    waited = []
    for _ in range(6):
        worker.watch.expect("next", 1500, "no result")
        began = worker.now
        while not worker.wait(BEAT_S):
            pass
        worker.watch.stalled()
        waited.append(worker.now - began)
    assert waited[0] == pytest.approx(1.5, abs=0.1)
    assert 2.0 < waited[1] <= waited[-1] == pytest.approx(MOST_GROWN_S, abs=0.1)


def test_what_is_configured_above_that_stays(worker: Worker):
    worker.watch.expect("first", 8000, "no first word")
    assert not worker.wait(7.9)
    assert worker.wait(0.2)


def test_an_engine_that_is_late_with_everything_is_waited_for(worker: Worker):
    worker.engine_lag_s = 1.0
    worker.watch.expect("first", 700, "no transcript")
    assert not worker.wait(1.6)
    worker.engine_lag_s = 0.0
    assert worker.wait(0.2)


def test_an_engine_that_has_its_hands_full_is_waited_for(worker: Worker):
    """Its queue is longer than its lag tells: to ask it anew would only lengthen it."""
    worker.engine_busy = True
    worker.watch.expect("connect", 3000, "does not open")
    assert not worker.wait(15.0)
    worker.engine_busy = False
    assert worker.wait(3.1)


def test_it_is_not_waited_for_without_end(worker: Worker):
    worker.engine_busy = True
    worker.watch.expect("connect", 3000, "does not open")
    assert not worker.wait(MOST_BUSY_S)
    assert worker.wait(3.1)


def test_a_nearer_deadline_overtakes_the_timer_that_runs(worker: Worker):
    worker.watch.expect("first", 4000, "no first word")
    worker.watch.came()
    worker.watch.expect("next", 500, "stopped in the middle")
    assert worker.wait(0.6)


def test_a_sign_of_life_begins_the_deadline_anew_but_not_for_ever(worker: Worker):
    worker.watch.expect("first", 1000, "silent")
    for _ in range(12):
        assert not worker.wait(0.8)
        worker.watch.alive(10.0)
    assert worker.wait(1.0)


def test_silence_after_a_sign_of_life_is_silence(worker: Worker):
    worker.watch.expect("first", 1000, "silent")
    assert not worker.wait(0.9)
    worker.watch.alive(10.0)
    assert not worker.wait(0.9) and worker.wait(0.3)


def test_who_is_at_work_is_waited_for(worker: Worker):
    worker.watch.expect("next", 1000, "silent")
    worker.watch.alive(30.0, busy=True)
    assert not worker.wait(29.0)
    worker.watch.alive(30.0)
    assert worker.wait(1.2)


def test_a_sign_of_life_of_who_owes_nothing_is_nothing(worker: Worker):
    worker.watch.alive(10.0)
    assert not worker.watch.waiting and not worker.due


def test_what_comes_often_moves_the_deadline_now_and_then(worker: Worker):
    """Tokens by the hundred a second: the deadline is later by `OFTEN_S`, and what comes within it moves nothing."""
    worker.watch.came_and_expect("next", 500, "stopped")
    assert not worker.wait(0.15)
    worker.watch.came_and_expect("next", 500, "stopped")
    assert not worker.wait(0.5)  # since the last one: never less than was agreed
    assert worker.wait(0.1)


def test_what_comes_later_than_that_begins_it_anew(worker: Worker):
    for _ in range(10):
        worker.watch.came_and_expect("next", 500, "stopped")
        assert not worker.wait(0.45)
    assert worker.wait(0.5)


def test_what_comes_often_is_one_wait_to_the_history(worker: Worker):
    for _ in range(40):
        worker.watch.came_and_expect("next", 500, "stopped")
        worker.wait(BEAT_S)
    assert worker.patience.of("stt", "fake", "next").mean_s == pytest.approx(OFTEN_S, abs=2 * BEAT_S)


def test_another_wait_begins_at_once_however_soon_it_comes(worker: Worker):
    worker.watch.expect("first", 5000, "no first word")
    worker.watch.came_and_expect("next", 500, "stopped")
    assert not worker.wait(0.65)
    assert worker.wait(0.1)

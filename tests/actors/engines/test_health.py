"""Slow is not dead: what is told of a process, and what it really does. In virtual time, then with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from actors.engines.health import ASLEEP_S, BURNT_S, DISK_S, LOOK_S, Health, Sample, sample


class Engine:
    """A process as proc(5) shows it, and its health."""

    def __init__(self) -> None:
        self.health, self.ran_s, self.waited_s, self.passed_s = Health(), 0.0, 0.0, 0.0
        self.health.heard()
        self.look("S")

    def look(self, state: str, ran_s: float = 0.0, waited_s: float = 0.0, passed_s: float = LOOK_S, owes: bool = True):
        self.ran_s += ran_s
        self.waited_s += waited_s
        self.passed_s += passed_s
        return self.health.look(Sample(state, self.ran_s, self.waited_s), passed_s, owes)

    def until_given_up(self, state: str, limit_s: float = 60.0, **each: float) -> float | None:
        """Seconds until it is given up; None: it is not."""
        began = self.passed_s
        while self.passed_s - began < limit_s:
            if self.look(state, **each):
                return self.passed_s - began
        return None


@pytest.fixture
def engine() -> Engine:
    return Engine()


def test_what_does_not_get_the_cpu_is_slow_however_long(engine: Engine) -> None:
    assert engine.until_given_up("R", waited_s=LOOK_S) is None


def test_what_runs_or_waits_for_the_cpu_half_of_the_time_is_busy(engine: Engine) -> None:
    assert not engine.health.busy
    for state, ran_s, waited_s in (("R", 0.0, 0.0), ("S", 0.6 * LOOK_S, 0.0), ("S", 0.1 * LOOK_S, 0.5 * LOOK_S)):
        engine.look(state, ran_s=ran_s, waited_s=waited_s)
        assert engine.health.busy, (state, ran_s, waited_s)
        engine.look("S", ran_s=0.2 * LOOK_S)
        assert not engine.health.busy
    engine.look("R")
    engine.look("T")
    assert not engine.health.busy, "nothing will come of it"


def test_what_works_a_little_and_is_heard_lives(engine: Engine) -> None:
    for _ in range(100):
        assert engine.look("R", ran_s=LOOK_S) == ""
        engine.health.heard()


def test_what_burns_cpu_and_says_nothing_hangs(engine: Engine) -> None:
    assert engine.until_given_up("R", ran_s=LOOK_S) == pytest.approx(BURNT_S, abs=2 * LOOK_S)


def test_what_gets_a_tenth_of_the_cpu_may_take_ten_times_as_long(engine: Engine) -> None:
    given_up = engine.until_given_up("R", ran_s=LOOK_S / 10, waited_s=0.9 * LOOK_S)
    assert given_up == pytest.approx(10 * BURNT_S, rel=0.1)


def test_what_sleeps_with_a_question_unanswered_hangs(engine: Engine) -> None:
    assert engine.until_given_up("S") == pytest.approx(ASLEEP_S, abs=LOOK_S)


def test_what_sleeps_and_owes_nothing_is_idle(engine: Engine) -> None:
    for _ in range(100):
        assert engine.look("S", owes=False) == ""


def test_what_sleeps_between_bits_of_work_is_slow(engine: Engine) -> None:
    assert engine.until_given_up("S", limit_s=20.0, ran_s=0.001) is None


def test_what_waits_for_the_disk_gets_longer(engine: Engine) -> None:
    assert engine.until_given_up("D") == pytest.approx(DISK_S, abs=LOOK_S)


def test_what_is_stopped_is_given_up_at_the_second_look(engine: Engine) -> None:
    assert engine.look("T") == "" and engine.health.stopped
    assert engine.look("T", passed_s=0.05) == "is stopped"


def test_a_moment_under_a_debugger_is_none(engine: Engine) -> None:
    for _ in range(10):
        assert engine.look("t") == "" and engine.look("S", ran_s=0.01) == ""
        assert not engine.health.stopped


def test_after_a_stall_of_our_own_nobody_is_accused(engine: Engine) -> None:
    """The answer waits in the socket: the look comes first, then it is read."""
    assert engine.look("S", passed_s=30.0) == ""
    engine.health.heard()
    assert engine.until_given_up("S", limit_s=ASLEEP_S - 2 * LOOK_S) is None


@contextmanager
def python(code: str) -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()


def _until_state(pid: int, state: str) -> Sample:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if (seen := sample(pid)) is not None and seen.state == state:
            return seen
        time.sleep(0.005)
    raise AssertionError(f"never in state {state}")


def test_what_linux_tells() -> None:
    with python("import sys; sys.stdin.read()") as pid:
        asleep = _until_state(pid, "S")
        assert asleep.ran_s > 0
        os.kill(pid, signal.SIGSTOP)
        _until_state(pid, "T")
    with python("while True: pass") as pid:
        first = _until_state(pid, "R")
        time.sleep(0.2)
        second = sample(pid)
        assert second is not None
        assert second.ran_s + second.waited_s > first.ran_s + first.waited_s
    assert sample(pid) is None, "it is gone"

"""The clock's schedule: what it does late, when idle, and with what fails."""

from __future__ import annotations

import asyncio

import pytest

from actors.call.wire import PlayoutMode
from actors.media.clock import MediaClock
from actors.media.leg import Leg
from actors.media.vad import BatchedVad
from config.assistant import Endpointing
from tests.fakes.leg import FakeOwner
from tests.fakes.wire import FakeWire


class FakeLoop:
    """Only `call_later`: the timers that were asked for."""

    def __init__(self):
        self.timers = []

    def call_later(self, delay_s, callback):
        timer = FakeTimer(delay_s, callback)
        self.timers.append(timer)
        return timer

    @property
    def pending(self):
        return [timer for timer in self.timers if not timer.cancelled and not timer.fired]


class FakeTimer:
    def __init__(self, delay_s, callback):
        self.delay_s, self.callback, self.cancelled, self.fired = delay_s, callback, False, False

    def cancel(self):
        self.cancelled = True

    def fire(self):
        self.fired = True
        self.callback()


class Bench:
    """A started clock in virtual time."""

    def __init__(self, vad):
        self.now = 50.0
        self.loop = FakeLoop()
        self.clock = MediaClock(self.loop, vad, lambda: self.now)
        self.clock.start()

    def leg(self, playout=PlayoutMode.LOCALLY_PACED):
        wire = FakeWire(lambda: self.now, playout)
        leg = Leg(wire, self.clock, FakeOwner(), Endpointing())
        leg.open()
        return leg, wire

    def fire(self, late_s=0.0):
        """The pending timer, so much after its time."""
        (timer,) = self.loop.pending
        self.now += timer.delay_s + late_s
        timer.fire()


@pytest.fixture(scope="module")
def vad():
    return BatchedVad()


@pytest.fixture
def bench(vad):
    return Bench(vad)


def test_a_clock_without_work_sets_no_timer(bench):
    assert bench.loop.timers == []


def test_it_wakes_for_the_first_leg_and_sleeps_after_the_last(bench):
    leg, _ = bench.leg()
    other, _ = bench.leg()
    assert len(bench.loop.pending) == 1
    leg.close()
    bench.fire()
    assert len(bench.loop.pending) == 1
    other.close()
    bench.fire()
    assert bench.loop.pending == []
    bench.leg()
    assert len(bench.loop.pending) == 1


def test_a_clock_that_was_not_started_does_not_tick(vad):
    loop = FakeLoop()
    clock = MediaClock(loop, vad, lambda: 0.0)
    clock.add_ticker(lambda: None)
    assert loop.timers == []
    clock.start()
    assert len(loop.pending) == 1
    clock.stop()
    assert loop.pending == []


def test_the_schedule_is_absolute(bench):
    """Small delays do not add up: the tick after a late one comes sooner."""
    _, wire = bench.leg()
    for late_s in (0.0, 0.003, 0.007, 0.001, 0.0):
        bench.fire(late_s)
    assert [round(at - 50, 3) for at, _ in wire.sent] == [0.02, 0.043, 0.067, 0.081, 0.1]
    assert bench.clock.stats.late == 0


def test_a_timer_that_fires_early_by_a_rounding_is_on_time(bench):
    _, wire = bench.leg()
    for _ in range(10):
        bench.fire(-0.0006)
    assert len(wire.sent) == 10
    assert bench.clock.stats.skipped == 0


def test_a_timer_that_fires_much_too_early_waits_again(bench):
    _, wire = bench.leg()
    bench.fire(-0.010)
    assert wire.sent == []
    bench.fire()
    assert len(wire.sent) == 1


@pytest.mark.parametrize(("late_s", "frames", "skipped", "late"), [(0.012, 1, 0, 1), (0.025, 2, 1, 1), (0.5, 2, 25, 1)])
def test_after_a_stall_it_goes_on_without_a_burst(bench, late_s, frames, skipped, late):
    _, wire = bench.leg()
    bench.fire()
    bench.fire(late_s)
    assert len(wire.sent) == 1 + frames
    assert (bench.clock.stats.skipped, bench.clock.stats.late) == (skipped, late)
    assert bench.clock.lateness_ms == pytest.approx(late_s * 1000)
    bench.fire()
    assert len(wire.sent) == 2 + frames
    assert round((bench.now - 50) * 1000, 3) % 20 == pytest.approx(0)


def test_tickers_are_called_once_a_tick_until_removed(bench):
    calls = []
    ticker = lambda: calls.append(bench.now)  # noqa: E731
    bench.clock.add_ticker(ticker)
    bench.fire()
    bench.fire(0.1)
    bench.clock.remove_ticker(ticker)
    bench.clock.remove_ticker(ticker)
    bench.fire()
    assert len(calls) == 2
    assert bench.loop.pending == []


def test_a_ticker_that_raises_is_dropped_and_the_rest_goes_on(bench, caplog):
    bench.clock.add_ticker(lambda: 1 / 0)
    _, wire = bench.leg()
    bench.fire()
    bench.fire()
    assert len(wire.sent) == 2
    assert len(caplog.records) == 1


def test_a_leg_that_joins_within_a_tick_starts_no_second_timer(bench):
    bench.clock.add_ticker(lambda: bench.leg() if bench.clock.stats.legs < 3 else None)
    for _ in range(5):
        bench.fire()
    assert len(bench.loop.pending) == 1
    assert bench.clock.stats.ticks == 5


class BrokenVad:
    def process(self, streams, windows):
        raise RuntimeError("no memory")


def test_a_model_that_fails_ends_its_calls_and_not_the_clock(caplog):
    bench = Bench(BrokenVad())
    leg, wire = bench.leg()
    wire.ears.on_audio(b"\x10" * 320)
    bench.fire()
    assert wire.hung_up and not leg.is_open
    assert len(caplog.records) == 1
    assert bench.loop.pending == []


async def test_it_runs_on_a_real_loop(vad):
    clock = MediaClock(asyncio.get_running_loop(), vad)
    third = asyncio.Event()
    ticks = []

    def ticker():
        ticks.append(asyncio.get_running_loop().time())
        if len(ticks) == 3:
            third.set()

    clock.start()
    clock.add_ticker(ticker)
    await asyncio.wait_for(third.wait(), 5)
    clock.stop()
    assert ticks[2] - ticks[0] >= 0.035
    assert clock.stats.ticks == 3 and clock.stats.busy_s > 0

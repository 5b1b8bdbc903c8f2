"""The clock of the work: it stands still while the process does. In virtual time, and once in a real loop."""

from __future__ import annotations

import asyncio
import time

import pytest

from actors.loop.local import Local
from actors.loop.system import LoopSystem
from actors.services.pace import BEAT_S, GRACE_S, RECENT_S, Pulse, WorkClock


class Wall:
    """Time that passes when the test says so; the clock is beaten as an unhurried loop would."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.lags: list[float] = []
        self.work = WorkClock(lambda: self.now, self.lags.append)

    def run(self, seconds: float, late_s: float = 0.0) -> None:
        """Beats, each `late_s` late, for so long."""
        end = self.now + seconds
        while self.now + BEAT_S + late_s <= end + 1e-9:
            self.now += BEAT_S + late_s
            self.work.beat()

    def took(self, seconds: float, late_s: float = 0.0) -> float:
        began = self.work.seconds()
        self.run(seconds, late_s)
        return self.work.seconds() - began


@pytest.fixture
def wall() -> Wall:
    wall = Wall()
    wall.work.beat()
    return wall


def test_it_runs_with_the_wall_while_the_beats_are_on_time(wall: Wall) -> None:
    assert wall.took(10.0) == pytest.approx(10.0)
    assert wall.took(6.0, late_s=GRACE_S) == pytest.approx(6.0)
    assert wall.work.smooth_lag_s == pytest.approx(GRACE_S, abs=0.001)


def test_it_stands_still_with_the_process(wall: Wall) -> None:
    """Before the late beat as well: the first timer after a stall must not think that somebody else was silent."""
    began = wall.work.seconds()
    wall.now += 3.0
    assert wall.work.seconds() - began == pytest.approx(BEAT_S + GRACE_S)
    wall.work.beat()
    assert wall.work.seconds() - began == pytest.approx(BEAT_S + GRACE_S)
    assert wall.took(1.0) == pytest.approx(1.0)


def test_it_slows_with_a_loop_that_lags(wall: Wall) -> None:
    assert wall.took(10.0, late_s=0.45) == pytest.approx(20 * (BEAT_S + GRACE_S))


def test_it_never_goes_back(wall: Wall) -> None:
    seen = [wall.work.seconds()]
    for step in (0.01, 0.049, 0.2, 0.0, 3.0, 0.05):
        wall.now += step
        seen.append(wall.work.seconds())
        wall.work.beat()
        seen.append(wall.work.seconds())
    assert seen == sorted(seen)


def test_without_a_beat_it_runs_with_the_wall() -> None:
    wall = Wall()
    began = wall.work.seconds()
    wall.now += 7.0
    assert wall.work.seconds() - began == 7.0
    wall.work.beat()
    wall.now += 7.0
    wall.work.stop()
    began = wall.work.seconds()
    wall.now += 7.0
    assert wall.work.seconds() - began == pytest.approx(7.0)
    assert wall.work.recent_lag_s < 7.0


def test_the_lag_is_known_while_it_lasts_and_forgotten_afterwards(wall: Wall) -> None:
    wall.now += BEAT_S + 0.4
    assert wall.work.recent_lag_s == pytest.approx(0.4), "overdue now"
    wall.work.beat()
    wall.run(RECENT_S / 2)
    assert wall.work.recent_lag_s == pytest.approx(0.4)
    assert wall.lags[0] == pytest.approx(0.4)
    wall.run(3 * RECENT_S)
    assert wall.work.recent_lag_s == pytest.approx(0.0)


def test_one_late_beat_is_no_lasting_lag(wall: Wall) -> None:
    wall.now += BEAT_S + 1.0
    wall.work.beat()
    wall.run(1.0)
    assert wall.work.smooth_lag_s < 0.02


async def test_a_loop_that_is_held_up_is_measured() -> None:
    lags: asyncio.Queue[float] = asyncio.Queue()
    system = LoopSystem(asyncio.get_running_loop())
    work = WorkClock(observe=lags.put_nowait)
    system.tell(system.createActor(Pulse), Local(work))
    await lags.get()
    began, wall_began = work.seconds(), time.monotonic()
    while time.monotonic() < wall_began + 0.5:
        pass
    stood = work.seconds() - began
    await lags.get()
    seen = work.recent_lag_s
    await system.shutdown_async()
    assert stood < 0.1
    assert seen >= 0.4

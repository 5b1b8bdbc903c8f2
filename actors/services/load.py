"""Whether this worker carries more than it can: it then refuses new calls before they hurt the running ones.

Two signs, both smoothed over a second or two, so that one long hiccup is none:
- its *demand* of CPU: the share of the time in which its loop's thread ran or wanted to run (proc(5), schedstat: run
  time and time on the run queue). What others take away counts as well, and it rises before anything is late;
- its *lag*: how late work is handled (`WorkClock`), and how late its speech engines answer. It counts what the demand
  cannot see: a handler that blocks, an engine that is short of CPU, a disk.

Signs must last for `TRIP_S` before it refuses, and be gone for `CLEAR_S` before it takes calls again. Calls that all
begin at once would be in before the signs are there: each counts from its beginning for what a call costs, and a worker
that is nearly full begins no more of them at a time than it can feel (`rush`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from actors.services.metrics import Figure
from actors.services.pace import WorkClock
from actors.services.shared import Services

log = logging.getLogger(__name__)

SAMPLE_S = 0.25  # how often the demand is read: 15 us each
LATEST_SMOOTHING = 0.4  # as below, in half a second
DEMAND_SMOOTHING = 0.15  # weight of a new sample: half of it is forgotten after 4 samples, a second
TOO_MUCH_DEMAND, FULL_DEMAND = 0.90, 0.85  # of one core; a thread that wants more than all of it only lags more
LATE_S = 0.01  # a thread that wants all of a core and is not late at all has found its place
TOO_MUCH_LAG_S, ENOUGH_LAG_S = 0.05, 0.02
TOO_MUCH_ENGINE_LAG_S, ENOUGH_ENGINE_LAG_S = 0.5, 0.2
TRIP_S, CLEAR_S = 2.0, 3.0
RUSH_S = 0.75  # a call that began so long ago is felt
FULL_RUSH = 0.015  # of one core: for a worker that is full and late, calls that begin may cost so much at a time
RUSH_DEMAND = 1.2  # of one core: what is felt now has the beginnings in it, which soon cost less
BEGINNING = 2.0  # what a call costs at its beginning, in costs of a call that runs
COST = 0.003  # of a core, of a call that runs, until this machine's is learned
LEARNING_CALLS = 20  # so many tell what one costs


class ThreadDemand:
    """The CPU time that a thread has used and waited for, in seconds; without schedstat only what it has used."""

    def __init__(self) -> None:
        """Of the thread that calls."""
        self._path = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat")

    def __call__(self) -> float:
        try:
            run_ns, wait_ns = self._path.read_bytes().split()[:2]
        except (OSError, ValueError):
            return time.thread_time()
        return (int(run_ns) + int(wait_ns)) / 1e9


class Load:
    """Fed by `look` at every beat. Loop thread only."""

    def __init__(
        self,
        work: WorkClock,
        demanded_s: Callable[[], float] | None = None,
        engine_lag_s: Callable[[], float] = lambda: 0.0,
        now: Callable[[], float] = time.monotonic,
        calls: Callable[[], int] = lambda: 0,
    ) -> None:
        """`demanded_s`: see `ThreadDemand`, None for the calling thread's; `engine_lag_s`: of the slowest engine;
        `calls`: how many there are."""
        self._work, self._engine_lag_s, self._now, self._calls = work, engine_lag_s, now, calls
        self._demanded_s = demanded_s or ThreadDemand()
        self._sampled_at, self._sample_s = now(), self._demanded_s()
        self.demand = 0.0  # share of one core, smoothed
        self._latest_demand = 0.0  # smoothed over half a second
        self._cost = COST
        self._began: deque[float] = deque()  # calls that were taken in the last `RUSH_S`
        self.engine_lag_s = 0.0
        self.overloaded = False
        self.trips = 0
        self._changed_at = 0.0
        self._since: float | None = None  # the signs have been against what we do now for so long

    def look(self) -> None:
        """Look at the signs, and decide."""
        now = self._now()
        self._sample(now)
        signs = self.signs(TOO_MUCH_DEMAND, TOO_MUCH_LAG_S, TOO_MUCH_ENGINE_LAG_S)
        if self.overloaded:
            signs = self.signs(FULL_DEMAND, ENOUGH_LAG_S, ENOUGH_ENGINE_LAG_S)
        if bool(signs) == self.overloaded:
            self._since = None
        elif self._since is None:
            self._since = now
        elif now - self._since >= (CLEAR_S if self.overloaded else TRIP_S):
            self.overloaded, self._since, self._changed_at = not self.overloaded, None, now
            self.trips += self.overloaded
            self._say()

    def _say(self) -> None:
        if self.overloaded:
            log.warning("overloaded: %s: new calls are refused", self.reason)
        else:
            log.warning("no longer overloaded: calls are taken again")

    def rush(self) -> str:
        """Why one more call now would be too much, with those that have just begun; "" takes it, and counts it."""
        now = self._now()
        while self._began and now - self._began[0] >= RUSH_S:
            self._began.popleft()
        begun, felt = len(self._began), self._latest_demand
        if begun and self.engine_lag_s >= TOO_MUCH_ENGINE_LAG_S:
            return f"its speech engines lag by {1000 * self.engine_lag_s:.0f} ms, and a call has just begun"
        is_full = felt >= FULL_DEMAND and self._work.smooth_lag_s >= LATE_S
        waits = is_full and begun * self._cost >= FULL_RUSH
        if waits or felt + BEGINNING * self._cost * (begun + 1) >= RUSH_DEMAND:
            return f"it wants {100 * felt:.0f} % of a core, and {begun} calls have just begun"
        self._began.append(now)
        return ""

    def signs(
        self, demand: float = FULL_DEMAND, lag_s: float = ENOUGH_LAG_S, engine_lag_s: float = ENOUGH_ENGINE_LAG_S
    ) -> list[str]:
        """What is above these bounds, in words for people."""
        found = (
            (
                self.demand >= demand and self._work.smooth_lag_s >= LATE_S,
                f"it wants {100 * self.demand:.0f} % of a core",
            ),
            (self._work.smooth_lag_s >= lag_s, f"it lags by {1000 * self._work.smooth_lag_s:.0f} ms"),
            (self.engine_lag_s >= engine_lag_s, f"its speech engines lag by {1000 * self.engine_lag_s:.0f} ms"),
        )
        return [text for holds, text in found if holds]

    @property
    def overloaded_s(self) -> float:
        """For so long it has been overloaded; 0.0 while it is not."""
        return self._now() - self._changed_at if self.overloaded else 0.0

    @property
    def reason(self) -> str:
        """Why it takes no call; "" while it does."""
        return ", ".join(self.signs() or ["it was overloaded just now"]) if self.overloaded else ""

    def _sample(self, now: float) -> None:
        spent_s = now - self._sampled_at
        if spent_s < SAMPLE_S:
            return
        demanded_s = self._demanded_s()
        sampled = min(1.0, (demanded_s - self._sample_s) / spent_s)
        self._latest_demand += LATEST_SMOOTHING * (sampled - self._latest_demand)
        weight = 1 - (1 - DEMAND_SMOOTHING) ** (spent_s / SAMPLE_S)
        self.demand += weight * (sampled - self.demand)
        self._sampled_at, self._sample_s = now, demanded_s
        if (calls := self._calls()) >= LEARNING_CALLS:
            self._cost += DEMAND_SMOOTHING * (sampled / calls - self._cost)
        self.engine_lag_s = self._engine_lag_s()


class Vitals:
    """What the `Pulse` of a worker beats, and what operators see of how the worker is."""

    def __init__(self, load: Load, services: Services) -> None:
        self._load, self._services = load, services
        services.metrics.watch(self._figures)

    def beat(self) -> None:
        self._services.work.beat()
        self._load.look()

    def inspect(self) -> dict[str, Any]:
        load, services = self._load, self._services
        return {
            "state": "overloaded" if load.overloaded else "running",
            "reason": load.reason,
            **services.work.inspect(),
            "demand": round(load.demand, 3),
            "engine_lag_ms": round(1000 * load.engine_lag_s, 1),
            "replacements_waiting": services.replacements.waiting,
            "breakers": list(services.breakers.rows()),
        }

    def _figures(self) -> Iterable[Figure]:
        load, services = self._load, self._services
        yield "overloaded", (), float(load.overloaded)
        yield "overloads_total", (), load.trips
        yield "cpu_demand", (), load.demand
        yield "engine_lag_seconds", (), load.engine_lag_s
        yield "replacements_waiting", (), services.replacements.waiting
        yield "breaker_trips_total", (), services.breakers.trips
        for row in services.breakers.rows():
            yield "breakers_open", (row["provider"],), 1

"""The one 20 ms clock of a worker: it moves the audio of all its calls, batched."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from actors.media.audio import FRAME_MS
from actors.media.inbound import hear
from actors.media.leg import Leg
from actors.media.vad import BatchedVad

log = logging.getLogger(__name__)

EARLY_MS = 2.0  # a timer of the loop may fire so much too soon (uvloop counts in whole milliseconds)
LATE_MS = 10.0  # a tick that begins later than this counts as late
MOST_FRAMES = 2  # a locally paced wire gets so many frames in a tick after a stall, no burst
_SHORTEST_WAIT_S = 0.001


@dataclass(slots=True)
class ClockStats:
    """Counters since the clock was made; `late` began over 10 ms after their time, `skipped` never happened."""

    ticks: int = 0
    late: int = 0
    skipped: int = 0
    busy_s: float = 0.0
    legs: int = 0


class MediaClock:
    """Ticks on an absolute schedule while it has legs or tickers, and does nothing at all while it has none.

    After a stall it goes on with the tick that is due now: those that were missed are skipped and counted.
    `now` gives seconds of a monotonic clock; tests give their own and call `tick`.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, vad: BatchedVad, now: Callable[[], float] | None = None
    ) -> None:
        self.stats = ClockStats()
        self.lateness_ms = 0.0  # of the tick under way
        self._loop, self._vad, self._now = loop, vad, now or loop.time
        self._legs: dict[Leg, None] = {}
        self._tickers: dict[Callable[[], None], None] = {}
        self._running = False
        self._timer: asyncio.TimerHandle | None = None
        self._due_ms: float | None = None  # when the next tick is to be; None: asleep

    def now_ms(self) -> float:
        return self._now() * 1000

    def start(self) -> None:
        self._running = True
        self._wake()

    def stop(self) -> None:
        """No further tick; legs and tickers stay, `start` goes on with them."""
        self._running = False
        self._sleep()

    def add(self, leg: Leg) -> None:
        self._legs[leg] = None
        self.stats.legs = len(self._legs)
        self._wake()

    def remove(self, leg: Leg) -> None:
        self._legs.pop(leg, None)
        self.stats.legs = len(self._legs)

    def add_ticker(self, ticker: Callable[[], None]) -> None:
        """Call this once each tick, until it is removed or raises."""
        self._tickers[ticker] = None
        self._wake()

    def remove_ticker(self, ticker: Callable[[], None]) -> None:
        self._tickers.pop(ticker, None)

    def tick(self) -> None:
        """Send what is due, hear what has arrived, plan the next tick."""
        began_ms = self.now_ms()
        if self._due_ms is None:
            self._due_ms = began_ms
        self.lateness_ms = max(0.0, began_ms - self._due_ms)
        missed = int(self.lateness_ms / FRAME_MS)
        self._due_ms += (1 + missed) * FRAME_MS
        self._plan()  # before the work: whatever goes wrong in it, the clock goes on
        self._run_tickers()
        self._send(began_ms, min(1 + missed, MOST_FRAMES))
        self._hear(began_ms, missed * FRAME_MS)
        self._count(began_ms, missed)
        if not (self._legs or self._tickers):
            self._sleep()

    def _run_tickers(self) -> None:
        for ticker in list(self._tickers):
            try:
                ticker()
            except Exception:
                log.exception("a ticker of the media clock failed and is not called again")
                self.remove_ticker(ticker)

    def _send(self, now_ms: float, frames: int) -> None:
        """Before hearing: others wait for it, and by the clock."""
        for leg in list(self._legs):
            if leg.is_open:
                try:
                    leg.send_due(now_ms, frames)
                except Exception:
                    leg.fail()

    def _hear(self, now_ms: float, late_ms: float) -> None:
        legs = list(self._legs)
        try:
            hear([leg.inbound for leg in legs], self._vad, now_ms, late_ms)
        except Exception:
            log.exception("hearing failed; the %d calls on this clock end", len(legs))
            for leg in legs:
                leg.abort()
        for leg in legs:
            if leg.inbound.events:
                try:
                    leg.tell_heard()
                except Exception:
                    leg.fail()

    def _count(self, began_ms: float, missed: int) -> None:
        self.stats.ticks += 1
        self.stats.late += self.lateness_ms > LATE_MS
        self.stats.skipped += missed
        self.stats.busy_s += (self.now_ms() - began_ms) / 1000

    def _wake(self) -> None:
        if self._legs or self._tickers:
            self._plan()

    def _plan(self) -> None:
        if not self._running or self._timer is not None:
            return
        if self._due_ms is None:
            self._due_ms = self.now_ms() + FRAME_MS
        wait_s = max((self._due_ms - self.now_ms()) / 1000, _SHORTEST_WAIT_S)
        self._timer = self._loop.call_later(wait_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._due_ms is not None and self._due_ms - self.now_ms() > EARLY_MS:
            self._plan()
        else:
            self.tick()

    def _sleep(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._due_ms = None, None

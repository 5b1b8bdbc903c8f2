"""Looks into one worker for operators: its actors, their messages, its figures; and acts for them.

All of it reads on the loop's thread, between two turns of the loop: no actor gets a message for being looked at, and
audio goes on. Answers are plain values, because they cross processes; what is not in this worker is None, and who asks
all workers sees who has it.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from thespian.actors import ActorExitRequest

from actors.loop.cell import Cell
from actors.loop.system import LoopSystem
from actors.loop.tap import Tap
from actors.media.clock import MediaClock
from actors.messages import HangUp
from actors.node.deadletters import CollectDeadLetters, DeadLetters
from actors.node.rows import Roster, Row, call_of, describe, role_of, sample
from actors.node.trace import LINES, Trace
from actors.services.ledger import Ledger
from actors.services.metrics import Figure, Metrics
from config.errors import BadInput

RESTARTABLE = ("transcriber", "responder", "speaker")
ROWS_AT_ONCE = 100  # about 1 ms of work, then the loop has its turn
SWEEP_S = 0.5
MOST_TRACES = 8
_LEDGER = {
    "ledger_rows_waiting": "waiting",
    "ledger_spool_bytes": "spool_bytes",
    "ledger_rows_written_total": "written",
    "ledger_rows_lost_total": "lost",
}

Answer = Any
Verb = Callable[..., Awaitable[Answer]]


class UnknownVerb(BadInput):
    """No worker understands this question."""

    code = "unknown_verb"


class Directory:
    """Answers for the actors of `system`. Make it on the loop; `close` when the system is shut down."""

    def __init__(self, system: LoopSystem, clock: MediaClock, metrics: Metrics, worker: int) -> None:
        self._system, self._clock, self._metrics, self._worker = system, clock, metrics, worker
        self._dead_letters = system.createActor(DeadLetters)
        system.tell(self._dead_letters, CollectDeadLetters())
        self._tracing = Tracing(system)
        metrics.watch(self._figures)
        self.verbs: dict[str, Verb] = {
            "ps": self.ps,
            "calls": self.calls,
            "inspect": self.inspect,
            "restart": self.restart,
            "hangup": self.hang_up,
            "deadletters": self.dead_letters,
            "metrics": self.exposition,
            "trace_start": self._tracing.start,
            "trace_poll": self._tracing.poll,
            "trace_stop": self._tracing.stop,
        }

    async def operate(self, verb: str, arguments: dict[str, Any]) -> Answer:
        """Raises `BadInput`: an unknown verb, or arguments that it does not take."""
        method = self.verbs.get(verb)
        if method is None:
            raise UnknownVerb(f"verb {verb!r:.40}: legal: {', '.join(self.verbs)}")
        try:
            inspect.signature(method).bind(**arguments)
        except TypeError as error:
            raise BadInput(f"verb {verb}: {error}") from None
        return await method(**arguments)

    def close(self) -> None:
        """Let go of timers and taps."""
        self._tracing.close()

    # --- looking -------------------------------------------------------------------------------------------------

    async def ps(self, window_s: float = 0.0, call: str = "") -> list[Row]:
        """A row for each actor (of one call, if `call` is its id). Rates are over `window_s`; 0: since its birth."""
        since = {cell.address.name: sample(cell) for cell in self._system.cells()} if window_s else {}
        await asyncio.sleep(window_s)
        roster, rows = Roster(self._worker, since), []
        for number, cell in enumerate(self._cells(call), 1):
            if cell.instance is not None:  # it may have died since
                rows.append(roster.row(cell))
            if number % ROWS_AT_ONCE == 0:
                await asyncio.sleep(0)
        return rows

    async def calls(self, prefix: str = "") -> list[str]:
        """The ids of the calls that begin so."""
        return [name for name in map(_call_name, self._system.cells()) if name and name.startswith(prefix)]

    async def inspect(self, address: str) -> dict[str, Any] | None:
        cell = self._find(address)
        return None if cell is None else _inspected(cell, Roster(self._worker, {}))

    async def dead_letters(self) -> dict[str, Any]:
        """How many there were since the start, and the last of them."""
        office = self._find(self._dead_letters.name)
        return {"count": self._system.dead_letters, "last": describe(office)["last"] if office else []}

    async def exposition(self) -> str:
        return self._metrics.exposition()

    # --- acting --------------------------------------------------------------------------------------------------

    async def restart(self, address: str) -> dict[str, Any] | None:
        """End a member of a call; its supervisor replaces it. Others stay, and `restarting` is False."""
        if (cell := self._find(address)) is None:
            return None
        call, role = call_of(cell), role_of(cell)
        restarting = call is not None and role in RESTARTABLE
        if restarting:
            self._system.tell(cell.address, ActorExitRequest())
        return {
            "address": address,
            "role": role,
            "call": str(call.instance.call) if call else None,
            "restarting": restarting,
        }

    async def hang_up(self, call: str, goodbye: bool = False, because: str = "") -> dict[str, Any] | None:
        """End the call, at once or after the assistant's goodbye; its page shows `because`, and the store keeps it."""
        for cell in self._system.cells():
            if _call_name(cell) == call:
                self._system.tell(cell.address, HangUp("operator", goodbye, because))
                return {"call": call}
        return None

    # -------------------------------------------------------------------------------------------------------------

    def _find(self, address: str) -> Cell | None:
        return next((cell for cell in self._system.cells() if cell.address.name == address), None)

    def _cells(self, call: str) -> Iterable[Cell]:
        cells = self._system.cells()
        if not call:
            return cells
        return [cell for cell in cells if (above := call_of(cell)) and str(above.instance.call) == call]

    def _figures(self) -> Iterable[Figure]:
        cells = self._system.cells()
        for name, count in Counter(cell.class_name for cell in cells).items():
            yield "actors", (name,), count
        yield "mailbox_depth", (), max((cell.depth for cell in cells), default=0)
        yield "dead_letters_total", (), self._system.dead_letters
        stats = self._clock.stats
        yield "media_ticks_total", (), stats.ticks
        yield "media_ticks_late_total", (), stats.late
        yield "media_ticks_skipped_total", (), stats.skipped
        yield "media_legs", (), stats.legs
        for cell in cells:
            if isinstance(cell.instance, Ledger):
                rows = describe(cell)
                yield from ((name, (), rows[key]) for name, key in _LEDGER.items())


class Tracing:
    """The traces under way in one worker. A call is tapped once, however many look at it."""

    def __init__(self, system: LoopSystem) -> None:
        self._system, self._loop = system, system.loop
        self._traces: dict[str, tuple[Cell, Trace]] = {}
        self._taps: dict[Cell, Tap] = {}
        self._numbers = itertools.count(1)
        self._timer: asyncio.TimerHandle | None = None

    async def start(self, call: str, limit: int = LINES) -> dict[str, Any] | None:
        """Show the messages of the call from now on; `trace` is the number to poll, None if there are too many."""
        cell = next((cell for cell in self._system.cells() if _call_name(cell) == call), None)
        if cell is None:
            return None
        if len(self._traces) >= MOST_TRACES:
            return {"trace": None}
        trace = Trace(_Names(), self._loop.time(), limit)
        number = f"{self._system.systemAddress.name}/{next(self._numbers)}"
        self._traces[number] = cell, trace
        self._tap(cell)
        self._timer = self._timer or self._loop.call_later(SWEEP_S, self._sweep)
        return {"trace": number}

    async def poll(self, trace: str) -> dict[str, Any] | None:
        """The lines since the last poll; `over` says why it has ended, which is its last answer."""
        if (found := self._traces.get(trace)) is None:
            return None
        cell, running = found
        over = not running.check(self._loop.time(), call_lives=cell.instance is not None)
        lines = running.poll(self._loop.time())
        if over:
            self._end(trace)
        return {"lines": lines, "over": running.over}

    async def stop(self, trace: str) -> None:
        self._end(trace)

    def close(self) -> None:
        for number in list(self._traces):
            self._end(number)
        if self._timer is not None:
            self._timer.cancel()

    def _tap(self, call: Cell) -> None:
        if call in self._taps:
            return
        tap = self._taps[call] = Tap(lambda *seen: self._passed(call, *seen))
        tap.add(call)
        for child in call.children.values():
            if isinstance(child.receiver, Cell):
                tap.add(child.receiver)

    def _passed(self, call: Cell, message: Any, sender: Any, receiver: Any) -> None:
        now = self._loop.time()
        for cell, trace in self._traces.values():
            if cell is call:
                trace.passed(now, message, sender, receiver)

    def _sweep(self) -> None:
        """Untap the calls at which nobody looks any more, and forget what nobody fetches."""
        now = self._loop.time()
        for number, (cell, trace) in list(self._traces.items()):
            if not trace.check(now, call_lives=cell.instance is not None):
                self._untap(cell)
                if trace.is_forgotten(now):
                    self._end(number)
        self._timer = self._loop.call_later(SWEEP_S, self._sweep) if self._traces else None

    def _end(self, number: str) -> None:
        if (found := self._traces.pop(number, None)) is not None:
            self._untap(found[0])

    def _untap(self, call: Cell) -> None:
        looked_at = any(cell is call and not trace.over for cell, trace in self._traces.values())
        if not looked_at and (tap := self._taps.pop(call, None)) is not None:
            tap.close()


class _Names:
    """Names an address by its role; who has gone meanwhile keeps the name."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def __call__(self, address: Any) -> str:
        name = str(getattr(address, "name", address))
        cell = getattr(address, "receiver", None)
        if name not in self._known:
            if isinstance(cell, Cell) and cell.instance is not None:
                self._known[name] = role_of(cell)
            else:
                return "gone" if cell is None else "outside"
        return self._known[name]


def _call_name(cell: Cell) -> str:
    name = getattr(cell.instance, "call", None)
    return "" if name is None else str(name)


def _inspected(cell: Cell, roster: Roster) -> dict[str, Any]:
    return {
        **roster.row(cell),
        "received": cell.received,
        "failed": cell.failed,
        "dropped": cell.dropped,
        "busy_s": round(cell.busy_s, 6),
        "timers": [{"message": timer.kind, "due_in_s": round(timer.remaining_s(), 3)} for timer in cell.timers],
        "tasks": sorted(task.get_name() for task in cell.pending if isinstance(task, asyncio.Task)),
        "children": list(cell.children),
        "detail": roster.describe(cell),
    }

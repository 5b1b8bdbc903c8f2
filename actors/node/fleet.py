"""What a manager knows of its workers, and what it decides when one ends: no actors, no processes, no clock."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any
from uuid import uuid4

from actors.node.worker import CRASHED_STATUS, HUNG_STATUS, Watchdog, WorkerProcess
from actors.supervision import ChildSpec, GiveUp, Recovery, Restart, RestartIntensity

log = logging.getLogger(__name__)

KEPT_EXITS = 32
_BACKOFF_S = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0)  # a database that is away for half a minute is waited for
WORKER = ChildSpec("worker", WorkerProcess, intensity=RestartIntensity(10, 60.0, _BACKOFF_S))
_STATUSES = {f"exit {HUNG_STATUS}": "loop_hung", f"exit {CRASHED_STATUS}": "crashed"}


class State(Enum):
    """Of one worker's process."""

    STARTING = "starting"
    UP = "up"
    DRAINING = "draining"
    DRAINED = "drained"  # no call is left; it refuses new ones until the others are drained too


@dataclass(slots=True)
class Member:
    """One worker's process. `born_s` is on the manager's clock."""

    number: int
    incarnation: str
    address: Any
    pid: int
    born_s: float
    watchdog: Watchdog
    patience: Watchdog  # with its start
    state: State = State.STARTING
    ports: dict[str, int] = field(default_factory=dict)
    loop_lag_ms: float = 0.0
    memory_mb: float = 0.0
    looks_gone: int = 0  # so often it was seen that the process has ended
    leaving: str = ""  # why it ends, where somebody knows: drained, memory, unresponsive ...


@dataclass(frozen=True, slots=True)
class Exit:
    """How a worker's process ended and what was done about it. `at_s` is Unix time."""

    at_s: float
    worker: int
    incarnation: str
    pid: int
    reason: str
    ending: str  # "exit 0", "SIGKILL"
    age_s: float
    decision: str


class Fleet:
    """The workers of a node."""

    def __init__(self, name: str, size: int, orphans: dict[int, str] | None = None) -> None:
        """`orphans`: process id and incarnation of workers of a manager before, who still have calls."""
        self.name, self.orphans = name, orphans or {}
        self.draining = False
        self.members: list[Member] = []
        self.exits: deque[Exit] = deque(maxlen=KEPT_EXITS)
        self.lost: set[str] = set()  # incarnations whose conversations nobody has closed yet
        self._recoveries = {number: Recovery(WORKER) for number in range(size)}
        self._due_s: dict[int, float] = {}  # when a worker without a process gets one
        self._tries = [0] * size  # to start it, in vain

    def incarnation(self, number: int) -> str:
        """A new name for the next process of this worker."""
        return f"{self.name}/{number}/{uuid4()}"

    def named(self, incarnation: str) -> Member | None:
        return next((member for member in self.members if member.incarnation == incarnation), None)

    def at(self, address: Any) -> Member | None:
        return next((member for member in self.members if member.address == address), None)

    def up(self) -> Iterator[Member]:
        """Those that answer questions."""
        return (member for member in self.members if member.state is not State.STARTING)

    # --- workers without a process ---------------------------------------------------------------------------------

    def due(self, now_s: float) -> list[int]:
        """The workers that have no process and should get one now."""
        present = {member.number for member in self.members}
        return [n for n in self._recoveries if n not in present and self._due_s.get(n, 0.0) <= now_s]

    def put_off(self, number: int, until_s: float) -> None:
        """It gets a process then, not before."""
        self._due_s[number] = until_s

    def not_started(self, number: int, now_s: float) -> float:
        """No process could be had; in how many seconds the next try is. It never gives up: who has calls, has them."""
        self._tries[number] += 1
        if self._tries[number] == 1:
            line = "worker %d: no process can be started (limits on processes, or memory); it is tried again"
            log.error(line, number)
        return _BACKOFF_S[min(self._tries[number], len(_BACKOFF_S) - 1)]

    def started(self, number: int) -> None:
        self._due_s.pop(number, None)
        if self._tries[number]:
            log.warning("worker %d: a process could be started, after %d tries in vain", number, self._tries[number])
        self._tries[number] = 0

    def lose_orphans(self, has_ended: Callable[[int], bool]) -> None:
        """Who of them has ended has nothing open any more, or was lost: somebody must look."""
        for pid in [pid for pid in self.orphans if has_ended(pid)]:
            self.lost.add(self.orphans.pop(pid))

    # --- ends ------------------------------------------------------------------------------------------------------

    @property
    def complete(self) -> bool:
        """Every worker has a process that listens."""
        return {m.number for m in self.members if m.state is State.UP} == self._recoveries.keys()

    def ended(self, member: Member, ending: str, now_s: float, at_s: float) -> Restart | GiveUp | None:
        """A process has ended; None: nothing is to be started in its place. `now_s` as `born_s`, `at_s` Unix time."""
        self.members.remove(member)
        decision = self._decide(member, now_s)
        reason = member.leaving or _STATUSES.get(ending, "killed" if ending.startswith("SIG") else "ended")
        age_s = round(now_s - member.born_s, 3)
        self.exits.append(
            Exit(at_s, member.number, member.incarnation, member.pid, reason, ending, age_s, self._said(decision))
        )
        if not member.leaving or ending != "exit 0":
            self.lost.add(member.incarnation)
        return decision

    def _decide(self, member: Member, now_s: float) -> Restart | GiveUp | None:
        if self.draining or any(other.number == member.number for other in self.members):
            return None
        decision = self._recoveries[member.number].ended(now_s)
        if isinstance(decision, GiveUp) and any(other.state is State.UP for other in self.members):
            return Restart(_BACKOFF_S[-1], 0, with_work=False)  # the others have calls: they do not pay for it
        return decision if isinstance(decision, Restart | GiveUp) else None

    def _said(self, decision: Restart | GiveUp | None) -> str:
        match decision:
            case Restart(delay_s):
                return f"restarted after {delay_s:g} s" if delay_s else "restarted at once"
            case GiveUp():
                return "given up: the node ends"
            case _:
                return "the node drains" if self.draining else "was replaced before"

    def rows(self, now_s: float) -> list[dict[str, Any]]:
        """A row for each process, for operators; orphans are of a manager before."""
        return [*self._orphan_rows(), *self._member_rows(now_s)]

    def _orphan_rows(self) -> list[dict[str, Any]]:
        unknown = {"age_s": 0.0, "restarts": 0, "memory_mb": 0.0, "loop_lag_ms": 0.0, "ports": {}}
        return [
            {"worker": int(name.split("/")[-2]), "pid": pid, "incarnation": name, "state": "orphaned", **unknown}
            for pid, name in self.orphans.items()
        ]

    def _member_rows(self, now_s: float) -> list[dict[str, Any]]:
        return [
            {
                "worker": member.number,
                "pid": member.pid,
                "incarnation": member.incarnation,
                "state": member.state.value,
                "age_s": round(now_s - member.born_s, 3),
                "restarts": self._recoveries[member.number].restarts,
                "memory_mb": round(member.memory_mb, 1),
                "loop_lag_ms": round(member.loop_lag_ms, 3),
                "ports": member.ports,
            }
            for member in sorted(self.members, key=lambda member: (member.number, member.born_s))
        ]

    def exit_rows(self) -> list[dict[str, Any]]:
        """The last exits, the newest last."""
        return [asdict(ending) for ending in self.exits]

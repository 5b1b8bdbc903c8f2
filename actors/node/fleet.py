"""What a manager knows of its workers, and what it decides when one ends: no actors, no processes, no clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any
from uuid import uuid4

from actors.node.worker import CRASHED_STATUS, HUNG_STATUS, Watchdog, WorkerProcess
from actors.supervision import ChildSpec, GiveUp, Recovery, Restart, RestartIntensity

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
    state: State = State.STARTING
    ports: dict[str, int] = field(default_factory=dict)
    loop_lag_ms: float = 0.0
    memory_mb: float = 0.0
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

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.draining = False
        self.members: list[Member] = []
        self.exits: deque[Exit] = deque(maxlen=KEPT_EXITS)
        self.lost: set[str] = set()  # incarnations whose conversations nobody has closed yet
        self._recoveries = {number: Recovery(WORKER) for number in range(size)}

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
        """A row for each process, for operators."""
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

"""What is told of each living actor of a worker: one row of plain values, and the tree that the rows make."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from actors.loop.cell import Cell

log = logging.getLogger(__name__)

Row = dict[str, Any]


class Sample(NamedTuple):
    """An actor's counters at one moment (s since the epoch)."""

    at_s: float
    received: int
    busy_s: float


def sample(cell: Cell) -> Sample:
    return Sample(time.time(), cell.received, cell.busy_s)


def describe(cell: Cell) -> dict[str, Any]:
    """What the actor says of itself (its `inspect()`): states and counts."""
    try:
        return dict(cell.instance.inspect())
    except AttributeError:  # it says nothing, or has not had its first message
        return {}
    except Exception:
        log.exception("%s cannot be inspected", cell.label)
        return {}


class Roster:
    """Makes the rows of one moment; what several members share (their call) is looked up once."""

    def __init__(self, worker: int, since: Mapping[str, Sample]) -> None:
        self._worker, self._since = worker, since
        self._now_s = time.time()
        self._described: dict[str, dict[str, Any]] = {}

    def row(self, cell: Cell) -> Row:
        then = self._since.get(cell.address.name) or Sample(cell.created_s, 0, 0.0)
        spent_s = max(self._now_s - then.at_s, 1e-3)
        call = call_of(cell)
        role = role_of(cell)
        return {
            "address": cell.address.name,
            "role": role,
            "class": cell.class_name,
            "worker": self._worker,
            "call": str(call.instance.call) if call else None,
            "state": _state(cell, self.describe(cell)),
            "age_s": round(self._now_s - cell.created_s, 1),
            "parent": cell.parent.name if isinstance(cell.parent.receiver, Cell) else None,
            "restarts": self._restarts(call, role) if call and call is not cell else 0,
            "depth": cell.depth,
            "max_depth": cell.max_depth,
            "timers": len(cell.timers),
            "tasks": len(cell.pending) - len(cell.timers),
            "messages_per_s": round((cell.received - then.received) / spent_s, 1),
            "busy_share": round((cell.busy_s - then.busy_s) / spent_s, 4),
        }

    def describe(self, cell: Cell) -> dict[str, Any]:
        name = cell.address.name
        if name not in self._described:
            self._described[name] = describe(cell)
        return self._described[name]

    def _restarts(self, call: Cell, role: str) -> int:
        members = self.describe(call).get("members", {})
        return int(members.get(role, {}).get("restarts", 0))


def role_of(cell: Cell) -> str:
    return getattr(cell.instance, "role", None) or cell.class_name.lower()


def call_of(cell: Cell) -> Cell | None:
    """The call that it belongs to: itself, or the nearest parent that has a call's id."""
    above: Any = cell
    while isinstance(above, Cell):
        if getattr(above.instance, "call", None) is not None:
            return above
        above = above.parent.receiver
    return None


def tree(rows: Iterable[Row]) -> list[Row]:
    """The rows as a forest: each has its `children`, in the order of their creation."""
    nodes = {row["address"]: {**row, "children": []} for row in rows}
    roots: list[Row] = []
    for node in nodes.values():
        parent = nodes.get(node["parent"])
        (parent["children"] if parent else roots).append(node)
    return roots


def _state(cell: Cell, described: Mapping[str, Any]) -> str:
    if cell.exiting:
        return "exiting"
    if state := described.get("state"):
        return str(state)
    if "opened" in described:
        return "open" if described["opened"] else "opening"
    if "open" in described:
        return "open" if described["open"] else "closed"
    return "running"

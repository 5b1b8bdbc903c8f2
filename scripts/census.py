"""What a running server holds at a moment: memory, descriptors, processes, threads, actors, their timers and tasks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from config.errors import CallboardError
from scripts.operator_client import OperatorClient

_MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Census:
    """One count over all processes of a server. None: it could not be asked for its actors."""

    rss_mb: float  # resident memory, what the processes share counted once for each
    descriptors: int
    processes: int
    threads: int
    actors: int | None
    timers: int | None  # of actors
    tasks: int | None  # of actors

    def grown(self, earlier: Census, tolerance_mb: float) -> list[str]:
        """The figures that are above those of `earlier`; memory only if by more than the tolerance."""
        return [
            field.name
            for field in fields(self)
            if (now := getattr(self, field.name)) is not None
            and (then := getattr(earlier, field.name)) is not None
            and now > then + (tolerance_mb if field.name == "rss_mb" else 0)
        ]


def take(pid: int, operator: OperatorClient | None) -> Census:
    """Count what the server `pid` and all its descendants hold; its actors are asked for over the operators' HTTP."""
    pids = [pid, *descendants(pid)]
    rss_bytes, descriptors, threads = (
        sum(map(count, pids)) for count in (_rss_bytes, partial(_entries, "fd"), partial(_entries, "task"))
    )
    rows = _rows(operator)  # last: the connection to the operators' HTTP is not to be counted
    return Census(
        rss_mb=round(rss_bytes / _MB, 1),
        descriptors=descriptors,
        processes=len(pids),
        threads=threads,
        actors=None if rows is None else len(rows),
        timers=_total(rows, "timers"),
        tasks=_total(rows, "tasks"),
    )


def _rows(operator: OperatorClient | None) -> list[dict[str, Any]] | None:
    if operator is None:
        return None
    try:
        rows: list[dict[str, Any]] = operator.get("/v1/actors")
    except CallboardError:
        return None
    return rows


def _total(rows: list[dict[str, Any]] | None, name: str) -> int | None:
    return None if rows is None else sum(row[name] for row in rows)


def descendants(pid: int) -> Iterator[int]:
    """A process that ends while we look is simply not there."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return
    for child in children:
        yield child
        yield from descendants(child)


def _rss_bytes(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGESIZE")


def _entries(folder: str, pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/{folder}"))
    except OSError:
        return 0

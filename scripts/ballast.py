"""Processes that take CPU away from others on one CPU, and tell how fast that CPU is.

A virtual machine changes its speed without a word: the same loop takes twice the CPU time from one second to the next.
Who measures calls per core has to know it.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

LAP = 100_000  # numbers that are added up: a millisecond or two


class Ballast:
    """Told by a process that burns CPU: how many laps it has done, in how many seconds of CPU time."""

    def __init__(self) -> None:
        self._told = np.frombuffer(mmap.mmap(-1, 16), dtype=np.float64)  # shared with the process that is forked
        self._laps = self._cpu_s = 0.0

    def speed(self) -> float | None:
        """Laps per second of CPU time since it was last asked; None when nothing was done."""
        laps, cpu_s = self._told.tolist()
        done, spent_s = laps - self._laps, cpu_s - self._cpu_s
        self._laps, self._cpu_s = laps, cpu_s
        return done / spent_s if done > 0 and spent_s > 0 else None

    @contextlib.contextmanager
    def burning(self, cpu: int, nice: int) -> Iterator[None]:
        """A process that takes all the time of this CPU that it can get."""
        pid = os.fork()
        if pid == 0:
            os.sched_setaffinity(0, {cpu})
            os.setsid()
            with contextlib.suppress(PermissionError):
                set_nice(os.getpid(), nice)
            self._burn(os.getppid())
        try:
            yield
        finally:
            os.kill(pid, 9)
            os.waitpid(pid, 0)

    def _burn(self, parent: int) -> None:
        while os.getppid() == parent:
            sum(range(LAP))
            self._told[0] += 1
            self._told[1] = time.process_time()
        os._exit(0)


def lowest_nice() -> int:
    """That we may give to a process: 0, or -20 for root."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -20)
        return -20
    return 0


def set_nice(pid: int, nice: int) -> None:
    """Of a session's first process and, where Linux weighs whole sessions (sched(7), autogroup), of its session."""
    os.setpriority(os.PRIO_PROCESS, pid, nice)
    with contextlib.suppress(FileNotFoundError):
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))

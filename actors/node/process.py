"""What a process of a node does for itself: it dies with its parent, keeps its own logging, tells how others ended.

The tree is: the main process, a starter that leaves when the node stands, Thespian's admin (which detaches itself by a
second fork and is adopted by the main process), the admin's logger and the manager, the manager's workers. The kernel
kills each of them when its parent dies, however it dies; all but the workers, whose calls outlive a manager: they watch
it, and the main process adopts them (`actors/node/worker.py`).
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # prctl(2)
_ADMIN, _WORKER = 3, 5  # forks below the main process: 1 is the starter, 2 leaves at once, 4 the manager
_ADOPTED_S = 5.0

# Thespian replaces these in its processes by ones that send each record as a message; these here write.
_ROOT, _LOGGERS = logging.root, logging.Logger.manager

_generation = 0
_pid = _main = os.getpid()


def bind_descendants() -> None:
    """From now on what this process forks, and what that forks, is killed when its parent ends, but for workers.

    Linux only. Call it once, in the main process. It adopts every process below it whose parent is gone, and must reap
    them (`reap`).
    """
    global _main
    _main = os.getpid()
    if sys.platform != "linux":
        return
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    os.register_at_fork(after_in_child=_bind)


def _bind() -> None:
    global _generation, _pid
    _generation += 1
    parent, _pid = _pid, os.getpid()
    if _generation == _ADMIN:
        _wait_until_adopted(parent)
        parent = _main
    if _generation != _WORKER:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


def _wait_until_adopted(parent: int) -> None:
    deadline_s = time.monotonic() + _ADOPTED_S
    while os.getppid() == parent and time.monotonic() < deadline_s:
        time.sleep(0.0002)


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def reap() -> None:
    """Collect the ended processes that were adopted."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def keep_logging() -> None:
    """Undo what Thespian did to this process's logging: records go where the main process sent them."""
    logging.root = logging.Logger.root = _ROOT
    logging.Logger.manager = _LOGGERS


def children() -> set[int]:
    """The process ids of the children of the calling thread."""
    return {int(pid) for pid in Path("/proc/thread-self/children").read_text().split()}


def state(pid: int) -> str:
    """The kernel's letter (proc(5)): R, S, D: it lives, T: it is stopped, Z: it has ended; "" if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def has_ended(pid: int) -> bool:
    return state(pid) in ("", "Z", "X")


def waited_s(pid: int) -> float:
    """How long it could have run, in all, while others had the CPU; 0 where the kernel does not tell."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def forget_descriptors(kept: Iterable[int]) -> None:
    """Let go of every descriptor that this process has inherited, standard input and output too, but `kept`.

    Each becomes /dev/null, so that its number is not given to another while an object still thinks to own it.
    """
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    spared = {nothing, *kept}
    for number in sorted(int(name) for name in os.listdir("/proc/self/fd")):
        if number not in spared:
            with contextlib.suppress(OSError):  # the folder's own
                os.fstat(number)
                os.dup2(nothing, number, inheritable=False)


def memory_mb(pid: int) -> float:
    """Resident memory, 0 if the process is gone."""
    try:
        resident_pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return resident_pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def endings(pids: Iterable[int]) -> dict[int, str]:
    """How those of our children ended that have ended and were not yet waited for: "exit 70", "SIGKILL"."""
    found = {}
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            ending = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ending is not None:
                found[pid] = _said(ending.si_code, ending.si_status)
    return found


def _said(code: int, status: int) -> str:
    if code == os.CLD_EXITED:
        return f"exit {status}"
    try:
        return signal.Signals(status).name
    except ValueError:
        return f"signal {status}"


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal; it is all right if the process is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)

"""Whether a process that is asked each second lives, is stopped, or hangs: the main process judges manager and admin.

Slow is not dead, and time that passes proves nothing: this machine, or whoever looks, may itself have been stopped. So
a look adds at most its interval, less what the process has waited for a CPU meanwhile, and nothing while it waits for a
disk. Only a process that could have answered for `hung_s` and has not is hung.
"""

from __future__ import annotations

from dataclasses import dataclass

from actors.node import process

STOPPED, HUNG = "stopped", "hung"
_HUNG = 3  # times as long as what is plainly seen to be stopped: a process may be busy


@dataclass(slots=True)
class Vitals:
    """What is known of one process. Times in seconds."""

    pid: int
    stopped_limit_s: float
    hung_limit_s: float
    stopped_s: float = 0.0
    silent_s: float = 0.0
    waited_s: float = 0.0

    @classmethod
    def of(cls, pid: int, watchdog_s: float) -> Vitals:
        return cls(pid, watchdog_s, _HUNG * watchdog_s, waited_s=process.waited_s(pid))

    def look(self, interval_s: float) -> str:
        """One more look, `interval_s` after the last one at the earliest: `STOPPED`, `HUNG` or ""."""
        return self.judge(process.state(self.pid), process.waited_s(self.pid), interval_s)

    def judge(self, state: str, waited_s: float, interval_s: float) -> str:
        """As `look`; `waited_s` in all."""
        waited, self.waited_s = max(0.0, waited_s - self.waited_s), waited_s
        if state == "T":  # by SIGSTOP; who is traced ("t") has a debugger that looks after it
            self.stopped_s += interval_s
        else:
            self.stopped_s = 0.0
        if state in ("R", "S"):
            self.silent_s += max(0.0, interval_s - waited)
        if self.stopped_s > self.stopped_limit_s:
            return STOPPED
        return HUNG if self.silent_s > self.hung_limit_s else ""

    def answered(self) -> None:
        self.silent_s = 0.0

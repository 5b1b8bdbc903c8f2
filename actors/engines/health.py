"""Is an engine that does not answer slow or dead? What Linux knows of its process tells.

Judged at every look, from proc(5): its state, the time it ran and the time it waited for a CPU. A process that

- is stopped (`T`) does nothing until somebody lets it: passed over at the first look, given up at the second;
- has used `BURNT_S` of CPU time since it was last heard: it turns in a circle;
- sleeps (`S`) for `ASLEEP_S`, has run for none of it and has an unanswered question: it waits for what will not come;
- waits for the disk (`D`) for `DISK_S`;
- is ready to run (`R`) and does not get the CPU is slow, for however long.

One that ran or waited for the CPU for half of the time between two looks is *busy*: what it owes will come.

Time is counted by looks, each of which counts for little: after this process itself stood still it accuses nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LOOK_S = 0.25
SECOND_LOOK_S = 0.05  # at what seems to be stopped
BURNT_S, ASLEEP_S, DISK_S = 2.0, 1.0, 5.0
IN_CIRCLES = "hangs: it has worked for"  # the one verdict for which its work may be to blame
BUSY_SHARE = 0.5
_MOST_S = 2 * LOOK_S  # what one look may count for


@dataclass(frozen=True, slots=True)
class Sample:
    """What proc(5) says of a process: the letter of its state, and seconds since its start."""

    state: str
    ran_s: float
    waited_s: float


def sample(pid: int) -> Sample | None:
    """None if it is gone, or cannot be looked at."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        ran_ns, waited_ns = Path(f"/proc/{pid}/schedstat").read_bytes().split()[:2]
    except (OSError, ValueError):
        return None
    state = stat[stat.rindex(b")") + 2 :][:1].decode()  # the command before it may hold anything
    return Sample(state, int(ran_ns) / 1e9, int(waited_ns) / 1e9)


class Health:
    """Of one process."""

    def __init__(self) -> None:
        self.stopped = False
        self.busy = False
        self.unanswered_s = 0.0  # the question that is out, counted by looks
        self._last: Sample | None = None
        self._heard_ran_s = 0.0  # its CPU time when it was last heard
        self._asleep_s = self._disk_s = 0.0
        self._heard = True

    def heard(self) -> None:
        """It has said something."""
        self._heard = True

    def look(self, now: Sample | None, passed_s: float, owes: bool) -> str:
        """Why it is to be given up, or "". `passed_s`: since the last look; `owes`: a question is out."""
        counted_s = min(passed_s, _MOST_S)
        self.unanswered_s = self.unanswered_s + counted_s if owes and not self._heard else 0.0
        if now is None:  # gone: its socket tells
            return ""
        was_stopped, self.stopped = self.stopped, now.state in "Tt"
        if self.stopped:
            self.busy = False
            return "is stopped" if was_stopped else ""
        last, self._last = self._last or now, now
        wanted_s = now.ran_s + now.waited_s - last.ran_s - last.waited_s
        self.busy = now.state in "RD" or wanted_s >= BUSY_SHARE * passed_s  # its wait counts only once it is over
        self._count(last, now, counted_s, owes)
        if now.ran_s - self._heard_ran_s >= BURNT_S and self.unanswered_s:
            return f"{IN_CIRCLES} {now.ran_s - self._heard_ran_s:.1f} s and said nothing"
        if self._asleep_s >= ASLEEP_S:
            return "hangs: it sleeps and does not answer"
        return "hangs: it waits for the disk" if self._disk_s >= DISK_S else ""

    def _count(self, last: Sample, now: Sample, counted_s: float, owes: bool) -> None:
        if self._heard or not owes:
            self._heard, self._heard_ran_s = False, now.ran_s
            self._asleep_s = self._disk_s = 0.0
            return
        idle = now.ran_s == last.ran_s and now.waited_s == last.waited_s
        self._asleep_s = self._asleep_s + counted_s if idle and now.state == "S" else 0.0
        self._disk_s = self._disk_s + counted_s if now.state == "D" else 0.0

"""Keeps a node alive: the main process starts it, watches it, and starts it anew when its manager or admin is lost.

Theory of operation. Manager and admin carry no calls, the workers do; so the loss of the first two must cost no call.

    starting   a starter builds Thespian's processes; the manager reports
    up         each second the manager is asked, and asks the admin (`Vitals`); one that is stopped or hung is killed
    waiting    lost, or not started: the next start comes after a back-off; it gives up after so many in a row
    leaving    drained (the first SIGTERM) or ended at once (the second): nothing is started any more

When the node is lost its workers become orphans: this process has adopted them, and they serve on. As soon as the next
node listens they get SIGTERM and let go of the ports, which both have shared meanwhile (SO_REUSEPORT). The next manager
knows them, so that their calls are not closed as lost. Whoever of them is stopped, or lives longer than NODE__ORPHAN_S
allows, is killed.
"""

from __future__ import annotations

import logging
import selectors
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from actors.node import process
from actors.node.manager import END_S, START_S, NodeManager
from actors.node.messages import DrainNode, EndNode, NodeEnded, NodeUp, Reload
from actors.node.node import Blueprint, Node
from actors.node.vitals import Vitals
from actors.supervision import ChildSpec, GiveUp, Recovery, Restart, RestartIntensity
from config.errors import CallboardError
from config.settings import Settings

log = logging.getLogger(__name__)

SHUTDOWN_S = 15.0  # for the ends of calls to be written, before everything is killed
_BACKOFF_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
# Lost while it was up; not to be started at all (no processes, no memory, no database): some ten minutes.
_LOST = ChildSpec("node", NodeManager, intensity=RestartIntensity(8, 60.0, _BACKOFF_S))
_NOT_STARTED = ChildSpec("node", NodeManager, intensity=RestartIntensity(60, 900.0, _BACKOFF_S))


class NodeFailed(CallboardError):
    """The node could not start, or is of no use any more."""

    code = "node_failed"

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(slots=True)
class _Orphan:
    """A worker of a manager that is gone."""

    incarnation: str
    vitals: Vitals
    until_s: float


class Keeper:
    """For the main process's one thread. It registers what it waits for with `selector`; the data are functions."""

    def __init__(self, blueprint: Blueprint, selector: selectors.BaseSelector, up: Callable[[dict[str, int]], None]):
        """`up` hears the ports of the first worker, once."""
        self.over = False
        self._blueprint, self._selector, self._up = blueprint, selector, up
        self._node: Node | None = None
        self._node_is_up = self._ever_up = self._leaving = self._failing = False
        self._looks = 0  # since the node was begun
        self._orphans: dict[int, _Orphan] = {}
        self._recoveries = {True: Recovery(_LOST), False: Recovery(_NOT_STARTED)}  # by whether it was up
        self._due_s = self._looked_s = 0.0
        self._deadline_s = float("inf")

    @property
    def settings(self) -> Settings:
        """As they are now."""
        return self._blueprint.settings

    @property
    def interval_s(self) -> float:
        """Between two looks."""
        return min(1.0, self.settings.node.watchdog_s / 3)

    # --- what it is told -------------------------------------------------------------------------------------------

    def drain(self, limit_s: float) -> None:
        """No new calls; the node ends when the last call has ended, or at the limit, with a goodbye."""
        self._leave(limit_s + END_S + SHUTDOWN_S)
        if self._node is not None and self._node_is_up:
            self._node.tell(DrainNode(limit_s))
        elif self._node is not None:
            self._drop()
            self._adopt({})
        self._signal_orphans(signal.SIGTERM)

    def shutdown(self) -> None:
        """The calls end now; what they have left is written, if that can be done within `SHUTDOWN_S`."""
        self._leave(SHUTDOWN_S)
        log.warning("the node ends now: its calls are closed")
        if self._node is not None:
            self._node.tell(EndNode())
        self._signal_orphans(signal.SIGQUIT)

    def _leave(self, within_s: float) -> None:
        self._leaving = True
        self._deadline_s = time.monotonic() + within_s

    def reload(self, settings: Settings) -> None:
        """These settings from now on, for the workers that are and those to come."""
        self._blueprint = replace(self._blueprint, settings=settings)
        if self._node is not None:
            self._node.tell(Reload(settings))

    def kill(self, *, spare_orphans: bool) -> None:
        """End everything, now; spared orphans see for themselves that this process ends, and end with their calls."""
        if self._node is not None:
            self._drop()
        for pid in process.children():
            if not (spare_orphans and pid in self._orphans):
                process.kill(pid)

    # --- looks -----------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """After every wait of the selector. Raises `NodeFailed` if the node is of no use any more."""
        now_s = time.monotonic()
        process.reap()
        for pid in [pid for pid in self._orphans if process.has_ended(pid)]:
            log.info("orphan %s, process %d, has ended", self._orphans.pop(pid).incarnation, pid)
        if self._node is not None:
            self._hear(self._node)
        if now_s - self._looked_s >= self.interval_s:
            self._looked_s = now_s
            self._look_at_processes(now_s)
        if self._node is None and not self._leaving and now_s >= self._due_s:
            self._begin()
        if self._leaving and (now_s > self._deadline_s or (self._node is None and not self._orphans)):
            self.over = True

    def _look_at_processes(self, now_s: float) -> None:
        self._looks += 1
        if self._node is not None:
            trouble = self._node.look(self.interval_s)
            if not trouble and not self._node_is_up and self._looks * self.interval_s > START_S + END_S:
                trouble = "the node has not come up"
            if trouble:
                self._lost(trouble)
        for pid, orphan in self._orphans.items():
            verdict = orphan.vitals.judge(process.state(pid), 0.0, self.interval_s)
            if verdict == "stopped" or now_s > orphan.until_s:
                log.error("orphan %s, process %d, is %s: killed", orphan.incarnation, pid, verdict or "too old")
                process.kill(pid)

    # --- the node's life -------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._looks, self._node_is_up = 0, False
        try:
            orphans = {pid: orphan.incarnation for pid, orphan in self._orphans.items()}
            self._node = Node(self._blueprint, orphans)
        except (OSError, CallboardError) as error:
            if not self._ever_up:
                raise
            self._again(f"the node cannot be started: {error}")
            return
        self._selector.register(self._node.channel, selectors.EVENT_READ, _nothing)

    def _hear(self, node: Node) -> None:
        manager_before = node.manager
        for message in node.hear():
            match message:
                case NodeUp(ports):
                    self._is_up(ports)
                case NodeEnded(code, text):
                    self._ended(node, code, text)
                    return
        if node.manager is not manager_before and node.manager_fd >= 0:
            self._selector.register(node.manager_fd, selectors.EVENT_READ, self._manager_ended)

    def _is_up(self, ports: dict[str, int]) -> None:
        self._node_is_up = True
        if not self._ever_up:
            self._ever_up = True
            self._up(ports)
        else:
            log.warning("the node is up again; %d workers of before have calls to end", len(self._orphans))
        self._failing = False
        self._signal_orphans(signal.SIGTERM)

    def _manager_ended(self) -> None:
        """It may have said why."""
        if self._node is not None:
            self._hear(self._node)
        if self._node is not None:
            self._lost("the node's manager has ended")

    def _ended(self, node: Node, code: str, text: str) -> None:
        """The node says so itself."""
        if not code:
            node.leave()
            self._drop()
            self._leaving, self._deadline_s = True, min(self._deadline_s, time.monotonic() + END_S)
        elif self._node_is_up or not self._ever_up:
            self._drop()
            self._adopt(node.workers if self._ever_up else {})
            raise NodeFailed(code, text)
        else:
            self._lost(f"{code}: {text}")

    def _lost(self, trouble: str) -> None:
        """Manager or admin are gone, or are ended here; their workers stay, and get a successor."""
        assert self._node is not None
        was_up, workers = self._node_is_up, self._node.workers
        self._drop()
        self._adopt(workers if was_up else {})
        if not self._ever_up:
            raise NodeFailed("start_timeout" if "come up" in trouble else "start_failed", trouble)
        if self._leaving:
            log.error("%s while it drains; its %d workers end their calls", trouble, len(self._orphans))
            self._signal_orphans(signal.SIGTERM)
        else:
            self._again(trouble, was_up=was_up)

    def _again(self, trouble: str, *, was_up: bool = False) -> None:
        match self._recoveries[was_up].ended(time.monotonic()):
            case GiveUp():
                raise NodeFailed("manager_died", f"{trouble}; it was started too often: given up")
            case Restart(delay_s):
                self._due_s = time.monotonic() + delay_s
        if was_up or not self._failing:
            line = "%s; another node is started, while %d workers go on with their calls"
            log.error(line, trouble, len(self._orphans))
        self._failing = not was_up

    def _drop(self) -> None:
        """End the node's own processes and forget it."""
        node, self._node = self._node, None
        assert node is not None
        node.kill()
        self._selector.unregister(node.channel)
        if node.manager_fd >= 0 and node.manager_fd in self._selector.get_map():
            self._selector.unregister(node.manager_fd)
        node.close()

    # --- orphans ---------------------------------------------------------------------------------------------------

    def _adopt(self, workers: dict[int, str]) -> None:
        """Those of the workers that live are orphans now; all other children are of no use any more."""
        settings = self.settings.node
        until_s = time.monotonic() + settings.orphan_s + END_S
        process.reap()
        for pid in process.children():
            if pid in workers and not process.has_ended(pid):
                self._orphans[pid] = _Orphan(workers[pid], Vitals.of(pid, settings.watchdog_s), until_s)
            elif pid not in self._orphans:
                process.kill(pid)

    def _signal_orphans(self, number: signal.Signals) -> None:
        for pid in self._orphans:
            process.kill(pid, number)


def _nothing() -> None:
    """What has come is heard at the next look."""

"""One life of a node, as its main process sees it: started, asked each second, told to drain or to end, killed.

    main process -- starter (leaves when the manager is at work)
                 -- Thespian's admin -- logger
                                     -- NodeManager -- worker 0 .. N-1

Thespian is used below the main process only: that one has no threads, no control port, nothing to unpickle but what
its own descendants put into a channel that they have inherited. So it can outlive every other process of the node, and
start all of them anew (`actors/node/keeper.py`).
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import sys
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from thespian.actors import ActorSystem
from thespian.system.multiprocCommon import MultiProcAdmin
from thespian.system.multiprocTCPBase import ActorSystemBase
from thespian.system.utilis import thesplog_control

from actors.node import process, sealed
from actors.node.manager import START_S, NodeManager
from actors.node.messages import Look, ManagerBorn, NodeEnded, NodePlan, PlanTaken, Seen, WorkerBorn
from actors.node.vitals import STOPPED, Vitals
from config.errors import CallboardError
from config.settings import NodeSettings, Settings

log = logging.getLogger(__name__)

_HEARTBEAT = {"CONVENTION_REREGISTRATION_PERIOD": "0:02", "CONVENTION_RESTART_PERIOD": "0:02"}
_TAKEN_S = START_S / 2  # the manager is at work within this time
_GONE_S = 5.0  # SIGKILL ends a process within this time, unless its disk hangs
_GOODBYE_S = 3.0  # to tell the other nodes that this one leaves


class ControlPortTaken(CallboardError):
    """NODE__CONTROL_PORT is in use: perhaps this node runs already."""

    code = "control_port_taken"


class NoProcess(CallboardError):
    """The system has no further process for us."""

    code = "no_process"


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What every life of a node has in common. `worker`: see `NodePlan`; `secret` seals the control ports."""

    settings: Settings
    workers: int
    worker: str
    secret: bytes


class Node:
    """Created, it starts: what it says is in `hear`. Nothing here waits, but for processes that were killed."""

    def __init__(self, blueprint: Blueprint, orphans: dict[int, str]) -> None:
        """Raises `ControlPortTaken`, and `NoProcess` if none can be started."""
        node = blueprint.settings.node
        self.watchdog_s = node.watchdog_s
        self.control_port = _free_port(node.control_host, node.control_port)
        self.manager: Vitals | None = None
        self.admin: Vitals | None = None
        self.workers: dict[int, str] = {}  # process id -> incarnation, of all that were ever started
        self._blueprint = blueprint
        self._asked = False
        self._untold: dict[type, object] = {}  # orders that have found no room yet: of each kind the last one
        self._manager_fd = -1
        self.channel, theirs = Pipe()
        try:
            self.starter = self._fork(theirs, tuple(orphans.items()))
        finally:
            theirs.close()
        self._starter = Vitals.of(self.starter, self.watchdog_s)

    def _fork(self, channel: Connection, orphans: tuple[tuple[int, str], ...]) -> int:
        main = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            raise NoProcess(f"no process can be started: {error.strerror}: a limit on processes, or memory") from None
        if pid:
            return pid
        try:  # the starter; nothing of the main process's stack may run here
            _become_starter(channel)
            plan = NodePlan(
                settings=self._blueprint.settings,
                workers=self._blueprint.workers,
                worker=self._blueprint.worker,
                channel_fd=channel.fileno(),
                control_port=self.control_port,
                main_pid=main,
                orphans=orphans,
            )
            failed = _start(plan, self._blueprint.secret)
            if failed is not None:
                channel.send(failed)
        except BaseException as error:
            channel.send(NodeEnded("start_failed", f"the node's processes could not be started: {error!r:.500}"))
        finally:
            os._exit(0)

    # --- what it says ----------------------------------------------------------------------------------------------

    def hear(self) -> list[Any]:
        """What has come since: `NodeUp`, `NodeEnded`. The rest is understood here."""
        heard = []
        while self.channel.poll():
            match message := self.channel.recv():
                case ManagerBorn():
                    self.manager = Vitals.of(message.pid, self.watchdog_s)
                    self.admin = Vitals.of(message.admin_pid, self.watchdog_s)
                    self._manager_fd = _pidfd(message.pid)
                case WorkerBorn():
                    self.workers[message.pid] = message.incarnation
                case Seen():
                    self._seen(message)
                case _:
                    heard.append(message)
        return heard

    def _seen(self, message: Seen) -> None:
        self._asked = False
        if self.manager and self.admin:
            self.manager.answered()
            if message.admin_answers:
                self.admin.answered()

    @property
    def manager_fd(self) -> int:
        """Readable when the manager has ended; -1 before it has said that it is there."""
        return self._manager_fd

    def look(self, interval_s: float) -> str:
        """Once in `interval_s`: what is wrong with the node's own processes, in words; "" while nothing is."""
        if self.manager is None or self.admin is None:
            if process.has_ended(self.starter):
                return "the starter has ended before its time"
            return "the starter is stopped" if self._starter.look(interval_s) == STOPPED else ""
        for name, vitals in (("manager", self.manager), ("admin", self.admin)):
            if process.has_ended(vitals.pid):
                return f"the node's {name}, process {vitals.pid}, has ended"
            if verdict := vitals.look(interval_s):
                return f"the node's {name}, process {vitals.pid}, is {verdict}"
            if name == "manager" and vitals.silent_s > interval_s:
                break  # who tells of the admin is late himself
        if not self._asked:
            self._asked = True
            self.tell(Look())
        self._tell_rest()
        return ""

    def tell(self, order: object) -> None:
        """An order for the manager. A hung one has room for some: who waited for it could not look after it."""
        self._untold.pop(type(order), None)
        self._untold[type(order)] = order
        self._tell_rest()

    def _tell_rest(self) -> None:
        while self._untold and select.select([], [self.channel], [], 0)[1]:
            order = self._untold.pop(next(iter(self._untold)))
            try:
                self.channel.send(order)
            except OSError as error:
                log.error("the node's manager cannot be told %s: %s", type(order).__name__, error)

    # --- its end ---------------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """It was drained: say goodbye to the other nodes, if there are any, then end what is left."""
        if self._blueprint.settings.node.convention:
            _within(_GOODBYE_S, os.fork() or _say_goodbye(self.control_port, self._blueprint))
        self.kill()

    def kill(self) -> None:
        """End the node's own processes, but no worker. Returns when they have ended."""
        pids = [self.starter, *(vitals.pid for vitals in (self.admin, self.manager) if vitals)]
        for pid in pids:
            process.kill(pid)
        for pid in pids:
            _within(_GONE_S, pid)

    def close(self) -> None:
        """Let go of the descriptors."""
        self.channel.close()
        if self._manager_fd >= 0:
            os.close(self._manager_fd)


def _pidfd(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:  # it has ended: the next look sees that
        return -1


def _within(limit_s: float, pid: int) -> None:
    """Wait until a process has ended, but not for ever."""
    if (descriptor := _pidfd(pid)) >= 0:
        select.select([descriptor], [], [], limit_s)
        os.close(descriptor)


# --- in the starter --------------------------------------------------------------------------------------------------


def _become_starter(channel: Connection) -> None:
    """Forget what only the main process needs: its handlers, and its descriptors with the ports that it keeps.

    Whoever reads its output, or waits for the end of it, must not wait for workers that end their calls.
    """
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    process.forget_descriptors([sys.stderr.fileno(), channel.fileno()])


def _start(plan: NodePlan, secret: bytes) -> NodeEnded | None:
    """Start Thespian and the manager, who reports to the main process by himself from then on."""
    system = _system(plan.settings.node, plan.control_port, secret)
    taken = system.ask(system.createActor(NodeManager), plan, _TAKEN_S)
    if isinstance(taken, PlanTaken):
        return None
    return NodeEnded("start_timeout", f"the node's manager was not at work within {_TAKEN_S:g} s")


def _system(node: NodeSettings, port: int, secret: bytes) -> ActorSystem:
    os.environ.update(_HEARTBEAT)
    thesplog_control(useLogging=False, tmpFileMaxSize=0)  # no file in /tmp; what matters is logged by us
    ActorSystemBase.transportType = sealed.install(secret, node.control_host)
    MultiProcAdmin.logDefs = _LOGGER  # Thespian 4.0.1 looks for it under this name when its logger has died
    convention = {"Convention Address.IPv4": node.convention} if node.convention else {}
    return ActorSystem("multiprocTCPBase", {"Admin Port": port, "Node": node.name, **convention}, logDefs=_LOGGER)


def _say_goodbye(port: int, blueprint: Blueprint) -> int:
    """In a process of its own: shut Thespian down in good order, which deregisters the node from its convention."""
    try:
        _system(blueprint.settings.node, port, blueprint.secret).shutdown()
    finally:
        os._exit(0)


# The logger writes what Thespian's own processes log; a manager and a worker log by themselves.
_LOGGER = {
    "version": 1,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "config.outlet.LineHandler", "formatter": "plain", "level": "WARNING"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}


def _free_port(host: str, port: int) -> int:
    """`port` if nobody has it, or any free one for 0. Thespian would join an admin that listens there already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ControlPortTaken(f"NODE__CONTROL_PORT = {port} at NODE__CONTROL_HOST = {host!r}: {error}") from None
        return int(probe.getsockname()[1])

"""A node as its main process sees it: started, told to drain, ended. One for each process.

    main process -- Thespian's admin -- logger
                                     -- NodeManager -- worker 0 .. N-1

The main process has no threads and serves nothing. If the manager dies, however it dies, the kernel ends the workers
and the main process says so and exits with status 1: what supervises it (systemd, a container's runtime) starts it
again, and the calls of the dead node are closed in the store by the next one of its name.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import socket
from dataclasses import dataclass
from typing import Any

from thespian.actors import ActorSystem
from thespian.system.multiprocCommon import MultiProcAdmin
from thespian.system.multiprocTCPBase import ActorSystemBase
from thespian.system.utilis import thesplog_control

from actors.node import process, sealed
from actors.node.manager import START_S, NodeManager
from actors.node.messages import DrainNode, NodePlan, NodeUp, WorkerFailed
from config.errors import CallboardError
from config.settings import NodeSettings, Settings

_HEARTBEAT = {"CONVENTION_REREGISTRATION_PERIOD": "0:02", "CONVENTION_RESTART_PERIOD": "0:02"}


class NodeFailed(CallboardError):
    """The node could not start, or is of no use any more."""

    code = "node_failed"

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class ControlPortTaken(CallboardError):
    """NODE__CONTROL_PORT is in use: perhaps this node runs already."""

    code = "control_port_taken"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a node ended; without `code` it was drained."""

    code: str = ""
    text: str = ""


class Node:
    """Start it before anything of this process has threads, and only once."""

    def __init__(self, settings: Settings, workers: int, worker: str) -> None:
        """`worker` is the dotted name of the class on the workers' loops; see `NodePlan`."""
        self._settings, self._workers, self._worker = settings, workers, worker

    def start(self) -> NodeUp:
        """Returns when every worker listens. Raises `NodeFailed`, `ControlPortTaken`, `OSError`."""
        node = self._settings.node
        secret = node.cluster_secret.get_secret_value() or secrets.token_hex(32)
        self.control_port = _free_port(node.control_host, node.control_port)
        self._verdict, verdict_fd = os.pipe2(0)
        os.environ.update(_HEARTBEAT)
        thesplog_control(useLogging=False, tmpFileMaxSize=0)  # no file in /tmp; what matters is logged by us
        process.bind_descendants()
        ActorSystemBase.transportType = sealed.install(secret.encode(), node.control_host)
        MultiProcAdmin.logDefs = _LOGGER  # Thespian 4.0.1 looks for it under this name when its logger has died
        self._system = ActorSystem("multiprocTCPBase", self._capabilities(node), logDefs=_LOGGER)
        self._manager = self._system.createActor(NodeManager)
        up = self._system.ask(
            self._manager,
            NodePlan(self._settings, self._workers, self._worker, verdict_fd, self.control_port),
            START_S + 5,
        )
        os.close(verdict_fd)
        if isinstance(up, NodeUp):
            self._manager_fd = os.pidfd_open(up.pid)
            return up
        if isinstance(up, WorkerFailed):
            raise NodeFailed(up.code, up.text)
        raise NodeFailed("start_timeout", f"the workers did not start within {START_S:g} s")

    def _capabilities(self, node: NodeSettings) -> dict[str, Any]:
        convention = {"Convention Address.IPv4": node.convention} if node.convention else {}
        return {"Admin Port": self.control_port, "Node": node.name, **convention}

    def fileno(self) -> int:
        """Readable when the node has ended."""
        return self._manager_fd

    def drain(self, limit_s: float) -> None:
        """No new calls; the node ends when the last call has ended, or is told to."""
        self._system.tell(self._manager, DrainNode(limit_s))

    def verdict(self) -> Verdict:
        """After its end: why it has ended."""
        ready, _, _ = select.select([self._verdict], [], [], 0)
        line = os.read(self._verdict, 65536) if ready else b""
        if not line:
            return Verdict("manager_died", "the node's manager was killed, and its workers with it")
        return Verdict(**json.loads(line))

    def close(self) -> None:
        """End what is left: Thespian's own processes."""
        self._system.shutdown()
        process.reap()


# The logger writes what Thespian's own processes log; a manager and a worker log by themselves.
_LOGGER = {
    "version": 1,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain", "level": "WARNING"}},
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

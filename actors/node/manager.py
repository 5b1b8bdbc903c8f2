"""The node's manager: starts its workers, watches them, replaces them, drains them, and tells operators about it.

It has no threads and no sockets but Thespian's and its channel to the main process, so that what it forks inherits
nothing that matters. Each worker is asked each second; the worker's main thread answers and watches its own loop. A
worker's slot is never empty for good: where a process cannot be started, or its end was not told, the next tick sees
that. A worker ends in one of these ways:

    killed, crashed    its conversations are closed by another worker ("worker_lost"); it is started again
    loop_hung          the same: its main thread has ended the process
    unresponsive       the process does not even answer (SIGSTOP, a call in C): the manager kills it
    memory             it has grown too much: its replacement starts at once, it drains beside
    terminated         SIGTERM to the process: it drains, then it is started again
    drained            the node drains
    shutdown           the node ends at once

If the manager itself is lost, its workers keep their calls, and the main process starts another manager
(`actors/node/keeper.py`), who looks after what these orphans may leave in the store.
"""

from __future__ import annotations

import itertools
import logging
import os
import signal
import time
from dataclasses import replace
from datetime import timedelta
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from thespian.actors import (
    ActorAddress,
    ActorSystemConventionUpdate,
    ActorTypeDispatcher,
    ChildActorExited,
    PoisonMessage,
    ThespianWatch,
    WakeupMessage,
    WatchMessage,
)
from thespian.system.messages.status import Thespian_ActorStatus, Thespian_StatusReq, Thespian_SystemStatus

from actors.node import process
from actors.node.fleet import Fleet, Member, State
from actors.node.messages import (
    MANAGER,
    RELOAD,
    Answer,
    AnswerError,
    Asked,
    AskManager,
    AskWorkers,
    DrainNode,
    DrainWorker,
    EndNode,
    EndWorker,
    Look,
    ManagerBorn,
    NodeEnded,
    NodePlan,
    NodeUp,
    Ping,
    PlanTaken,
    Pong,
    Question,
    Reload,
    Seen,
    StartWorker,
    WorkerBorn,
    WorkerDrained,
    WorkerFailed,
    WorkerLeaves,
    WorkerUp,
)
from actors.node.worker import Watchdog, WorkerProcess
from actors.supervision import GiveUp, Restart
from config.logging import configure

log = logging.getLogger(__name__)

START_S = 20.0  # a worker listens within this time
BEAT_TTL_S = 3.5  # three missed heartbeats, and the node is gone
ANSWER_FIRST_S = 0.2  # the operator who drains the node gets the answer before its worker has gone
LATE_LOOKS = 2  # so long Thespian may take to tell that a child has ended
END_S = 25.0  # after the limit of a drain: goodbyes, the last rows of the ledger


class NodeManager(ActorTypeDispatcher):  # type: ignore[misc]
    """One per node. It reports to the main process on a channel, a descriptor that every process here has inherited."""

    def __init__(self) -> None:
        super().__init__()
        process.keep_logging()
        self._channel: Connection | None = None
        self._admin: ActorAddress | None = None
        self._admin_asked = self._admin_answered = False
        self._endings: dict[int, str] = {}
        self._requests = itertools.count(1)
        self._last_report = ("", "")
        self._joined: set[str] = set()  # nodes that this one meets in the convention
        self._nodes: list[dict[str, Any]] = []  # what the heartbeats told last
        self._reported = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # the main process coordinates

    def receiveMessage(self, message: Any, sender: ActorAddress) -> ThespianWatch | None:
        """Every handler returns the watch of the channel: any other value would end it."""
        if isinstance(message, WatchMessage):
            try:
                self._hear()
            except (EOFError, OSError):
                self._channel = None  # the main process is gone, and the kernel is about to end this one
        else:
            super().receiveMessage(message, sender)
        return ThespianWatch([self._channel.fileno()]) if self._channel else None

    def _hear(self) -> None:
        """What the main process orders."""
        assert self._channel is not None
        while self._channel.poll():
            match order := self._channel.recv():
                case Look():
                    self._ask_admin()
                    self._tell_main(Seen(self._admin_answered))
                    self._admin_answered = False
                case DrainNode():
                    self._drain_all(order)
                case EndNode():
                    self._end_all()
                case Reload():
                    self._reload(order)

    def _tell_main(self, message: object) -> None:
        assert self._channel is not None
        self._channel.send(message)

    # --- Thespian's admin -----------------------------------------------------------------------------------------

    def _ask_admin(self) -> None:
        """Whether it works; one question at a time."""
        if self._admin is not None and not self._admin_asked:
            self._admin_asked = True
            self.send(self._admin, Thespian_StatusReq())

    def receiveMsg_Thespian_ActorStatus(self, message: Thespian_ActorStatus, sender: ActorAddress) -> None:
        self._admin = message.adminAddress  # our own status: where the admin is

    def receiveMsg_Thespian_SystemStatus(self, message: Thespian_SystemStatus, sender: ActorAddress) -> None:
        self._admin_answered, self._admin_asked = True, False

    # --- the life of the node ------------------------------------------------------------------------------------

    def receiveMsg_NodePlan(self, plan: NodePlan, sender: ActorAddress) -> None:
        self._plan = plan
        self._channel = Connection(plan.channel_fd)
        self._tell_main(ManagerBorn(os.getpid(), os.getppid()))
        self.send(sender, PlanTaken())
        self.send(self.myAddress, Thespian_StatusReq())
        node = plan.settings.node
        self._interval_s = min(1.0, node.watchdog_s / 3)
        self._fleet = Fleet(node.name, plan.workers, dict(plan.orphans))
        self._orphans = True  # conversations of a node of this name that has died are still open
        self._note_endings_first()
        if node.convention:
            self.notifyOnSystemRegistrationChanges(True)
        self._tick_later()
        self._start_due()

    def _drain_all(self, order: DrainNode) -> None:
        if self._fleet.draining:
            return
        log.info("the node drains: no new calls; those that run have %g s", order.limit_s)
        self._fleet.draining = True
        for member in tuple(self._fleet.members):
            self._drain(member, "drained", order.limit_s, refuse=True)
        self._deadline_s = time.monotonic() + order.limit_s + END_S
        self._end_if_empty()

    def _end_all(self) -> None:
        """The calls that are left end now; what they have left is written."""
        self._fleet.draining = True
        self._deadline_s = time.monotonic() + END_S
        for member in self._fleet.members:
            member.leaving = "shutdown"
            if member.state is State.STARTING:
                process.kill(member.pid)
            else:
                self.send(member.address, EndWorker())
        self._end_if_empty()

    def _reload(self, order: Reload) -> None:
        """For the workers that are, and those to come."""
        self._plan = replace(self._plan, settings=order.settings)
        configure(order.settings.log_level, order.settings.log_format)
        for member in self._fleet.up():
            self._ask(member, RELOAD, {"settings": order.settings})

    def receiveMsg_WorkerDrained(self, message: WorkerDrained, sender: ActorAddress) -> None:
        if member := self._fleet.named(message.incarnation):
            member.state = State.DRAINED
        self._end_if_empty()

    def _end_if_empty(self) -> None:
        """The workers refuse calls until the last one has none left, then they end together; then the node ends."""
        if not self._fleet.draining:
            return
        if not self._fleet.members:
            self._end("", "")
        elif all(member.state is State.DRAINED for member in self._fleet.members):
            for member in self._fleet.members:
                self.send(member.address, EndWorker())

    def _end(self, code: str, text: str) -> None:
        """Tell the main process, which ends what is left."""
        self._tell_main(NodeEnded(code, text))

    # --- one worker ----------------------------------------------------------------------------------------------

    def _start_due(self) -> None:
        """A process for every worker that has none, as soon as its back-off is over."""
        if not self._fleet.draining:
            for number in self._fleet.due(time.monotonic()):
                self._start(number)

    def _start(self, number: int) -> None:
        """Thespian keeps to itself that it could not fork: there is a new child, or there is none."""
        before = process.children()
        address = self.createActor(WorkerProcess)
        born = process.children() - before
        if not born:
            self._later(number, self._fleet.not_started(number, time.monotonic()))
            return
        self._fleet.started(number)
        incarnation, (pid,) = self._fleet.incarnation(number), born
        self._tell_main(WorkerBorn(pid, incarnation))
        within = partial(Watchdog.within, interval_s=self._interval_s)
        watchdog, patience = within(self._plan.settings.node.watchdog_s), within(START_S)
        self._fleet.members.append(Member(number, incarnation, address, pid, time.monotonic(), watchdog, patience))
        self.send(address, StartWorker(number, incarnation, self._plan, os.getpid()))

    def _later(self, number: int, delay_s: float) -> None:
        """Start this worker then; should the wake-up get lost, the next tick does it."""
        self._fleet.put_off(number, time.monotonic() + delay_s)
        self.wakeupAfter(timedelta(seconds=delay_s), payload=number)

    def receiveMsg_PoisonMessage(self, message: PoisonMessage, sender: ActorAddress) -> None:
        """A worker could not do what it was told, twice; one that could not start is of no use."""
        poison = message.poisonMessage
        log.error("a worker failed at %s: %s", type(poison).__name__, str(message.details).strip().rpartition("\n")[2])
        if isinstance(poison, StartWorker) and (member := self._fleet.named(poison.incarnation)):
            self._kill(member, "failed")

    def _drain(self, member: Member, reason: str, limit_s: float, *, refuse: bool) -> None:
        member.leaving = reason
        if member.state is State.STARTING:
            process.kill(member.pid)  # it has no calls yet
        else:
            member.state = State.DRAINING
            self.send(member.address, DrainWorker(limit_s, reason, refuse))

    def receiveMsg_WorkerUp(self, message: WorkerUp, sender: ActorAddress) -> None:
        member = self._fleet.named(message.incarnation)
        if member is None:
            return
        member.state, member.ports = State.UP, message.ports
        log.info("worker %d: up, process %d", member.number, member.pid)
        if self._fleet.complete and not self._reported:
            self._reported = True
            self._tell_main(NodeUp(self._fleet.members[0].ports))
        self._close_lost()

    def receiveMsg_WorkerFailed(self, message: WorkerFailed, sender: ActorAddress) -> None:
        """It will exit, and be counted, like any other; a node that has never been up gives up at once."""
        if member := self._fleet.named(message.incarnation):
            member.leaving = "failed"
        self._last_report = (message.code, message.text)
        log.error("a worker cannot start: %s: %s", message.code, message.text)
        if not self._reported:
            self._reported = True
            self._tell_main(NodeEnded(message.code, message.text))

    def receiveMsg_WorkerLeaves(self, message: WorkerLeaves, sender: ActorAddress) -> None:
        member = self._fleet.named(message.incarnation)
        if member is not None:
            member.leaving = message.reason

    def receiveMsg_ChildActorExited(self, message: ChildActorExited, sender: ActorAddress) -> None:
        if member := self._fleet.at(message.childAddress):
            self._ended(member)

    def _ended(self, member: Member) -> None:
        self._peek()
        decision = self._fleet.ended(
            member, self._endings.pop(member.pid, "exit 0"), time.monotonic(), round(time.time(), 3)
        )
        ending = self._fleet.exits[-1]
        say = log.info if ending.reason == "drained" else log.error
        say(
            "worker %d: process %d: %s, %s; %s",
            ending.worker,
            ending.pid,
            ending.reason,
            ending.ending,
            ending.decision,
        )
        match decision:
            case Restart(0):
                self._start(member.number)
            case Restart(delay_s):
                self._later(member.number, delay_s)
            case GiveUp():
                code, text = self._last_report
                self._end(
                    code or "workers_fail", text or f"worker {member.number} has ended too often: {ending.reason}"
                )
        self._close_lost()
        self._end_if_empty()

    def _note_endings_first(self) -> None:
        """See how a child has ended before Thespian's handler lets the kernel forget it."""
        theirs = signal.getsignal(signal.SIGCHLD)

        def noted(number: int, frame: Any) -> None:
            self._peek()
            if callable(theirs):
                theirs(number, frame)

        signal.signal(signal.SIGCHLD, noted)

    def _peek(self) -> None:
        self._endings.update(process.endings(member.pid for member in self._fleet.members))

    # --- each second ---------------------------------------------------------------------------------------------

    def receiveMsg_WakeupMessage(self, message: WakeupMessage, sender: ActorAddress) -> None:
        if isinstance(message.payload, DrainNode):
            self._drain_all(message.payload)
            return
        if message.payload is None:
            self._tick_later()  # first: whatever fails here must not be the last tick
            for member in tuple(self._fleet.members):
                self._look_after(member)
            self._fleet.lose_orphans(process.has_ended)
            self._close_lost()
            self._beat()
        self._start_due()

    def _tick_later(self) -> None:
        self.wakeupAfter(timedelta(seconds=self._interval_s))

    def _look_after(self, member: Member) -> None:
        if process.has_ended(member.pid):
            member.looks_gone += 1
            if member.looks_gone > LATE_LOOKS:  # nobody tells: a child that Thespian has not met, for one
                self._ended(member)
        elif member.state is State.STARTING:
            if not member.patience.asked():
                self._kill(member, "start_timeout")
        elif self._fleet.draining and time.monotonic() > self._deadline_s:
            self._kill(member, "drain_timeout")
        elif member.watchdog.asked():
            self.send(member.address, Ping())
            self._weigh(member)
        else:
            self._kill(member, "unresponsive")

    def _weigh(self, member: Member) -> None:
        node = self._plan.settings.node
        member.memory_mb = process.memory_mb(member.pid)
        if member.state is State.UP and member.memory_mb > node.worker_memory_mb:
            line = (
                "worker %d: process %d has %.0f MB, more than NODE__WORKER_MEMORY_MB = %d: it is drained and replaced"
            )
            log.error(line, member.number, member.pid, member.memory_mb, node.worker_memory_mb)
            self._drain(member, "memory", node.drain_s, refuse=False)
            self._start(member.number)

    def _kill(self, member: Member, reason: str) -> None:
        member.leaving = reason
        log.error("worker %d: process %d is %s: killed", member.number, member.pid, reason)
        process.kill(member.pid)

    def receiveMsg_Pong(self, message: Pong, sender: ActorAddress) -> None:
        member = self._fleet.named(message.incarnation)
        if member is not None:
            member.watchdog.answered()
            member.loop_lag_ms = message.loop_lag_ms

    # --- other nodes ---------------------------------------------------------------------------------------------

    def receiveMsg_ActorSystemConventionUpdate(
        self, message: ActorSystemConventionUpdate, sender: ActorAddress
    ) -> None:
        """A node has joined or left; the leader hears of all, the others of their leader."""
        name = str(message.remoteCapabilities.get("Node", message.remoteAdminAddress))
        log.info("node %s has %s the convention", name, "joined" if message.remoteAdded else "left")
        (self._joined.add if message.remoteAdded else self._joined.discard)(name)

    def _beat(self) -> None:
        """The node's heartbeat, through a worker: the manager has no connections of its own."""
        info = {
            "workers": sum(member.state is State.UP for member in self._fleet.members),
            "draining": self._fleet.draining,
            "control": f"{self._plan.settings.node.control_host}:{self._plan.control_port}",
        }
        if member := next(self._fleet.up(), None):
            self._ask(member, "beat", {"node": self._fleet.name, "info": info, "ttl_s": BEAT_TTL_S})

    def _node_rows(self) -> list[dict[str, Any]]:
        """The nodes that beat, by name; `joined`: met in the convention."""
        return [{**row, "joined": row["node"] in {*self._joined, self._fleet.name}} for row in self._nodes]

    # --- what the dead have left ---------------------------------------------------------------------------------

    def _close_lost(self) -> None:
        """Any worker that is up closes the conversations of those that are not; asked again until it is done."""
        member = next((m for m in self._fleet.members if m.state is State.UP), None)
        if member is None:
            return
        if self._orphans:
            alive = [*(m.incarnation for m in self._fleet.members), *self._fleet.orphans.values()]
            self._ask(member, "close_lost_of_node", {"node": f"{self._fleet.name}/", "alive": alive})
        for incarnation in self._fleet.lost:
            self._ask(member, "close_lost", {"incarnation": incarnation})

    def _ask(self, member: Member, verb: str, arguments: dict[str, Any]) -> None:
        self.send(member.address, Question(next(self._requests), "", self.myAddress, verb, arguments))

    def receiveMsg_Answer(self, message: Answer, sender: ActorAddress) -> None:
        if message.error is None and isinstance(message.value, dict):
            self._fleet.lost.discard(message.value.get("incarnation", ""))
            self._orphans = self._orphans and ("closed" not in message.value or bool(message.value["spared"]))
            self._nodes = message.value.get("nodes", self._nodes)

    # --- questions -----------------------------------------------------------------------------------------------

    def receiveMsg_AskWorkers(self, message: AskWorkers, sender: ActorAddress) -> None:
        asked = {member.number: member for member in self._fleet.up()}  # of two processes of a worker the newer one
        self.send(sender, Asked(message.request, tuple(asked)))
        for member in asked.values():
            question = Question(message.request, message.incarnation, sender, message.verb, message.arguments)
            self.send(member.address, question)

    def receiveMsg_AskManager(self, message: AskManager, sender: ActorAddress) -> None:
        value: Any = None
        error = None
        match message.verb:
            case "exits":
                value = self._fleet.exit_rows()
            case "workers":
                value = self._fleet.rows(time.monotonic())
            case "nodes":
                value = self._node_rows()
            case "drain":
                value = self._drain_for_operator(message.arguments)
            case _:
                error = AnswerError(
                    "unknown_verb", f"verb {message.verb!r:.40}: legal: exits, workers, nodes, drain", 400
                )
        self.send(sender, Answer(message.request, message.incarnation, MANAGER, value, error))

    def _drain_for_operator(self, arguments: dict[str, Any]) -> dict[str, Any]:
        limit_s = arguments.get("limit_s", self._plan.settings.node.drain_s)
        self.wakeupAfter(timedelta(seconds=ANSWER_FIRST_S), payload=DrainNode(limit_s))
        return {"draining": True, "limit_s": limit_s, "workers": len(self._fleet.members)}

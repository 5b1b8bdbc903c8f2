"""A cell: one living actor with its mailbox, children, timers and tasks; what Thespian calls the actor's `_myRef`."""

from __future__ import annotations

import asyncio
import copy
import logging
import time
import traceback
from collections import deque
from collections.abc import Coroutine
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from thespian.actors import (
    Actor,
    ActorAddress,
    ActorExitRequest,
    ActorSystemException,
    ActorSystemMessage,
    ChildActorExited,
    InvalidActorAddress,
    PoisonMessage,
    Thespian_StatusReq,
    ThespianWatch,
    WakeupMessage,
    WatchMessage,
)
from thespian.system.timing import timePeriodSeconds

from actors.loop import status
from actors.loop.actor import TaskFailed
from actors.loop.address import LoopAddress
from actors.loop.mailbox import HOLE, MAILBOX_LIMIT, Mailbox
from actors.loop.timers import Timer
from actors.loop.watch import Watch

if TYPE_CHECKING:
    from actors.loop.base import LoopBase

log = logging.getLogger(__name__)

BURIED_A_TURN = 1000  # dead letters of one actor
FAILURES = (Exception, asyncio.CancelledError)  # CancelledError is no Exception, but a handler may trip over one


class Cell(Mailbox):
    """Life: created -> (exit requested) exiting, waits for its children -> dead, its address leads nowhere."""

    __slots__ = (
        "children",
        "class_name",
        "created_s",
        "exiting",
        "failed",
        "globalName",
        "instance",
        "parent",
        "pending",
        "requirements",
        "source_hash",
        "watch",
    )

    def __init__(self, base: LoopBase, instance: Any, parent: LoopAddress) -> None:
        super().__init__(base, getattr(instance, "mailbox_limit", MAILBOX_LIMIT))
        self.instance = instance  # None once dead
        self.class_name = type(instance).__name__
        self.parent = parent
        self.globalName: str | None = None
        self.requirements: dict[str, Any] | None = None
        self.source_hash: str | None = None
        self.children: dict[str, LoopAddress] = {}
        self.pending: dict[Timer | asyncio.Task[Any], None] = {}  # what is cancelled when the actor exits
        self.watch: Watch | None = None
        self.exiting = False
        self.failed = 0
        self.created_s = time.time()
        instance._myRef = self

    @property
    def label(self) -> str:
        return f"{self.class_name} {self.address.name}"

    # --- one message ---------------------------------------------------------------------------------------------

    def handle(self, message: Any, sender: Any) -> None:
        """Run the actor on one message; never raises what the actor raises."""
        if self.exiting or isinstance(message, ActorSystemMessage):
            self._handle_system(message, sender)
        else:
            self._call(message, sender)

    def _call(self, message: Any, sender: Any) -> None:
        try:
            result = self.instance.receiveMessage(message, sender)
        except FAILURES:
            result = self._retry(message, sender)
        except SystemExit:
            self.exit()
            return
        if result is not None or self.watch is not None:
            self._set_watch(result)

    def _retry(self, message: Any, sender: Any) -> Any:
        """Thespian's promise: once more with a fresh copy, then the message goes back to its sender as poison."""
        self.failed += 1
        kind = type(message).__name__
        log.warning("%s failed on %s, trying once more", self.label, kind, exc_info=True)
        try:
            return self.instance.receiveMessage(copy.deepcopy(message), sender)
        except FAILURES:
            log.error("%s failed again on %s", self.label, kind, exc_info=True)
            if not isinstance(message, PoisonMessage):
                self.base.deliver(sender, PoisonMessage(message, traceback.format_exc()), self.address)
        except SystemExit:
            self.exit()
        return None

    def _handle_system(self, message: Any, sender: Any) -> None:
        if message is HOLE:
            self.pass_hole()
        elif isinstance(message, Timer):
            if message.pending:
                self.handle(message.claim(), sender)
        elif isinstance(message, Thespian_StatusReq):
            self.base.deliver(sender, status.actor_status(self), self.address)
        elif isinstance(message, ActorExitRequest):
            self._exit_requested(message, sender)
        elif isinstance(message, ChildActorExited):
            self._child_exited(message, sender)
        elif self.exiting:
            self.base.undeliverable(self.address, message, sender)
        else:
            if self.watch is not None and isinstance(message, WatchMessage):
                self.watch.handled()
            self._call(message, sender)

    def _set_watch(self, result: Any) -> None:
        filenos = result.filenos if isinstance(result, ThespianWatch) and not self.exiting else ()
        if filenos:
            self.watch = self.watch or Watch(self)
            self.watch.renew(filenos)
        elif self.watch is not None:
            self.watch.close()
            self.watch = None

    @property
    def timers(self) -> list[Timer]:
        return [pending for pending in self.pending if isinstance(pending, Timer)]

    # --- the end -------------------------------------------------------------------------------------------------

    def _exit_requested(self, request: ActorExitRequest, sender: Any) -> None:
        if self.exiting:
            return
        try:
            self.instance.receiveMessage(request, sender)
        except (*FAILURES, SystemExit):
            self.failed += 1
            log.warning("%s failed on its exit request", self.label, exc_info=True)
        self.exit(request.isRecursive)

    def exit(self, recursive: bool = True) -> None:
        """Let go of timers, tasks and descriptors; die as soon as the children are gone."""
        if self.exiting:
            return
        self.exiting = True
        for pending in list(self.pending):
            pending.cancel()
        self._set_watch(None)
        if not (recursive and self.children):
            self.die()
            return
        for child in list(self.children.values()):
            self.base.deliver(child, ActorExitRequest(), self.address)

    def _child_exited(self, message: ChildActorExited, sender: Any) -> None:
        self._call(message, sender)
        self.children.pop(message.childAddress.actorAddressString, None)
        self.base.nursery.bury(message)
        if self.exiting and not self.children and self.instance is not None:
            self.die()

    def die(self) -> None:
        """Nobody lives here any more; what still waits becomes dead letters."""
        self.exiting = True
        self.base.forget(self)
        self.instance = None
        waiting = deque((message, sender) for message, sender in self.waiting() if not isinstance(message, Timer))
        self.queue.clear()
        self._bury(waiting)
        self.base.deliver(self.parent, ChildActorExited(self.address), self.address)

    def _bury(self, waiting: deque[tuple[Any, Any]]) -> None:
        """So many a turn: a mailbox may have held hundreds of thousands."""
        for _ in range(min(len(waiting), BURIED_A_TURN)):
            self.base.undeliverable(self.address, *waiting.popleft())
        if waiting:
            self.base.loop.call_soon(self._bury, waiting)

    # --- what Actor's methods call -------------------------------------------------------------------------------

    def actor_send(self, target: Any, message: Any) -> None:
        base = self.base
        if base.copy is not None:
            message = base.copy(message)
        receiver = getattr(target, "receiver", None)
        if receiver is None:
            if not isinstance(target, ActorAddress):
                raise InvalidActorAddress(target, "not a valid ActorAddress for sending messages to")
            base.undeliverable(target, message, self.address)
        else:
            receiver.accept(message, self.address)

    def createActor(
        self,
        actor_class: type[Actor] | str,
        requirements: dict[str, Any] | None,
        global_name: str | None,
        source_hash: str | None = None,
    ) -> LoopAddress:
        return self.base.call(
            self.base.nursery.child, self, actor_class, requirements, global_name, source_hash or self.source_hash
        )

    def wakeupAfter(self, period: timedelta | float, payload: Any = None) -> None:
        message = WakeupMessage(period, payload)
        self.base.call(self.call_later, timePeriodSeconds(period), message)

    def call_later(self, delay_s: float, message: Any) -> Timer:
        self.base.require_loop_thread("call_later")
        timer = Timer(self, delay_s, message)
        if self.exiting:
            timer.cancel()
        return timer

    def start_task(self, coro: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        self.base.require_loop_thread("start_task")
        task = self.base.loop.create_task(coro, name=name)
        self.pending[task] = None
        self.base.tasks.add(task)
        task.add_done_callback(self._task_done)
        if self.exiting:
            task.cancel()
        return task

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        self.pending.pop(task, None)
        self.base.tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if self.exiting:
            log.warning("task %s of an actor that has exited failed: %s", task.get_name(), type(error).__name__)
        else:
            self.accept(TaskFailed(task.get_name(), error), self.address)

    def handleDeadLetters(self, address: LoopAddress, enable: bool) -> None:
        self.base.call(self.base._handleDeadLetters, address, enable)

    def updateCapability(self, name: str, value: Any) -> None:
        self.base.updateCapability(name, value)

    def registerSourceAuthority(self, address: LoopAddress) -> None:
        self.base.sources.authority = address

    def notifyOnSourceAvailability(self, address: LoopAddress, enable: bool) -> None:
        self.base.call(self.base.sources.notify, address, enable)

    def loadActorSource(self, source: Any) -> str:
        return self.base.loadActorSource(source)

    def unloadActorSource(self, source_hash: str) -> None:
        self.base.unloadActorSource(source_hash)

    def notifyOnSystemRegistrationChanges(self, address: LoopAddress, enable: bool) -> None:
        """Never notified: one process is no convention."""

    def preRegisterRemoteSystem(self, address: Any, capabilities: dict[str, Any]) -> None:
        raise ActorSystemException("the loop base is one process: it has no convention to register a system with")

    def deRegisterRemoteSystem(self, address: Any) -> None:
        raise ActorSystemException("the loop base is one process: it has no convention to remove a system from")

    def actorSystemShutdown(self) -> None:
        self.base.post(self.base.close_soon)

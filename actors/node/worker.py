"""A worker's process: an actor of the control plane whose second thread runs the loop that serves calls.

The main thread is Thespian's. It forwards between the manager and the loop, watches the loop, and never creates an
actor: a process that it forked would inherit the listening sockets and keep connections that nobody answers.

Its calls outlive the control plane. If the manager is lost the worker serves on, and takes calls as long as nobody else
does: the main process starts another node on the same ports and then sends SIGTERM, at which it lets go of the ports
and ends with its last call, after NODE__ORPHAN_S at the latest. If the main process is lost, nobody starts another: it
lets go of the ports at once, and the calls have what a drain gives them, NODE__DRAIN_S.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import math
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import uvloop
from thespian.actors import Actor, ActorAddress, ActorExitRequest, ThespianWatch, WakeupMessage, WatchMessage

from actors.node import process
from actors.node.bridge import Bridge, BridgeLink, error_of
from actors.node.link import NodeLink
from actors.node.messages import (
    RELOAD,
    Answer,
    Asked,
    DrainWorker,
    EndWorker,
    Ping,
    Pong,
    Question,
    StartWorker,
    WorkerDrained,
    WorkerFailed,
    WorkerLeaves,
    WorkerUp,
)
from config.errors import BadInput, CallboardError
from config.settings import Settings

log = logging.getLogger(__name__)

HUNG_STATUS, CRASHED_STATUS = 75, 70  # exit statuses of a process that ends itself; sysexits(3): temporary, software
STOPPING_S = 15.0  # for the last rows: the loop is not hung while it waits for a disk or a database then


class LoopSide(Protocol):
    """What runs on a worker's loop: `transports.worker.Worker`."""

    ports: dict[str, int]

    def __init__(self, settings: Settings, link: NodeLink) -> None: ...

    async def start(self) -> None:
        """Raises `CallboardError` or `OSError`."""

    async def operate(self, verb: str, arguments: dict[str, Any]) -> Any:
        """Raises `CallboardError`."""

    async def drain(self, limit_s: float, reason: str, *, refuse: bool) -> None: ...

    async def stop(self) -> None: ...


@dataclass(slots=True)
class Watchdog:
    """Counts questions that nobody answered. It does not look at the clock: a process that was itself stopped, or a
    machine that slept, must accuse nobody."""

    limit: int
    missed: int = 0

    @classmethod
    def within(cls, limit_s: float, interval_s: float) -> Watchdog:
        return cls(max(1, math.ceil(limit_s / interval_s)))

    def asked(self) -> bool:
        """One more question is out; False if so many before it were not answered."""
        self.missed += 1
        return self.missed <= self.limit

    def answered(self) -> None:
        self.missed = 0


@dataclass(frozen=True, slots=True)
class _Reply:
    """loop -> main thread: send this to that address."""

    to: ActorAddress
    message: object


class LoopThread:
    """The second thread: the loop, and the worker's other half on it."""

    def __init__(self, start: StartWorker, bridge: Bridge) -> None:
        self._start, self._bridge = start, bridge
        self._link = BridgeLink(start.number, start.incarnation, bridge)
        self._loop = uvloop.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._leaving = ""
        self.stopping = False  # it writes what is left, and lets go of everything
        self._started, self._over = asyncio.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="loop", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def call(self, function: Callable[..., None], *args: Any) -> None:
        """The main thread: run this on the loop, unless it has ended."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *args)

    def deliver(self, message: Asked | Answer) -> None:
        self.call(self._link.deliver, message)

    def ask(self, question: Question) -> None:
        self.call(self._spawn, self._answer, question)

    def drain(self, order: DrainWorker) -> None:
        self.call(self._spawn, self._drain, order)

    def end(self) -> None:
        """The main thread: the worker has nothing more to do."""
        self.call(self._over.set)

    def orphaned(self) -> None:
        """The main thread: there is no manager any more to be asked."""
        self.call(self._link.orphaned)

    def where(self) -> str:
        """Where the thread is just now, for the log."""
        frame = sys._current_frames().get(self._thread.ident or 0)
        stack = traceback.extract_stack(frame)[-3:] if frame else []
        return " <- ".join(f"{entry.name} ({entry.filename}:{entry.lineno})" for entry in reversed(stack))

    # --- on the loop ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.set_event_loop(self._loop)
            self._loop.run_until_complete(self._work())
        except Exception:
            log.critical("worker %d: its loop has crashed", self._start.number, exc_info=True)
            os._exit(CRASHED_STATUS)

    async def _work(self) -> None:
        start = self._start
        try:
            self._side = _load(start.plan.worker)(start.plan.settings, self._link)
            await self._side.start()
        except (CallboardError, OSError) as error:
            code = error.code if isinstance(error, CallboardError) else "system_error"
            self._bridge.post(WorkerFailed(start.incarnation, code, str(error)))
            return
        self._started.set()
        self._bridge.post(WorkerUp(start.incarnation, self._side.ports))
        await self._over.wait()
        self.stopping = True
        await self._side.stop()
        self._bridge.post(WorkerLeaves(start.incarnation, self._leaving))

    def _spawn(self, function: Callable[..., Any], argument: object) -> None:
        task = self._loop.create_task(function(argument))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, question: Question) -> None:
        value, failure = None, None
        try:
            value = await self._side.operate(question.verb, question.arguments)
        except CallboardError as error:
            failure = error_of(error)
        except Exception as error:  # an operator's question must not end the worker, nor remain without an answer
            log.exception("worker %d: %s failed", self._start.number, question.verb)
            failure = error_of(BadInput(f"{question.verb}: {type(error).__name__}"))
        answer = Answer(question.request, question.incarnation, self._start.number, value, failure)
        self._bridge.post(_Reply(question.asker, answer))

    async def _drain(self, order: DrainWorker) -> None:
        if not self._leaving:
            self._leaving = order.reason
            await self._started.wait()
            await self._side.drain(order.limit_s, order.reason, refuse=order.refuse)
            if order.refuse:
                self._bridge.post(WorkerDrained(self._start.incarnation))
            else:
                self._over.set()


def _load(dotted: str) -> type[LoopSide]:
    """The class behind "package.module:Class"."""
    module, _, name = dotted.partition(":")
    side: type[LoopSide] = getattr(importlib.import_module(module), name)
    return side


class WorkerProcess(Actor):  # type: ignore[misc]
    """The main thread's side. Every handler returns the watch of the bridge: any other value would end it."""

    def __init__(self) -> None:
        process.keep_logging()
        self._bridge = Bridge()
        self._thread: LoopThread | None = None
        self._alone = self._is_drained = False  # alone: without a manager
        self._lag_ms = 0.0  # of the loop, when it was last looked at
        self._watched: dict[int, Callable[[], None]] = {self._bridge.fileno(): self._collect}
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._terminated)
        signal.signal(signal.SIGQUIT, self._told_to_end)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})

    def receiveMessage(self, message: Any, sender: ActorAddress) -> ThespianWatch:
        match message:
            case WatchMessage():
                for descriptor in message.ready:
                    self._watched.get(descriptor, self._collect)()
            case StartWorker():
                self._start(message, sender)
            case Ping():
                self.send(self._manager, Pong(self._incarnation, self._lag_ms))
            case WakeupMessage():
                self._watch()
            case Question() if self._thread:
                if message.verb == RELOAD:
                    self._settings = message.arguments["settings"].node
                self._thread.ask(message)
            case DrainWorker() if self._thread:
                self._thread.drain(message)
            case EndWorker() if self._thread:
                self._thread.end()
            case Asked() | Answer() if self._thread:
                self._thread.deliver(message)
        return ThespianWatch(list(self._watched))

    def _start(self, start: StartWorker, manager: ActorAddress) -> None:
        self._manager, self._incarnation, self._number = manager, start.incarnation, start.number
        self._settings = settings = start.plan.settings.node
        self._interval_s = min(1.0, settings.watchdog_s / 3)
        self._watchdog = Watchdog.within(settings.watchdog_s, self._interval_s)
        self._watch_process(start.manager_pid, self._orphaned)
        self._watch_process(start.plan.main_pid, self._abandoned)
        self._thread = LoopThread(start, self._bridge)
        self._thread.start()

    def _collect(self) -> None:
        for item in self._bridge.collect():
            self._forward(item)

    def _forward(self, item: Any) -> None:
        if not self._alone:
            to, message = (item.to, item.message) if isinstance(item, _Reply) else (self._manager, item)
            self.send(to, message)
        match item:
            case WorkerUp():
                self._watch()
            case WorkerDrained():
                self._is_drained = True
                self._end_if_alone()
            case WorkerFailed() | WorkerLeaves() if self._alone:
                logging.shutdown()
                os._exit(0)
            case WorkerFailed() | WorkerLeaves():
                self.send(self.myAddress, ActorExitRequest())

    def _end_if_alone(self) -> None:
        """Drained, it waits for the others of its node, but not for a manager that is gone."""
        if self._is_drained and self._alone and self._thread is not None:
            self._thread.end()

    # --- the loop is watched ---------------------------------------------------------------------------------------

    def _watch(self) -> None:
        assert self._thread is not None
        if self._thread.stopping:
            self._watchdog.limit = max(self._watchdog.limit, math.ceil(STOPPING_S / self._interval_s))
        if not self._watchdog.asked():
            line = "worker %d: its loop has been silent for %.1f s, in %s: the process ends"
            log.critical(line, self._number, self._watchdog.limit * self._interval_s, self._thread.where())
            os._exit(HUNG_STATUS)
        self._thread.call(self._looked_at, time.monotonic())
        self.wakeupAfter(timedelta(seconds=self._interval_s))

    def _looked_at(self, asked_s: float) -> None:
        """On the loop: it runs."""
        self._lag_ms = (time.monotonic() - asked_s) * 1000
        self._watchdog.answered()

    # --- the end ---------------------------------------------------------------------------------------------------

    def _terminated(self, number: int, frame: object) -> None:
        """SIGTERM to this process alone: end in good order; the manager starts another, or has a successor."""
        if self._thread is not None:
            self._drain(self._settings.orphan_s if self._alone else self._settings.drain_s, "terminated")

    def _told_to_end(self, number: int, frame: object) -> None:
        """SIGQUIT: the calls end now, and what they have left is written."""
        if self._thread is not None:
            self._thread.end()

    def _drain(self, limit_s: float, reason: str) -> None:
        assert self._thread is not None
        self._thread.drain(DrainWorker(limit_s, reason, refuse=False))

    # --- who is above ----------------------------------------------------------------------------------------------

    def _watch_process(self, pid: int, gone: Callable[[], None]) -> None:
        """Call `gone` once, when that process has ended."""
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            os._exit(0)  # it has ended before we have begun

        def ended() -> None:
            del self._watched[descriptor]
            os.close(descriptor)
            gone()

        self._watched[descriptor] = ended

    def _orphaned(self) -> None:
        assert self._thread is not None
        self._alone = True
        log.warning("worker %d: its manager is gone: it serves on until there is a successor", self._number)
        self._thread.orphaned()
        self._end_if_alone()

    def _abandoned(self) -> None:
        self._alone = True
        self._drain(self._settings.drain_s, "drained")
        self._end_if_alone()
        line = "worker %d: the main process is gone: no new calls, %g s for those that run"
        log.error(line, self._number, self._settings.drain_s)

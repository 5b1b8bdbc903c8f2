"""The system base: runs all actors of one system on one event loop.

One `drain` a loop turn visits the mailboxes where something waits, one message each in turn, for at most 5 ms, so
that sockets and timers get theirs. Everything here happens on the loop's thread, except `post`, `call`, `deliver` and
what is built on them, which may be called from any.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from threading import get_ident
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from thespian.actors import (
    ActorExitRequest,
    ChildActorExited,
    DeadEnvelope,
    PoisonMessage,
    Thespian_StatusReq,
    ThespianGeneration,
    ValidatedSource,
    ValidateSource,
)
from thespian.system.utilis import checkActorCapabilities

from actors.loop import status
from actors.loop.address import AddressBook, LoopAddress
from actors.loop.cell import Cell
from actors.loop.errors import WouldBlock, WrongThread
from actors.loop.external import Endpoint, Question
from actors.loop.mailbox import Mailbox
from actors.loop.nursery import Nursery
from actors.loop.sources import Sources
from actors.loop.timers import Timer

if TYPE_CHECKING:
    from actors.loop.tap import Tap

log = logging.getLogger(__name__)

TURN_BUDGET_S = 0.005
SLOW_HANDLER_S = 0.05
EXIT_TIMEOUT_S = 10.0  # for all actors to exit, as in Thespian; then for what is left of their tasks
CALL_TIMEOUT_S = 30.0  # a call from another thread waits at most so long for the loop

MessageCopy = Literal["reference", "pickle", "deepcopy"]
T = TypeVar("T")

_COPIES: dict[str, Callable[[Any], Any] | None] = {
    "reference": None,
    "pickle": lambda message: pickle.loads(pickle.dumps(message, pickle.HIGHEST_PROTOCOL)),
    "deepcopy": copy.deepcopy,
}


class LoopBase:
    """What `ActorSystem(systemBase=...)` takes. Construct it on the thread that runs (or will run) `loop`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        capabilities: dict[str, Any] | None = None,
        message_copy: MessageCopy = "reference",
    ) -> None:
        self.loop = loop
        self.thread_id = get_ident()
        self.coarse_timers = type(loop).__module__.startswith("uvloop")
        self.copy = _COPIES[message_copy]
        self.capabilities = {} if capabilities is None else capabilities
        self.capabilities.update(_own_capabilities())
        self.ready: deque[Mailbox] = deque()
        self.awake = False
        self.closing = False
        self.addresses = AddressBook()
        self.names: dict[str, LoopAddress] = {}
        self.tasks: set[asyncio.Task[Any]] = set()
        self.taps: dict[str, Tap] = {}  # by the name of the tapped actor's address
        self.dead_letters = 0
        self.dead_letter_handler: LoopAddress | None = None
        self.sources = Sources(self)
        self.nursery = Nursery(self)
        self.system_address = self.adminAddr = self.addresses.issue(self)
        self._external = Endpoint(self)
        self.alive = 0
        self._all_gone: asyncio.Future[None] | None = None
        self._closed: asyncio.Task[None] | None = None

    # --- the turn ------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        self.awake = True
        self.loop.call_soon(self._drain)

    def _drain(self) -> None:
        ready, clock = self.ready, time.perf_counter
        now = clock()
        deadline = now + TURN_BUDGET_S
        try:
            while ready and now < deadline:
                mailbox = ready.popleft()
                queue = mailbox.queue
                if not queue:  # its actor died
                    continue
                message, sender = queue.popleft()
                if queue:
                    ready.append(mailbox)
                mailbox.taken += 1
                mailbox.handle(message, sender)
                before, now = now, clock()
                mailbox.busy_s += now - before
                if now - before > SLOW_HANDLER_S:
                    _log_slow(mailbox, message, now - before)
        finally:
            if ready:
                self.loop.call_soon(self._drain)
            else:
                self.awake = False

    # --- threads -------------------------------------------------------------------------------------------------

    def on_loop_thread(self) -> bool:
        return get_ident() == self.thread_id

    def require_loop_thread(self, what: str) -> None:
        if not self.on_loop_thread():
            raise WrongThread(f"{what} works on the loop's own thread only; send a message from other threads")

    def forbid_blocking(self, what: str) -> None:
        if self.on_loop_thread():
            raise WouldBlock(f"{what} would block the thread that runs the actors; await ask_async or shutdown_async")

    def post(self, function: Callable[..., Any], *args: Any) -> None:
        """Run it soon on the loop, from any thread. After the loop has ended: nothing."""
        try:
            self.loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            log.debug("the loop has ended: %s is not run", getattr(function, "__name__", function))

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Run it on the loop and return its result, from any thread."""
        if self.on_loop_thread():
            return function(*args)
        result: Future[T] = Future()
        self.loop.call_soon_threadsafe(_run_into, result, function, args)
        return result.result(CALL_TIMEOUT_S)

    # --- messages ------------------------------------------------------------------------------------------------

    def send_from(self, sender: LoopAddress, target: Any, message: Any) -> None:
        """A send from outside, from any thread."""
        self.deliver(target, message if self.copy is None else self.copy(message), sender)

    def deliver(self, target: Any, message: Any, sender: Any) -> None:
        receiver = getattr(target, "receiver", None)
        if receiver is None:
            self.undeliverable(target, message, sender)
        else:
            receiver.accept(message, sender)

    def undeliverable(self, target: Any, message: Any, sender: Any) -> None:
        """Nobody lives at `target`: count the message, and tell the dead-letter handler."""
        if isinstance(message, DeadEnvelope | ChildActorExited):
            self.nursery.bury(message)
            return
        if not self.on_loop_thread():
            self.post(self.undeliverable, target, message, sender)
            return
        self.dead_letters += 1
        if self.dead_letter_handler is not None:
            self.deliver(self.dead_letter_handler, DeadEnvelope(target, message), sender)

    def accept(self, message: Any, sender: Any) -> None:
        """What is sent to the system's own address."""
        if not self.on_loop_thread():
            self.post(self.accept, message, sender)
        elif isinstance(message, Thespian_StatusReq):
            self.deliver(sender, status.system_status(self), self.system_address)
        elif isinstance(message, ValidatedSource):
            self.sources.decide(message)
        elif isinstance(message, PoisonMessage) and isinstance(message.poisonMessage, ValidateSource):
            self.sources.reject(message.poisonMessage.sourceHash)

    # --- actors ------------------------------------------------------------------------------------------------

    def newPrimaryActor(
        self,
        spec: Any,
        requirements: dict[str, Any] | None = None,
        global_name: str | None = None,
        source_hash: str | None = None,
    ) -> LoopAddress:
        """An actor created from outside. Raises what Thespian raises, and what the actor's `__init__` raises."""
        if source_hash and not self.on_loop_thread():
            self.sources.wait(source_hash)
        return self.call(self.nursery.primary, spec, requirements, global_name, source_hash)

    def forget(self, cell: Cell) -> None:
        """The actor is dead."""
        self.addresses.retire(cell.address)
        self.alive -= 1
        if cell.globalName:
            self.names.pop(cell.globalName, None)
        if self.dead_letter_handler is cell.address:
            self.dead_letter_handler = None
        if self.sources.authority is cell.address:
            self.sources.authority = None
        self.sources.forget(cell.address)
        if not self.alive and self._all_gone is not None and not self._all_gone.done():
            self._all_gone.set_result(None)

    def cells(self) -> Iterator[Cell]:
        """All living actors, the oldest first."""
        return (a.receiver for a in list(self.addresses.live.values()) if isinstance(a.receiver, Cell))

    # --- from outside --------------------------------------------------------------------------------------------

    def tell(self, target: Any, message: Any) -> None:
        self._external.tell(target, message)

    def ask(self, target: Any, message: Any, timeout: Any = None) -> Any:
        return self._external.ask(target, message, timeout)

    def listen(self, timeout: Any = None) -> Any:
        return self._external.listen(timeout)

    def external_clone(self) -> Endpoint:
        return Endpoint(self)

    async def ask_async(self, target: Any, message: Any, timeout_s: float) -> Any:
        return await Question(self).ask(target, message, timeout_s)

    def _handleDeadLetters(self, address: LoopAddress, enable: bool) -> None:
        if enable:
            self.dead_letter_handler = address
        elif self.dead_letter_handler == address:
            self.dead_letter_handler = None

    def updateCapability(self, name: str, value: Any = None) -> None:
        """Set, or with None remove; an actor whose check now fails is asked to exit."""
        self.call(self._update_capability, name, value)

    def _update_capability(self, name: str, value: Any) -> None:
        if value is None:
            self.capabilities.pop(name, None)
        else:
            self.capabilities[name] = value
        for cell in self.cells():
            if not checkActorCapabilities(type(cell.instance), self.capabilities, cell.requirements):
                self.deliver(cell.address, ActorExitRequest(), cell.address)

    def loadActorSource(self, source: Any) -> str:
        return self.call(self.sources.offer, source)

    def unloadActorSource(self, source_hash: str) -> None:
        self.call(self.sources.unload, source_hash)

    # --- the end -------------------------------------------------------------------------------------------------

    def close_soon(self) -> asyncio.Task[None]:
        """Begin to close, once; the task is done when nothing is left."""
        if self._closed is None:
            self.closing = True
            self._closed = self.loop.create_task(self._close(), name="close the actor system")
        return self._closed

    async def close(self) -> None:
        """Every actor gets its exit request, children are gone before their parents, then nothing is left."""
        await asyncio.shield(self.close_soon())

    async def _close(self) -> None:
        if self.alive:
            self._all_gone = self.loop.create_future()
            for cell in self.cells():
                if not self._has_living_parent(cell):
                    self.deliver(cell.address, ActorExitRequest(), self.system_address)
            await asyncio.wait([self._all_gone], timeout=EXIT_TIMEOUT_S)
        for cell in self.cells():
            log.warning("%s did not exit in %g s and is removed", cell.label, EXIT_TIMEOUT_S)
            cell.exit(recursive=False)
        if self.tasks:
            _, stuck = await asyncio.wait(self.tasks, timeout=EXIT_TIMEOUT_S)
            for task in stuck:
                log.warning("task %s ignores its cancellation", task.get_name())
        self.sources.close()
        for address in list(self.addresses.live.values()):
            self.addresses.retire(address)

    @staticmethod
    def _has_living_parent(cell: Cell) -> bool:
        parent = cell.parent.receiver
        return isinstance(parent, Cell) and cell.address.name in parent.children


def _own_capabilities() -> dict[str, Any]:
    return {
        "Python Version": tuple(sys.version_info),
        "Thespian Generation": ThespianGeneration,
        "Thespian Version": str(int(time.time() * 1000)),
        "Thespian ActorSystem Name": "loop",
        "Thespian ActorSystem Version": 1,
        "Thespian Watch Supported": True,
        "AllowRemoteActorSources": "No",
    }


def _run_into(result: Future[T], function: Callable[..., T], args: tuple[Any, ...]) -> None:
    try:
        result.set_result(function(*args))
    except (Exception, SystemExit) as error:  # a SystemExit would end the loop
        result.set_exception(error)


def _log_slow(mailbox: Mailbox, message: Any, spent_s: float) -> None:
    kind = message.kind if isinstance(message, Timer) else type(message).__name__
    log.warning("slow handler: %s took %.0f ms for %s", mailbox.label, spent_s * 1000, kind)

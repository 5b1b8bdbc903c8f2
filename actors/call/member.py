"""The base class of everybody in a call's company.

Thespian keeps an actor alive whose handler raises, and tells the *sender*; a supervisor would never learn of it. So a
member catches what its handlers raise, tells its supervisor `ChildFailed` and exits: let it crash, but say so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from thespian.actors import ActorAddress, ActorExitRequest

from actors.call.watch import StallCheck, StallWatch
from actors.errors import ProviderCrashed, ProviderError, Remedy
from actors.loop.actor import LoopActor, TaskFailed
from actors.messages import ChildFailed, MemberReady, Speak
from actors.providers.spec import Alive, Emit, Kind, Session, SessionFailed
from actors.services.shared import Services
from config.assistant import ProviderChoice, Stalls
from config.errors import BadInput

log = logging.getLogger(__name__)


class Dispatcher(LoopActor):
    """Gives a message to `receiveMsg_<its class>(message, sender)`; Thespian's own `ActorTypeDispatcher` searches the
    message's bases at each message, which the media path need not pay for. A message without a handler is logged."""

    _handlers: ClassVar[dict[type, Callable[[Any, Any, ActorAddress], None]]]  # of the messages that have come so far

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._handlers = {}

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:
        self._handlers.get(type(message), _first_of_its_kind)(self, message, sender)


def _first_of_its_kind(actor: Any, message: Any, sender: ActorAddress) -> None:
    kind = type(message)
    handler = getattr(type(actor), f"receiveMsg_{kind.__name__}", _without_handler)
    actor._handlers[kind] = handler
    handler(actor, message, sender)


def _without_handler(actor: Any, message: Any, sender: ActorAddress) -> None:
    log.debug("%s does not handle %s", type(actor).__name__, type(message).__name__)


class Member(Dispatcher):
    """One member; `supervisor` is who sent the first message. A subclass sets `role` and handles its `Open...`."""

    role: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.supervisor: ActorAddress | None = None
        self._failed = False

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:
        if self.supervisor is None:
            self.supervisor = sender
        if isinstance(message, ActorExitRequest):
            self.close()
            return
        if self._failed:
            return
        try:  # as `Dispatcher` does, without a call more in the media path
            self._handlers.get(type(message), _first_of_its_kind)(self, message, sender)
        except ProviderError as error:
            self.fail(error, message)
        except BadInput as error:
            self.fail(ProviderError(self.role, str(error), Remedy.CONFIG), message)
        except Exception as error:
            log.exception("%s failed on %s", self.role, type(message).__name__)
            self.fail(ProviderCrashed(self.role, f"{type(error).__name__}: {error}"), message)

    def tell(self, message: Any) -> None:
        """To the supervisor."""
        self.send(self.supervisor, message)

    def fail(self, error: ProviderError, message: Any) -> None:
        """Say why, let go of everything and exit."""
        self._failed = True
        self.tell(ChildFailed(self.role, error, message.text if isinstance(message, Speak) else ""))
        self.send(self.myAddress, ActorExitRequest())

    def close(self) -> None:
        """Let go of what is not an actor: sessions, legs. Called once, at the exit."""

    def inspect(self) -> dict[str, Any]:
        """What operators see of it: counts and states, never what was said."""
        return {"role": self.role}


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """member -> itself: the session is open."""


class SessionMember(Member):
    """A member that holds one provider's session. What the session emits comes through the mailbox, so that it is
    handled, counted and supervised like every other message. `watch` knows what the provider owes."""

    kind: ClassVar[Kind]
    alive_s: ClassVar[float] = 10.0  # so long signs of life are believed, and nothing else comes

    def __init__(self) -> None:
        super().__init__()
        self.session: Any = None
        self.provider = ""
        self.opened = False
        self.stalls = Stalls()
        self.watch: StallWatch

    def hold(self, choice: ProviderChoice, stalls: Stalls, services: Services, make: Callable[[Emit], Session]) -> None:
        """Make the session with an `emit` of ours, and open it."""
        self.provider, self.stalls = choice.provider, stalls
        self.watch = StallWatch(self, services, self.kind)
        address = self.myAddress
        self.session = make(lambda event: self.send(address, event))
        self.watch.expect("connect", stalls.connect_ms, "does not open")
        self.start_task(self._open(), f"{self.role} opens {self.provider}")

    @property
    def engine_lag_s(self) -> float:
        """How late its engine does what it is told, if it has one on this machine."""
        return 0.0 if self.session is None else float(self.session.lag_s)

    @property
    def engine_busy(self) -> bool:
        """Whether its engine on this machine, if it has one, has its hands full."""
        return self.session is not None and bool(self.session.busy)

    async def _open(self) -> None:
        try:
            await self.session.open()
        except SystemExit as error:  # in a task it would end the whole loop
            raise ProviderCrashed(self.provider, f"exited ({error.code}) as it opened") from None
        self.send(self.myAddress, SessionOpened())

    def close(self) -> None:
        if self.session is not None:
            self.session.close()
            self.session = None  # it knows us: both would wait for the collector

    def receiveMsg_SessionOpened(self, message: SessionOpened, sender: ActorAddress) -> None:
        self.opened = True
        self.watch.came()
        self.tell(MemberReady(self.role))
        self.session_opened()

    def inspect(self) -> dict[str, Any]:
        return {**super().inspect(), "provider": self.provider, "opened": self.opened}

    def session_opened(self) -> None:
        """The session is open: what it owes is due from now on."""

    def receiveMsg_StallCheck(self, message: StallCheck, sender: ActorAddress) -> None:
        if self.watch.overdue():
            self.overdue()

    def receiveMsg_Alive(self, message: Alive, sender: ActorAddress) -> None:
        self.watch.alive(self.alive_s, message.busy)

    def overdue(self) -> None:
        """What is owed has not come in time."""
        raise self.watch.stalled()

    def receiveMsg_SessionFailed(self, message: SessionFailed, sender: ActorAddress) -> None:
        raise message.error

    def receiveMsg_TaskFailed(self, message: TaskFailed, sender: ActorAddress) -> None:
        raise message.error

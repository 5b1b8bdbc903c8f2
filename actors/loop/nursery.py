"""How actors come into being: from a class, or its name, to a cell; and what becomes of those that cannot."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from thespian.actors import (
    ActorExitRequest,
    ActorSystemFailure,
    ChildActorExited,
    InvalidActorSpecification,
    NoCompatibleSystemForActor,
    PoisonMessage,
)
from thespian.system.utilis import actualActorClass, checkActorCapabilities

from actors.loop.address import LoopAddress
from actors.loop.cell import Cell

if TYPE_CHECKING:
    from actors.loop.base import LoopBase

log = logging.getLogger(__name__)

Loader = Callable[[str, str], Any]  # module, class name -> class


class Nursery:
    """Creates the actors of one system. Loop thread only."""

    def __init__(self, base: LoopBase) -> None:
        self._base = base

    def primary(
        self, spec: Any, requirements: dict[str, Any] | None, name: str | None, source_hash: str | None
    ) -> LoopAddress:
        """An actor created from outside. Raises whatever is wrong."""
        base = self._base
        if base.closing:
            raise ActorSystemFailure("the actor system is shutting down")
        if name and name in base.names:
            return base.names[name]
        return self._create(spec, requirements, name, source_hash, base.system_address)

    def child(
        self,
        parent: Cell,
        spec: Any,
        requirements: dict[str, Any] | None,
        name: str | None,
        source_hash: str | None,
    ) -> LoopAddress:
        """An actor's child; a failure reaches the parent as ChildActorExited. A global actor outlives its creator."""
        if name and name in self._base.names:
            return self._base.names[name]
        if parent.exiting:
            return LoopAddress("loop:never-created", None)
        try:
            address = self._create(spec, requirements, name, source_hash, parent.address)
        except (Exception, SystemExit):
            log.error("%s could not create its child %s", parent.label, spec, exc_info=True)
            address = Stillborn(self._base).address
            self._base.deliver(parent.address, ChildActorExited(address), address)
        if not name:
            parent.children[address.name] = address
        return address

    def bury(self, message: Any) -> None:
        """A parent has heard of its child's exit: a stillborn child gives up its address."""
        child = message.childAddress if isinstance(message, ChildActorExited) else None
        if isinstance(child, LoopAddress) and isinstance(child.receiver, Stillborn):
            self._base.addresses.retire(child)

    def _create(
        self,
        spec: Any,
        requirements: dict[str, Any] | None,
        name: str | None,
        source_hash: str | None,
        parent: LoopAddress,
    ) -> LoopAddress:
        base = self._base
        loader = partial(base.sources.load_class, source_hash) if source_hash else None
        instance = instantiate(actor_class(spec, loader), base.capabilities, requirements)
        cell = Cell(base, instance, parent)
        cell.requirements, cell.source_hash, cell.globalName = requirements, source_hash, name
        base.alive += 1
        if name:
            base.names[name] = cell.address
        return cell.address


class Stillborn:
    """A child that could not be created: gives back what is sent to it, until its parent has heard of it."""

    def __init__(self, base: LoopBase) -> None:
        self._base = base
        self.address = base.addresses.issue(self)

    def accept(self, message: Any, sender: Any) -> None:
        if not isinstance(message, ActorExitRequest | ChildActorExited | PoisonMessage):
            self._base.deliver(sender, PoisonMessage(message, "Child Aborted"), self.address)


def actor_class(spec: Any, loader: Loader | None) -> type[Any]:
    """A class as it is, "package.module.Class" imported (from a loaded source when there is a loader).

    Raises ImportError, InvalidActorSourceHash, or InvalidActorSpecification for what is no actor class.
    """
    try:
        found = actualActorClass(spec, loader)
    except AttributeError as error:
        raise InvalidActorSpecification(spec, str(error)) from None
    if not isinstance(found, type):
        raise InvalidActorSpecification(spec, "not a class")
    return found


def instantiate(cls: type[Any], capabilities: dict[str, Any], requirements: dict[str, Any] | None) -> Any:
    """A new instance, not yet in the system. Raises NoCompatibleSystemForActor, or whatever `__init__` raises."""
    if hasattr(cls, "actorSystemCapabilityCheck") and not checkActorCapabilities(cls, capabilities, requirements):
        raise NoCompatibleSystemForActor(cls, "No compatible ActorSystem could be found")
    wanted, has_initializing_messages = _construction(cls)  # type: ignore[arg-type]  # a class is hashable
    if wanted:
        offered = {"capabilities": capabilities, "requirements": requirements}
        instance = cls(**{name: offered[name] for name in wanted})
    else:
        instance = cls()
    if has_initializing_messages:
        instance._post_init_pending = []  # the decorator keeps it on the class, where two actors mix their messages
    return instance


@lru_cache(maxsize=1024)
def _construction(cls: type[Any]) -> tuple[tuple[str, ...], bool]:
    """Which of Thespian's optional arguments `__init__` takes; whether the class has `initializing_messages`."""
    try:
        names = inspect.getfullargspec(cls.__init__).args
    except TypeError:
        names = []
    wanted = tuple(name for name in ("capabilities", "requirements") if name in names)
    return wanted, hasattr(cls, "_post_init_pending")

"""What the system tells about itself: Thespian's status messages, and `ActorInfo` for our own tools."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from thespian.actors import Thespian_ActorStatus, Thespian_SystemStatus
from thespian.system.timing import ExpirationTimer

if TYPE_CHECKING:
    from actors.loop.base import LoopBase
    from actors.loop.cell import Cell


@dataclass(frozen=True, slots=True)
class ActorInfo:
    """One living actor. `depth` messages wait now, `max_depth` waited at most, `dropped` gave way to newer ones."""

    address: str
    class_name: str
    parent: str | None  # None: created from outside
    created_at: datetime
    received: int
    failed: int
    busy_s: float
    depth: int
    max_depth: int
    dropped: int
    timers: int
    tasks: int


def actor_info(cell: Cell) -> ActorInfo:
    timers = len(cell.timers)
    primary = cell.parent is cell.base.system_address
    return ActorInfo(
        address=cell.address.name,
        class_name=cell.class_name,
        parent=None if primary else cell.parent.name,
        created_at=datetime.fromtimestamp(cell.created_s, UTC),
        received=cell.received,
        failed=cell.failed,
        busy_s=cell.busy_s,
        depth=cell.depth,
        max_depth=cell.max_depth,
        dropped=cell.dropped,
        timers=timers,
        tasks=len(cell.pending) - timers,
    )


def actor_status(cell: Cell) -> Thespian_ActorStatus:
    """The answer to a Thespian_StatusReq that an actor gets."""
    status = Thespian_ActorStatus(
        cell.address,
        cell.class_name,
        cell.base.system_address,
        cell.parent,
        cell.source_hash,
        cell.exiting or None,
    )
    for child in cell.children.values():
        status.addChild(child)
    for message, sender in cell.waiting():
        status.addReceivedMessage(sender, cell.address, type(message).__name__)
    status.addWakeups([(cell.address, ExpirationTimer(timer.remaining_s())) for timer in cell.timers])
    status.addReceived(cell.received)
    for name in ("failed", "busy_s", "max_depth", "dropped"):
        status.addKeyVal(name, getattr(cell, name))
    return status


def system_status(base: LoopBase) -> Thespian_SystemStatus:
    """The answer to a Thespian_StatusReq that the system's own address gets."""
    status = Thespian_SystemStatus(base.system_address, capabilities=dict(base.capabilities), inShutdown=base.closing)
    for cell in base.cells():
        if cell.parent is base.system_address:
            status.addChild(cell.address)
    for name, address in base.names.items():
        status.addGlobalActor(name, address)
    status.setDeadLetterHandler(base.dead_letter_handler)
    status.sourceAuthority = base.sources.authority
    status.setLoadedSources(base.sources.archives)
    status.addKeyVal("dead_letters", base.dead_letters)
    return status

"""A tap shows the messages of chosen actors as they pass.

Who is not tapped pays nothing for it: the cell of a tapped actor changes its class for as long as the tap is open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from thespian.actors import Actor

from actors.loop.address import LoopAddress
from actors.loop.cell import Cell
from actors.loop.mailbox import Hole
from actors.loop.timers import Timer

Observer = Callable[[Any, Any, Any], None]  # message, sender, receiver; on the loop's thread, must not raise


class Tap:
    """Tells `observe` of every message that its actors take out of their mailboxes or send to somebody outside of it.

    The children that a tapped actor creates are tapped too. An actor has one tap at most. Loop thread only.
    """

    def __init__(self, observe: Observer) -> None:
        self.observe = observe
        self._cells: dict[str, Cell] = {}

    def add(self, cell: Cell) -> None:
        if type(cell) is Cell:
            cell.__class__ = TappedCell
            cell.base.taps[cell.address.name] = self
            self._cells[cell.address.name] = cell

    def holds(self, address: Any) -> bool:
        return getattr(address, "name", None) in self._cells

    def close(self) -> None:
        """Tell nothing any more. A second call does nothing."""
        for name, cell in self._cells.items():
            cell.__class__ = Cell
            del cell.base.taps[name]
        self._cells.clear()


class TappedCell(Cell):
    """A cell under a tap. It adds no slots, so that a cell can become one and cease to be one."""

    __slots__ = ()

    @property
    def _tap(self) -> Tap:
        return self.base.taps[self.address.name]

    def handle(self, message: Any, sender: Any) -> None:
        if not isinstance(message, Timer | Hole):  # a timer's message comes through here by itself
            self._tap.observe(message, sender, self.address)
        super().handle(message, sender)

    def actor_send(self, target: Any, message: Any) -> None:
        if not self._tap.holds(target):
            self._tap.observe(message, self.address, target)
        super().actor_send(target, message)

    def createActor(
        self,
        actor_class: type[Actor] | str,
        requirements: dict[str, Any] | None,
        global_name: str | None,
        source_hash: str | None = None,
    ) -> LoopAddress:
        address = super().createActor(actor_class, requirements, global_name, source_hash)
        if isinstance(address.receiver, Cell):
            self._tap.add(address.receiver)
        return address

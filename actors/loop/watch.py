"""ThespianWatch: file descriptors whose readiness reaches an actor as a WatchMessage."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from thespian.actors import WatchMessage

if TYPE_CHECKING:
    from actors.loop.cell import Cell

log = logging.getLogger(__name__)


class Watch:
    """The descriptors of one actor. One that is ready is silent until the actor has handled the message about it."""

    __slots__ = ("_armed", "_cell", "_ready")

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._armed: set[int] = set()
        self._ready: list[int] = []  # told in a WatchMessage that still waits in the mailbox

    def renew(self, filenos: Iterable[int]) -> None:
        """Watch exactly these from now on."""
        wanted = set(filenos)
        for fileno in self._armed - wanted:
            self._disarm(fileno)
        for fileno in wanted - self._armed - set(self._ready):
            self._arm(fileno)

    def handled(self) -> None:
        """The waiting WatchMessage is being handled."""
        self._ready = []

    def close(self) -> None:
        self.renew(())

    def _arm(self, fileno: int) -> None:
        try:
            self._cell.base.loop.add_reader(fileno, self._on_ready, fileno)
        except (OSError, ValueError) as error:
            log.warning("%s cannot watch file descriptor %s: %s", self._cell.label, fileno, error)
        else:
            self._armed.add(fileno)

    def _disarm(self, fileno: int) -> None:
        self._armed.discard(fileno)
        self._cell.base.loop.remove_reader(fileno)

    def _on_ready(self, fileno: int) -> None:
        self._disarm(fileno)
        self._ready.append(fileno)
        if len(self._ready) == 1:
            self._cell.accept(WatchMessage(self._ready), self._cell.address)

"""The thread of a ledger that does all file work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

from store.errors import FolderNotPrivate, SpoolFull
from store.spool import NumberedRows, Spool

P = ParamSpec("P")
R = TypeVar("R")


class SpoolFiles:
    """The one thread that touches the spools: this worker's, and those of the dead that it takes over."""

    def __init__(self, folder: Path) -> None:
        self.spool = Spool(folder)
        self._dead: list[Spool] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Do blocking `work` in the thread, off the event loop."""
        return await asyncio.wrap_future(self._thread.submit(work, *args, **kwargs))

    def find_dead(self, root: Path) -> list[Spool]:
        """Blocking, for `run`: the spools below `root` whose workers are gone; they are ours from now on."""
        self._dead.extend(Spool.of_the_dead(root))
        return self._dead

    def keep(self, rest: list[NumberedRows], limit_s: float) -> str:
        """Append, blocking; why it could not be done, or ""."""
        try:
            self._thread.submit(self.spool.append, rest).result(limit_s)
        except (OSError, SpoolFull, FolderNotPrivate) as error:  # TimeoutError is an OSError
            return str(error) or "the disk is too slow"
        return ""

    def close(self) -> None:
        """Blocking: let go of every spool; what is not written stays on disk."""
        for spool in (self.spool, *self._dead):
            self._thread.submit(spool.close)
        self._thread.shutdown(wait=True)

"""Could the next call be taken and written down? Looked at once a second at most, away from the loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread

from store.engine import Database
from store.health import database_trouble, disk_trouble
from store.shared import SharedState


class Readiness:
    """What a worker stands on, part by part: "ok", or what is wrong with it.

    A look that does not end in time is not repeated before it has ended: a disk that hangs holds one thread, not one a
    second.
    """

    KEEP_S = 1.0  # an answer; however many ask
    LIMIT_S = 2.0  # for one look

    def __init__(self, database: Database, data_dir: Path, shared: SharedState | None = None) -> None:
        """`shared` where it is a server of its own."""
        self._database, self._data_dir, self._shared = database, data_dir, shared
        self._parts: dict[str, str] = {}
        self._fresh_until_s = 0.0
        self._looks: dict[str, asyncio.Future[str]] = {}
        self._lock = asyncio.Lock()

    async def parts(self) -> dict[str, str]:
        async with self._lock:
            if time.monotonic() >= self._fresh_until_s:
                database, disk = await asyncio.gather(self._look("database", self._ask), self._look("disk", self._try))
                self._parts = {"database": database, "disk": disk}
                if self._shared is not None:
                    self._parts["redis"] = await self._shared.health()
                self._fresh_until_s = time.monotonic() + self.KEEP_S
            return dict(self._parts)

    def _ask(self) -> str:
        return database_trouble(self._database) or self._database.outage()

    def _try(self) -> str:
        return disk_trouble(self._data_dir)

    async def _look(self, part: str, look: Callable[[], str]) -> str:
        if part not in self._looks or self._looks[part].done():
            self._looks[part] = in_thread(look)
        try:
            return await asyncio.wait_for(asyncio.shield(self._looks[part]), self.LIMIT_S) or "ok"
        except TimeoutError:
            return f"no answer within {self.LIMIT_S:g} s"


def in_thread(look: Callable[[], str]) -> asyncio.Future[str]:
    """What `look` returns, in a thread of its own, which holds up nobody's end."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[str] = loop.create_future()

    def settle(said: str) -> None:
        if not answered.done():
            answered.set_result(said)

    def run() -> None:
        try:
            said = look()
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, said)

    try:
        Thread(target=run, name="readiness", daemon=True).start()
    except RuntimeError as error:  # the limit on processes is reached
        settle(f"cannot be looked at: {error}")
    return answered

"""Is the process alive, and can it take calls?"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from config.logging import peer_line
from store.errors import StoreUnavailable
from transports.gate import Draining
from transports.web import Handler, log


class Alive(Handler):
    """`GET /healthz/`: 200 as long as the loop runs."""

    def get(self) -> None:
        self.send_json({"status": "ok"})


class Ready(Handler):
    """`GET /readiness/`: 200 if calls can be taken, else 503 with the failing part named.

    A worker that is full is ready: it refuses single calls, and a place is free again with the next hang-up.
    """

    DATABASE_LIMIT_S: ClassVar[float] = 2.0

    async def get(self) -> None:
        parts = {"node": self._node(), "database": await self._database()}
        if self.services.settings.redis.host:
            parts["redis"] = await self.services.shared.health()
        failing = {part: state for part, state in parts.items() if state != "ok"}
        if failing:
            parts_failing = ", ".join(f"{part}: {state}" for part, state in failing.items())
            peer_line(log, "not_ready", "anybody", "not ready: %s", parts_failing)
            self.set_status(503)
        self.send_json({"status": "unavailable" if failing else "ok", "parts": parts})

    def _node(self) -> str:
        return Draining.code if self.services.gate.draining else "ok"

    async def _database(self) -> str:
        database = self.services.database
        try:
            await asyncio.wait_for(database.run(database.ping), self.DATABASE_LIMIT_S)
        except StoreUnavailable as error:
            return str(error)
        except TimeoutError:
            return f"no answer within {self.DATABASE_LIMIT_S:g} s"
        return "ok"

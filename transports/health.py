"""Is the process alive, and can it take calls?"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from store.errors import StoreUnavailable
from transports.web import Handler, log


class Alive(Handler):
    """`GET /healthz/`: 200 as long as the loop runs."""

    def get(self) -> None:
        self.send_json({"status": "ok"})


class Ready(Handler):
    """`GET /readiness/`: 200 if the database answers in time, else 503 with the failing part named."""

    DATABASE_LIMIT_S: ClassVar[float] = 2.0

    async def get(self) -> None:
        database = await self._database()
        if database != "ok":
            log.error("not ready: database: %s", database)
            self.set_status(503)
        self.send_json({"status": "ok" if database == "ok" else "unavailable", "parts": {"database": database}})

    async def _database(self) -> str:
        database = self.services.database
        try:
            await asyncio.wait_for(database.run(database.ping), self.DATABASE_LIMIT_S)
        except StoreUnavailable as error:
            return str(error)
        except TimeoutError:
            return f"no answer within {self.DATABASE_LIMIT_S:g} s"
        return "ok"

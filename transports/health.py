"""Is the process alive, and can it take calls?"""

from __future__ import annotations

from config.logging import peer_line
from transports.gate import Draining, Overloaded
from transports.web import Handler, log


class Alive(Handler):
    """`GET /healthz/`: 200 as long as the loop runs."""

    async def check(self) -> None:
        """Anybody may ask, under any name."""

    def get(self) -> None:
        self.send_json({"status": "ok"})


class Ready(Handler):
    """`GET /readiness/`: 200 if calls can be taken, else 503 with the failing part named.

    A worker that is full is ready: it refuses single calls, and a place is free again with the next hang-up. One that
    cannot keep up is not: a balancer does well to go elsewhere until it can.
    """

    async def check(self) -> None:
        """Anybody may ask, under any name."""

    async def get(self) -> None:
        parts = {"node": self._node(), **await self.services.readiness.parts()}
        failing = {part: state for part, state in parts.items() if state != "ok"}
        if failing:
            parts_failing = ", ".join(f"{part}: {state}" for part, state in failing.items())
            peer_line(log, "not_ready", "anybody", "not ready: %s", parts_failing)
            self.set_status(503)
        self.send_json({"status": "unavailable" if failing else "ok", "parts": parts})

    def _node(self) -> str:
        gate = self.services.gate
        if gate.draining:
            return Draining.code
        return f"{Overloaded.code}: {why}" if (why := gate.overload()) else "ok"

"""The AudioSocket listener: takes connections from Asterisk, finds their contexts, makes wires of them."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from uuid import UUID

from tornado.netutil import bind_sockets

from config.errors import CallboardError
from store.records import CallContext
from transports.arrivals import Arrival
from transports.audiosocket import AudioSocketWire
from transports.connection import harden
from transports.web import AppServices

log = logging.getLogger(__name__)

_BACKLOG = 512


class AudioSocketListener:
    """Listens on one address until `stop`. AudioSocket knows no authentication: an unguessable UUID is all of it."""

    def __init__(self, services: AppServices, max_per_peer: int) -> None:
        self.services, self.max_per_peer = services, max_per_peer
        self.port = 0
        self._servers: list[asyncio.Server] = []
        self._per_peer: Counter[str] = Counter()
        self._claims: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> None:
        """Listen; `port` 0 takes a free one, which `port` then tells. Several workers may share a port."""
        for sock in bind_sockets(port, host, backlog=_BACKLOG, reuse_port=True):
            harden(sock)
            self.port = sock.getsockname()[1]
            self._servers.append(await asyncio.get_running_loop().create_server(self._wire, sock=sock))

    async def stop(self) -> None:
        """Take no more connections; those that are open stay (`AppServices.cut_wires`)."""
        for server in self._servers:
            server.close()
        for task in tuple(self._claims):
            task.cancel()
        await asyncio.gather(*self._claims, return_exceptions=True)

    def _wire(self) -> AudioSocketWire:
        return _CountedWire(self)

    def admit(self, wire: _CountedWire) -> bool:
        self.services.wires.add(wire)
        self._per_peer[wire.peer] += 1
        if self._per_peer[wire.peer] > self.max_per_peer and not self.services.arrivals.shed_one_of(wire.peer):
            return False
        wire.arrival = self.services.arrivals.admit(wire.peer, wire.drop_crowded)
        return wire.arrival is not None

    def forget(self, wire: _CountedWire) -> None:
        self.settle(wire)
        self._per_peer[wire.peer] -= 1
        if not self._per_peer[wire.peer]:
            del self._per_peer[wire.peer]

    def settle(self, wire: _CountedWire) -> None:
        """It carries a call now, or is gone: its place among the others is free."""
        if wire.arrival is not None:
            self.services.arrivals.leave(wire.arrival)

    def identified(self, wire: AudioSocketWire, identity: UUID) -> None:
        if isinstance(wire, _CountedWire) and wire.arrival is not None:
            self.services.arrivals.busy(wire.arrival)  # from here on it waits for us
        task = asyncio.get_running_loop().create_task(self._claim(wire, identity))
        self._claims.add(task)
        task.add_done_callback(self._claims.discard)

    async def _claim(self, wire: AudioSocketWire, identity: UUID) -> None:
        services = self.services
        try:
            await services.doubt(identity, wire.peer)
            with services.gate.enter():
                wire.accept(await services.claim(identity, wire.provider, wire.peer))
        except CallboardError as error:
            services.metrics.call_refused(wire.provider, error.code)
            wire.reject(error)


class _CountedWire(AudioSocketWire):
    """A wire that its listener counts."""

    def __init__(self, listener: AudioSocketListener) -> None:
        services = listener.services
        super().__init__(services.limits, services.switchboard, listener.identified, services.clock, services.metrics)
        self._listener = listener
        self.arrival: Arrival | None = None

    def accept(self, context: CallContext) -> None:
        self._listener.settle(self)
        super().accept(context)

    def reject(self, error: CallboardError) -> None:
        """Its peer shall close now: until then it waits for nobody, and gives its place up when that is needed."""
        if self.arrival is not None:
            self._listener.services.arrivals.idle(self.arrival)
        super().reject(error)

    def drop_crowded(self) -> None:
        """There are more connections than places."""
        self.drop("too_many_connections")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not self._listener.admit(self):
            self.drop_crowded()

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.forget(self)
        super().connection_lost(exc)

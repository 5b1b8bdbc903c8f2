"""The media WebSocket of a call: a place is held and the context claimed before the 101, then the socket is a wire."""

from __future__ import annotations

from functools import partial

from config.logging import peer_line
from store.records import CallContext
from transports.carriers import UnknownCarrier, carrier
from transports.upgrade import WebSocketConnection, accept_key, take_over
from transports.web import Handler, context_id, log


class MediaSocket(Handler):
    """`WS /v1/talk/{provider}/ctx/{contextId}` and `/v1/talk/{provider}/ctx?contextId=`.

    The context id is a secret that is good for one connection.
    """

    signed_scheme = "wss"

    async def check(self) -> None:
        """Whatever name led here: no page on the web knows a context id."""

    async def get(self, provider: str, context: str | None = None) -> None:
        spec = carrier(provider)
        if spec.wire is None:
            raise UnknownCarrier(f"{spec.name} has no media WebSocket")
        self.provider = spec.name
        key = accept_key(self)
        identity = context_id(context or self.get_query_argument("contextId", ""))
        shown = await self.authenticate(spec, knows_context=True)
        self.check_signature(spec)
        services = self.services
        peer = str(self.request.remote_ip)
        await services.doubt(identity, peer, self._client())
        with services.gate.enter():
            claimed = await services.claim(identity, spec.name, peer, self._client(), shown)
            wire = partial(self._wire, spec.wire, claimed)
            if not await take_over(self, key, wire):
                line = "peer left before its upgrade: provider=%s peer=%s"
                peer_line(log, "left_early", peer, line, spec.name, peer)
                wire(b"").connection_lost(None)  # the context is used up: its call writes down the end

    def _client(self) -> str:
        """For whom a proxy asks: what the nearest one has added. "" without a proxy."""
        for name in ("X-Forwarded-For", "Forwarded"):
            if name in self.request.headers:
                return self.request.headers[name].rpartition(",")[2].strip() or "unknown"
        return ""

    def _wire(self, kind: type[WebSocketConnection], context: CallContext, early: bytes) -> WebSocketConnection:
        services = self.services
        wire = kind(context, services.limits, services.switchboard, early, metrics=services.metrics)
        services.wires.add(wire)
        return wire

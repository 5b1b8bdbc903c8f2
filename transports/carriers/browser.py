"""A browser, or another client of RTVI: asks where its audio shall go, as JSON, and brings it over a WebSocket.

The context id in the address is the token: unguessable, good for one connection, for CONTEXT_TTL_S.
"""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

import orjson

from config.settings import Settings
from store.records import CallContext
from transports.browser import RtviWire
from transports.carriers import Answer, CarrierSpec, IncomingCall, WebhookRequest, fields, party


def incoming(request: WebhookRequest, settings: Settings) -> IncomingCall:
    """`?from=` may say who calls; without it the caller is anonymous."""
    return IncomingCall(party(fields(request.query, keep_plus=True), "from", required=False), "", None)


def answer(context: CallContext, host: str) -> Answer:
    """`{"wsUrl": ...}`, as `@pipecat-ai/client-js` wants it of an endpoint."""
    scheme = "ws" if _is_bare(host) else "wss"
    url = f"{scheme}://{host}/v1/talk/{context.provider}/ctx/{context.id}"
    return Answer("application/json", orjson.dumps({"wsUrl": url}))


def _is_bare(host: str) -> bool:
    """An address or localhost: no certificate is made out to it, and no proxy with TLS stands before it."""
    name = urlsplit(f"//{host}").hostname or ""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost"
    return True


def event(request: WebhookRequest) -> dict[str, Any]:
    """There are no status callbacks: whatever comes is not kept."""
    return {}


CARRIER = CarrierSpec(
    name="browser",
    summary="Browsers: RTVI over a WebSocket",
    wire=RtviWire,
    incoming=incoming,
    answer=answer,
    event=event,
)

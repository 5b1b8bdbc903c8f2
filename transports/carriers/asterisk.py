"""Asterisk's webhook, the first phase of an AudioSocket call: `CURL()` asks for a UUID, `AudioSocket()` brings it back.

`CURL()` ignores the status and hands any body to the dialplan, so an error has none; `uuid_parse` takes exactly 36
characters, so the answer has no newline.
"""

from __future__ import annotations

from typing import Any

from config.settings import Settings
from store.records import CallContext
from transports.carriers import Answer, CarrierSpec, IncomingCall, MissingField, WebhookRequest, fields, party


def incoming(request: WebhookRequest, settings: Settings) -> IncomingCall:
    """`from=+15550100` comes with its plus as it is; an empty `from` is an anonymous caller, none is an error."""
    found = {**fields(request.query, keep_plus=True), **fields(request.body, keep_plus=True)}
    if "from" not in found:
        raise MissingField("from is missing: who is calling? (it may be empty)")
    call_id = party(found, "id", required=False)
    return IncomingCall(party(found, "from", required=False), party(found, "to", required=False), call_id or None)


def answer(context: CallContext, host: str) -> Answer:
    return Answer("text/plain", str(context.id).encode())


def event(request: WebhookRequest) -> dict[str, Any]:
    found = fields(request.body, keep_plus=True)
    return {name: found[name][0][:200] for name in ("event", "cause") if name in found}


CARRIER = CarrierSpec(
    name="asterisk",
    summary="Asterisk AudioSocket",
    wire=None,
    incoming=incoming,
    answer=answer,
    event=event,
    silent_errors=True,
)

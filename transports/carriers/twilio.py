"""Twilio's webhooks: signature, TwiML, status callbacks.

https://www.twilio.com/docs/voice/twiml, https://www.twilio.com/docs/usage/security
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

from config.settings import Settings
from store.records import CallContext
from transports.carriers import (
    Answer,
    BadField,
    CarrierSpec,
    IncomingCall,
    MissingSignature,
    WebhookRequest,
    WrongAccount,
    WrongSignature,
    fields,
    party,
)
from transports.twilio import TwilioWire

_STANDARD_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_CALL_SID = re.compile(r"[A-Za-z0-9_-]{0,64}")
# Rejected so the call is not answered and costs nothing: https://www.twilio.com/docs/voice/twiml/reject
_BUSY = Answer("text/xml", b'<?xml version="1.0" encoding="UTF-8"?><Response><Reject reason="busy"/></Response>')
_EVENT_FIELDS = (
    *("StreamEvent", "StreamError", "StreamSid", "CallStatus", "CallDuration", "SequenceNumber"),
    *("SipResponseCode", "Timestamp"),
)


def signature(token: str, url: str, form: Mapping[str, Iterable[str]], algorithm: str = "sha1") -> str:
    """What Twilio sends as X-Twilio-Signature: an HMAC over the URL and every distinct name and value, sorted."""
    text = url + "".join(name + value for name in sorted(form) for value in sorted(set(form[name])))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), algorithm).digest()).decode()


def signature_valid(
    token: str,
    given: str,
    url: str,
    form: Mapping[str, Iterable[str]],
    *,
    json_body: bytes | None = None,
    algorithm: str = "sha1",
) -> bool:
    """Whether `given` signs `url` (as Twilio was configured with it, query included) and the form's fields.

    The standard port may be written or not. A JSON body is not part of the signature; its hash is, as the query's
    `bodySHA256`. GETs and WebSocket upgrades (signed as `wss://`) have no form.
    """
    if json_body is not None:
        expected = fields(urlsplit(url).query).get("bodySHA256", [""])[0]
        if not hmac.compare_digest(hashlib.sha256(json_body).hexdigest().encode(), expected.encode()):
            return False
    candidates = [signature(token, spelt, form, algorithm).encode() for spelt in _spellings(url)]
    return any(hmac.compare_digest(candidate, given.encode()) for candidate in candidates)


def _spellings(url: str) -> tuple[str, ...]:
    parts = urlsplit(url)
    standard = _STANDARD_PORTS.get(parts.scheme)
    if parts.port is None:
        return url, parts._replace(netloc=f"{parts.netloc}:{standard}").geturl()
    if parts.port == standard:
        return url, parts._replace(netloc=parts.netloc.removesuffix(f":{standard}")).geturl()
    return (url,)


def signed(headers: Mapping[str, str], settings: Settings) -> bool:
    """With TWILIO__AUTH_TOKEN every request must be signed. Raises `MissingSignature`."""
    if not settings.twilio.auth_token.get_secret_value():
        return False
    if "X-Twilio-Signature" not in headers:
        raise MissingSignature("X-Twilio-Signature is missing")
    return True


def check_signature(request: WebhookRequest, settings: Settings) -> None:
    """Over the address that Twilio knows us by, never over what the request says of its host."""
    given, token = request.headers.get("X-Twilio-Signature", ""), settings.twilio.auth_token.get_secret_value()
    is_json = request.headers.get("Content-Type", "").startswith("application/json")
    url = f"{request.scheme}://{settings.public_host}{request.target}"
    form = {} if request.scheme == "wss" or is_json else fields(request.body)
    if not signature_valid(token, given, url, form, json_body=request.body.encode() if is_json else None):
        raise WrongSignature(f"X-Twilio-Signature is wrong for {settings.public_host} and TWILIO__AUTH_TOKEN")


def incoming(request: WebhookRequest, settings: Settings) -> IncomingCall:
    """A POST brings a form, a GET the same fields in its query."""
    found = {**fields(request.query, keep_plus=True), **fields(request.body)}
    account = settings.twilio.account_sid
    if account and found.get("AccountSid") != [account]:
        raise WrongAccount("AccountSid is not the account of TWILIO__ACCOUNT_SID")
    call_sid = found.get("CallSid", [""])[0]
    if not _CALL_SID.fullmatch(call_sid):
        raise BadField("CallSid must be up to 64 letters and digits")
    return IncomingCall(party(found, "From", required=True), party(found, "To", required=False), call_sid or None)


def answer(context: CallContext, host: str) -> Answer:
    """TwiML that connects the call to our WebSocket; when we close that, the call has nothing more to do and ends."""
    path = f"{host}/v1/talk/{context.provider}/ctx/{context.id}"
    response = ElementTree.Element("Response")
    stream = ElementTree.SubElement(
        ElementTree.SubElement(response, "Connect"),
        "Stream",
        url=f"wss://{path}",
        name=str(context.id),
        statusCallback=f"https://{path}/event",
        statusCallbackMethod="POST",
    )
    ElementTree.SubElement(stream, "Parameter", name="ctx", value=str(context.id))
    return Answer("text/xml", ElementTree.tostring(response, encoding="UTF-8", xml_declaration=True))


def event(request: WebhookRequest) -> dict[str, Any]:
    found = fields(request.body)
    return {name: found[name][0][:200] for name in _EVENT_FIELDS if name in found}


CARRIER = CarrierSpec(
    name="twilio",
    summary="Twilio Media Streams",
    wire=TwilioWire,
    incoming=incoming,
    answer=answer,
    signed=signed,
    check_signature=check_signature,
    event=event,
    refusal=_BUSY,
)

"""Carriers: who rings us by a webhook, and over which wire the audio then comes.

A carrier is one file in this folder with a `CARRIER`, a `CarrierSpec`; it is found by its being there, and its name
is the `{provider}` of our paths. Its wire lives beside this folder (`transports/twilio.py`), as several carriers may
share one.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal
from urllib.parse import parse_qs

from config.errors import BadInput
from config.settings import Settings
from store.records import CallContext
from transports.upgrade import WebSocketConnection

_MAX_FIELDS = 200
_MAX_PARTY_CHARACTERS = 255


class UnknownCarrier(BadInput):
    """The path names a carrier that is not there, or one without this kind of media."""

    code = "unknown_provider"
    http_status = 404


class MissingField(BadInput):
    """The webhook lacks a field that a call needs."""

    code = "missing_field"


class BadField(BadInput):
    """A field of the webhook is not legal."""

    code = "bad_field"


class WrongAccount(BadInput):
    """The webhook is of another account than the one that we serve."""

    code = "wrong_account"
    http_status = 403


class MissingSignature(BadInput):
    """The carrier signs its requests, we can check that, and this one is not signed."""

    code = "missing_signature"
    http_status = 401


class WrongSignature(BadInput):
    """The signature does not fit the request, our address and the account's token."""

    code = "wrong_signature"
    http_status = 403


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """What a carrier has sent: `target` is path and query as received; query and body are not decoded yet.

    `scheme` is that of the address which the carrier was given for this, and which it signs.
    """

    target: str
    query: str
    body: str
    headers: Mapping[str, str]
    scheme: Literal["https", "wss"] = "https"


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """Who calls whom; `provider_call_id` makes a repeated webhook the same call."""

    caller: str
    callee: str
    provider_call_id: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The body that tells the carrier where to send the audio."""

    content_type: str
    body: bytes


def _unsigned(headers: Mapping[str, str], settings: Settings) -> bool:
    """Most carriers sign nothing: they bring an API key."""
    return False


def _unchecked(request: WebhookRequest, settings: Settings) -> None:
    """Never asked of a carrier that signs nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierSpec:
    """What there is to know about a carrier."""

    name: str
    summary: str
    wire: type[WebSocketConnection] | None  # of its media WebSocket; None: its audio comes to another listener
    incoming: Callable[[WebhookRequest, Settings], IncomingCall]
    answer: Callable[[CallContext, str], Answer]  # for the context and our public host
    event: Callable[[WebhookRequest], dict[str, Any]]  # what is kept of a status callback: no numbers, no digits
    signed: Callable[[Mapping[str, str], Settings], bool] = _unsigned  # by the headers: is there something to check?
    check_signature: Callable[[WebhookRequest, Settings], None] = _unchecked  # raises what is wrong with it
    refusal: Answer | None = None  # for a call that we have no place for; None: 503
    silent_errors: bool = False  # an error has no body: the carrier would take it for an answer


@cache
def carriers() -> Mapping[str, CarrierSpec]:
    """All carriers by name."""
    modules = (importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))
    return {module.CARRIER.name: module.CARRIER for module in modules}


def carrier(name: str) -> CarrierSpec:
    """Raises `UnknownCarrier`."""
    try:
        return carriers()[name]
    except KeyError:
        raise UnknownCarrier(f"provider must be one of {', '.join(sorted(carriers()))}, got {name!r:.40}") from None


def fields(text: str, *, keep_plus: bool = False) -> dict[str, list[str]]:
    """The fields of a query or a form, blank ones included. `keep_plus`: `from=+1555` as Asterisk writes it."""
    if keep_plus:
        text = text.replace("+", "%2B")
    try:
        return parse_qs(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise BadField(f"more than {_MAX_FIELDS} fields") from None


def party(found: Mapping[str, list[str]], name: str, *, required: bool) -> str:
    """A caller or callee: a number, a SIP URI, a client's name."""
    value = found.get(name, [""])[0].strip()
    if required and not value:
        raise MissingField(f"{name} is missing: who is calling?")
    if len(value) > _MAX_PARTY_CHARACTERS or not value.isprintable():
        raise BadField(f"{name} must be up to {_MAX_PARTY_CHARACTERS} printable characters, got {len(value)}")
    return value

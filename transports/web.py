"""What all HTTP handlers share: their dependencies, authentication, and errors as JSON."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, ClassVar, Literal
from uuid import UUID
from weakref import WeakSet

import orjson
from tornado.web import HTTPError, RequestHandler

from actors.call.wire import Wire
from actors.services.metrics import Metrics
from config.errors import BadInput, CallboardError
from config.logging import peer_line
from config.settings import Settings
from store.assistants import AssistantRepository
from store.contexts import ContextRepository
from store.conversations import ConversationRepository
from store.engine import Database
from store.errors import InvalidKey, StoreUnavailable
from store.keys import KeyRepository
from store.records import ApiKey, CallContext
from store.shared import InProcessState, SharedState
from transports.audiosocket import Ticker
from transports.carriers import CarrierSpec, WebhookRequest
from transports.connection import SHUTDOWN, Limits, MediaConnection
from transports.gate import Gate, GateClosed
from transports.readiness import Readiness

log = logging.getLogger(__name__)

Switchboard = Callable[[CallContext, Wire], None]


class BodyTooLarge(BadInput):
    """A request's body is longer than any webhook's."""

    code = "body_too_large"
    http_status = 413


class BadContextId(BadInput):
    """The context id is not a UUID."""

    code = "bad_context_id"


@dataclass(frozen=True, slots=True)
class AppServices:
    """What the listeners and handlers stand on; `switchboard` gives a call its wire and returns at once."""

    settings: Settings
    database: Database
    switchboard: Switchboard
    clock: Ticker
    limits: Limits
    owner: str = ""  # this worker's incarnation: who has claimed a call
    metrics: Metrics = field(default_factory=Metrics)
    shared: SharedState = field(default_factory=InProcessState)
    wires: WeakSet[MediaConnection] = field(default_factory=WeakSet)  # every media connection that is open
    gate: Gate = field(init=False)
    readiness: Readiness = field(init=False)

    def __post_init__(self) -> None:
        shared = self.shared if self.settings.redis.host else None
        object.__setattr__(self, "readiness", Readiness(self.database, self.settings.data_dir, shared))
        object.__setattr__(self, "gate", Gate(self.settings.limits.max_calls, self.live_calls))

    def live_calls(self) -> int:
        """The calls that this worker has taken: their wires are connected."""
        return sum(wire.carries_call for wire in self.wires)

    def live_contexts(self) -> set[str]:
        """The context ids of these calls."""
        return {str(wire.context.id) for wire in self.wires if wire.context is not None and wire.carries_call}

    def cut_wires(self) -> None:
        """End what is left of the media connections: the process shuts down."""
        for wire in tuple(self.wires):
            wire.end(SHUTDOWN)
            wire.abort()

    @property
    def assistants(self) -> AssistantRepository:
        return AssistantRepository(self.database)

    @property
    def keys(self) -> KeyRepository:
        return KeyRepository(self.database)

    @property
    def contexts(self) -> ContextRepository:
        return ContextRepository(self.database, self.settings.context_ttl_s)

    @property
    def conversations(self) -> ConversationRepository:
        return ConversationRepository(self.database)


class Handler(RequestHandler):
    """Base of all handlers. A `BadInput` becomes its status, a JSON body and one log line."""

    silent_errors = False
    provider = ""  # whose call a refusal refuses; one of ours, never just the path's word
    signed_scheme: ClassVar[Literal["https", "wss"]] = "https"  # of our address, where its carrier signs it

    def initialize(self, services: AppServices) -> None:
        self.services = services

    def set_default_headers(self) -> None:
        self.clear_header("Server")

    def prepare(self) -> None:
        limit = self.services.settings.limits.body_bytes
        if len(self.request.body) > limit:
            raise BodyTooLarge(f"a body may have up to {limit} bytes, got {len(self.request.body)}")

    # --- who asks --------------------------------------------------------------------------------------------

    async def key(self) -> ApiKey | None:
        """The API key in the header or the query; None if there is none. Raises `InvalidKey`."""
        secret = self.request.headers.get("x-api-key") or self.get_query_argument("x-api-key", None)
        return await self.services.database.run(self.services.keys.verify, secret) if secret else None

    async def require_key(self) -> ApiKey | None:
        """The API key; None only where authentication is switched off. Raises `InvalidKey`."""
        key = await self.key()
        if key is None and self.services.settings.auth.mode != "open":
            raise InvalidKey("an API key is needed: header x-api-key")
        return key

    def webhook_request(self) -> WebhookRequest:
        request, body = self.request, self.request.body.decode(errors="replace")
        headers = dict(request.headers.get_all())
        return WebhookRequest(request.uri or "", request.query, body, headers, self.signed_scheme)

    async def authenticate(self, spec: CarrierSpec, *, knows_context: bool = False) -> ApiKey | None:
        """An API key, or the carrier's signature; None for a signature and where none is needed.

        Who `knows_context` knows a secret already, and must sign only where a signature can be checked.
        """
        key = await self.key()
        if key is None and self.services.settings.auth.mode != "open":
            signed = spec.authentic(self.webhook_request(), self.services.settings)
            if not signed and not knows_context:
                raise InvalidKey("an API key (header x-api-key) or the carrier's signature is needed")
        return key

    # --- answers ---------------------------------------------------------------------------------------------

    def send_json(self, value: Any) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(orjson.dumps(value))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        code, message = _describe(status_code, error)
        self.set_status(_status(error, status_code))
        if self.silent_errors:
            self.finish()
        else:
            self.send_json({"error": {"code": code, "message": message}})

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        if isinstance(value, CallboardError | HTTPError):
            code, message = _describe(_status(value, 500), value)
            peer, line = str(self.request.remote_ip), "refused request: %s %s from %s: %s: %s"
            peer_line(log, code, peer, line, self.request.method, self.request.path, peer, code, message)
            if self.provider:
                self.services.metrics.call_refused(self.provider, code)
        else:
            super().log_exception(typ, value, tb)


class NotFound(Handler):
    """Every path that is not in the URL table."""

    def prepare(self) -> None:
        raise HTTPError(404)


def _status(error: BaseException | None, otherwise: int) -> int:
    if isinstance(error, BadInput | GateClosed):
        return error.http_status
    if isinstance(error, HTTPError):
        return error.status_code
    return 503 if isinstance(error, StoreUnavailable) else otherwise


def _describe(status: int, error: BaseException | None) -> tuple[str, str]:
    if isinstance(error, CallboardError):
        return error.code, str(error)
    phrase = HTTPStatus(status).phrase
    return phrase.lower().replace(" ", "_"), phrase


def context_id(text: str) -> UUID:
    """A context id from a path or a query, in the form with dashes. Raises `BadContextId`."""
    try:
        found = UUID(text)
    except ValueError:
        found = None
    if found is None or str(found) != text.lower():
        raise BadContextId(f"the context id must be a UUID, got {text!r:.50}")
    return found

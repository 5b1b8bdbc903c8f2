"""What all HTTP handlers share: their dependencies, authentication, and errors as JSON."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from operator import attrgetter
from typing import Any, ClassVar, Literal
from uuid import UUID
from weakref import WeakSet

import orjson
from tornado.web import HTTPError

from actors.call.wire import Wire
from actors.services.metrics import Metrics
from config.assistant import AssistantConfig
from config.errors import REASON_HEADER, BadInput, CallboardError
from config.logging import peer_line
from config.settings import Settings
from store.assistants import AssistantRepository
from store.callbacks import CallbackRepository
from store.contexts import ContextRepository
from store.conversations import ConversationRepository
from store.engine import Database
from store.errors import InvalidKey, StoreUnavailable, UnknownContext
from store.keys import KeyRepository
from store.records import ApiKey, CallContext, LedgerRow
from store.shared import InProcessState, SharedState
from transports.arrivals import Arrivals
from transports.audiosocket import Ticker
from transports.callbacks import CallbackBound
from transports.capacity import Capacity
from transports.carriers import CarrierSpec, WebhookRequest
from transports.connection import SHUTDOWN, Limits, MediaConnection
from transports.gate import Gate, GateClosed
from transports.guesses import Doubted, Guesses, TooManyGuesses
from transports.hosts import Hosts
from transports.readiness import Readiness
from transports.requests import FrontHandler, Intake
from transports.versions import Versions

log = logging.getLogger(__name__)

Switchboard = Callable[[CallContext, Wire], None]


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
    record: Callable[[LedgerRow], object]  # gives a row to the ledger
    owner: str = ""  # this worker's incarnation: who has claimed a call
    metrics: Metrics = field(default_factory=Metrics)
    shared: SharedState = field(default_factory=InProcessState)
    wires: WeakSet[MediaConnection] = field(default_factory=WeakSet)  # every media connection that is open
    gate: Gate = field(init=False)
    readiness: Readiness = field(init=False)
    arrivals: Arrivals = field(init=False)  # connections without a call
    guesses: Guesses = field(init=False)
    doubted: Doubted = field(init=False)
    intake: Intake = field(init=False)  # unfinished HTTP requests
    hosts: Hosts = field(init=False)
    callback_bound: CallbackBound = field(default_factory=CallbackBound)
    prepare: Callable[[AssistantConfig], object] = bool  # what is done once for each version of an assistant
    sample_call: Callable[[AssistantConfig], tuple[str, ...]] = attrgetter("sample_call")  # what a caller may say to it
    versions: Versions = field(init=False)

    def __post_init__(self) -> None:
        settings, capacity = self.settings, Capacity.of_process()
        most, per_peer = settings.limits.connections, settings.limits.connections_per_peer
        arrivals = Arrivals(capacity.arrivals(most), per_peer, self.metrics.connection_shed)
        object.__setattr__(self, "arrivals", arrivals)
        object.__setattr__(self, "guesses", Guesses(settings.limits.unknown_calls_per_minute))
        object.__setattr__(self, "doubted", Doubted(self._known))
        shared = self.shared if settings.redis.host else None
        object.__setattr__(self, "readiness", Readiness(self.database, settings.data_dir, shared))
        object.__setattr__(self, "gate", Gate(capacity.calls(settings.limits.max_calls), self.live_calls))
        object.__setattr__(self, "intake", Intake(settings.limits.unfinished_bytes, self.limits.request_s))
        object.__setattr__(self, "hosts", Hosts.from_settings(settings))
        object.__setattr__(self, "versions", Versions(self.database, self.prepare))

    def reload(self, settings: Settings) -> None:
        """From now on; the connections that are open keep the limits of their time."""
        limits, capacity = settings.limits, Capacity.of_process()
        object.__setattr__(self, "settings", settings)
        object.__setattr__(self, "limits", Limits.from_settings(settings))
        object.__setattr__(self, "hosts", Hosts.from_settings(settings))
        self.gate.max_calls = capacity.calls(limits.max_calls)
        self.arrivals.most, self.arrivals.per_peer = capacity.arrivals(limits.connections), limits.connections_per_peer
        self.guesses.per_minute, self.intake.most_bytes = limits.unknown_calls_per_minute, limits.unfinished_bytes

    async def doubt(self, context_id: UUID, peer: str, client: str = "") -> None:
        """Raises `TooManyGuesses` if `peer` has named too many calls that are not there, and this is one more.

        `client`: for whom `peer`, a proxy, asks.
        """
        try:
            self.guesses.check(peer, asyncio.get_running_loop().time(), client)
        except TooManyGuesses:
            if not await self.doubted.is_there(context_id):
                raise

    async def claim(
        self, context_id: UUID, provider: str, peer: str, client: str = "", key: ApiKey | None = None
    ) -> CallContext:
        """As `ContextRepository.claim`, for this worker; on the same trip `versions` learns the call's assistant.

        `client`: for whom `peer`, a proxy, asks.
        """
        guesses, loop = self.guesses, asyncio.get_running_loop()
        project = key.project_id if key else None
        try:
            context = await self.database.run(self._claim, context_id, provider, project)
        except UnknownContext:
            guesses.missed(peer, loop.time(), client)
            raise
        guesses.hit(peer, loop.time(), client)
        return context

    async def _known(self, ids: set[UUID]) -> set[UUID]:
        return await self.database.run(self.contexts.known, ids)

    def _claim(self, context_id: UUID, provider: str, project: int | None) -> CallContext:
        context = self.contexts.claim(context_id, provider, self.owner, project)
        with suppress(CallboardError):  # whoever starts the call asks again, and has somewhere to write its end
            self.versions.load(context)
        return context

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
    def callbacks(self) -> CallbackRepository:
        return CallbackRepository(self.database)

    @property
    def conversations(self) -> ConversationRepository:
        return ConversationRepository(self.database)


class WrongHost(BadInput):
    """The request was sent to a name that is not ours: somebody else's name leads to our address."""

    code = "wrong_host"
    http_status = 403


class Handler(FrontHandler):
    """Base of all handlers. A `BadInput` becomes its status, a JSON body and one log line."""

    silent_errors = False
    provider = ""  # whose call a refusal refuses; one of ours, never just the path's word
    signed_scheme: ClassVar[Literal["https", "wss"]] = "https"  # of our address, where its carrier signs it

    metrics: Metrics | None = None
    _is_signed = False

    def initialize(self, services: AppServices) -> None:
        self.services, self.metrics = services, services.metrics
        self.setup(services.intake)

    def set_default_headers(self) -> None:
        self.clear_header("Server")

    async def check(self) -> None:
        """Where nobody has to show a key, a browser may be led here by a page whose name leads to our address."""
        self.check_host()

    def check_host(self) -> None:
        """Raises `WrongHost`."""
        name = self.request.host_name
        if self.services.settings.auth.mode == "open" and not self.services.hosts.is_ours(name):
            raise WrongHost(f"Host {name!r:.80} is not ours: HTTP__HOST_NAMES may name it")

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
        request, body = self.request, self.whole_body().decode(errors="replace")
        headers = dict(request.headers.get_all())
        return WebhookRequest(request.uri or "", request.query, body, headers, self.signed_scheme)

    async def authenticate(self, spec: CarrierSpec, *, knows_context: bool = False) -> ApiKey | None:
        """By the headers: an API key, or a carrier's signature, which `check_signature` checks once the body is here.

        None for a signature and where nothing is needed. Who `knows_context` knows a secret already, and must sign
        only where a signature can be checked.
        """
        key = await self.key()
        if key is None and self.services.settings.auth.mode != "open":
            self._is_signed = spec.signed(self.request.headers, self.services.settings)
            if not self._is_signed and not knows_context:
                raise InvalidKey("an API key (header x-api-key) or the carrier's signature is needed")
        return key

    def check_signature(self, spec: CarrierSpec) -> None:
        """Raises what `spec` has against the signature that `authenticate` has found."""
        if self._is_signed:
            spec.check_signature(self.webhook_request(), self.services.settings)

    # --- answers ---------------------------------------------------------------------------------------------

    def send_json(self, value: Any) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(_json(value))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        code, message = _describe(status_code, error)
        self.set_status(_status(error, status_code))
        self.give_reason(message)
        if self.is_unread:
            self.set_header("Connection", "close")
        if self.silent_errors:
            self.finish()
        else:
            self.send_json({"error": {"code": code, "message": message}})

    def give_reason(self, message: str) -> None:
        """For people: a carrier passes over the header."""
        self.set_header(REASON_HEADER, message.encode("ascii", "backslashreplace").decode().replace("\n", " ")[:500])

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        if isinstance(value, CallboardError | HTTPError):
            code, message = _describe(_status(value, 500), value)
            peer, line = str(self.request.remote_ip), "refused request: %s %s from %s: %s: %s"
            peer_line(log, code, peer, line, self.request.method, self.request.path, peer, code, message)
            if self.metrics is not None:
                self.metrics.request_refused(code)
                if self.provider:
                    self.metrics.call_refused(self.provider, code)
        else:
            super().log_exception(typ, value, tb)


class NotFound(Handler):
    """Every path that is not in the URL table."""

    def most_body_bytes(self) -> int:
        return 0

    async def prepare(self) -> None:
        self.intake.enter(self)
        raise HTTPError(404)


def _json(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # half a character, a number beyond 64 bits: whatever it was, it is no reason for a 500
        return json.dumps(value, default=str).encode()


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

"""The operators' HTTP: what `callboard ps`, `trace`, `hangup` ... ask, and what Prometheus scrapes.

It listens in every worker on one port. Whichever worker takes a request asks all of them through the node's link, and
makes one answer of theirs. Who asks shows the operators' token; what changes something is written down in the store.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
from dataclasses import dataclass, field
from typing import Any

import orjson
from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets
from tornado.routing import URLSpec
from tornado.web import Application, HTTPError

from actors.node.directory import RESTARTABLE
from actors.node.link import Answer, NodeLink
from actors.node.rows import Row, tree
from actors.node.trace import LINES
from actors.services.metrics import merge
from config.errors import BadInput, CallboardError
from store.audit import AuditRepository
from store.engine import Database
from store.errors import AmbiguousCall, StoreUnavailable, UnknownCall
from transports.arrivals import Arrivals
from transports.connection import harden
from transports.front import FrontServer
from transports.requests import Intake
from transports.web import Handler

log = logging.getLogger(__name__)

ANSWER_S = 1.5  # of one question to the node; a request asks up to three
MOST_WINDOW_S = 60.0
MOST_LINES = 100_000
POLL_S = 0.5
BECAUSE_CHARACTERS = 200
CONNECTIONS = 64  # of all operators and of Prometheus; `transports.capacity` keeps descriptors for them
BODY_BYTES = 65536
INTAKE_BYTES = 8_388_608
REQUEST_S = 10.0
_USER = re.compile(r"[\w.-]{1,32}")


class InvalidToken(BadInput):
    """The operators' token is missing or wrong; the text never repeats it."""

    code = "invalid_token"
    http_status = 401


class UnknownActor(BadInput):
    """No living actor has this address."""

    code = "unknown_actor"
    http_status = 404


class NotRestartable(BadInput):
    """Only the members of a call that its supervisor replaces can be restarted."""

    code = "not_restartable"
    http_status = 409


class TooManyTraces(BadInput):
    """So many traces are under way that one more would cost the calls."""

    code = "too_many_traces"
    http_status = 429


class NoManager(BadInput):
    """A worker that runs without a node cannot be drained from here."""

    code = "no_manager"
    http_status = 409


class NodeSilent(CallboardError):
    """The node's manager, or the worker in question, did not answer in time."""

    code = "node_silent"


@dataclass(frozen=True, slots=True)
class Desk:
    """What the operators' handlers stand on."""

    token: str
    link: NodeLink
    audit: AuditRepository
    database: Database
    intake: Intake = field(default_factory=lambda: Intake(INTAKE_BYTES, REQUEST_S))

    async def ask_all(self, verb: str, timeout_s: float = ANSWER_S, **arguments: Any) -> dict[int, Answer]:
        return await self.link.ask_workers(verb, arguments, timeout_s)

    async def ask_owner(self, verb: str, **arguments: Any) -> Answer:
        """The answer of the worker that knows what is asked about; None if none does."""
        answers = await self.ask_all(verb, **arguments)
        return next((answer for answer in answers.values() if answer is not None), None)

    async def ask_manager(self, verb: str, **arguments: Any) -> Answer:
        """Raises `NodeSilent`."""
        try:
            return await self.link.ask_manager(verb, arguments, ANSWER_S)
        except TimeoutError:
            raise NodeSilent(f"the node's manager did not answer within {ANSWER_S:g} s") from None

    async def call(self, prefix: str) -> str:
        """The id of the one call whose id begins so. Raises `UnknownCall`, `AmbiguousCall`."""
        found = sorted({call for calls in (await self.ask_all("calls", prefix=prefix)).values() for call in calls})
        if prefix in found or len(found) == 1:
            return prefix if prefix in found else found[0]
        if not found:
            raise UnknownCall(f"call {prefix!r:.50}: no call under way has an id that begins so")
        raise AmbiguousCall(f"call {prefix!r:.50}: {len(found)} calls begin so: {', '.join(found[:3])} ...")


class OperatorListener:
    """The operators' listener of one worker; the workers of a node share its port."""

    def __init__(self, desk: Desk) -> None:
        self.port = 0
        self._server = FrontServer(
            make_app(desk),
            arrivals=Arrivals(CONNECTIONS, CONNECTIONS),
            idle_connection_timeout=60.0,
            max_header_size=16384,
            max_body_size=BODY_BYTES,
        )

    def start(self, host: str, port: int) -> None:
        """Listen; `port` 0 takes a free one, which `port` then tells. Raises `OSError`."""
        sockets = bind_sockets(port, host, reuse_port=True)
        for sock in sockets:
            harden(sock)
        self.port = sockets[0].getsockname()[1]
        self._server.add_sockets(sockets)

    def leave(self) -> None:
        """Take no more connections: others have the same port."""
        self._server.stop()

    async def stop(self) -> None:
        self._server.stop()
        await self._server.close_all_connections()


def make_app(desk: Desk) -> Application:
    """The URL table."""
    given = {"desk": desk}
    table = [
        (r"/v1/actors", Actors),
        (r"/v1/tree", Tree),
        (r"/v1/actors/([^/]+)", Actor),
        (r"/v1/actors/([^/]+)/restart", Restart),
        (r"/v1/trace/([^/]+)", TraceStream),
        (r"/v1/calls/([^/]+)/hangup", HangUp),
        (r"/v1/(exits|workers|nodes)", FromManager),
        (r"/v1/deadletters", DeadLetters),
        (r"/v1/drain", Drain),
        (r"/metrics", Exposition),
    ]
    return Application(
        [URLSpec(pattern, handler, given) for pattern, handler in table],
        default_handler_class=Nowhere,
        default_handler_args=given,
        log_function=lambda handler: None,
    )


class OperatorHandler(Handler):
    """Base of the handlers: nobody gets further than `prepare` without the token."""

    body_limit = BODY_BYTES

    def initialize(self, desk: Desk) -> None:  # type: ignore[override]  # an operator needs other things than a carrier
        self.desk = desk
        self.setup(desk.intake)

    async def check(self) -> None:
        scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
        wanted = self.desk.token
        shown = scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), wanted.encode())
        if not (wanted and shown):  # where there is no token, nobody has it
            raise InvalidToken("the operators' token is needed: header Authorization: Bearer TOKEN")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        super().write_error(504 if isinstance(error, NodeSilent) else status_code, **kwargs)

    def number(self, name: str, otherwise: float, most: float) -> float:
        """A number of the query, 0 to `most`. Raises `BadInput`."""
        text = self.get_query_argument(name, None)
        try:
            value = otherwise if text is None else float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value <= most:
            raise BadInput(f"{name} = {text!r:.20}: legal: 0 to {most:g}")
        return value

    async def audit(self, verb: str, arguments: dict[str, Any], result: str) -> None:
        """Write down who did what. An operator must be able to act while the database is away: then the log has it."""
        user = self.request.headers.get("X-Operator", "")
        who = f"{user if _USER.fullmatch(user) else 'operator'}@{self.request.remote_ip}"
        log.warning("operator: %s %s %s: %s", who, verb, arguments, result)
        try:
            await self.desk.database.run(self.desk.audit.record, who, verb, arguments, result)
        except StoreUnavailable as error:
            log.error("operator: the audit of this could not be written: %s", error)


class Nowhere(OperatorHandler):
    """Every path that is not in the URL table."""

    async def prepare(self) -> None:
        self.intake.enter(self)
        await self.check()
        raise HTTPError(404)


class Actors(OperatorHandler):
    """`GET /v1/actors?call=ID&window_s=5`: the rows of `callboard ps`."""

    async def get(self) -> None:
        self.send_json(await self.rows())

    async def rows(self) -> list[Row]:
        window_s = self.number("window_s", 0.0, MOST_WINDOW_S)
        prefix = self.get_query_argument("call", "")
        call = await self.desk.call(prefix) if prefix else ""
        answers = await self.desk.ask_all("ps", ANSWER_S + window_s, window_s=window_s, call=call)
        return [row for _, rows in sorted(answers.items()) for row in rows]


class Tree(Actors):
    """`GET /v1/tree?call=ID`: the same rows, each with its children."""

    async def get(self) -> None:
        self.send_json({"workers": await self.desk.ask_manager("workers"), "actors": tree(await self.rows())})


class Actor(OperatorHandler):
    """`GET /v1/actors/{address}`: the state of one actor."""

    async def get(self, address: str) -> None:
        found = await self.desk.ask_owner("inspect", address=address)
        if found is None:
            raise UnknownActor(f"actor {address!r:.60}: no living actor has this address")
        self.send_json(found)


class Restart(OperatorHandler):
    """`POST /v1/actors/{address}/restart`: replace a member of a call."""

    async def post(self, address: str) -> None:
        done = await self.desk.ask_owner("restart", address=address)
        if done is None:
            raise UnknownActor(f"actor {address!r:.60}: no living actor has this address")
        await self.audit("restart", {"address": address}, "ok" if done["restarting"] else NotRestartable.code)
        if not done["restarting"]:
            raise NotRestartable(f"actor {address} is a {done['role']}: legal: a call's {', '.join(RESTARTABLE)}")
        self.send_json(done)


class HangUp(OperatorHandler):
    """`POST /v1/calls/{call}/hangup?goodbye=1&because=...`: end a call, after the assistant's goodbye if so wanted."""

    async def post(self, prefix: str) -> None:
        wishes: dict[str, Any] = {"goodbye": True} if self.number("goodbye", 0, 1) else {}
        if because := self.get_query_argument("because", ""):
            wishes["because"] = because
        if len(because) > BECAUSE_CHARACTERS or not because.isprintable():
            raise BadInput(f"because = {because!r:.40}: legal: at most {BECAUSE_CHARACTERS} printable characters")
        call = await self.desk.call(prefix)
        done = await self.desk.ask_owner("hangup", call=call, **wishes)
        await self.audit("hangup", {"call": call, **wishes}, "ok" if done else "gone")
        if done is None:
            raise UnknownCall(f"call {call}: has just ended")
        self.send_json(done)


class Drain(OperatorHandler):
    """`POST /v1/drain`: take no more calls, let the running ones finish, then stop the node."""

    async def post(self) -> None:
        try:
            done = await self.desk.ask_manager("drain")
        except CallboardError as error:  # it may be done nevertheless
            await self.audit("drain", {}, error.code)
            raise
        await self.audit("drain", {}, "ok" if done is not None else NoManager.code)
        if done is None:
            raise NoManager("this worker runs without a node: SIGTERM to its process ends it")
        self.send_json(done)


class FromManager(OperatorHandler):
    """`GET /v1/exits`, `/v1/workers`, `/v1/nodes`: what the node's manager knows."""

    async def get(self, verb: str) -> None:
        self.send_json(await self.desk.ask_manager(verb))


class DeadLetters(OperatorHandler):
    """`GET /v1/deadletters`: how many in all, and each worker's last ones, the oldest first."""

    async def get(self) -> None:
        answers = await self.desk.ask_all("deadletters")
        last = [{"worker": worker, **letter} for worker, found in answers.items() for letter in found["last"]]
        count = sum(found["count"] for found in answers.values())
        self.send_json({"count": count, "last": sorted(last, key=lambda letter: str(letter["at"]))})


class Exposition(OperatorHandler):
    """`GET /metrics`: the figures of all workers, for Prometheus."""

    async def get(self) -> None:
        answers = await self.desk.ask_all("metrics")
        self.set_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.finish(await self.desk.database.run(merge, answers))  # 2 ms a worker: not on the loop that plays audio


class TraceStream(OperatorHandler):
    """`GET /v1/trace/{call}?limit=1000`: the call's messages as they pass, a JSON object per line; the last one says
    why it is `over`."""

    _reader_gone = False

    def on_connection_close(self) -> None:
        self._reader_gone = True

    async def get(self, prefix: str) -> None:
        limit = int(self.number("limit", LINES, MOST_LINES))
        started = await self.desk.ask_owner("trace_start", call=await self.desk.call(prefix), limit=limit)
        if started is None:
            raise UnknownCall(f"call {prefix}: has just ended")
        if started["trace"] is None:
            raise TooManyTraces("the call's worker has too many traces under way")
        self.set_header("Content-Type", "application/x-ndjson")
        try:
            await self._stream(started["trace"])
        except StreamClosedError:
            pass  # the reader has gone
        finally:
            await self.desk.ask_all("trace_stop", trace=started["trace"])

    async def _stream(self, trace: str) -> None:
        await self.flush()
        over = ""
        while not over:
            await asyncio.sleep(POLL_S)
            if self._reader_gone:
                return
            polled = await self.desk.ask_owner("trace_poll", trace=trace) or {"lines": [], "over": "worker_silent"}
            over = polled["over"]
            for line in polled["lines"]:
                self.write(orjson.dumps(line) + b"\n")
            await self.flush()
        self.finish(orjson.dumps({"over": over}) + b"\n")

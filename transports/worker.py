"""One worker: the loop system, the clock, the ledger, and the listeners that spawn calls into them."""

from __future__ import annotations

import asyncio
import gc
import logging
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import uuid4

from thespian.actors import ActorAddress
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from actors.call.switchboard import Switchboard
from actors.call.wire import Wire
from actors.engines.pool import close_engines, engines_lag_s
from actors.engines.process import open_starter
from actors.errors import Result
from actors.loop.local import Local
from actors.loop.system import LoopSystem
from actors.media.clock import MediaClock
from actors.media.vad import BatchedVad
from actors.messages import HangUpAll, StartCall
from actors.node.directory import Directory
from actors.node.link import Alone, NodeLink
from actors.providers.registry import Registry
from actors.services.breaker import Breakers
from actors.services.ledger import Flush, Ledger, OpenLedger
from actors.services.load import Load, Vitals
from actors.services.metrics import Metrics
from actors.services.pace import Pulse, WorkClock
from actors.services.shared import Services
from config.assistant import AssistantConfig
from config.errors import CallboardError
from config.logging import configure
from config.settings import Settings
from store.audit import AuditRepository
from store.engine import Database
from store.migrations import migrate
from store.presence import Presence
from store.records import CallContext, ConversationEnd, OwnerLost
from store.shared import NodeInfo, SharedState
from transports.app import make_server, most_body_bytes
from transports.capacity import Capacity
from transports.connection import Limits
from transports.leases import Leases
from transports.listeners import AudioSocketListener
from transports.operator import Desk, OperatorListener
from transports.readiness import in_thread
from transports.web import AppServices

log = logging.getLogger(__name__)

STOP_S = 5.0  # for the calls to end, and for the ledger's last rows
CLOSE_S = 2.0  # for statements that are under way
GOODBYE_S = 10.0  # for the last words of calls that a drain ends
CALLS_OF = "calls of "  # + a node: the counter of the calls that it has started
# A call makes many short-lived objects, which Python's 700 would walk dozens of times a second; but what calls leave in
# cycles waits for the oldest generation's turn, which comes as often as with Python's thresholds.
GC_THRESHOLDS = (2_000, 7, 5)
_LOOK_S = 0.1  # how often a drain looks whether calls are left


class Worker:
    """Everything of one process that serves calls. Its methods run on its loop."""

    def __init__(self, settings: Settings, link: NodeLink | None = None) -> None:
        """`link` leads to the worker's node; without one it is a node by itself."""
        self.settings = settings
        self.link: NodeLink = link or Alone(f"{settings.node.name}/0/{uuid4()}")
        self.http_port = self.audiosocket_port = self.operator_port = 0
        self._stopped = False
        self._spared: list[str] = []

    @property
    def ports(self) -> dict[str, int]:
        """What it listens on, by listener."""
        return {"http": self.http_port, "audiosocket": self.audiosocket_port, "operator": self.operator_port}

    async def start(self) -> None:
        """Open the store, start the actors, listen. Raises `CallboardError` or `OSError` (an address is taken)."""
        settings, loop = self.settings, asyncio.get_running_loop()
        self.database = Database.from_settings(settings)
        self.database.start_threads()
        open_starter()
        await self.database.run(migrate, self.database)
        self._presence = Presence(settings.data_dir, self.link.incarnation)
        self.registry = Registry(settings.extra_providers)
        self.metrics = Metrics()
        self.shared = SharedState.from_settings(settings)
        self.clock = MediaClock(loop, BatchedVad())
        self.clock.start()
        self.system = LoopSystem(loop)
        self._ledger = self.system.createActor(Ledger)
        spool = settings.data_dir / "spool" / self.link.incarnation.replace("/", "-")
        self.system.tell(self._ledger, OpenLedger(Local(self.database), spool))
        self._switchboard = self.system.createActor(Switchboard)
        self.work = WorkClock(observe=self.metrics.loop_lagged)
        self.load = Load(self.work, engine_lag_s=engines_lag_s, calls=lambda: self.clock.stats.legs)
        services = Services(
            self.registry,
            self.clock,
            self._ledger,
            self.metrics,
            settings.limits,
            self.work,
            breakers=Breakers(lambda: self.work.recent_lag_s),
        )
        self._services = Local(services)
        self.system.tell(self.system.createActor(Pulse), Local(Vitals(self.load, services)))
        services.breakers.tell = self._tell_breaker
        self._starting: set[asyncio.Task[Any]] = set()
        self._news: set[asyncio.Task[None]] = set()
        self._directory = Directory(self.system, self.clock, self.metrics, self.link.worker)
        if isinstance(self.link, Alone):
            self.link.answering = self
        await self._listen()
        gc.collect()
        gc.freeze()  # what lives as long as the process is not walked by every full collection
        gc.set_threshold(*GC_THRESHOLDS)

    async def _listen(self) -> None:
        settings = self.settings
        self._app = AppServices(
            settings,
            self.database,
            self._connect,
            self.clock,
            Limits.from_settings(settings),
            partial(self.system.tell, self._ledger),
            owner=self.link.incarnation,
            metrics=self.metrics,
            shared=self.shared,
            prepare=self.registry.prepare,
            sample_call=self.registry.sample_call,
        )
        gate, load = self._app.gate, self.load
        if settings.limits.shed:
            gate.overload, gate.overloaded_s, gate.rush = lambda: load.reason, lambda: load.overloaded_s, load.rush
        self._leases = Leases(self.shared, self.link.incarnation, self._app.live_contexts)
        self._leases.start()
        self._warn_of_few_descriptors()
        sockets = bind_sockets(settings.http.port, settings.http.host, reuse_port=True)
        self._http: HTTPServer = make_server(self._app)
        self._http.add_sockets(sockets)
        self.http_port = sockets[0].getsockname()[1]
        self._audiosocket = AudioSocketListener(self._app, settings.audiosocket.max_connections_per_peer)
        await self._audiosocket.start(settings.audiosocket.host, settings.audiosocket.port)
        self.audiosocket_port = self._audiosocket.port

        token = settings.operator.token.get_secret_value()
        self._operator = OperatorListener(Desk(token, self.link, AuditRepository(self.database), self.database))
        if token:  # whoever has none must not be let in by showing none
            self._operator.start(settings.operator.host, settings.operator.port)
            self.operator_port = self._operator.port

    def _warn_of_few_descriptors(self) -> None:
        carried, wanted = self._app.gate.max_calls, self.settings.limits.max_calls
        if carried < wanted:
            line = "LIMITS__MAX_CALLS = %d, but `ulimit -n` carries %d calls: raise it to %d"
            log.warning(line, wanted, carried, Capacity.descriptors_for(wanted))

    # --- what the node asks ----------------------------------------------------------------------------------------

    async def operate(self, verb: str, arguments: dict[str, Any]) -> Any:
        """Answer for this worker. Raises `CallboardError`."""
        match verb:
            case "close_lost":
                return self._close_lost(**arguments)
            case "close_lost_of_node":
                return await self._close_lost_of_node(**arguments)
            case "breaker":
                self._services.value.breakers.heard(**arguments)
                return None
            case "beat":
                return await self._beat(**arguments)
            case "reload":
                return self.reload(**arguments)
            case _:
                return await self._directory.operate(verb, arguments)

    def reload(self, settings: Settings) -> None:
        """These settings from now on, for new connections and calls."""
        self.settings = settings
        configure(settings.log_level, settings.log_format)
        self._app.reload(settings)
        self._http.conn_params.max_body_size = most_body_bytes(settings)
        self._audiosocket.max_per_peer = settings.audiosocket.max_connections_per_peer
        self._services = Local(replace(self._services.value, limits=settings.limits))

    def _tell_breaker(self, key: str, is_open: bool) -> None:
        """The node's other workers need not find it out."""
        task = asyncio.get_running_loop().create_task(self._spread("breaker", key=key, is_open=is_open))
        self._news.add(task)
        task.add_done_callback(self._news.discard)

    async def _spread(self, verb: str, **arguments: Any) -> None:
        try:
            await self.link.ask_workers(verb, arguments)
        except (CallboardError, TimeoutError) as error:
            log.warning("the other workers were not told (%s): %s", verb, error)

    def _close_lost(self, incarnation: str) -> dict[str, Any]:
        """A worker has died: the ledger writes it down, and keeps it if the database is away."""
        self.system.tell(self._ledger, OwnerLost(incarnation, "worker_lost", datetime.now(UTC)))
        return {"incarnation": incarnation}

    async def _beat(self, node: str, info: dict[str, Any], ttl_s: float) -> dict[str, Any]:
        """The manager's heartbeat for its node, and who else beats."""
        await self.shared.beat(node, info, ttl_s)
        return {"nodes": [await self._node_row(other) for other in await self.shared.nodes()]}

    async def _node_row(self, node: NodeInfo) -> dict[str, Any]:
        calls = await self.shared.count(CALLS_OF + node.name, 0)
        return {"node": node.name, "age_s": round(node.age_s, 3), **node.info, "calls": calls}

    async def _close_lost_of_node(self, node: str, alive: list[str]) -> dict[str, Any]:
        """`spared`: others of the node's name, who live, and whom the manager does not know."""
        conversations = self._app.conversations
        spared = sorted(self._presence.others(node.rstrip("/")) - set(alive))
        if spared and spared == self._spared:
            return {"node": node, "closed": 0, "spared": spared}
        closed = await self.database.run(conversations.close_lost_of_node, node, {*alive, *spared})
        self._spared = spared
        if closed:
            log.warning("%d calls of a node that has died were closed", closed)
        if spared:
            line = "workers of another node with the name %r live; their calls are left alone: %s"
            log.warning(line, node.rstrip("/"), ", ".join(spared))
        return {"node": node, "closed": closed, "spared": spared}

    async def drain(self, limit_s: float, reason: str, *, refuse: bool) -> None:
        """Take no call any more and wait for the running ones; those that are left at the limit hear a goodbye.

        With `refuse` the listeners stay, and give each carrier its refusal; without, others have the same ports.
        """
        log.info("draining: %d calls, %s", self._app.gate.calls, reason)
        self._app.gate.drain()
        if not refuse:
            self._http.stop()
            self._operator.leave()
            await self._audiosocket.stop()
        deadline_s = asyncio.get_running_loop().time() + limit_s
        while self._has_calls() and asyncio.get_running_loop().time() < deadline_s:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)
        if not self._stopped:  # told to end at once meanwhile: nobody is there to be asked
            end = HangUpAll(reason, last_words=True)
            await self._ask(self._switchboard, end, "calls did not end after their goodbye", GOODBYE_S)

    def _has_calls(self) -> bool:
        return bool(self._starting) or self._app.gate.calls > 0

    async def stop(self) -> None:
        """End the calls, write what they left, let go of everything. A second call does nothing."""
        if self._stopped:
            return
        self._stopped = True
        self._http.stop()
        await self._audiosocket.stop()
        await self._operator.stop()
        for task in (*self._starting, *self._news):
            task.cancel()
        await self._ask(self._switchboard, HangUpAll("shutdown"), "calls did not end")
        await self._ask(self._ledger, Flush(), "the ledger could not be written")
        self._directory.close()
        await self.system.shutdown_async()
        self._app.cut_wires()
        await self._http.close_all_connections()
        self.clock.stop()
        await close_engines()
        await self._leases.stop()
        await self.shared.close()
        with suppress(TimeoutError):  # a statement that hangs ends with the process
            await asyncio.wait_for(in_thread(self._close_database), CLOSE_S)
        self._presence.close()

    def _close_database(self) -> str:
        self.database.close()
        return ""

    # --- calls -----------------------------------------------------------------------------------------------------

    async def _ask(self, address: ActorAddress, message: object, failure: str, limit_s: float = STOP_S) -> None:
        try:
            await self.system.ask_async(address, message, limit_s)
        except TimeoutError:
            log.error("%s within %.0f s", failure, limit_s)

    def _connect(self, context: CallContext, wire: Wire) -> None:
        """A listener has a wire for this context: start the call, or as soon as its assistant is known."""
        if (assistant := self._app.versions.known(context)) is not None:
            self._begin(context, assistant, wire)
            return
        task = asyncio.get_running_loop().create_task(self._load_and_begin(context, wire))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _load_and_begin(self, context: CallContext, wire: Wire) -> None:
        try:
            assistant = await self.database.run(self._app.versions.load, context)
            self._begin(context, assistant, wire)
        except asyncio.CancelledError:
            self._give_up(context, wire, "shutdown", "")
            raise
        except CallboardError as error:
            log.error("call %s: refused: %s: %s", context.id, error.code, error)
            self._give_up(context, wire, error.code, str(error))
        except Exception as error:
            log.exception("call %s: could not be started", context.id)
            self._give_up(context, wire, "internal_error", type(error).__name__)

    def _begin(self, context: CallContext, assistant: AssistantConfig, wire: Wire) -> None:
        self.system.tell(self._switchboard, StartCall(context, assistant, Local(wire), self._services))
        counting = asyncio.get_running_loop().create_task(self.shared.count(CALLS_OF + self.settings.node.name))
        self._starting.add(counting)  # nobody waits for it
        counting.add_done_callback(self._starting.discard)

    def _give_up(self, context: CallContext, wire: Wire, reason: str, detail: str) -> None:
        """A call that was claimed and cannot start has an end nevertheless."""
        end = ConversationEnd(context.conversation_id, Result.SERVER_ERROR.value, reason, detail, datetime.now(UTC))
        self.system.tell(self._ledger, end)
        self.metrics.call_refused(context.provider, reason)
        wire.hang_up()

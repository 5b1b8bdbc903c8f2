"""One worker: the loop system, the clock, the ledger, and the listeners that spawn calls into them."""

from __future__ import annotations

import asyncio
import gc
import logging

from thespian.actors import ActorAddress
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from actors.call.switchboard import Switchboard
from actors.call.wire import Wire
from actors.engines.pool import close_engines
from actors.loop.local import Local
from actors.loop.system import LoopSystem
from actors.media.clock import MediaClock
from actors.media.vad import BatchedVad
from actors.messages import HangUpAll, StartCall
from actors.providers.registry import Registry
from actors.services.ledger import Flush, Ledger, OpenLedger
from actors.services.shared import Services
from config.errors import CallboardError
from config.settings import Settings
from store.engine import Database
from store.migrations import migrate
from store.records import CallContext
from transports.app import make_server
from transports.connection import Limits
from transports.listeners import AudioSocketListener
from transports.web import AppServices

log = logging.getLogger(__name__)

STOP_S = 5.0  # for the calls to end, and for the ledger's last rows


class Worker:
    """Everything of one process that serves calls. `start` and `stop` run on its loop."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.http_port = self.audiosocket_port = 0
        self._stopped = False

    async def start(self) -> None:
        """Open the store, start the actors, listen. Raises `CallboardError` or `OSError` (an address is taken)."""
        settings, loop = self.settings, asyncio.get_running_loop()
        self.database = Database.from_settings(settings)
        await self.database.run(migrate, self.database)
        self.registry = Registry(settings.extra_providers)
        self.clock = MediaClock(loop, BatchedVad())
        self.clock.start()
        self.system = LoopSystem(loop)
        self._ledger = self.system.createActor(Ledger)
        self.system.tell(self._ledger, OpenLedger(Local(self.database)))
        self._switchboard = self.system.createActor(Switchboard)
        self._services = Local(Services(self.registry, self.clock, self._ledger))
        self._starting: set[asyncio.Task[None]] = set()
        await self._listen()
        gc.collect()
        gc.freeze()  # what lives as long as the process is not walked by every full collection

    async def _listen(self) -> None:
        settings = self.settings
        self._app = AppServices(settings, self.database, self._connect, self.clock, Limits.from_settings(settings))
        sockets = bind_sockets(settings.http.port, settings.http.host, reuse_port=True)
        self._http: HTTPServer = make_server(self._app)
        self._http.add_sockets(sockets)
        self.http_port = sockets[0].getsockname()[1]
        self._audiosocket = AudioSocketListener(self._app, settings.audiosocket.max_connections_per_peer)
        await self._audiosocket.start(settings.audiosocket.host, settings.audiosocket.port)
        self.audiosocket_port = self._audiosocket.port

    async def stop(self) -> None:
        """End the calls, write what they left, let go of everything. A second call does nothing."""
        if self._stopped:
            return
        self._stopped = True
        self._http.stop()
        await self._audiosocket.stop()
        for task in self._starting:
            task.cancel()
        await self._ask(self._switchboard, HangUpAll("shutdown"), "calls did not end")
        await self._ask(self._ledger, Flush(), "the ledger could not be written")
        await self.system.shutdown_async()
        self._app.cut_wires()
        await self._http.close_all_connections()
        self.clock.stop()
        await close_engines()
        self.database.close()

    async def _ask(self, address: ActorAddress, message: object, failure: str) -> None:
        try:
            await self.system.ask_async(address, message, STOP_S)
        except TimeoutError:
            log.error("%s within %.0f s", failure, STOP_S)

    def _connect(self, context: CallContext, wire: Wire) -> None:
        """A listener has a wire for this context: start the call as soon as its assistant is known."""
        task = asyncio.get_running_loop().create_task(self._start_call(context, wire))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _start_call(self, context: CallContext, wire: Wire) -> None:
        try:
            assistant = await self.database.run(
                self._app.assistants.get_version, context.assistant_id, context.assistant_version
            )
        except CallboardError as error:
            log.error("call %s: refused: %s: %s", context.id, error.code, error)
            wire.hang_up()
            return
        start = StartCall(context, assistant.config, Local(wire), self._services)
        self.system.tell(self._switchboard, start)

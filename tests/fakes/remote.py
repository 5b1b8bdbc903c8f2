"""What the fakes of remote providers share: a loopback server, what it was asked, and what it does wrong on script."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import orjson
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler


@dataclass
class Script:
    """What goes wrong with one connection (or one request, for HTTP); the default is: nothing.

    `after` counts what the fake's docstring says. A refusal comes instead of the WebSocket or the answer.
    """

    status: int = 0  # refuse with this HTTP status
    headers: dict[str, str] = field(default_factory=dict)  # of the refusal
    body: bytes = b""  # of the refusal
    never_upgrade: bool = False
    open_s: float = 0.0  # the handshake (or the answer) begins so late
    late_s: float = 0.0  # everything is said so late
    after: float = 0.0  # when what follows happens
    close: tuple[int, str] | None = None  # close code and reason
    drop: bool = False  # the socket is cut, without a close frame
    stall: bool = False  # nothing more is said
    stall_s: float = 0.0  # nothing is said for so long, then all of it
    half: bytes = b""  # the beginning of a frame (of the body, for HTTP), behind which the socket is cut
    message: str | bytes | None = None  # said out of turn: an error, or garbage
    split: int = 0  # write so many bytes at a time

    @property
    def acts(self) -> bool:
        ends = self.close or self.drop or self.stall or self.half
        return bool(ends or self.stall_s or self.message is not None)


class FakeProvider:
    """A server on a free loopback port; use it by `async with`. `scripts`: the next connections take one each; those
    without one take `usual`."""

    key = "a-test-key"

    def __init__(self) -> None:
        self.scripts: deque[Script] = deque()
        self.usual: dict[str, Any] = {}
        self.requests: list[dict[str, Any]] = []  # path, query, headers, as they came
        self.violations: list[str] = []  # of the protocol, by the client
        self.noise: tuple[bytes, ...] = ()  # events that carry nothing, said before each one that does
        self.open: set[Any] = set()  # handlers that are connected

    def routes(self) -> list[tuple[str, type[RequestHandler], dict[str, Any]]]:
        raise NotImplementedError

    async def __aenter__(self):
        self._server = HTTPServer(Application(self.routes(), websocket_max_message_size=1_048_576))
        sockets = bind_sockets(0, "127.0.0.1")
        self.port = sockets[0].getsockname()[1]
        self._server.add_sockets(sockets)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.stop()
        for handler in list(self.open):
            handler.drop()
        await self._server.close_all_connections()

    def script(self, **what: Any) -> None:
        self.scripts.append(Script(**what))

    def next_script(self) -> Script:
        return self.scripts.popleft() if self.scripts else Script(**self.usual)

    def record(self, request: Any) -> None:
        query = [(k, v.decode()) for k, values in request.query_arguments.items() for v in values]
        self.requests.append({"path": request.path, "query": query, "headers": dict(request.headers)})

    async def until(self, condition, timeout_s: float = 5.0) -> None:
        """Wait until the fake has seen what `condition()` looks for."""
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110 (what arrives at a fake is not announced)
                await asyncio.sleep(0.005)


class FakeSocket(WebSocketHandler):
    """One WebSocket of a fake: `on_text` and `on_audio` are the protocol, `say` speaks, `played` carries the script."""

    def initialize(self, fake: FakeProvider) -> None:
        self.fake = fake
        self.script = fake.next_script()
        self.silenced = self.ended = self.began = False
        self.free_s = 0.0  # of the loop's clock: nothing is said before
        self.waiting: deque[str | bytes] = deque()  # to be said then
        self.gone = asyncio.Event()
        self.close_code_seen: int | None = None

    async def get(self, *args: Any, **kwargs: Any) -> None:
        self.fake.record(self.request)
        if self.script.open_s:
            await asyncio.sleep(self.script.open_s)
        status, headers, body = self.refusal()
        if self.script.never_upgrade:
            self.fake.open.add(self)
            await self.gone.wait()
            self.fake.open.discard(self)
            return
        if status:
            self.set_status(status)
            for name, value in headers.items():
                self.set_header(name, value)
            await self.finish(body)
            return
        await super().get(*args, **kwargs)

    def refusal(self) -> tuple[int, dict[str, str], bytes]:
        return self.script.status, self.script.headers, self.script.body

    def check_origin(self, origin: str) -> bool:
        return True

    def open(self, *args: str, **kwargs: str) -> None:
        self.fake.open.add(self)
        self.began = True
        self.opened()
        self.play(0.0)

    def opened(self) -> None: ...

    def on_message(self, message: str | bytes) -> None:
        if self.silenced and self.script.stall:
            return
        if isinstance(message, bytes):
            self.on_audio(message)
        else:
            self.on_text(message)

    def on_text(self, message: str) -> None:
        raise NotImplementedError

    def on_audio(self, payload: bytes) -> None:
        self.violation("a binary message")

    def on_close(self) -> None:
        self.ended = True
        self.close_code_seen = self.close_code
        self.fake.open.discard(self)
        if self.began:
            self.left()

    def on_connection_close(self) -> None:
        self.gone.set()
        super().on_connection_close()

    def left(self) -> None: ...

    def say(self, message: dict[str, Any]) -> None:
        for noise in self.fake.noise:
            self.say_raw(noise)
        self.say_raw(orjson.dumps(message))

    def say_raw(self, payload: str | bytes) -> None:
        """Now, or as late as the script says; the order is kept."""
        loop = asyncio.get_running_loop()
        at_s = max(self.free_s, loop.time() + self.script.late_s)
        if at_s <= loop.time() and not self.waiting:
            self._write(payload)
            return
        self.waiting.append(payload)
        loop.call_at(at_s, lambda: self._write(self.waiting.popleft()))

    def _write(self, payload: str | bytes) -> None:
        if not self.silenced and not self.ended:
            try:
                self.write_message(payload, binary=False).add_done_callback(lambda future: future.exception())
            except WebSocketClosedError:
                self.ended = True

    def violation(self, text: str) -> None:
        self.fake.violations.append(text)

    def play(self, reached: float) -> None:
        """The connection has come to `reached` (in what `after` counts): is it time for the script?"""
        script = self.script
        if self.silenced or not script.acts or reached < script.after:
            return
        if script.message is not None:
            self.say_raw(script.message)
            script.message = None
        if script.close:
            self.close(*script.close)
        if script.half:
            self.ws_connection.stream.write(script.half)
        if script.drop or script.half:
            self.drop()
        if script.stall_s:
            self.free_s, script.stall_s = asyncio.get_running_loop().time() + script.stall_s, 0.0
        self.silenced = bool(script.close or script.drop or script.stall or script.half)

    def drop(self) -> None:
        stream = self.ws_connection.stream if self.ws_connection else self.request.connection.stream
        if stream is not None:
            stream.close()
        self.gone.set()

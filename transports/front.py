"""The HTTP server's front: connections are counted, and one that is not wanted any more gives its place up."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Awaitable, Iterable
from typing import Any

from tornado.http1connection import HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPConnection, HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine
from tornado.iostream import IOStream
from tornado.web import Application

from config.logging import peer_line
from transports.arrivals import Arrival, Arrivals

log = logging.getLogger(__name__)

AT_ONCE = 16  # connections accepted in one go; the loop's other work is not kept waiting for more
PAUSE_S = 0.1  # after an accept that failed for want of something: it would fail again at once
_SHORT_OF = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class FrontServer(HTTPServer):
    """Tornado's server; `arrivals` are the places of its connections, which other listeners may share."""

    def initialize(self, application: Application, *, arrivals: Arrivals, **options: Any) -> None:  # type: ignore[override]
        super().initialize(application, **options)
        self.arrivals = arrivals
        self._places: dict[IOStream, Arrival] = {}
        self._listening: dict[socket.socket, asyncio.TimerHandle | None] = {}

    # --- accepting: in place of Tornado's loop, which turns at full speed while there is no descriptor left ----------

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        for sock in sockets:
            self._listen(sock)

    def stop(self) -> None:
        """Take no more connections."""
        for sock, timer in self._listening.items():
            if timer is not None:
                timer.cancel()
            asyncio.get_running_loop().remove_reader(sock)
            sock.close()
        self._listening.clear()

    def _listen(self, sock: socket.socket) -> None:
        self._listening[sock] = None
        asyncio.get_running_loop().add_reader(sock, self._accept, sock)

    def _accept(self, sock: socket.socket) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, address = sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _SHORT_OF:
                    return self._pause(sock, error)
                continue  # the connection's own: it was gone before it was taken (accept(2))
            connection.setblocking(False)
            self.handle_stream(IOStream(connection, self.max_buffer_size, self.read_chunk_size), address)

    def _pause(self, sock: socket.socket, error: OSError) -> None:
        peer_line(log, "accept_failed", "", "no connection can be taken: %s", error.strerror, level=logging.ERROR)
        loop = asyncio.get_running_loop()
        loop.remove_reader(sock)
        self._listening[sock] = loop.call_later(PAUSE_S, self._listen, sock)

    # --- counting ----------------------------------------------------------------------------------------------------

    def handle_stream(self, stream: IOStream, address: Any) -> None:
        peer = address[0] if isinstance(address, tuple) else ""
        arrival = self.arrivals.admit(peer, stream.close)
        if arrival is None:
            peer_line(log, "too_many_connections", peer, "refused a connection: peer=%s too_many_connections", peer)
            return stream.close()
        self._places[stream] = arrival
        super().handle_stream(stream, address)

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        delegate = super().start_request(server_conn, request_conn)
        assert isinstance(server_conn, HTTP1ServerConnection)
        arrival = self._places.get(server_conn.stream)
        if arrival is None:  # its place was needed just now
            return delegate
        self.arrivals.idle(arrival)
        return _Noticed(delegate, self.arrivals, arrival)

    def on_close(self, server_conn: object) -> None:
        """Its last request was answered, or it was closed, or it was taken over by a call."""
        assert isinstance(server_conn, HTTP1ServerConnection)
        if (arrival := self._places.pop(server_conn.stream, None)) is not None:
            self.arrivals.leave(arrival)
        super().on_close(server_conn)


class _Noticed(HTTPMessageDelegate):
    """A request that makes its connection busy from its headers on."""

    def __init__(self, delegate: HTTPMessageDelegate, arrivals: Arrivals, arrival: Arrival) -> None:
        self._delegate, self._arrivals, self._arrival = delegate, arrivals, arrival

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        self._arrivals.busy(self._arrival)
        return self._delegate.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return self._delegate.data_received(chunk)

    def finish(self) -> None:
        self._delegate.finish()

    def on_connection_close(self) -> None:
        self._delegate.on_connection_close()

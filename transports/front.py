"""The HTTP server's front: connections are counted, and one that is not wanted any more gives its place up.

What Tornado does before it asks a handler is bounded here, too: a head's lines are counted before they are parsed
(2,700 short ones take 8 ms), and few heads and chunks are handled in a turn of the loop, which also plays audio.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from asyncio import Future
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from tornado.http1connection import HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPConnection, HTTPInputError, HTTPMessageDelegate
from tornado.iostream import IOStream, StreamClosedError, UnsatisfiableReadError
from tornado.web import Application

from config.logging import peer_line
from transports.arrivals import Arrival, Arrivals
from transports.requests import Turns

log = logging.getLogger(__name__)

AT_ONCE = 4  # connections accepted in one go: each costs 0.2-0.5 ms, with another that makes place for it
PAUSE_S = 0.1  # after an accept that failed for want of something: it would fail again at once
MOST_LINES = 100  # of a request's head: carriers and proxies send 10 to 40
TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
DRAINED_BYTES = 1 << 18  # of what came behind a head that is too long
MOST_CHUNKS = 256  # of a body
_SHORT_OF = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class FrontServer(HTTPServer):
    """Tornado's server; `arrivals` are the places of its connections, which other listeners may share."""

    def initialize(self, application: Application, *, arrivals: Arrivals, **options: Any) -> None:  # type: ignore[override]
        super().initialize(application, **options)
        self.arrivals = arrivals
        self.turns = Turns()
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
            self.handle_stream(PeerStream(connection, self.max_buffer_size, self.read_chunk_size), address)

    def _pause(self, sock: socket.socket, error: OSError) -> None:
        peer_line(log, "accept_failed", "", "no connection can be taken: %s", error.strerror, level=logging.ERROR)
        loop = asyncio.get_running_loop()
        loop.remove_reader(sock)
        self._listening[sock] = loop.call_later(PAUSE_S, self._listen, sock)

    # --- counting ----------------------------------------------------------------------------------------------------

    def handle_stream(self, stream: IOStream, address: Any) -> None:
        assert isinstance(stream, PeerStream)
        peer = address[0] if isinstance(address, tuple) else ""
        arrival = self.arrivals.admit(peer, stream.close)
        if arrival is None:
            peer_line(log, "too_many_connections", peer, "refused a connection: peer=%s too_many_connections", peer)
            return stream.close()
        stream.settle(arrival, self.arrivals, self.turns)
        super().handle_stream(stream, address)

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        assert isinstance(server_conn, HTTP1ServerConnection)
        self.arrivals.idle(_place(server_conn))
        return super().start_request(server_conn, request_conn)

    def on_close(self, server_conn: object) -> None:
        """Its last request was answered, or it was closed, or it was taken over by a call."""
        assert isinstance(server_conn, HTTP1ServerConnection)
        self.arrivals.leave(_place(server_conn))
        super().on_close(server_conn)


class PeerStream(IOStream):
    """A connection's stream: while it waits for its peer it is idle, whatever has come already; then it is busy."""

    def settle(self, arrival: Arrival, arrivals: Arrivals, turns: Turns) -> None:
        """It has got a place."""
        self.arrival, self._arrivals, self._turns = arrival, arrivals, turns
        self._chunks = 0

    def read_until_regex(self, regex: bytes, max_bytes: int | None = None) -> Future[bytes]:
        """A request's head. Raises `HTTPInputError`."""
        most = max_bytes and 2 * max_bytes  # so that one that is somewhat too long is read, and its peer our answer
        read = asyncio.ensure_future(super().read_until_regex(regex, most))
        return asyncio.ensure_future(self._head(read, max_bytes))

    def read_until(self, delimiter: bytes, max_bytes: int | None = None) -> Future[bytes]:
        """A chunk's line. Raises `HTTPInputError`."""
        return asyncio.ensure_future(self._chunk(asyncio.ensure_future(super().read_until(delimiter, max_bytes))))

    def read_bytes(self, num_bytes: int, partial: bool = False) -> Future[bytes]:
        return self._waiting(asyncio.ensure_future(super().read_bytes(num_bytes, partial)))

    def close(self, exc_info: Any = False) -> None:
        """Of a head without an end its peer is told, if it reads that: what it has sent would reset the connection."""
        if isinstance(exc_info, UnsatisfiableReadError) and not self.closed():
            with suppress(OSError):
                self.socket.send(TOO_LONG)
                self.socket.shutdown(socket.SHUT_WR)
                self.socket.recv(DRAINED_BYTES)
        super().close(exc_info)

    async def _head(self, read: Future[bytes], max_bytes: int | None) -> bytes:
        head = await read
        await self._turn()
        self._heard(read)
        if max_bytes and len(head) > max_bytes:
            await self.write(TOO_LONG)
            self.close()
            raise StreamClosedError
        if head.count(b"\n") > MOST_LINES:
            raise HTTPInputError(f"a head of more than {MOST_LINES} lines")
        self._chunks = 0
        return head

    async def _chunk(self, read: Future[bytes]) -> bytes:
        line = await self._waiting(read)
        await self._turn()
        self._chunks += 1
        if self._chunks > MOST_CHUNKS:
            raise HTTPInputError(f"a body of more than {MOST_CHUNKS} chunks")
        return line

    async def _turn(self) -> None:
        """Who has gone, or gave its place up meanwhile, is not served any more."""
        await self._turns.take(self.arrival.peer)
        if self.closed():
            raise StreamClosedError

    def _waiting(self, read: Future[bytes]) -> Future[bytes]:
        if not read.done():
            self._arrivals.idle(self.arrival)
            read.add_done_callback(self._heard)
        return read

    def _heard(self, _: Future[bytes]) -> None:
        self._arrivals.busy(self.arrival)


def _place(connection: HTTP1ServerConnection) -> Arrival:
    assert isinstance(connection.stream, PeerStream)
    return connection.stream.arrival

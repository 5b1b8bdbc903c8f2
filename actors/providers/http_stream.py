"""A keep-alive HTTP/1.1 client for answers that stream: server-sent events from a language model.

Tornado's own AsyncHTTPClient opens a connection for every request, and goes on receiving (and paying for) tokens after
a cancel. This one, on the same `HTTP1Connection`, keeps its connections, and a cancelled request closes its socket.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine
from tornado.iostream import IOStream, SSLIOStream, StreamClosedError

from actors.errors import ProviderError
from actors.providers.remote import CONNECT_S, refused, tls_context

HEADERS_S = 30.0  # an answer that has not begun by then never will; a call gives up long before
IDLE_S = 60.0  # what was idle for longer may have been forgotten by something on the way
MAX_EVENT_BYTES = 1_048_576
MAX_BODY_BYTES = 67_108_864
_REFUSAL_BYTES = 4096

Refusal = Callable[[int, str], ProviderError]


class EventReader:
    """Cuts a stream into server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._data_bytes = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The `data` of every event that is complete now. Raises `ValueError` for one without an end."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        events = []
        for line in lines:
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
                self._data_bytes += len(line)
            elif not line and self._data:
                events.append(b"\n".join(self._data))
                self._data, self._data_bytes = [], 0
        if len(self._rest) + self._data_bytes > MAX_EVENT_BYTES:
            raise ValueError(f"an event of more than {MAX_EVENT_BYTES} bytes")
        return events


class HttpClient:
    """The connections of one worker to one `base_url`.

    Sessions share it: each one takes it by `http_client` and gives it back by `release`; the last one closes what is
    idle. At most one connection per session is kept.
    """

    def __init__(self, provider: str, base_url: str, forget: Callable[[], None]) -> None:
        parts = urlsplit(base_url)
        self._provider, self._forget = provider, forget
        self._host, self._netloc, self._path = parts.hostname or "", parts.netloc, parts.path
        self._tls = tls_context() if parts.scheme in ("https", "wss") else None
        self._port = parts.port or (443 if self._tls else 80)
        self._idle: list[tuple[IOStream, float]] = []  # with the time since when, oldest first
        self._sessions = 0

    def acquire(self) -> HttpClient:
        self._sessions += 1
        return self

    def release(self) -> None:
        self._sessions -= 1
        while len(self._idle) > self._sessions:
            self._idle.pop(0)[0].close()
        if not self._sessions:
            self._forget()

    async def warm(self) -> None:
        """Have a connection ready. Raises `ProviderError`."""
        if not self._idle:
            self._keep(await self._connect())

    async def post(
        self,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        on_data: Callable[[bytes], None],
        refusal: Refusal | None = None,
    ) -> None:
        """Returns when the answer is complete; `on_data` takes its body as it comes.

        A status other than 200 raises what `refusal(status, body)` makes of it. Raises `ProviderError`; a body that is
        cut off raises it too, but a server that marks no end (HTTP/1.0) leaves that to the caller.
        """
        request = RequestStartLine("POST", self._path + path, "")
        fields = HTTPHeaders({"Host": self._netloc, "Content-Length": str(len(body)), **headers})
        answer = _Answer(on_data)
        while not answer.complete:
            stream, reused = await self._take()
            try:
                await self._exchange(stream, request, fields, body, answer)
            except StreamClosedError:
                if answer.status or not reused:  # else the server has closed an idle connection: once more
                    raise self._failure(answer, "closed the connection before it answered") from None
            else:
                if answer.error or not answer.complete:
                    raise self._failure(answer, f"no answer in HTTP within {HEADERS_S:.0f} s")
        if answer.status != 200:
            text = answer.refusal.decode("utf-8", "replace")
            raise refusal(answer.status, text) if refusal else refused(self._provider, answer.status, text)

    async def _exchange(
        self, stream: IOStream, request: RequestStartLine, headers: HTTPHeaders, body: bytes, answer: _Answer
    ) -> None:
        answer.abort = stream.close
        keep = False
        try:
            connection = HTTP1Connection(stream, True, _PARAMETERS)
            connection.write_headers(request, headers, body)
            connection.finish()
            await connection.read_response(answer)
            keep = answer.complete and answer.keeps_connection
        finally:
            if keep:
                self._keep(stream)
            else:
                stream.close()

    def _failure(self, answer: _Answer, unanswered: str) -> ProviderError:
        if isinstance(answer.error, ProviderError):
            return answer.error
        if answer.error:
            return ProviderError(self._provider, f"sent an event that makes no sense ({type(answer.error).__name__})")
        return ProviderError(self._provider, "broke off its answer" if answer.status else unanswered)

    # --- connections ----------------------------------------------------------------------------------------------

    async def _take(self) -> tuple[IOStream, bool]:
        """A connection, and whether it was used before: the one that was idle for the shortest time."""
        while self._idle:
            stream, since_s = self._idle.pop()
            stream.set_close_callback(None)
            if not stream.closed() and _now() - since_s < IDLE_S:
                return stream, True
            stream.close()
        return await self._connect(), False

    async def _connect(self) -> IOStream:
        try:
            async with asyncio.timeout(CONNECT_S):
                return await self._connect_any()
        except OSError as error:  # TimeoutError, StreamClosedError and ssl.SSLError are OSErrors
            cause = getattr(error, "real_error", None) or error
            text = f"cannot be reached: {cause or type(cause).__name__}"
            raise ProviderError(self._provider, text) from None

    async def _connect_any(self) -> IOStream:
        failure = OSError("no address")
        infos = await asyncio.get_running_loop().getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, address in infos:
            made = socket.socket(family, kind, protocol)
            stream = SSLIOStream(made, ssl_options=self._tls) if self._tls else IOStream(made)
            try:
                await stream.connect(address, server_hostname=self._host)
                stream.set_nodelay(True)
                return stream
            except OSError as error:
                failure = error
                stream.close()
            except BaseException:
                stream.close()
                raise
        raise failure

    def _keep(self, stream: IOStream) -> None:
        if stream.closed() or len(self._idle) >= self._sessions:
            stream.close()
            return
        entry = (stream, _now())
        self._idle.append(entry)
        stream.set_close_callback(lambda: self._idle.remove(entry) if entry in self._idle else None)


class _Answer(HTTPMessageDelegate):
    """One response, as Tornado reads it. It must not raise: Tornado would log a traceback."""

    def __init__(self, on_data: Callable[[bytes], None]) -> None:
        self._on_data = on_data
        self.status = 0
        self.keeps_connection = self.complete = False
        self.abort: Callable[[], None] = lambda: None  # closes the connection
        self.refusal = b""
        self.error: Exception | None = None

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        assert isinstance(start_line, ResponseStartLine)
        self.status = start_line.code
        wish = headers.get("Connection", "").lower()
        self.keeps_connection = wish != "close" and (start_line.version == "HTTP/1.1" or wish == "keep-alive")
        self.keeps_connection &= "Content-Length" in headers or "Transfer-Encoding" in headers

    def data_received(self, chunk: bytes) -> None:
        if self.status != 200:
            self.refusal = (self.refusal + chunk)[:_REFUSAL_BYTES]
        elif self.error is None:
            try:
                self._on_data(chunk)
            except Exception as error:
                self.error = error
                self.abort()

    def finish(self) -> None:
        self.complete = True


_PARAMETERS = HTTP1ConnectionParameters(header_timeout=HEADERS_S, max_body_size=MAX_BODY_BYTES)
_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], HttpClient]] = WeakKeyDictionary()


def http_client(provider: str, base_url: str) -> HttpClient:
    """The client that this loop's sessions share for this address; give it back by `release`."""
    clients = _clients.setdefault(asyncio.get_running_loop(), {})
    where = (provider, base_url)
    if where not in clients:
        clients[where] = HttpClient(provider, base_url, lambda: clients.__delitem__(where))
    return clients[where].acquire()


def _now() -> float:
    return asyncio.get_running_loop().time()

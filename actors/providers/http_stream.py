"""A keep-alive HTTP/1.1 client for answers that stream: server-sent events from a language model.

Tornado's own AsyncHTTPClient opens a connection for every request, and goes on receiving (and paying for) tokens after
a cancel. This one keeps its connections, and a cancelled request closes its socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from actors.errors import ProviderError
from actors.providers.http_answer import HttpAnswer
from actors.providers.remote import CONNECT_S, refused, retry_after_s, tls_context

HEADERS_S = 30.0  # an answer that has not begun by then never will; a call gives up long before
IDLE_S = 60.0  # what was idle for longer may have been forgotten by something on the way

Refusal = Callable[[int, str, float], ProviderError]


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
        self._idle: list[_Connection] = []  # the one that was used last at the end
        self._sessions = 0

    def acquire(self) -> HttpClient:
        self._sessions += 1
        return self

    def release(self) -> None:
        self._sessions -= 1
        while len(self._idle) > self._sessions:
            self._idle.pop(0).close()
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
    ) -> bool:
        """Returns when the answer is complete; `on_data` takes its body as it comes.

        A status other than 200 raises what `refusal(status, body, retry_after_s)` makes of it. Raises `ProviderError`;
        a body that is cut off raises it too. False: it marked no end (HTTP/1.0), so nobody knows whether it was.
        """
        answer = await self._answer_to(self._request(path, headers, body), on_data)
        if answer.status != 200:
            text, wait_s = answer.refusal.decode("utf-8", "replace"), retry_after_s(answer.headers)
            if refusal:
                raise refusal(answer.status, text, wait_s)
            raise refused(self._provider, answer.status, text, retry_after_s=wait_s, of_request=True)
        return answer.framed

    def _request(self, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        fields = {"Host": self._netloc, "Content-Length": len(body), **headers}
        lines = (f"{name}: {value}\r\n" for name, value in fields.items())
        return f"POST {self._path}{path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode() + body

    async def _answer_to(self, request: bytes, on_data: Callable[[bytes], None]) -> HttpAnswer:
        while True:
            connection = self._take() or await self._connect()
            answer = HttpAnswer(self._provider, on_data)
            try:
                await connection.exchange(request, answer)
                return answer
            except ConnectionError:
                if not connection.reused:  # else the server has closed an idle connection: once more
                    raise ProviderError(self._provider, "closed the connection before it answered") from None
            except TimeoutError:
                raise ProviderError(self._provider, f"no answer within {HEADERS_S:.0f} s") from None
            finally:
                answer.release()
                self._leave(connection, answer)

    # --- connections ----------------------------------------------------------------------------------------------

    def _take(self) -> _Connection | None:
        """The one that was idle for the shortest time."""
        while self._idle:
            connection = self._idle.pop()
            if _now() - connection.idle_since_s < IDLE_S:
                connection.reused = True
                return connection
            connection.close()
        return None

    async def _connect(self) -> _Connection:
        try:
            async with asyncio.timeout(CONNECT_S):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: _Connection(self._lost),
                    self._host,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls else None,
                )
                return connection
        except (OSError, UnicodeError) as error:  # TimeoutError and ssl.SSLError are OSErrors
            text = f"cannot be reached: {str(error) or type(error).__name__}"
            raise ProviderError(self._provider, text) from None

    def _leave(self, connection: _Connection, answer: HttpAnswer) -> None:
        if answer.keeps_connection and connection.all_sent:
            self._keep(connection)
        else:
            connection.close()

    def _keep(self, connection: _Connection) -> None:
        if not connection.usable or len(self._idle) >= self._sessions:
            connection.close()
            return
        connection.idle_since_s = _now()
        self._idle.append(connection)

    def _lost(self, connection: _Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)


class _Connection(asyncio.Protocol):
    """One connection, and the answer that it owes, if any. What comes unasked ends it."""

    def __init__(self, on_lost: Callable[[_Connection], None]) -> None:
        self._on_lost = on_lost
        self._transport: asyncio.Transport
        self._answer: HttpAnswer | None = None
        self._over: asyncio.Future[None]
        self.reused = False
        self.idle_since_s = 0.0

    @property
    def usable(self) -> bool:
        return not self._transport.is_closing()

    @property
    def all_sent(self) -> bool:
        """An answer may come before all of the request was taken: such a connection is of no more use."""
        return not self._transport.get_write_buffer_size()

    def close(self) -> None:
        self._transport.abort()

    async def exchange(self, request: bytes, answer: HttpAnswer) -> None:
        """Returns when the answer is complete.

        Raises `ProviderError`, `ConnectionError` where the connection ends before it, and `TimeoutError`.
        """
        if not self.usable:
            raise ConnectionResetError
        loop = asyncio.get_running_loop()
        self._answer, self._over = answer, loop.create_future()
        late = loop.call_later(HEADERS_S, self._on_late)
        self._transport.write(request)
        try:
            await self._over
        finally:
            late.cancel()
            self._answer = None
            del self._over  # its error knows this frame

    def _on_late(self) -> None:
        if self._answer and not self._answer.status:
            self._settle(TimeoutError())

    def _settle(self, error: Exception | None = None) -> None:
        self._answer = None
        if self._over.done():  # cancelled
            return
        if error:
            self._over.set_exception(error)
        else:
            self._over.set_result(None)

    # --- what the loop calls --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:
            self.close()
            return
        try:
            answer.receive(data)
        except ProviderError as error:
            self._settle(error)
        else:
            if answer.complete:
                self._settle()

    def connection_lost(self, error: Exception | None) -> None:
        self._on_lost(self)
        if self._answer is None:
            return
        try:
            self._answer.end()
        except (ProviderError, ConnectionError) as failure:
            self._settle(failure)
        else:
            self._settle()


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

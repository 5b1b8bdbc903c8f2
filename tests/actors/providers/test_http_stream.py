"""The streaming HTTP client against a server that does what it is told, on real sockets."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from actors.errors import ProviderError, Remedy
from actors.providers import http_answer, http_stream
from actors.providers.http_stream import HttpClient, http_client

PEM = Path(__file__).with_name("localhost.pem")
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWER = HEAD + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
HELLO = b"hello world"


@dataclass
class Reply:
    """To one request: `data`, in pieces of `split` bytes if that is given; then the connection is closed, or not."""

    data: bytes = b""
    close: bool = False
    split: int = 0
    reads: bool = True  # all of the request before it answers; else it never reads on


class Peer:
    """A server on 127.0.0.1 that gives the `replies` in turn, then `ANSWER`s."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = deque(replies)
        self.requests: list[bytes] = []
        self.accepted = 0
        self.used: list[int] = []  # which connection each request came on
        self.open: set[asyncio.StreamWriter] = set()
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Peer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls())
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        for writer in self.open:
            writer.transport.abort()
        await self.until(lambda: not self.open)

    def _tls(self) -> ssl.SSLContext | None:
        return None

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        number = self.accepted
        self.open.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                reply = self.replies.popleft() if self.replies else Reply(ANSWER)
                size = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
                self.requests.append(head + (await reader.readexactly(size) if reply.reads else b""))
                self.used.append(number)
                self._changed.set()
                await self._say(writer, reply)
                if reply.close:
                    break
                if not reply.reads:
                    await writer.wait_closed()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.open.discard(writer)
            self._changed.set()

    async def _say(self, writer: asyncio.StreamWriter, reply: Reply) -> None:
        size = reply.split or len(reply.data) or 1
        for start in range(0, len(reply.data), size):
            writer.write(reply.data[start : start + size])
            await writer.drain()
            await asyncio.sleep(0)


class TlsPeer(Peer):
    """The same over TLS, as `localhost`."""

    async def __aenter__(self) -> Peer:
        await super().__aenter__()
        self.url = f"https://localhost:{self.port}/v1"
        return self

    def _tls(self) -> ssl.SSLContext:
        self.names: list[str | None] = []  # that were asked for (SNI)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(PEM)
        context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        return context


@pytest.fixture
async def peer():
    async with Peer() as peer:
        yield peer


@pytest.fixture
async def make():
    """Clients of two sessions each."""
    made: list[HttpClient] = []

    def make(peer: Peer, url: str = "") -> HttpClient:
        client = http_client("someone", url or peer.url)
        made.extend((client, client.acquire()))
        return client

    yield make
    for client in made:
        client.release()


@pytest.fixture
async def client(make, peer) -> HttpClient:
    return make(peer)


async def post(client: HttpClient, body: bytes = b"{}") -> bytes:
    pieces: list[bytes] = []
    await client.post("/chat", {"X-Key": "k"}, body, pieces.append)
    return b"".join(pieces)


async def test_a_request_and_its_answer(client, peer):
    assert await post(client, b'{"a":1}') == HELLO
    assert peer.requests == [
        b"POST /v1/chat HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 7\r\nX-Key: k\r\n\r\n" % peer.port
        + b'{"a":1}'
    ]


@pytest.mark.parametrize("split", [1, 7])
async def test_a_server_that_dribbles(client, peer, split):
    peer.replies.append(Reply(ANSWER, split=split))
    assert await post(client) == HELLO
    assert await post(client) == HELLO
    assert peer.accepted == 1


async def test_a_connection_is_kept_and_used_again(client, peer):
    await client.warm()
    await client.warm()
    for _ in range(3):
        assert await post(client) == HELLO
    assert peer.accepted == 1


async def test_the_connection_that_was_used_last_is_used_next(client, peer):
    peer.replies.extend([Reply(HEAD), Reply(ANSWER), Reply(ANSWER)])
    first = asyncio.create_task(post(client))
    await peer.until(lambda: len(peer.requests) == 1)
    (writer,) = peer.open
    await post(client)  # on a second connection, which is idle for longer
    writer.write(b"0\r\n\r\n")
    await first
    assert await post(client) == await post(client) == HELLO
    assert peer.used == [1, 2, 1, 1]


async def test_no_more_connections_are_kept_than_there_are_sessions(client, peer):
    peer.replies.extend([Reply(HEAD)] * 3)
    posts = [asyncio.create_task(post(client)) for _ in range(3)]
    await peer.until(lambda: len(peer.requests) == 3)
    for writer in peer.open:
        writer.write(b"0\r\n\r\n")
    await asyncio.gather(*posts)
    await peer.until(lambda: len(peer.open) == 2)


async def test_the_last_session_closes_what_is_kept(peer):
    client = http_client("someone", peer.url)
    await post(client)
    assert http_client("someone", peer.url) is client
    client.release()
    assert len(peer.open) == 1
    client.release()
    await peer.until(lambda: not peer.open)


async def test_what_was_idle_for_long_is_not_used(client, peer, monkeypatch):
    await post(client)
    monkeypatch.setattr(http_stream, "IDLE_S", 0.0)
    assert await post(client) == HELLO
    await peer.until(lambda: peer.accepted == 2 and len(peer.open) == 1)


async def test_a_question_is_repeated_when_the_kept_connection_was_just_closed(client, peer):
    peer.replies.extend([Reply(ANSWER), Reply(close=True), Reply(ANSWER)])
    assert [await post(client), await post(client)] == [HELLO, HELLO]
    assert len(peer.requests) == 3 and peer.accepted == 2


async def test_a_kept_connection_that_is_seen_to_close_is_forgotten(client, peer):
    await post(client)
    for writer in peer.open:
        writer.close()
    async with asyncio.timeout(10):
        while peer.accepted < 2:
            await client.warm()
            await asyncio.sleep(0)
    assert await post(client) == HELLO
    assert len(peer.requests) == 2 and peer.accepted == 2


async def test_a_new_connection_that_answers_nothing_is_not_tried_again(client, peer):
    peer.replies.append(Reply(close=True))
    with pytest.raises(ProviderError, match="closed the connection before it answered") as caught:
        await post(client)
    assert caught.value.remedy is Remedy.RETRY and len(peer.requests) == 1


async def test_a_server_that_closes_what_it_accepts(make, peer):
    async with await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0) as server:
        with pytest.raises(ProviderError, match="closed the connection before it answered"):
            await post(make(peer, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))


@pytest.mark.parametrize("cut", [1, 20, len(HEAD), len(HEAD) + 7, len(ANSWER) - 1])
@pytest.mark.parametrize("kept", [False, True])
async def test_an_answer_that_is_broken_off(client, peer, cut, kept, caplog):
    if kept:
        await client.warm()
        assert await post(client) == HELLO
    peer.replies.append(Reply(ANSWER[:cut], close=True))
    with pytest.raises(ProviderError, match="broke off its answer"):
        await post(client)
    assert len(peer.requests) == 1 + kept
    assert not caplog.records


@pytest.mark.parametrize("garbage", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\0" * 100_000, HEAD + b"no number\r\n"])
async def test_garbage(client, peer, garbage, caplog):
    peer.replies.append(Reply(garbage))
    with pytest.raises(ProviderError, match="sent what is not HTTP"):
        await post(client)
    await peer.until(lambda: not peer.open)
    assert await post(client) == HELLO
    assert not caplog.records


async def test_a_flood_of_headers(client, peer):
    peer.replies.append(Reply(b"HTTP/1.1 200 OK\r\n" + b"X-More: and more\r\n" * 100_000))
    with pytest.raises(ProviderError, match="bytes of headers"):
        await post(client)
    await peer.until(lambda: not peer.open)


async def test_a_body_that_is_too_long(client, peer, monkeypatch):
    monkeypatch.setattr(http_answer, "MAX_BODY_BYTES", 10)
    with pytest.raises(ProviderError, match="more than 10 bytes"):
        await post(client)
    await peer.until(lambda: not peer.open)


@pytest.mark.parametrize("more", [ANSWER, b"garbage", b"HTTP/1.1 408 Request Timeout\r\n\r\n"])
async def test_more_than_one_answer_ends_the_connection(client, peer, more):
    peer.replies.append(Reply(ANSWER + more))
    assert await post(client) == HELLO
    await peer.until(lambda: not peer.open)
    assert await post(client) == HELLO
    assert peer.accepted == 2


async def test_what_comes_unasked_ends_a_kept_connection(client, peer):
    assert await post(client) == HELLO
    for writer in peer.open:
        writer.write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
    await peer.until(lambda: not peer.open)
    assert await post(client) == HELLO


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.0 200 OK\r\n\r\nhello world",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello world",
        b"HTTP/1.0 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
    ],
)
async def test_the_end_of_the_connection_ends_an_answer(client, peer, data):
    peer.replies.append(Reply(data, close=True))
    assert await post(client) == HELLO
    assert await post(client) == HELLO
    assert peer.accepted == 2


@pytest.mark.parametrize(
    ("data", "status", "text"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Slow\r\nContent-Length: 4\r\n\r\nslow", 429, "slow"),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000, 500, "x" * 4096),
    ],
)
async def test_another_status_is_a_refusal_and_keeps_the_connection(client, peer, data, status, text):
    refusals = []

    def refuse(status: int, text: str, retry_after_s: float) -> ProviderError:
        refusals.append((status, text))
        return ProviderError("someone", "refused")

    peer.replies.append(Reply(data))
    with pytest.raises(ProviderError, match="refused"):
        await client.post("/chat", {}, b"", lambda data: None, refuse)
    assert refusals == [(status, text)]
    assert await post(client) == HELLO
    assert peer.accepted == 1


async def test_an_early_refusal_of_a_large_question(client, peer):
    peer.replies.append(Reply(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig", reads=False))
    with pytest.raises(ProviderError, match="answered 413: big"):
        await post(client, bytes(50_000_000))
    assert await post(client) == HELLO
    assert peer.accepted == 2


async def test_headers_that_do_not_come(client, peer, monkeypatch):
    monkeypatch.setattr(http_stream, "HEADERS_S", 0.05)
    peer.replies.append(Reply(ANSWER[:20]))
    with pytest.raises(ProviderError, match="no answer within"):
        await post(client)
    await peer.until(lambda: not peer.open)


async def test_an_answer_that_has_begun_may_take_its_time(client, peer, monkeypatch):
    monkeypatch.setattr(http_stream, "HEADERS_S", 1.0)
    peer.replies.append(Reply(HEAD))
    answer = asyncio.create_task(post(client))
    done, _ = await asyncio.wait([answer], timeout=1.2)
    assert not done
    for writer in peer.open:
        writer.write(ANSWER.removeprefix(HEAD))
    assert await answer == HELLO


@pytest.mark.parametrize("sent", [0, 20, len(HEAD) + 8])
async def test_a_cancel_closes_the_socket(client, peer, sent):
    peer.replies.append(Reply(ANSWER[:sent]))
    answer = asyncio.create_task(post(client))
    await peer.until(lambda: bool(peer.requests))
    answer.cancel()
    await peer.until(lambda: not peer.open)
    assert answer.cancelled()
    assert await post(client) == HELLO


async def test_a_reader_that_refuses_closes_the_socket(client, peer):
    def refuse(data: bytes) -> None:
        raise KeyError("choices")

    peer.replies.append(Reply(ANSWER[:-5]))
    with pytest.raises(ProviderError, match=r"an event that makes no sense \(KeyError"):
        await client.post("/chat", {}, b"", refuse)
    await peer.until(lambda: not peer.open)


@pytest.mark.parametrize("host", ["a..b", f"{'a' * 64}.example"])
async def test_a_name_that_is_no_name(make, peer, host):
    with pytest.raises(ProviderError, match=r"cannot be reached: ."):
        await make(peer, f"http://{host}/v1").warm()


async def test_a_handshake_that_is_not_answered(make, peer, monkeypatch):
    monkeypatch.setattr(http_stream, "CONNECT_S", 0.05)
    with pytest.raises(ProviderError, match="cannot be reached: TimeoutError"):
        await make(peer, peer.url.replace("http", "https")).warm()
    await peer.until(lambda: not peer.open)


# --- TLS ---------------------------------------------------------------------------------------------------------


async def test_over_tls(make, monkeypatch):
    monkeypatch.setattr(http_stream, "tls_context", lambda: ssl.create_default_context(cafile=PEM))
    async with TlsPeer(Reply(ANSWER, split=5), Reply(ANSWER[:-8]), Reply(ANSWER[:-8], close=True)) as peer:
        client = make(peer)
        await client.warm()
        assert await post(client) == HELLO
        answer = asyncio.create_task(post(client))
        await peer.until(lambda: len(peer.requests) == 2)
        answer.cancel()
        await peer.until(lambda: not peer.open)
        with pytest.raises(ProviderError, match="broke off its answer"):
            await post(client)
        assert peer.names == ["localhost"] * 2


@pytest.mark.parametrize(("host", "trusted"), [("127.0.0.1", True), ("localhost", False)])
async def test_a_certificate_that_proves_nothing(make, monkeypatch, host, trusted):
    context = ssl.create_default_context(cafile=PEM if trusted else None)
    monkeypatch.setattr(http_stream, "tls_context", lambda: context)
    async with TlsPeer() as peer:
        client = make(peer, f"https://{host}:{peer.port}")
        with pytest.raises(ProviderError, match=r"cannot be reached: .*CERTIFICATE_VERIFY_FAILED"):
            await post(client)
        assert not peer.requests

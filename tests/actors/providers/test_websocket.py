"""The WebSocket client on which the speech providers stand."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from typing import Any

import pytest

from actors.errors import ProviderError, ProviderStalled, Remedy
from actors.providers import websocket
from actors.providers.events import MOST_SENSELESS, LifeSigns
from actors.providers.websocket import WebSocketClient
from tests.fakes.emitted import Emitted
from tests.fakes.remote import FakeProvider, FakeSocket


class Echo(FakeSocket):
    """Says everything back; `received` keeps it."""

    fake: EchoServer

    def on_text(self, message: str) -> None:
        self.fake.received.append(message)
        self.say_raw(message)

    def on_audio(self, payload: bytes) -> None:
        self.fake.received.append(payload)
        self.play(len(payload))


class EchoServer(FakeProvider):
    def __init__(self) -> None:
        super().__init__()
        self.received: list[str | bytes] = []

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"

    def routes(self):
        return [("/", Echo, {"fake": self})]


class Heard:
    """What the client calls."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.failures: asyncio.Queue[ProviderError] = asyncio.Queue()
        self.emitted = Emitted()

    def client(self, on_event: Any = None, **options: Any) -> WebSocketClient:
        take = on_event or self.events.put_nowait
        return WebSocketClient("echo", take, LifeSigns(self.emitted), self.failures.put_nowait, **options)


@pytest.fixture
async def server():
    async with EchoServer() as server:
        yield server


async def test_messages_go_and_come_in_order(server):
    heard = Heard()
    client = heard.client()
    client.send('{"n":1}')
    await client.open(server.url, {"X-One": "1"})
    client.send(b"\x00\x01")
    client.send('{"n":2}')
    assert [await heard.events.get() for _ in range(2)] == [{"n": 1}, {"n": 2}]
    assert heard.emitted.alive
    assert server.received == ['{"n":1}', b"\x00\x01", '{"n":2}']
    assert server.requests[0]["headers"]["X-One"] == "1"
    client.close()
    await server.until(lambda: not server.open)


async def test_the_last_message_arrives(server):
    client = Heard().client()
    await client.open(server.url, {})
    client.close(last="bye")
    client.close()
    client.send("never")
    await server.until(lambda: server.received == ["bye"])


async def test_a_peer_that_does_not_close_is_left_behind(server, monkeypatch):
    monkeypatch.setattr(websocket, "CLOSING_S", 0.05)
    client = Heard().client()
    await client.open(server.url, {})
    client.close(last="bye")  # the echo server does not close at this
    await server.until(lambda: not server.open)


async def test_a_message_in_several_frames_is_one(server):
    """Tornado does not send fragments: a hand-made peer does."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _upgrade(reader, writer)
        writer.write(b'\x01\x03{"n' + b"\x89\x00" + b'\x00\x03":1' + b"\x80\x022}")
        await reader.read()
        writer.close()

    heard = Heard()
    async with _raw(serve) as url:
        client = heard.client()
        await client.open(url, {})
        assert await heard.events.get() == {"n": 12}
        client.close()


@pytest.mark.parametrize(
    ("frames", "text"),
    [
        (b"\x82\x01x" * MOST_SENSELESS, "no sense .a binary message"),
        (b"\x81\x7f" + (1 << 40).to_bytes(8, "big"), "close|lost|cannot"),
        (b"\x01\x7f" + (3_000_000).to_bytes(8, "big") + bytes(3_000_000)
         + b"\x00\x7f" + (3_000_000).to_bytes(8, "big") + bytes(3_000_000), "more than"),
        (b"\x89\x00" * 11_000, "more than 2000 frames a second"),
        (b"\x00\x00" * 11_000, "more than 2000 frames a second"),
        (b"\x81\x02{}" * 11_000, "more than 2000 (frames|events) a second"),
        ((b"\x82\x7f" + (4_000_000).to_bytes(8, "big") + bytes(4_000_000)) * 10, "more than 8388608 bytes a second"),
        (b"\x83\x00", "close|lost"),
    ],
)  # fmt: skip
async def test_frames_that_must_not_be(frames, text):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _upgrade(reader, writer)
        writer.write(frames)
        await reader.read()
        writer.close()

    heard = Heard()
    async with _raw(serve) as url:
        client = heard.client()
        await client.open(url, {})
        error = await asyncio.wait_for(heard.failures.get(), 5)
        assert re.search(text, str(error)), error
        assert error.remedy is Remedy.RETRY
        client.close()


async def test_what_a_binary_message_is_cut_into_is_passed_over(server):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _upgrade(reader, writer)
        writer.write(b"\x02\x01x" + b'\x00\x05{"n":' + b"\x80\x020}" + b'\x81\x07{"n":1}')
        await reader.read()
        writer.close()

    heard = Heard()
    async with _raw(serve) as url:
        client = heard.client()
        await client.open(url, {})
        assert await heard.events.get() == {"n": 1}
        client.close()


async def test_a_ping_is_answered_and_a_sign_of_life(server):
    pong = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _upgrade(reader, writer)
        writer.write(b"\x89\x02hi")
        pong.set_result(await reader.readexactly(2 + 4 + 2))
        await reader.read()
        writer.close()

    heard = Heard()
    async with _raw(serve) as url:
        client = heard.client()
        await client.open(url, {})
        answer = await asyncio.wait_for(pong, 5)
        assert answer[:2] == b"\x8a\x82" and heard.emitted.alive
        client.close()


async def test_what_makes_no_sense_is_passed_over_until_nothing_else_comes(server, caplog):
    def explode(event: dict[str, Any]) -> None:
        if "n" not in event:
            raise KeyError("type")
        heard.events.put_nowait(event)

    heard = Heard()
    client = heard.client(explode)
    await client.open(server.url, {})
    for _ in range(MOST_SENSELESS - 1):
        client.send("{}")
    client.send('{"n":1}')
    assert await heard.events.get() == {"n": 1}
    for _ in range(MOST_SENSELESS):
        client.send("{}")
    assert "no sense (KeyError)" in str(await heard.failures.get())
    client.send("nothing more goes out")
    await server.until(lambda: not server.open)
    assert "nothing more goes out" not in server.received
    assert not caplog.records


async def test_it_fails_once(server):
    def refuse(event: dict[str, Any]) -> None:
        raise ProviderError("echo", "refused")

    server.script(after=1, close=(1011, "over"), message="{}")
    heard = Heard()
    client = heard.client(refuse)
    await client.open(server.url, {})
    client.send(b"x")
    assert "refused" in str(await heard.failures.get())
    await server.until(lambda: not server.open)
    assert heard.failures.empty()
    client.close()


async def test_a_peer_that_takes_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(websocket, "CLOSING_S", 0.05)
    stop = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _upgrade(reader, writer)
        writer.transport.pause_reading()
        await stop.wait()
        writer.close()

    heard = Heard()
    async with _raw(serve) as url:
        client = heard.client()
        await client.open(url, {})
        for _ in range(200):
            client.send(bytes(100_000))
        assert isinstance(await asyncio.wait_for(heard.failures.get(), 5), ProviderStalled)
        stop.set()


async def test_what_waits_for_the_connection_is_bounded(monkeypatch, server):
    monkeypatch.setattr(websocket, "MAX_UNSENT_BYTES", 100)
    client = Heard().client()
    for number in range(10):
        client.send(bytes([number]) * 30)
    await client.open(server.url, {})
    await server.until(lambda: len(server.received) == 3)
    assert [message[0] for message in server.received] == [7, 8, 9]
    client.close()


async def test_nobody_answers():
    async with EchoServer() as gone:
        url = gone.url
    with pytest.raises(ProviderError, match="cannot be reached") as caught:
        await Heard().client().open(url, {})
    assert caught.value.remedy is Remedy.RETRY


@pytest.mark.parametrize("answer", [b"SSH-2.0\r\n\r\n", b"", b"HTTP/1.1 101 x\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nhi"])
async def test_an_answer_that_is_no_handshake(answer):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with _raw(serve) as url:
        with pytest.raises(ProviderError):
            await Heard().client().open(url, {})


async def test_a_handshake_that_never_comes_leaves_nothing(monkeypatch):
    monkeypatch.setattr(websocket, "CONNECT_S", 0.1)
    stop = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stop.wait()
        writer.close()

    async with _raw(serve) as url:
        with pytest.raises(ProviderError, match=r"cannot be reached|handshake"):
            await Heard().client().open(url, {})
        stop.set()


class _raw:
    """A TCP server; its connections are served by `serve`."""

    def __init__(self, serve: Any) -> None:
        self._serve = serve

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        await self._server.wait_closed()


async def _upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    request = (await reader.readuntil(b"\r\n\r\n")).decode()
    headers = {line.split(":", 1)[0].lower(): line.split(":", 1)[1].strip() for line in request.split("\r\n")[1:-2]}
    digest = hashlib.sha1((headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + base64.b64encode(digest)
        + b"\r\n\r\n"
    )

"""Connections without a call: silent ones make place, requests are answered, an accept that fails is tried again."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest
from tornado.httputil import HTTPHeaders

from tests.transports.front import Site
from tests.transports.peers import Peer
from transports import front
from transports.audiosocket import HANGUP_FRAME, audio_header
from transports.front import AT_ONCE, MOST_CHUNKS, FrontServer
from transports.health import Alive
from transports.requests import REQUESTS_PER_TURN
from transports.webhooks import CallWebhook

MakeSite = Callable[..., Awaitable[Site]]
FEW = {"connections": 8, "connections_per_peer": 8}
ALIVE = b"GET /healthz/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


async def until_held(site: Site, count: int) -> None:
    async with asyncio.timeout(5):
        while len(site.services.arrivals) != count:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_silent_connections_make_place_for_a_request(make_site: MakeSite, no_socket_left: None) -> None:
    site = await make_site(limit_settings=FEW)
    silent = [await Peer.connect(site.port) for _ in range(20)]
    response = await site.fetch("/healthz/")
    assert response.code == 200
    assert len(site.services.arrivals) <= 8
    assert await silent[0].rest() == b""  # the longest idle one has gone
    for peer in silent:
        peer.writer.close()
    site.client.close()
    await until_held(site, 0)
    await site.close()


async def test_a_connection_that_asked_is_idle_again_and_counts(make_site: MakeSite) -> None:
    site = await make_site(limit_settings=FEW)
    peer = await Peer.connect(site.port)
    for _ in range(3):
        peer.send(ALIVE)
        async with asyncio.timeout(5):
            head = await peer.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await peer.read(length)
    assert len(site.services.arrivals) == 1
    others = [await Peer.connect(site.port) for _ in range(8)]
    assert await peer.rest() == b""
    for other in others:
        other.writer.close()
    await until_held(site, 0)


async def test_few_connections_are_accepted_in_one_turn(make_site: MakeSite) -> None:
    site = await make_site()
    assert isinstance(site.server, FrontServer)
    (listening,) = site.server._listening
    with contextlib.ExitStack() as peers:
        for _ in range(3 * AT_ONCE):
            peers.enter_context(socket.create_connection(("127.0.0.1", site.port)))
        site.server._accept(listening)
        assert len(site.services.arrivals) == AT_ONCE
    await until_held(site, 0)


CALL = "POST /v1/talk/twilio/call/reception HTTP/1.1\r\nHost: voice.example.test\r\n"


async def test_a_request_that_waits_for_us_keeps_its_place(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await make_site(limit_settings=FEW)
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slow(*_: object) -> None:
        asked.set()
        await answer.wait()

    monkeypatch.setattr(CallWebhook, "_check_rate", slow)
    peer = await Peer.connect(site.port)
    body = b"CallSid=CA1&From=%2B15550100"
    peer.send(f"{CALL}x-api-key: {site.key}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    async with asyncio.timeout(5):
        await asked.wait()
    crowd = [await Peer.connect(site.port) for _ in range(20)]
    answer.set()
    async with asyncio.timeout(5):
        assert (await peer.reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200 ")
    for each in (peer, *crowd):
        each.writer.close()
    await until_held(site, 0)


async def test_requests_that_wait_for_their_peers_make_place(make_site: MakeSite) -> None:
    site = await make_site(limit_settings=FEW)
    head = f"{CALL}x-api-key: {site.key}\r\nContent-Length: 60000\r\n\r\n".encode()
    crowd = [await Peer.connect(site.port) for _ in range(8)]
    for peer in crowd:
        peer.send(head + b"x")
    async with asyncio.timeout(5):
        while sum(held.reads_body for held in site.services.intake._held) < 8:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert (await site.fetch("/healthz/")).code == 200
    for peer in crowd:
        peer.writer.close()
    site.client.close()
    await until_held(site, 0)


async def test_who_waits_for_a_turn_makes_place_and_is_not_served_then(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await make_site(limit_settings=FEW)
    server, served, waiting, go_on = site.server, [], asyncio.Event(), asyncio.Event()
    assert isinstance(server, FrontServer)

    async def take(peer: str) -> None:
        waiting.set()
        await go_on.wait()

    monkeypatch.setattr(server.turns, "take", take)
    monkeypatch.setattr(Alive, "get", lambda self: (served.append(1), self.send_json({})))
    crowd = [await Peer.connect(site.port) for _ in range(8)]
    for peer in crowd:
        peer.send(ALIVE)
    async with asyncio.timeout(5):
        await waiting.wait()
    answer = asyncio.ensure_future(site.fetch("/healthz/"))
    assert await crowd[0].rest() == b""
    go_on.set()
    assert (await answer).code == 200 and len(served) == 8
    for peer in crowd:
        peer.writer.close()


@pytest.mark.parametrize("many", [b"a:\r\n" * 3000, b"".join(b"%x:\r\n" % i for i in range(2500))])
async def test_a_head_of_many_lines_is_refused_before_it_is_parsed(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch, many: bytes
) -> None:
    site = await make_site()
    parsed: list[str] = []
    parse = HTTPHeaders.parse.__func__  # type: ignore[attr-defined]
    monkeypatch.setattr(HTTPHeaders, "parse", classmethod(lambda cls, text, **more: parsed.append(text)))
    peer = await Peer.connect(site.port)
    peer.send(b"GET /healthz/ HTTP/1.1\r\nHost: 127.0.0.1\r\n" + many + b"\r\n")
    assert (await peer.rest()).startswith(b"HTTP/1.1 400 ") and not parsed
    monkeypatch.setattr(HTTPHeaders, "parse", classmethod(parse))
    assert (await site.fetch("/healthz/", headers={f"x-{n}": "1" for n in range(60)})).code == 200


async def test_a_body_of_many_chunks_is_refused_and_keeps_nobody_waiting(make_site: MakeSite) -> None:
    site = await make_site()
    event = "/v1/talk/asterisk/ctx/40325ec2-5efd-4bd3-805f-53576e581d13/event"
    head = f"POST {event} HTTP/1.1\r\nHost: voice.example.test\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    context = await site.context("asterisk")
    head = head.replace(b"40325ec2-5efd-4bd3-805f-53576e581d13", str(context.id).encode())
    peer = await Peer.connect(site.port)
    peer.send(head + b"1\r\na\r\n" * 200 + b"0\r\n\r\n")
    async with asyncio.timeout(5):
        assert (await peer.reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 204 ")
    others = [await Peer.connect(site.port) for _ in range(8)]
    turns = 0
    for other in others:
        other.send(head + b"1\r\na\r\n" * 300)
    async with asyncio.timeout(10):
        answers = asyncio.gather(*(other.rest() for other in others))
        while not answers.done():
            turns += 1
            await asyncio.sleep(0)
    assert all(answer.startswith(b"HTTP/1.1 400 ") for answer in await answers)
    assert turns > 8 * MOST_CHUNKS // REQUESTS_PER_TURN // 2
    peer.writer.close()


async def test_a_call_takes_no_place(make_site: MakeSite) -> None:
    site = await make_site(limit_settings=FEW)
    context = await site.context("asterisk")
    peer = await Peer.connect(site.audiosocket.port)
    await until_held(site, 1)
    peer.send(b"\x01\0\x10" + context.id.bytes + audio_header(0x10, 320) + bytes(320))
    await site.switchboard.call()
    assert len(site.services.arrivals) == 0
    status, media = await site.upgrade(f"/v1/talk/twilio/ctx/{(await site.context()).id}")
    assert status == 101
    await until_held(site, 0)
    for each in (peer, media):
        each.writer.close()


async def test_audiosockets_that_do_not_say_whose_they_are_make_place(make_site: MakeSite) -> None:
    site = await make_site(limit_settings=FEW, max_per_peer=1000)
    silent = [await Peer.connect(site.audiosocket.port) for _ in range(20)]
    context = await site.context("asterisk")
    peer = await Peer.connect(site.audiosocket.port)
    peer.send(b"\x01\0\x10" + context.id.bytes)
    await site.switchboard.call()
    assert len(site.services.arrivals) <= 8
    for each in (peer, *silent):
        each.writer.close()


async def test_audiosockets_that_were_refused_and_stay_make_place(make_site: MakeSite) -> None:
    site = await make_site(limit_settings=FEW, max_per_peer=1000)
    guessers = [await Peer.connect(site.audiosocket.port) for _ in range(8)]
    for peer in guessers:
        peer.send(b"\x01\0\x10" + uuid4().bytes)
    for peer in guessers:
        assert (await peer.read(3)) == HANGUP_FRAME  # a clock that stands still sends no silence
    assert len(site.services.arrivals) == 8
    assert (await site.fetch("/healthz/")).code == 200
    context = await site.context("asterisk")
    peer = await Peer.connect(site.audiosocket.port)
    peer.send(b"\x01\0\x10" + context.id.bytes)
    await site.switchboard.call()
    for each in (peer, *guessers):
        each.writer.close()


@pytest.mark.parametrize("head", ["GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n"])
@pytest.mark.parametrize("length", [21_000, 31_000, 100_000])
async def test_a_head_that_is_too_long_is_answered(
    make_site: MakeSite, no_socket_left: None, head: str, length: int
) -> None:
    site = await make_site()
    peer = await Peer.connect(site.port)
    peer.send(head.format("a" * length).encode())
    assert (await peer.rest()).startswith(b"HTTP/1.1 431 ")
    await peer.close()
    await until_held(site, 0)
    site.client.close()
    await site.close()


async def test_an_accept_that_fails_is_tried_again_later(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Short(socket.socket):
        """Out of descriptors, twice."""

        failures = 0

        def accept(self):  # type: ignore[no-untyped-def]
            if Short.failures < 2:
                Short.failures += 1
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    monkeypatch.setattr(front, "PAUSE_S", 0.01)
    site = await make_site()
    sock = Short(socket.AF_INET, socket.SOCK_STREAM)
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    sock.setblocking(False)
    site.server.add_sockets([sock])
    site.port = sock.getsockname()[1]
    with caplog.at_level(logging.ERROR):
        assert (await site.fetch("/healthz/")).code == 200
    assert Short.failures == 2
    assert len([record for record in caplog.records if "no connection can be taken" in record.message]) == 1

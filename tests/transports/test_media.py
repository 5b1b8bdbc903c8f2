"""Media connections against the whole front: HTTP upgrade and AudioSocket listener, contexts claimed from the store."""

from __future__ import annotations

import asyncio
import base64
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from twilio.request_validator import RequestValidator

from store.contexts import ContextRepository
from store.errors import StoreUnavailable
from tests.transports.front import Site
from tests.transports.peers import CALL_SID, CONNECTED, Peer, masked, message, start
from transports.audiosocket import audio_header
from transports.connection import Limits
from transports.websocket import CLOSE, PING, TEXT, Close, Pong

pytestmark = pytest.mark.usefixtures("no_socket_left")
MakeSite = Callable[..., Awaitable[Site]]
AUDIO = b"\x7f" * 160
MEDIA = masked(TEXT, message("media", media={"payload": base64.b64encode(AUDIO).decode()}))
FRAME = audio_header(0x10, 320) + bytes(320)


def opening(context: Any) -> bytes:
    return masked(TEXT, CONNECTED) + masked(TEXT, start(customParameters={"ctx": str(context.id)}))


# --- WebSocket ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/talk/twilio/ctx/{}", "/v1/talk/twilio/ctx?contextId={}"])
async def test_a_media_websocket_becomes_a_wire(site: Site, path: str) -> None:
    context = await site.context()
    status, peer = await site.upgrade(path.format(context.id))
    assert status == 101
    peer.send(opening(context) + MEDIA)
    called, wire, ears = await site.switchboard.call()
    assert called.id == context.id and wire in site.services.wires
    await ears.wait_for(1)
    wire.hang_up()
    assert await peer.frame() == Close(1000, "")
    peer.send(masked(CLOSE, b"\x03\xe8"))
    await ears.ended.wait()
    assert ears.heard == [("audio", AUDIO), ("closed", "agent_hung_up")]
    await peer.close()


async def test_frames_that_come_with_the_handshake_are_not_lost(site: Site) -> None:
    context = await site.context()
    _, peer = await site.upgrade(f"/v1/talk/twilio/ctx/{context.id}", early=opening(context) + MEDIA * 100)
    _, _, ears = await site.switchboard.call()
    peer.send(MEDIA + masked(PING, b"end"))
    assert await peer.frame() == Pong(b"end")
    assert ears.heard == [("audio", AUDIO)] * 101
    await peer.close()
    await ears.ended.wait()


async def test_a_long_beginning_behind_the_handshake_is_heard_to_its_end(site: Site) -> None:
    context = await site.context()
    early = opening(context) + MEDIA * 100
    assert 16_384 < len(early) < 65_536
    _, peer = await site.upgrade(f"/v1/talk/twilio/ctx/{context.id}", early=early)
    _, _, ears = await site.switchboard.call()
    await ears.wait_for(100)
    peer.send(MEDIA)
    await ears.wait_for(101)
    await peer.close()
    await ears.ended.wait()
    assert [event for event, _ in ears.heard] == [*["audio"] * 101, "closed"]


async def test_the_worker_cuts_what_is_left(site: Site) -> None:
    context = await site.context()
    _, peer = await site.upgrade(f"/v1/talk/twilio/ctx/{context.id}", early=opening(context))
    _, _, ears = await site.switchboard.call()
    site.services.cut_wires()
    await ears.ended.wait()
    assert ears.heard == [("closed", "shutdown")]
    assert await peer.rest() == b""
    await peer.close()


async def test_a_second_connection_for_a_context_is_refused_and_the_first_goes_on(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    context = await site.context()
    path = f"/v1/talk/twilio/ctx/{context.id}"
    with caplog.at_level(logging.WARNING):
        connections = await asyncio.gather(*(site.upgrade(path) for _ in range(5)))
    assert sorted(status for status, _ in connections) == [101, 409, 409, 409, 409]
    assert len(caplog.records) == 1 and "context_used" in caplog.text  # of one peer, in one second
    first = next(peer for status, peer in connections if status == 101)
    first.send(opening(context) + MEDIA)
    _, _, ears = await site.switchboard.call()
    await ears.wait_for(1)
    for _, peer in connections:
        await peer.close()
    await ears.ended.wait()


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/v1/talk/twilio/ctx/40325ec2-5efd-4bd3-805f-53576e581d13", {}, 404, "unknown_context"),
        ("/v1/talk/twilio/ctx/not-a-uuid", {}, 400, "bad_context_id"),
        ("/v1/talk/twilio/ctx?contextId=", {}, 400, "bad_context_id"),
        ("/v1/talk/twilio/ctx", {}, 400, "bad_context_id"),
        ("/v1/talk/nobody/ctx/{}", {}, 404, "unknown_provider"),
        ("/v1/talk/asterisk/ctx/{}", {}, 404, "unknown_provider"),
        ("/v1/talk/twilio/ctx/{}", {"Upgrade": ""}, 400, "not_a_websocket"),
        ("/v1/talk/twilio/ctx/{}", {"Connection": "close"}, 400, "not_a_websocket"),
        ("/v1/talk/twilio/ctx/{}", {"Sec_WebSocket_Version": "8"}, 400, "not_a_websocket"),
        ("/v1/talk/twilio/ctx/{}", {"Sec_WebSocket_Key": "c2hvcnQ="}, 400, "not_a_websocket"),
        ("/v1/talk/twilio/ctx/{}", {"Sec_WebSocket_Key": "!"}, 400, "not_a_websocket"),
    ],
)
async def test_refused_upgrades_do_not_burn_the_context(
    site: Site, caplog: pytest.LogCaptureFixture, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    context = await site.context()
    with caplog.at_level(logging.WARNING):
        given, peer = await site.upgrade(path.format(context.id), **headers)
    await peer.close()
    assert given == status
    (record,) = caplog.records
    assert code in record.getMessage() and record.exc_info is None
    assert await site.services.database.run(site.services.contexts.claim, context.id, "twilio")


async def test_an_expired_context(site: Site) -> None:
    context = await site.context(ttl_s=-1)
    status, peer = await site.upgrade(f"/v1/talk/twilio/ctx/{context.id}")
    await peer.close()
    assert status == 410


async def test_a_call_that_was_lost_with_its_worker_is_gone(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    services = site.services
    twilio, asterisk = await site.context(), await site.context("asterisk")
    for context in (twilio, asterisk):
        await services.database.run(services.contexts.claim, context.id, context.provider, "callboard/1/dead")
    assert await services.database.run(services.conversations.close_lost, "callboard/1/dead") == 2
    peer = await Peer.connect(site.port)
    peer.send(site.handshake(f"/v1/talk/twilio/ctx/{twilio.id}"))
    async with asyncio.timeout(5):
        head = await peer.reader.readuntil(b"\r\n\r\n")
        body = await peer.reader.readuntil(b"}}")
    await peer.close()
    assert head.startswith(b"HTTP/1.1 410 ") and b'"code":"context_lost"' in body and b"worker_lost" in body
    peer = await Peer.connect(site.audiosocket.port)
    peer.send(b"\x01\x00\x10" + asterisk.id.bytes + FRAME)
    assert await peer.rest() == b"\0\0\0"
    await peer.close()
    assert [record.exc_info for record in caplog.records] == [None, None]
    assert all("context_lost" in record.getMessage() for record in caplog.records)
    assert all("worker_lost" in record.getMessage() for record in caplog.records)


async def test_whoever_claims_a_context_owns_its_call(make_site: MakeSite) -> None:
    site = await make_site(owner="callboard/0/alive")
    context = await site.context("asterisk")
    peer = await Peer.connect(site.audiosocket.port)
    peer.send(b"\x01\x00\x10" + context.id.bytes + FRAME)
    _, _, ears = await site.switchboard.call()
    found = await site.services.database.run(site.services.conversations.show, context.id)
    assert (found.summary.owner, found.summary.status) == ("callboard/0/alive", "active")
    await peer.close()
    await ears.ended.wait()


async def test_a_peer_that_leaves_while_its_context_is_claimed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    context = await site.context()
    claim, claiming, left = ContextRepository.claim, threading.Event(), threading.Event()

    def slow_claim(*args: Any) -> Any:
        claiming.set()
        assert left.wait(5)
        return claim(*args)

    monkeypatch.setattr(ContextRepository, "claim", slow_claim)
    peer = await Peer.connect(site.port)
    upgrade = (
        f"GET /v1/talk/twilio/ctx/{context.id} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    )
    peer.send(f"{upgrade}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
    await asyncio.to_thread(claiming.wait, 5)
    peer.writer.transport.abort()
    await peer.close()
    left.set()
    called, _, ears = await site.switchboard.call()
    assert called.id == context.id
    await ears.ended.wait()
    assert ears.heard == [("closed", "connection_lost")]


async def test_where_signatures_are_checked_the_upgrade_needs_one(make_site: MakeSite) -> None:
    site = await make_site(twilio={"auth_token": "callboard-test-token"})
    context = await site.context()
    path = f"/v1/talk/twilio/ctx/{context.id}"
    sign = RequestValidator("callboard-test-token").compute_signature
    statuses = []
    for headers in (
        {},
        {"X_Twilio_Signature": sign(f"https://voice.example.test{path}", {})},  # it must be wss
        {"X_Twilio_Signature": sign(f"wss://voice.example.test{path}", {})},
    ):
        status, peer = await site.upgrade(path, **headers)
        await peer.close()
        statuses.append(status)
    assert statuses == [401, 403, 101]
    again = await site.context("asterisk")
    assert again.id != context.id


async def test_a_context_is_good_for_its_own_call_only(site: Site) -> None:
    context = await site.context()
    _, peer = await site.upgrade(f"/v1/talk/twilio/ctx/{context.id}")
    peer.send(masked(TEXT, CONNECTED) + masked(TEXT, start(customParameters={"ctx": str(uuid4())})))
    assert (await peer.frame()).code == 1008
    await peer.close()
    assert context.provider_call_id == CALL_SID and site.switchboard.calls.empty()


async def test_slow_requests_are_cut(make_site: MakeSite) -> None:
    site = await make_site(limits=Limits(request_s=0.1))
    head, idle = [await Peer.connect(site.port) for _ in range(2)]
    head.send(b"GET /healthz/ HTTP/1.1\r\nHost: ")
    for peer in (head, idle):
        assert await peer.rest() == b""
        await peer.close()


async def test_half_open_and_slow_peers_do_not_disturb_a_call(make_site: MakeSite) -> None:
    site = await make_site(limits=Limits(start_s=0.1, closing_s=0.1, first_frame_s=0.1))
    context = await site.context()
    _, caller = await site.upgrade(f"/v1/talk/twilio/ctx/{context.id}", early=opening(context))
    _, _, ears = await site.switchboard.call()
    peers = [await Peer.connect(site.port) for _ in range(20)]
    peers += [await Peer.connect(site.audiosocket.port) for _ in range(10)]
    for peer in peers[:20]:
        peer.send(b"GET /healthz/ HTTP/1.1\r\nHost: ")
    for peer in peers[20:]:
        assert await peer.rest() == b"\0\0\0"
    caller.send(MEDIA)
    await ears.wait_for(1)
    assert (await site.fetch("/healthz/")).code == 200
    for peer in (caller, *peers):
        await peer.close()
    await ears.ended.wait()
    assert ears.heard == [("audio", AUDIO), ("closed", "connection_lost")]


# --- AudioSocket -------------------------------------------------------------------------------------------------


async def test_an_audiosocket_connection_becomes_a_wire(site: Site) -> None:
    context = await site.context("asterisk")
    peer = await Peer.connect(site.audiosocket.port)
    peer.send(b"\x01\x00\x10" + context.id.bytes + FRAME)
    called, wire, ears = await site.switchboard.call()
    assert called.id == context.id and wire in site.services.wires and site.clock.tickers == []
    await ears.wait_for(1)
    await peer.close()
    await ears.ended.wait()
    assert ears.heard == [("audio", bytes(320)), ("closed", "caller_hung_up")]


async def test_an_audiosocket_context_is_claimed_once(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    context = await site.context("asterisk")
    twilio = await site.context()
    peers = [await Peer.connect(site.audiosocket.port) for _ in range(4)]
    for peer in peers[:3]:
        peer.send(b"\x01\x00\x10" + context.id.bytes + FRAME)
    peers[3].send(b"\x01\x00\x10" + twilio.id.bytes + FRAME)
    _, wire, ears = await site.switchboard.call()
    ended = [asyncio.create_task(peer.rest()) for peer in peers]
    async with asyncio.timeout(5):
        while sum(task.done() for task in ended) < 3:
            await asyncio.wait([task for task in ended if not task.done()], return_when=asyncio.FIRST_COMPLETED)
    assert [task.result() for task in ended if task.done()] == [b"\0\0\0"] * 3
    assert caplog.text.count("context_used") == caplog.text.count("unknown_context") == 1  # of one peer, in one second
    wire.hang_up()
    await asyncio.gather(*ended)
    for peer in peers:
        await peer.close()
    await ears.ended.wait()
    assert site.switchboard.calls.empty()


async def test_one_address_may_hold_so_many_connections(make_site: MakeSite, caplog: pytest.LogCaptureFixture) -> None:
    site = await make_site(max_per_peer=2, limits=Limits())
    held = [await Peer.connect(site.audiosocket.port) for _ in range(2)]
    third = await Peer.connect(site.audiosocket.port)
    assert await held[0].rest() == b""  # the one that has been idle for the longest
    assert "too_many_connections" in caplog.text
    for peer in (*held, third):
        await peer.close()
    context = await site.context("asterisk")
    again = await Peer.connect(site.audiosocket.port)
    again.send(b"\x01\x00\x10" + context.id.bytes + FRAME)
    _, _, ears = await site.switchboard.call()
    await again.close()
    await ears.ended.wait()


async def test_the_store_is_away(site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise StoreUnavailable("the database is away")

    monkeypatch.setattr(ContextRepository, "claim", away)
    peer = await Peer.connect(site.audiosocket.port)
    peer.send(b"\x01\x00\x10" + uuid4().bytes)
    assert await peer.rest() == b"\0\0\0"
    await peer.close()
    status, upgrade = await site.upgrade(f"/v1/talk/twilio/ctx/{uuid4()}")
    await upgrade.close()
    assert status == 503 and caplog.text.count("store_unavailable") == 2

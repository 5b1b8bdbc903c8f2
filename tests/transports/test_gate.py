"""Who is told what while there is no place for a call: draining, or LIMITS__MAX_CALLS reached."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest

from scripts.child_server import free_port
from tests.databases import Server
from tests.transports.front import FORM, Site, uuid_in
from tests.transports.peers import CONNECTED, Peer, masked, start
from transports.audiosocket import audio_header
from transports.gate import Draining, Full, Gate, Overloaded
from transports.websocket import CLOSE, TEXT

MakeSite = Callable[..., Awaitable[Site]]
CALL = "/v1/talk/twilio/call/reception"
REJECT = b'<?xml version="1.0" encoding="UTF-8"?><Response><Reject reason="busy"/></Response>'
FRAME = audio_header(0x10, 320) + bytes(320)
HANGUP = b"\0\0\0"


# --- the gate ----------------------------------------------------------------------------------------------------


def test_a_gate_is_open_until_it_is_full_or_draining() -> None:
    live = 0
    gate = Gate(2, lambda: live)
    assert gate.open and gate.reason == ""
    live = 2
    assert not gate.open and gate.reason == "full"
    with pytest.raises(Full, match="LIMITS__MAX_CALLS = 2"):
        gate.check()
    live = 1
    gate.check()
    gate.drain()
    assert not gate.open and gate.reason == "draining"
    with pytest.raises(Draining):
        gate.check()


def test_calls_that_are_being_taken_hold_their_places() -> None:
    gate = Gate(2, lambda: 1)
    with gate.enter():
        assert gate.calls == 2
        with pytest.raises(Full), gate.enter():
            pytest.fail("there was no place")
        assert not gate.open
    with pytest.raises(KeyError), gate.enter():  # whatever happens to a call, its place is given back
        raise KeyError
    assert gate.open


def test_one_that_cannot_keep_up_refuses_and_says_why() -> None:
    why = ["it wants 97 % of a core"]
    gate = Gate(10, lambda: 3)
    gate.overload = lambda: why[0]
    assert gate.reason == "overloaded" and not gate.open
    with pytest.raises(Overloaded, match="it wants 97 % of a core"), gate.enter():
        pass
    gate.overloaded_s = lambda: 0.5
    with pytest.raises(Overloaded):
        gate.announce()
    with gate.enter():  # it was announced before
        assert gate.calls == 4
    gate.overloaded_s, why[0] = lambda: 0.0, ""
    with gate.enter():
        assert gate.calls == 4


def test_a_rush_is_refused_where_it_is_announced_and_not_when_its_media_come() -> None:
    gate = Gate(10, lambda: 3)
    gate.rush = lambda: "40 calls have just begun"
    with pytest.raises(Overloaded, match="40 calls have just begun"):
        gate.announce()
    with gate.enter():
        assert gate.calls == 4


# --- draining ----------------------------------------------------------------------------------------------------


async def test_twilio_is_told_busy(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.services.gate.drain()
    with caplog.at_level(logging.INFO):
        answer = await site.fetch(CALL, method="POST", body=urlencode(FORM), headers=site.keyed)
    assert (answer.code, answer.headers["Content-Type"], answer.body) == (200, "text/xml", REJECT)
    (record,) = caplog.records
    assert "draining: the node is draining" in record.getMessage() and record.exc_info is None
    refusals = 'callboard_call_refusals_total{code="draining",provider="twilio"} 1.0'
    assert refusals in site.services.metrics.exposition()


async def test_asterisk_is_told_nothing_but_503(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.services.gate.drain()
    answer = await site.fetch("/v1/talk/asterisk/call/reception?from=", headers=site.keyed)
    assert (answer.code, answer.body) == (503, b"")
    assert caplog.text.count("draining") == 2 and len(caplog.records) == 1  # the code and its text, in one line


async def test_who_may_not_call_is_told_so_first(site: Site) -> None:
    site.services.gate.drain()
    assert (await site.fetch(CALL, method="POST", body=urlencode(FORM))).code == 401
    nobody = await site.fetch("/v1/talk/twilio/call/nobody", method="POST", body=urlencode(FORM), headers=site.keyed)
    assert nobody.code == 404


async def test_media_that_come_late_are_refused_and_keep_their_context(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    twilio, asterisk = await site.context(), await site.context("asterisk")
    site.services.gate.drain()
    peer = await Peer.connect(site.port)
    peer.send(site.handshake(f"/v1/talk/twilio/ctx/{twilio.id}"))
    head = await peer.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    await peer.close()
    peer = await Peer.connect(site.audiosocket.port)
    peer.send(b"\x01\x00\x10" + asterisk.id.bytes + FRAME)
    assert await peer.rest() == HANGUP
    await peer.close()
    assert len(caplog.records) == 2 and site.switchboard.calls.empty()
    database, contexts = site.services.database, site.services.contexts
    for context in (twilio, asterisk):
        assert (await database.run(contexts.claim, context.id, context.provider)).id == context.id


async def test_running_calls_go_on(site: Site) -> None:
    wire, ears, peer = await audiosocket_call(site)
    site.services.gate.drain()
    peer.send(FRAME)
    await ears.wait_for(2)
    assert ears.termination is None and site.services.live_calls() == 1
    await peer.close()
    await ears.ended.wait()
    assert site.services.live_calls() == 0 and wire in site.services.wires


async def test_a_draining_node_is_not_ready_but_alive(site: Site) -> None:
    ready = await site.fetch("/readiness/")
    parts = {"node": "ok", "database": "ok", "disk": "ok"}
    assert (ready.code, json.loads(ready.body)) == (200, {"status": "ok", "parts": parts})
    site.services.gate.drain()
    ready = await site.fetch("/readiness/")
    parts["node"] = "draining"
    assert (ready.code, json.loads(ready.body)) == (503, {"status": "unavailable", "parts": parts})
    assert (await site.fetch("/healthz/")).code == 200


async def test_a_worker_that_cannot_keep_up_refuses_as_its_carriers_know_it_and_is_not_ready(site: Site) -> None:
    asterisk = await site.context("asterisk")
    why = ["it lags by 120 ms"]
    site.services.gate.overload = lambda: why[0]
    answer = await site.fetch(CALL, method="POST", body=urlencode(FORM), headers=site.keyed)
    assert (answer.code, answer.body) == (200, REJECT)
    answer = await site.fetch("/v1/talk/asterisk/call/reception?from=", headers=site.keyed)
    assert (answer.code, answer.body) == (503, b"")
    peer = await Peer.connect(site.audiosocket.port)
    peer.send(b"\x01\x00\x10" + asterisk.id.bytes + FRAME)
    assert await peer.rest() == HANGUP
    await peer.close()
    ready = await site.fetch("/readiness/")
    assert (ready.code, json.loads(ready.body)["parts"]["node"]) == (503, "overloaded: it lags by 120 ms")
    assert 'callboard_call_refusals_total{code="overloaded",provider="asterisk"} 2.0' in (
        site.services.metrics.exposition()
    )
    why[0] = ""
    assert (await site.fetch("/readiness/")).code == 200
    assert b"<Stream" in (await site.fetch(CALL, method="POST", body=urlencode(FORM), headers=site.keyed)).body


async def test_a_node_without_its_redis_is_not_ready(make_site: MakeSite, redis_server: Server) -> None:
    redis = {"host": redis_server.host, "port": redis_server.port}
    ready = await (await make_site(redis=redis)).fetch("/readiness/")
    parts = {"node": "ok", "database": "ok", "disk": "ok", "redis": "ok"}
    assert (ready.code, json.loads(ready.body)) == (200, {"status": "ok", "parts": parts})
    away = await make_site(redis={**redis, "port": free_port(0)})
    ready = await away.fetch("/readiness/")
    parts = json.loads(ready.body)["parts"]
    assert ready.code == 503 and parts["database"] == "ok" and str(redis_server.host) in parts["redis"]
    assert (await away.fetch(CALL, method="POST", body=urlencode(FORM), headers=away.keyed)).code == 200


# --- full --------------------------------------------------------------------------------------------------------


async def test_the_last_place_is_given_once_and_is_free_after_the_call(make_site: MakeSite) -> None:
    site = await make_site(max_calls=1)
    _, ears, peer = await audiosocket_call(site)
    busy = await site.fetch(CALL, method="POST", body=urlencode(FORM), headers=site.keyed)
    assert busy.body == REJECT
    context = await site.context()
    status, refused = await site.upgrade(f"/v1/talk/twilio/ctx/{context.id}")
    await refused.close()
    assert status == 503
    assert (await site.fetch("/readiness/")).code == 200
    await peer.close()
    await ears.ended.wait()
    taken = await site.fetch(CALL, method="POST", body=urlencode(FORM), headers=site.keyed)
    assert uuid_in(taken.body) == context.id
    _, _, ears, peer = await websocket_call(site, context.id)
    await peer.close()
    await ears.ended.wait()


async def test_callers_who_come_together_do_not_share_a_place(make_site: MakeSite) -> None:
    site = await make_site(max_calls=1)
    contexts = [await site.context("asterisk") for _ in range(4)]
    peers = [await Peer.connect(site.audiosocket.port) for _ in contexts]
    for peer, context in zip(peers, contexts, strict=True):
        peer.send(b"\x01\x00\x10" + context.id.bytes + FRAME)
    _, wire, ears = await site.switchboard.call()
    ended = [asyncio.create_task(peer.rest()) for peer in peers]
    async with asyncio.timeout(5):
        while sum(task.done() for task in ended) < 3:
            await asyncio.wait([task for task in ended if not task.done()], return_when=asyncio.FIRST_COMPLETED)
    assert site.switchboard.calls.empty()
    wire.hang_up()
    assert [await task for task in ended] == [HANGUP] * 4
    for peer in peers:
        await peer.close()
    await ears.ended.wait()


async def test_a_context_that_is_not_there_costs_no_place(make_site: MakeSite) -> None:
    site = await make_site(max_calls=1)
    for _ in range(3):
        status, peer = await site.upgrade(f"/v1/talk/twilio/ctx/{uuid4()}")
        await peer.close()
        assert status == 404
    assert site.services.gate.open


# --- calls -------------------------------------------------------------------------------------------------------


async def audiosocket_call(site: Site) -> tuple[object, object, Peer]:
    context = await site.context("asterisk")
    peer = await Peer.connect(site.audiosocket.port)
    peer.send(b"\x01\x00\x10" + context.id.bytes + FRAME)
    _, wire, ears = await site.switchboard.call()
    await ears.wait_for(1)
    return wire, ears, peer


async def websocket_call(site: Site, context: UUID) -> tuple[object, object, object, Peer]:
    status, peer = await site.upgrade(f"/v1/talk/twilio/ctx/{context}")
    assert status == 101
    peer.send(masked(TEXT, CONNECTED) + masked(TEXT, start(customParameters={"ctx": str(context)})))
    called, wire, ears = await site.switchboard.call()
    peer.send(masked(CLOSE, b"\x03\xe8"))
    return called, wire, ears, peer


# --- how fast ------------------------------------------------------------------------------------------------------


async def test_calls_that_start_too_fast_get_the_carriers_refusal(make_site: MakeSite) -> None:
    site = await make_site(calls_per_minute=2)
    forms = [urlencode({**FORM, "CallSid": f"CA{number:032x}"}) for number in range(4)]
    answers = [await site.fetch(CALL, method="POST", body=form, headers=site.keyed) for form in forms]
    refused = [answer.body == REJECT for answer in answers]
    assert refused == [False, False, True, True]

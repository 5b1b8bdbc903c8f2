"""The Twilio wire on real sockets, from the first byte after the 101."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from actors.errors import Result
from store.errors import UnknownContext
from tests.transports.peers import CONNECTED, FAST, STREAM_SID, Peer, Switchboard, context, masked, message, start
from transports.connection import Limits
from transports.twilio import TwilioWire
from transports.websocket import BINARY, CLOSE, PING, TEXT, Close, Pong, Text, close_frame

AUDIO = b"\x7f" * 160
MEDIA = message("media", media={"track": "inbound", "payload": base64.b64encode(AUDIO).decode()})
Connect = Callable[..., Any]


class Watched(TwilioWire):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.gone = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.gone.set()


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Connects a peer to a wire: `await connect(switchboard, limits)`; nothing may be left open afterwards."""
    wires: list[Watched] = []
    peers: list[Peer] = []
    servers: list[asyncio.Server] = []

    async def connect(switchboard: Switchboard, limits: Limits = FAST, early: bytes = b"") -> Peer:
        def wire() -> TwilioWire:
            wires.append(Watched(context(), limits, switchboard, early))
            return wires[-1]

        server = await asyncio.get_running_loop().create_server(wire, "127.0.0.1", 0)
        servers.append(server)
        peers.append(await Peer.connect(server.sockets[0].getsockname()[1]))
        return peers[-1]

    yield connect
    for peer in peers:
        await peer.close()
    async with asyncio.timeout(5):
        await asyncio.gather(*(wire.gone.wait() for wire in wires))
    for server in servers:
        server.close()


def texts(*payloads: bytes) -> bytes:
    return b"".join(masked(TEXT, payload) for payload in payloads)


async def test_a_call(connect: Connect) -> None:
    switchboard = Switchboard()
    peer = await connect(switchboard)
    peer.send(texts(CONNECTED, start(), MEDIA, message("dtmf", dtmf={"digit": "#"})))
    called, wire, ears = await switchboard.call()
    assert called == context() and wire.provider == "twilio"
    wire.send_audio(AUDIO)
    wire.send_mark("u1")
    wire.send_clear()
    sent = [json.loads((await peer.frame()).payload) for _ in range(3)]
    assert [text["event"] for text in sent] == ["media", "mark", "clear"]
    assert base64.b64decode(sent[0]["media"]["payload"]) == AUDIO
    assert {text["streamSid"] for text in sent} == {STREAM_SID}
    peer.send(texts(message("mark", mark={"name": "u1"}), message("stop")))
    assert await peer.frame() == Close(1000, "")
    peer.send(masked(CLOSE, b"\x03\xe8"))
    await ears.ended.wait()
    assert ears.heard == [("audio", AUDIO), ("dtmf", "#"), ("mark", "u1"), ("closed", "caller_hung_up")]
    assert await peer.rest() == b""


async def test_what_comes_before_the_call_opens_its_wire_waits(connect: Connect) -> None:
    switchboard = Switchboard(opens=False)
    peer = await connect(switchboard, early=texts(CONNECTED, start(), MEDIA))
    _, wire, ears = await switchboard.call()
    peer.send(texts(MEDIA))
    await peer.close()
    await wire.gone.wait()
    wire.open(ears)
    assert [event for event, _ in ears.heard] == ["audio", "audio", "closed"]
    wire.send_audio(AUDIO)
    wire.hang_up()


async def test_we_hang_up_after_what_was_sent(connect: Connect) -> None:
    switchboard = Switchboard()
    peer = await connect(switchboard)
    peer.send(texts(CONNECTED, start()))
    _, wire, ears = await switchboard.call()
    wire.send_audio(AUDIO)
    wire.hang_up()
    wire.hang_up()
    wire.send_audio(AUDIO)
    assert isinstance(await peer.frame(), Text)
    assert await peer.frame() == Close(1000, "")
    peer.send(texts(MEDIA) + masked(CLOSE, b"\x03\xe8"))
    assert await peer.rest() == b""
    await ears.ended.wait()
    assert ears.heard == [("closed", "agent_hung_up")]


async def test_a_peer_that_does_not_answer_our_close(connect: Connect) -> None:
    switchboard = Switchboard()
    peer = await connect(switchboard)
    peer.send(texts(CONNECTED, start()))
    _, wire, ears = await switchboard.call()
    wire.hang_up()
    await ears.ended.wait()
    assert await peer.rest() == close_frame(1000)


async def test_a_ping_is_answered(connect: Connect) -> None:
    peer = await connect(Switchboard())
    peer.send(masked(PING, b"are you there"))
    assert await peer.frame() == Pong(b"are you there")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x05Hello", 1002),  # not masked
        (masked(TEXT, b"\xff"), 1007),
        (masked(TEXT, b"x" * 65537)[:14], 1009),  # the header is enough
        (masked(BINARY, b"audio"), 1003),
        (texts(b"{"), 1007),
        (texts(b"{}"), 1008),
        (texts(start()), 1008),  # before connected
        (texts(CONNECTED, start(callSid="CAother")), 1008),
        (texts(CONNECTED, start(customParameters={"ctx": "another"})), 1008),
        (texts(CONNECTED, start(mediaFormat={"encoding": "opus"})), 1003),
        (texts(CONNECTED, start(), start()), 1008),
        (texts(CONNECTED, start(), MEDIA.replace(b"f39/", b"?39/", 1)), 1007),
    ],
)
async def test_bad_input_closes_with_its_code(
    connect: Connect, caplog: pytest.LogCaptureFixture, data: bytes, code: int
) -> None:
    other_calls = Switchboard()
    other = await connect(other_calls)
    other.send(texts(CONNECTED, start()))
    _, _, undisturbed = await other_calls.call()
    with caplog.at_level(logging.WARNING):
        peer = await connect(Switchboard())
        peer.send(data)
        assert (await peer.frame()).code == code
        await peer.rest()
    (record,) = caplog.records
    assert "provider=twilio peer=127.0.0.1" in record.getMessage() and record.exc_info is None
    other.send(texts(MEDIA))
    await undisturbed.wait_for(1)
    assert undisturbed.heard == [("audio", AUDIO)]


async def test_a_call_hears_that_its_peer_broke_the_protocol(connect: Connect) -> None:
    switchboard = Switchboard()
    peer = await connect(switchboard)
    peer.send(texts(CONNECTED, start(), b"{"))
    _, _, ears = await switchboard.call()
    await ears.ended.wait()
    assert ears.termination is not None and ears.termination.result is Result.CLIENT_ERROR
    assert ears.termination.reason == "protocol_error" and "twilio_bad_json" in ears.termination.detail


@pytest.mark.parametrize("sent", [b"", texts(CONNECTED), b"\x81"])
async def test_a_start_that_never_comes(connect: Connect, caplog: pytest.LogCaptureFixture, sent: bytes) -> None:
    switchboard = Switchboard()
    peer = await connect(switchboard)
    peer.send(sent)
    assert (await peer.frame()).code == 1008
    assert switchboard.calls.empty() and "start_timeout" in caplog.text
    await peer.rest()
    _, _, ears = await switchboard.call()  # the context is used up: its call writes down the end
    assert ears.termination is not None and "start_timeout" in ears.termination.detail


async def test_slow_drops_of_a_message_do_not_move_the_deadline(connect: Connect) -> None:
    peer = await connect(Switchboard())
    answer = asyncio.create_task(peer.frame())
    for byte in texts(CONNECTED) * 20:
        peer.send(bytes((byte,)))
        await asyncio.wait([answer], timeout=0.005)
        if answer.done():
            break
    assert (await answer).code == 1008


async def test_a_silent_peer_is_dropped(connect: Connect) -> None:
    switchboard = Switchboard()
    peer = await connect(switchboard, Limits(idle_s=0.1))
    peer.send(texts(CONNECTED, start()))
    _, _, ears = await switchboard.call()
    await ears.ended.wait()
    assert ears.heard == [("closed", "media_timeout")]


async def test_a_peer_that_does_not_read_is_dropped(connect: Connect) -> None:
    switchboard = Switchboard()
    peer = await connect(switchboard, Limits(unsent_bytes=20_000))
    peer.send(texts(CONNECTED, start()))
    _, wire, ears = await switchboard.call()
    for _ in range(10_000):  # 130 MB at most; the kernel's buffers take some of it
        if ears.ended.is_set():
            break
        wire.send_audio(bytes(10_000))
        await asyncio.sleep(0)
    assert ears.heard == [("closed", "peer_not_reading")]


@pytest.mark.parametrize(
    ("leaving", "reason"),
    [(masked(CLOSE, b"\x03\xe9"), "caller_hung_up"), (masked(CLOSE, b"\x03\xf3"), "connection_lost")],
)
async def test_the_peer_closes(connect: Connect, leaving: bytes, reason: str) -> None:
    switchboard = Switchboard()
    peer = await connect(switchboard)
    peer.send(texts(CONNECTED, start()) + leaving)
    _, _, ears = await switchboard.call()
    await ears.ended.wait()
    assert ears.heard == [("closed", reason)]
    assert (await peer.frame()).code in (1001, 1011)  # the echo
    assert await peer.rest() == b""


async def test_the_connection_breaks(connect: Connect) -> None:
    switchboard = Switchboard()
    peer = await connect(switchboard)
    peer.send(texts(CONNECTED, start()))
    _, _, ears = await switchboard.call()
    peer.writer.transport.abort()
    await ears.ended.wait()
    assert ears.heard == [("closed", "connection_lost")]


@pytest.mark.parametrize(
    ("error", "line"), [(UnknownContext("gone"), "unknown_context"), (RuntimeError("a bug"), "the switchboard failed")]
)
async def test_a_switchboard_that_refuses(
    connect: Connect, caplog: pytest.LogCaptureFixture, error: Exception, line: str
) -> None:
    peer = await connect(Switchboard(error=error))
    peer.send(texts(CONNECTED, start()))
    assert isinstance(await peer.frame(), Close)
    await peer.rest()
    assert line in caplog.text


async def test_a_wire_that_no_call_opens_is_hung_up(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    switchboard = Switchboard(opens=False)
    peer = await connect(switchboard)
    peer.send(texts(CONNECTED, start()))
    assert isinstance(await peer.frame(), Close)
    await peer.rest()
    assert "no call has opened its wire" in caplog.text

"""Peers that send more than a call needs: each wire drops them in its own way, and bursts of honest ones survive."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from actors.services.metrics import Metrics
from tests.transports.peers import CONNECTED, CONTEXT_ID, Peer, Switchboard, Ticks, context, masked, message, start
from tests.transports.test_twilio_wire import MEDIA
from transports.audiosocket import AudioSocketWire, audio_header
from transports.browser import RtviWire
from transports.connection import Limits, MediaConnection
from transports.rtvi import audio_frame, message_frame
from transports.twilio import TwilioWire
from transports.websocket import BINARY, CONTINUATION, PING, PONG, TEXT, Close

LIMITS = Limits(messages_per_s=50, burst_s=10, closing_s=0.2)  # 500 messages at once
IDENTITY = b"\x01\x00\x10" + CONTEXT_ID.bytes
AUDIO = audio_header(0x10, 320) + bytes(320)
KEY = b"\x03\x00\x01*"
FRAME = bytes(640)


@dataclass
class Line:
    """A peer in a call, and that call's side of it."""

    peer: Peer
    wire: Any
    ears: Any
    metrics: Metrics


Dial = Callable[..., Awaitable[Line]]
OPENING = {
    "twilio": masked(TEXT, CONNECTED) + masked(TEXT, start()),
    "browser": masked(BINARY, message_frame("client-ready", {"version": "2.1.0"})),
    "asterisk": IDENTITY + AUDIO,
}


def make(kind: str, limits: Limits, switchboard: Switchboard, metrics: Metrics) -> MediaConnection:
    if kind == "asterisk":
        claimed = context(provider="asterisk", provider_call_id=None)
        return AudioSocketWire(limits, switchboard, lambda wire, identity: wire.accept(claimed), Ticks(), metrics)
    wire = {"twilio": TwilioWire, "browser": RtviWire}[kind]
    return wire(context(provider=kind), limits, switchboard, metrics=metrics)


@pytest.fixture
async def dial() -> AsyncIterator[Dial]:
    lines: list[Line] = []
    servers: list[asyncio.Server] = []

    async def dial(kind: str, limits: Limits = LIMITS) -> Line:
        switchboard, metrics = Switchboard(), Metrics()
        loop = asyncio.get_running_loop()
        servers.append(await loop.create_server(lambda: make(kind, limits, switchboard, metrics), "127.0.0.1", 0))
        peer = await Peer.connect(servers[-1].sockets[0].getsockname()[1])
        peer.send(OPENING[kind])
        _, wire, ears = await switchboard.call()
        lines.append(Line(peer, wire, ears, metrics))
        return lines[-1]

    yield dial
    for line in lines:
        await line.peer.close()
        async with asyncio.timeout(5):
            await line.ears.ended.wait()
    for server in servers:
        server.close()


FLOODS = [
    ("twilio", masked(PING)),
    ("twilio", masked(PONG)),
    ("twilio", masked(TEXT, MEDIA)),
    ("twilio", masked(TEXT, message("mark", mark={"name": "u1"}))),
    ("twilio", masked(TEXT, message("dtmf", dtmf={"digit": "1"}))),
    ("twilio", masked(TEXT, message("news"))),
    ("browser", masked(BINARY)),
    ("browser", masked(BINARY, audio_frame(bytes(2), 16000))),
    ("browser", masked(BINARY, message_frame("dtmf", {"buttons": ["1"]}))),
    ("browser", masked(BINARY, message_frame("send-text", {"content": "hello"}))),
    ("browser", masked(BINARY, message_frame("client-message", {"t": "sing"}))),
    ("asterisk", KEY),
    ("asterisk", AUDIO),
    ("asterisk", audio_header(0x10, 2) + bytes(2)),
]


@pytest.mark.parametrize(("kind", "unit"), FLOODS)
async def test_a_flood_is_dropped(dial: Dial, caplog: pytest.LogCaptureFixture, kind: str, unit: bytes) -> None:
    line = await dial(kind)
    with caplog.at_level(logging.WARNING):
        line.peer.send(unit * 1200)
        received = await line.peer.rest()
    await line.ears.ended.wait()
    last = b"\0\0\0" if kind == "asterisk" else b"\x03\xf0"
    assert last in received  # a hang-up, or the close code 1008
    assert line.ears.termination.reason == "protocol_error" and "too_fast" in line.ears.termination.detail
    (record,) = caplog.records
    assert "too_fast" in record.getMessage() and record.exc_info is None
    assert f'callboard_peers_dropped_total{{code="too_fast",provider="{kind}"}} 1.0' in line.metrics.exposition()


async def test_a_message_in_a_thousand_fragments_is_dropped(dial: Dial) -> None:
    line = await dial("browser")
    line.peer.send(masked(BINARY, b"", final=False) + masked(CONTINUATION, b"", final=False) * 1200)
    while not isinstance(last := await line.peer.frame(), Close):
        pass
    assert last.code == 1008


async def test_bytes_one_by_one_are_dropped(dial: Dial) -> None:
    line = await dial("twilio", Limits(messages_per_s=5, burst_s=10, closing_s=0.2))
    line.peer.writer.transport.set_write_buffer_limits(0)
    for byte in masked(TEXT, MEDIA):
        line.peer.send(bytes((byte,)))
        await line.peer.writer.drain()
        await asyncio.sleep(0)
    await line.peer.rest()
    await line.ears.ended.wait()
    assert "too_fast" in line.ears.termination.detail


@pytest.mark.parametrize(
    ("kind", "unit", "event"),
    [
        ("twilio", masked(TEXT, MEDIA), "audio"),
        ("browser", masked(BINARY, audio_frame(FRAME, 16000)), "audio"),
        ("asterisk", AUDIO, "audio"),
        ("asterisk", KEY, "dtmf"),
    ],
)
async def test_a_burst_is_heard_to_its_end_and_others_get_their_turns(
    dial: Dial, kind: str, unit: bytes, event: str
) -> None:
    line = await dial(kind, Limits(keys_per_minute=2000))
    depths: list[int] = []
    line.ears.heard.clear()
    line.peer.send(unit * 450)  # 9 s of audio
    async with asyncio.timeout(5):
        while len(line.ears.heard) < 450:
            depths.append(len(line.ears.heard))
            await asyncio.sleep(0)
    assert {name for name, _ in line.ears.heard} == {event} and max(depths) > 0  # not all in one turn
    line.peer.send(unit)  # it reads on
    await line.ears.wait_for(451)


async def test_our_own_failure_in_a_later_turn_ends_the_call(dial: Dial, caplog: pytest.LogCaptureFixture) -> None:
    line = await dial("asterisk")

    def fail(payload: bytes) -> None:
        if len(line.ears.heard) > 40:
            raise ZeroDivisionError
        line.ears.heard.append(("audio", payload))

    line.ears.on_audio = fail
    line.peer.send(AUDIO * 100)
    await line.ears.ended.wait()
    assert line.ears.termination.reason == "internal_error"
    assert [record.exc_info is not None for record in caplog.records] == [True]


async def test_keys_and_texts_beyond_a_calls_limits_are_not_heard(dial: Dial) -> None:
    line = await dial("browser", Limits(keys_per_minute=3, texts_per_minute=2))
    for keys in (["1", "2"], ["3", "4"], ["5"]):
        line.peer.send(masked(BINARY, message_frame("dtmf", {"buttons": keys})))
    for text in ("one", "two", "three"):
        line.peer.send(masked(BINARY, message_frame("send-text", {"content": text})))
    await line.ears.wait_for(5)
    assert line.ears.heard == [("dtmf", "1"), ("dtmf", "2"), ("dtmf", "5"), ("text", "one"), ("text", "two")]
    answers = [(await line.peer.frame()).payload for _ in range(3)]
    assert b"bot-ready" in answers[0] and b"3 keys a minute" in answers[1] and b"2 texts a minute" in answers[2]
    phone = await dial("asterisk", Limits(keys_per_minute=3))
    phone.peer.send(KEY * 5 + AUDIO)
    await phone.ears.wait_for(5)
    assert [event for event, _ in phone.ears.heard] == ["audio", "dtmf", "dtmf", "dtmf", "audio"]
    assert 'callboard_inputs_ignored_total{kind="keys",provider="asterisk"} 2.0' in phone.metrics.exposition()


async def test_a_browser_is_heard_in_real_time(dial: Dial) -> None:
    line = await dial("browser", Limits(bytes_per_s=1e8, messages_per_s=1e5))
    second = audio_frame(bytes(48_000), 24000)
    line.peer.send(masked(BINARY, second) * 60 + masked(BINARY, message_frame("dtmf", {"buttons": ["1"]})))
    async with asyncio.timeout(10):
        while ("dtmf", "1") not in line.ears.heard:
            line.ears.something.clear()
            await line.ears.something.wait()
    heard_s = sum(len(payload) for event, payload in line.ears.heard if event == "audio") / 32_000
    assert 9 <= heard_s <= 13


async def test_what_one_peer_can_put_into_a_mailbox_is_bounded(dial: Dial) -> None:
    """All but audio, which gives way to newer audio, and marks, which are handled at once."""
    limits = Limits(keys_per_minute=300, texts_per_minute=30)
    line = await dial("browser", limits)
    units = [message_frame("dtmf", {"buttons": ["1"] * 32}), message_frame("send-text", {"content": "hello"})]
    line.peer.send(b"".join(masked(BINARY, unit) for unit in units) * 3000)
    await line.peer.rest()
    await line.ears.ended.wait()
    kept = [event for event, _ in line.ears.heard if event != "audio"]
    assert len(kept) <= limits.keys_per_minute + limits.texts_per_minute + 10 + len(["closed"])


@pytest.mark.parametrize("kind", OPENING)
async def test_a_peer_that_was_reset_has_not_hung_up(dial: Dial, kind: str) -> None:
    line = await dial(kind)
    line.peer.reset()
    await line.ears.ended.wait()
    assert (line.ears.termination.reason, line.ears.termination.detail) == ("connection_lost", "reset")

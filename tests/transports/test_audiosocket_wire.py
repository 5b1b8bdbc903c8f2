"""The AudioSocket wire on real sockets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

import pytest

from actors.errors import Result, Termination
from actors.media.audio import MULAW_8K, PCM_8K, PCM_16K
from store.errors import UnknownContext
from tests.transports.peers import CONTEXT_ID, FAST, Peer, Switchboard, Ticks, context
from transports.audiosocket import AudioSocketWire, audio_header
from transports.connection import Limits

IDENTITY = b"\x01\x00\x10" + CONTEXT_ID.bytes
SILENCE = b"\x10\x01\x40" + bytes(320)
HANG_UP = b"\0\0\0"
CONTEXT = context(provider="asterisk", provider_call_id=None)


def audio(payload: bytes, kind: int = 0x10) -> bytes:
    return audio_header(kind, len(payload)) + payload


class Watched(AudioSocketWire):
    """Accepts `CONTEXT_ID` and nothing else, at once or when told."""

    def __init__(self, limits: Limits, switchboard: Switchboard, clock: Ticks, *, claims: bool) -> None:
        super().__init__(limits, switchboard, self.claim, clock)
        self.claims = claims
        self.made, self.gone, self.named = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def claim(self, wire: AudioSocketWire, identity: UUID) -> None:
        self.named.set()
        if identity != CONTEXT_ID:
            self.reject(UnknownContext(f"context {identity}: not there"))
        elif self.claims:
            self.accept(CONTEXT)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.made.set()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.gone.set()


class Line:
    """One connection: the peer, the wire, and what they need."""

    def __init__(self, peer: Peer, wire: Watched, switchboard: Switchboard, clock: Ticks) -> None:
        self.peer, self.wire, self.switchboard, self.clock = peer, wire, switchboard, clock


Dial = Callable[..., Awaitable[Line]]


@pytest.fixture
async def dial() -> AsyncIterator[Dial]:
    lines: list[Line] = []
    servers: list[asyncio.Server] = []

    async def dial(
        limits: Limits = FAST, switchboard: Switchboard | None = None, clock: Ticks | None = None, claims: bool = True
    ) -> Line:
        switchboard, clock = switchboard or Switchboard(), clock or Ticks()
        wire = Watched(limits, switchboard, clock, claims=claims)
        server = await asyncio.get_running_loop().create_server(lambda: wire, "127.0.0.1", 0)
        servers.append(server)
        peer = await Peer.connect(server.sockets[0].getsockname()[1])
        await wire.made.wait()
        lines.append(Line(peer, wire, switchboard, clock))
        return lines[-1]

    yield dial
    for line in lines:
        await line.peer.close()
    async with asyncio.timeout(5):
        await asyncio.gather(*(line.wire.gone.wait() for line in lines))
    for server in servers:
        server.close()
    assert not any(line.clock.tickers for line in lines)


async def test_a_call(dial: Dial) -> None:
    line = await dial()
    line.peer.send(IDENTITY + audio(b"\x01\x02" * 160) + b"\x03\x00\x01*")
    called, wire, ears = await line.switchboard.call()
    assert called == CONTEXT and wire.provider == "asterisk" and wire.format == PCM_8K
    await ears.wait_for(2)
    wire.send_audio(bytes(320))
    assert await line.peer.read(323) == SILENCE
    await line.peer.close()
    await ears.ended.wait()
    assert ears.heard == [("audio", b"\x01\x02" * 160), ("dtmf", "*"), ("closed", "caller_hung_up")]


async def test_silence_from_the_first_millisecond_until_a_call_opens(dial: Dial) -> None:
    line = await dial(switchboard=Switchboard(opens=False))
    line.clock.tick()
    assert await line.peer.read(323) == SILENCE
    line.peer.send(IDENTITY + audio(b"\x7f" * 160))
    _, wire, ears = await line.switchboard.call()
    line.clock.tick()
    assert await line.peer.read(163) == b"\x10\x00\xa0" + b"\xff" * 160
    wire.open(ears)
    assert line.clock.tickers == [] and ears.heard == [("audio", b"\x7f" * 160)]


@pytest.mark.parametrize(
    ("first", "format"),
    [
        (audio(bytes(320)), PCM_8K),
        (audio(bytes(160)), MULAW_8K),
        (audio(bytes(640), kind=0x12), PCM_16K),
    ],
)
async def test_we_answer_in_the_kind_received(dial: Dial, first: bytes, format: object) -> None:
    line = await dial()
    line.peer.send(IDENTITY + first)
    _, wire, _ = await line.switchboard.call()
    assert wire.format == format
    wire.send_audio(first[3:])
    assert await line.peer.read(len(first)) == first
    wire.send_audio(first[3:43])
    assert await line.peer.read(43) == first[:1] + b"\x00\x28" + first[3:43]


async def test_without_audio_the_call_starts_as_8_khz(dial: Dial) -> None:
    line = await dial(Limits(closing_s=0.1))
    line.peer.send(IDENTITY)
    _, wire, ears = await line.switchboard.call()
    assert wire.format == PCM_8K
    line.peer.send(audio(bytes(320)))
    await ears.wait_for(1)
    line.peer.send(audio(bytes(640), kind=0x12))
    await ears.ended.wait()
    assert ears.termination is not None and "audiosocket_format_changed" in ears.termination.detail


async def test_late_audio_in_another_format_than_assumed_is_an_error_not_a_noise(dial: Dial) -> None:
    line = await dial(Limits(closing_s=0.1))
    line.peer.send(IDENTITY)
    _, _, ears = await line.switchboard.call()
    line.peer.send(audio(bytes(160)))
    await ears.ended.wait()
    assert [event for event, _ in ears.heard] == ["closed"]


async def test_we_hang_up_and_wait_for_the_peer(dial: Dial) -> None:
    line = await dial(Limits())
    line.peer.send(IDENTITY + audio(bytes(320)))
    _, wire, ears = await line.switchboard.call()
    wire.send_audio(bytes(320))
    wire.hang_up()
    wire.hang_up()
    wire.send_audio(bytes(320))
    assert await line.peer.read(326) == SILENCE + HANG_UP
    line.peer.send(audio(b"\1" * 320))
    await line.peer.close()
    await ears.ended.wait()
    assert ears.heard == [("audio", bytes(320)), ("closed", "agent_hung_up")]


async def test_a_peer_that_ignores_our_hang_up(dial: Dial) -> None:
    line = await dial()
    line.peer.send(IDENTITY + audio(bytes(320)))
    _, wire, ears = await line.switchboard.call()
    wire.hang_up()
    await ears.ended.wait()
    assert await line.peer.rest() == HANG_UP


@pytest.mark.parametrize(
    ("leaving", "reason", "result"),
    [
        (b"\0\0\0", "caller_hung_up", Result.SUCCESS),
        (b"\xff\0\1\4", "carrier_error", Result.CLIENT_ERROR),
        (b"\x42\0\0", "protocol_error", Result.CLIENT_ERROR),
    ],
)
async def test_the_peer_ends_the_call(dial: Dial, leaving: bytes, reason: str, result: Result) -> None:
    line = await dial()
    line.peer.send(IDENTITY + audio(bytes(320)) + leaving)
    _, _, ears = await line.switchboard.call()
    await ears.ended.wait()
    assert ears.termination is not None
    assert (ears.termination.reason, ears.termination.result) == (reason, result)


async def test_a_reset_is_no_hang_up(dial: Dial) -> None:
    line = await dial()
    line.peer.send(IDENTITY + audio(bytes(320)))
    _, _, ears = await line.switchboard.call()
    line.peer.reset()
    await ears.ended.wait()
    assert ears.termination == Termination(Result.CLIENT_ERROR, "connection_lost", "reset")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (None, "caller_hung_up"),
        (BrokenPipeError(), "caller_hung_up"),  # closed while we speak: its kernel answers what we write with a reset
        (ConnectionResetError(), "connection_lost"),
        (TimeoutError(), "connection_lost"),
    ],
)
async def test_what_the_end_of_a_connection_means(dial: Dial, error: Exception | None, reason: str) -> None:
    line = await dial()
    assert line.wire.lost(error).reason == "connection_lost"  # nobody has called yet
    line.peer.send(IDENTITY + audio(bytes(320)))
    _, wire, _ = await line.switchboard.call()
    assert wire.lost(error).reason == reason


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"", "audiosocket_not_identified"),
        (IDENTITY[:10], "audiosocket_not_identified"),
        (b"GET / HTTP/1.1\r\n\r\n", "audiosocket_not_identified"),
        (b"\x01\x00\x10" + bytes(16), "unknown_context"),
        (IDENTITY + b"\x10\x00\x00", "audiosocket_bad_frame"),
    ],
)
async def test_bad_input_is_hung_up_on_with_one_line(
    dial: Dial, caplog: pytest.LogCaptureFixture, sent: bytes, code: str
) -> None:
    other = await dial(Limits())
    other.peer.send(IDENTITY + audio(bytes(320)))
    _, _, undisturbed = await other.switchboard.call()
    line = await dial()
    with caplog.at_level(logging.WARNING):
        line.peer.send(sent)
        assert await line.peer.rest() == HANG_UP
    (record,) = caplog.records
    assert code in record.getMessage() and "peer=127.0.0.1" in record.getMessage() and record.exc_info is None
    await line.wire.gone.wait()
    assert line.switchboard.calls.qsize() == (line.wire.context is not None)  # a claimed context gets its call's end
    other.peer.send(audio(bytes(320)))
    await undisturbed.wait_for(2)


async def test_a_caller_who_leaves_before_the_claim_is_done_still_gets_an_end(dial: Dial) -> None:
    line = await dial(Limits(), claims=False)
    line.peer.send(IDENTITY + audio(bytes(320)))
    await line.wire.named.wait()
    await line.peer.close()
    line.wire.accept(CONTEXT)
    _, _, ears = await line.switchboard.call()
    await ears.ended.wait()
    assert [event for event, _ in ears.heard] == ["audio", "closed"]


async def test_a_caller_who_is_cut_off_before_the_claim_is_done_still_gets_an_end(dial: Dial) -> None:
    line = await dial(Limits(idle_s=0.05), claims=False)
    line.peer.send(IDENTITY)
    await line.wire.gone.wait()
    line.wire.accept(CONTEXT)
    _, _, ears = await line.switchboard.call()
    assert ears.heard == [("closed", "media_timeout")]


async def test_nothing_behind_the_uuid_is_looked_at_before_the_claim_is_answered(dial: Dial) -> None:
    line = await dial(claims=False)
    line.peer.send(IDENTITY + b"\x03\x00\x01*" * 16 + audio(bytes(320)) + b"\x42")
    await line.wire.named.wait()
    line.peer.send(b"\0\0")
    await asyncio.sleep(0.02)
    assert line.wire._stream._at == len(IDENTITY) and not line.wire.transport.is_reading()
    line.wire.accept(CONTEXT)
    _, _, ears = await line.switchboard.call()
    await ears.ended.wait()
    assert [event for event, _ in ears.heard] == [*["dtmf"] * 16, "audio", "closed"]
    assert "kind 0x42" in ears.termination.detail


async def test_a_caller_who_leaves_before_any_audio_still_gets_an_end(dial: Dial) -> None:
    line = await dial(Limits())
    line.peer.send(IDENTITY)
    await line.wire.named.wait()
    await line.peer.close()
    _, _, ears = await line.switchboard.call()
    assert ears.heard == [("closed", "caller_hung_up")]


async def test_odd_bytes_are_refused(dial: Dial) -> None:
    line = await dial()
    line.peer.send(IDENTITY + audio(bytes(320)) + audio(bytes(321)))
    _, _, ears = await line.switchboard.call()
    await ears.ended.wait()
    assert ears.heard == [("audio", bytes(320)), ("closed", "protocol_error")]

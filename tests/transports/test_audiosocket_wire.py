"""The AudioSocket wire on real sockets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest

from actors.errors import Result, Termination
from actors.media import g711
from actors.media.audio import PCM_8K, PCM_16K, AudioFormat, Encoding
from actors.media.resample import Converter
from store.errors import UnknownContext
from tests.fakes.voice import voice
from tests.transports.peers import CONTEXT_ID, FAST, Peer, Switchboard, Ticks, context
from transports.audiosocket import RATES, Audio, AudioFormats, AudioSocketStream, AudioSocketWire, audio_header
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
    assert await line.peer.read(323) == SILENCE
    wire.open(ears)
    assert line.clock.tickers == [] and ears.heard == [("audio", g711.decode(b"\x7f" * 160))]


@pytest.mark.parametrize(
    ("first", "format"),
    [
        (audio(bytes(320)), PCM_8K),
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


async def test_mu_law_is_answered_linear(dial: Dial) -> None:
    """Asterisk sends mu-law in frames of kind 0x10, and reads what it gets in them as linear."""
    line = await dial()
    line.peer.send(IDENTITY + audio(b"\x10" * 160))
    _, wire, ears = await line.switchboard.call()
    assert wire.format == PCM_8K
    await ears.wait_for(1)
    assert ears.heard == [("audio", g711.decode(b"\x10" * 160))]
    wire.send_audio(b"\x01\x02" * 160)
    assert await line.peer.read(323) == audio(b"\x01\x02" * 160)


TONE = (np.sin(np.arange(8000) * 0.3) * 8000).astype("<i2").tobytes()  # a second at 8 kHz


def frames(pcm: bytes, size: int) -> list[bytes]:
    return [pcm[at : at + size] for at in range(0, len(pcm), size)]


@pytest.mark.parametrize("kind", [0x10, 0x11, 0x12, 0x13, 0x15, 0x16, 0x18])
async def test_audio_that_comes_late_is_heard_and_answered_in_its_kind(dial: Dial, kind: int) -> None:
    """With `c(slin16)` the first frame may come after a second of nothing."""
    line = await dial(Limits())
    line.peer.send(IDENTITY)
    _, wire, ears = await line.switchboard.call()
    assert wire.format == PCM_8K
    wire.send_audio(bytes(320))
    assert await line.peer.read(323) == SILENCE  # until the kind is known
    rate = AudioFormat(Encoding.PCM, RATES[kind - 0x10])
    sound = Converter(PCM_8K, rate).convert(TONE)
    sent = frames(sound, rate.frame_bytes)[:40]
    for frame in sent:
        line.peer.send(audio(frame, kind))
    await ears.wait_for(40)
    heard = b"".join(payload for event, payload in ears.heard if event == "audio")
    assert len(heard) == pytest.approx(40 * 320, abs=200)
    assert np.abs(np.frombuffer(heard[3200:], "<i2")).max() == pytest.approx(8000, rel=0.1)
    for frame in frames(TONE, 320)[:10]:
        wire.send_audio(frame)
    header = audio_header(kind, rate.frame_bytes)
    answer = await line.peer.read(8 * (3 + rate.frame_bytes))
    assert all(frame.startswith(header) for frame in frames(answer, 3 + rate.frame_bytes))


async def test_a_channel_may_change_its_format(dial: Dial) -> None:
    line = await dial(Limits())
    line.peer.send(IDENTITY + audio(bytes(640), kind=0x12))
    _, wire, ears = await line.switchboard.call()
    assert wire.format == PCM_16K
    line.peer.send(audio(bytes(320)) + audio(bytes(160)) + audio(bytes(320)) + audio(b"\xff" * 160) * 3)
    await ears.wait_for(7)
    assert len(ears.heard[0][1]) == 640
    wire.send_audio(bytes(640))
    assert await line.peer.read(323) == SILENCE
    line.peer.send(audio(bytes(640), kind=0x12))
    await ears.wait_for(8)
    wire.send_audio(b"\1" * 640)
    assert (await line.peer.read(643))[:3] == b"\x12\x02\x80"


def test_a_short_frame_among_linear_ones_is_the_end_of_something() -> None:
    formats = AudioFormats(PCM_8K)
    mulaw = g711.encode(voice(20))
    short, long = Audio(0x10, mulaw), Audio(0x10, bytes(320))
    assert formats.to_call(short) == g711.decode(mulaw)  # a channel that begins so sends mu-law
    assert formats.to_call(long) == bytes(320)
    assert formats.to_call(short) == mulaw
    assert formats.to_call(short) == formats.to_call(short) == g711.decode(mulaw)
    assert formats.to_call(long) == bytes(320)


@pytest.mark.parametrize("gain", [0.02, 0.3, 1.0, 2.5])
@pytest.mark.parametrize("noise", [0, 20, 400])
def test_short_frames_are_what_their_bytes_are(gain: float, noise: int) -> None:
    """A phone with frames of 10 ms brings linear audio in 160 bytes, a mu-law channel 20 ms."""
    samples = np.frombuffer(bytes(1600) + voice(1000), "<i2") * gain
    samples = samples + np.random.default_rng(1).normal(0, noise, len(samples)) if noise else samples
    pcm = np.clip(samples, -32768, 32767).astype("<i2").tobytes()
    formats = AudioFormats(PCM_8K)
    assert b"".join(formats.to_call(Audio(0x10, frame)) for frame in frames(pcm, 160)) == pcm
    coded = g711.encode(pcm)
    formats = AudioFormats(PCM_8K)
    assert b"".join(formats.to_call(Audio(0x10, frame)) for frame in frames(coded, 160)) == g711.decode(coded)


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
    assert line.wire._codec._at == len(IDENTITY) and not line.wire.transport.is_reading()
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


def tone(kind: int, number: int, frame_bytes: int) -> bytes:
    return audio(bytes([number, 0]) * (frame_bytes // 2), kind)


async def test_a_read_of_one_usual_frame_is_like_any_other(dial: Dial) -> None:
    """It goes a short way, whatever came before it: half a frame, another kind, a key."""
    usual = [tone(0x10, number, 320) for number in range(1, 20)]
    reads = [
        *usual[:5],
        usual[5][:100],  # the rest comes with the next read, which looks like a usual one by its length alone
        usual[5][100:] + usual[6][:100],
        usual[6][100:],
        usual[7] + usual[8],
        b"\x03\x00\x011",
        *usual[9:12],
        tone(0x12, 99, 640),
        tone(0x12, 99, 640),
        *usual[12:14],
        b"\x10\x00\xa0" + bytes([7, 0]) * 80,  # half as long
        *usual[14:],
    ]
    line = await dial()
    line.wire.data_received(IDENTITY + usual[0])
    _, _, ears = await line.switchboard.call()
    for read in reads:
        line.wire.data_received(read)
    told = [payload for event, payload in ears.heard if event == "audio"]
    payloads = [frame[3:] for frame in usual]
    assert [payload for payload in told if payload in payloads] == [payloads[0], *payloads]
    at = [event for event, _ in ears.heard].index("dtmf")
    assert told[at - 1] == payloads[8]


async def test_usual_frames_are_not_parsed(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    line = await dial()
    line.wire.data_received(IDENTITY + SILENCE)
    _, _, ears = await line.switchboard.call()
    parsed: list[bytes] = []
    monkeypatch.setattr(AudioSocketStream, "feed", lambda stream, data: parsed.append(data))
    for _ in range(10):
        line.wire.data_received(SILENCE)
    assert len(ears.heard) == 11 and parsed == []


async def test_usual_frames_cost_the_peer_its_budget(dial: Dial) -> None:
    limits = replace(FAST, messages_per_s=100, burst_s=2.0)
    line = await dial(limits)
    line.wire.data_received(IDENTITY + SILENCE)
    await line.switchboard.call()
    frames = 0
    while not line.wire._deaf and frames < 1000:
        line.wire.data_received(SILENCE)
        frames += 1
    assert 200 <= frames < 300
    assert await line.peer.read(3) == HANG_UP

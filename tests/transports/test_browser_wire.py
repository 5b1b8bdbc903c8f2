"""The browser's wire on real sockets, from the first byte after the 101."""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest

from actors.call.events import (
    AssistantSays,
    AssistantStarted,
    AssistantStopped,
    AssistantWords,
    CallEnding,
    CallerWords,
    NotAnswered,
    TurnMeasured,
    VoiceEnded,
    VoiceStarted,
)
from actors.call.wire import PlayoutMode
from actors.errors import Result, Termination
from actors.media.audio import PCM_16K
from tests.transports.peers import FAST, Peer, Switchboard, context, masked
from transports import browser
from transports.browser import SILENT_FRAMES, RtviWire
from transports.connection import Limits
from transports.rtvi import Audio, Event, Message, audio_frame, message_frame, receive
from transports.websocket import BINARY, CLOSE, TEXT, Binary, Close

FRAME = b"\x00\x10" * 320
SILENCE = bytes(640)
READY = message_frame("client-ready", {"version": "2.1.0", "about": {"library": "test"}}, "r1")
Connect = Callable[..., Any]


class Watched(RtviWire):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.gone = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.gone.set()


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Connects a peer to a wire: `await connect(switchboard)`; nothing may be left open afterwards."""
    wires: list[Watched] = []
    peers: list[Peer] = []
    servers: list[asyncio.Server] = []

    async def connect(switchboard: Switchboard, limits: Limits = FAST, **options: Any) -> Peer:
        def wire() -> RtviWire:
            wires.append(Watched(context(provider="browser"), limits, switchboard, **options))
            return wires[-1]

        servers.append(await asyncio.get_running_loop().create_server(wire, "127.0.0.1", 0))
        peers.append(await Peer.connect(servers[-1].sockets[0].getsockname()[1]))
        return peers[-1]

    yield connect
    for peer in peers:
        await peer.close()
    async with asyncio.timeout(5):
        await asyncio.gather(*(wire.gone.wait() for wire in wires))
    for server in servers:
        server.close()


def say(peer: Peer, *frames: bytes) -> None:
    for frame in frames:
        peer.send(masked(BINARY, frame))


async def told(peer: Peer) -> Event:
    frame = await peer.frame()
    assert isinstance(frame, Binary), frame
    return receive(frame.payload)


async def message(peer: Peer) -> tuple[str, dict[str, Any]]:
    event = await told(peer)
    assert isinstance(event, Message)
    return event.type, event.data


async def begin(connect: Connect, **options: Any) -> tuple[Peer, Any, Any]:
    """A peer, its wire and its call, after `bot-ready`."""
    switchboard = Switchboard()
    peer = await connect(switchboard, **options)
    say(peer, READY)
    _, wire, ears = await switchboard.call()
    assert (await message(peer))[0] == "bot-ready"
    return peer, wire, ears


async def test_a_call(connect: Connect) -> None:
    switchboard = Switchboard()
    peer = await connect(switchboard)
    say(peer, READY, audio_frame(FRAME, 16000), message_frame("dtmf", {"buttons": ["4", "#"]}))
    say(peer, message_frame("send-text", {"content": " when are you open? "}))
    called, wire, ears = await switchboard.call()
    assert called.provider == wire.provider == "browser"
    assert wire.format == PCM_16K and wire.playout is PlayoutMode.LOCALLY_PACED
    answer = await told(peer)
    assert isinstance(answer, Message) and (answer.type, answer.id) == ("bot-ready", "r1")
    assert answer.data["version"] == "2.1.0"
    wire.send_audio(FRAME)
    assert await told(peer) == Audio(FRAME, 16000)
    say(peer, message_frame("disconnect-bot"))
    assert await peer.frame() == Close(1000, "")
    peer.send(masked(CLOSE, b"\x03\xe8"))
    await ears.ended.wait()
    assert ears.heard == [
        ("audio", FRAME),
        ("dtmf", "4"),
        ("dtmf", "#"),
        ("text", "when are you open?"),
        ("closed", "caller_hung_up"),
    ]
    assert await peer.rest() == b""


async def test_the_bot_is_ready_when_its_call_is_there(connect: Connect) -> None:
    switchboard = Switchboard(opens=False)
    peer = await connect(switchboard)
    say(peer, READY)
    _, wire, ears = await switchboard.call()
    answer = asyncio.create_task(message(peer))
    await asyncio.wait([answer], timeout=0.02)
    assert not answer.done()
    wire.open(ears)
    assert (await answer)[0] == "bot-ready"
    say(peer, READY)  # a client that asks twice is answered twice
    assert (await message(peer))[0] == "bot-ready"
    assert switchboard.calls.empty()


async def test_a_microphone_of_another_rate(connect: Connect) -> None:
    peer, _, ears = await begin(connect)
    tone = np.sin(np.arange(48000) * 2 * np.pi * 440 / 48000) * 8000
    pcm = tone.astype("<i2").tobytes()
    say(peer, *(audio_frame(pcm[at : at + 960], 48000) for at in range(0, len(pcm), 960)), audio_frame(FRAME, 16000))
    assert (await peer.frame()).code == 1003  # the rate of a call does not change
    await peer.rest()
    heard = np.frombuffer(b"".join(payload for event, payload in ears.heard if event == "audio"), "<i2")
    assert len(heard) == pytest.approx(16000, abs=100)
    assert np.argmax(np.abs(np.fft.rfft(heard, 16000))) == pytest.approx(440, abs=2)
    await ears.ended.wait()
    assert ears.termination.reason == "protocol_error" and "rtvi_unsupported_audio" in ears.termination.detail


async def test_a_player_that_knows_24_khz_only(connect: Connect) -> None:
    peer, wire, _ = await begin(connect, player_rate=24000)
    for _ in range(50):
        wire.send_audio(FRAME)
    events = [await told(peer) for _ in range(50)]
    assert {event.rate for event in events} == {24000}
    assert sum(len(event.payload) for event in events) == pytest.approx(48000, abs=400)


async def test_long_silence_is_not_sent(connect: Connect) -> None:
    peer, wire, _ = await begin(connect)
    for payload in (SILENCE, FRAME, *[SILENCE] * 50, FRAME):
        wire.send_audio(payload)
    wire.hang_up()
    events = []
    while isinstance(frame := await peer.frame(), Binary):
        events.append(receive(frame.payload))
    assert [any(event.payload) for event in events] == [True, *[False] * SILENT_FRAMES, True]


async def test_the_client_sees_what_happens(connect: Connect) -> None:
    peer, wire, _ = await begin(connect)
    for event in (
        VoiceStarted(),
        CallerWords("when are", final=False),
        VoiceEnded(),
        CallerWords("when are you open", final=True),
        AssistantSays(2, "From nine to five."),
        TurnMeasured(1, "llm_first_token_ms", 201.3),
        AssistantStarted(2),
        TurnMeasured(1, "turn_latency_ms", 812.0),
        TurnMeasured(1, "words", 3.0),
        AssistantStopped(2, interrupted=True),
        AssistantWords("From nine", interrupted=True),
        AssistantStopped(3, interrupted=False),
    ):
        wire.observe(event)
    seen = [await message(peer) for _ in range(11)]
    for kind, data in seen:
        if kind == "user-transcription":
            assert data.pop("user_id") == "caller" and data.pop("timestamp").endswith("+00:00")
    assert seen == [
        ("user-started-speaking", {}),
        ("user-transcription", {"text": "when are", "final": False}),
        ("user-stopped-speaking", {}),
        ("user-transcription", {"text": "when are you open", "final": True}),
        ("bot-tts-text", {"text": "From nine to five."}),
        ("metrics", {"ttfb": [{"processor": "llm_first_token", "value": 0.2013}], "turn": 1}),
        ("bot-started-speaking", {}),
        ("metrics", {"processing": [{"processor": "turn_latency", "value": 0.812}], "turn": 1}),
        ("server-message", {"type": "interrupted"}),
        ("bot-stopped-speaking", {}),
        ("bot-transcription", {"text": "From nine", "interrupted": True}),
    ]


@pytest.mark.parametrize(
    ("termination", "text", "error"),
    [
        (Termination(Result.SUCCESS, "assistant_hung_up"), "the assistant hung up", None),
        (Termination(Result.SUCCESS, "operator"), "an operator ended the call", None),
        (Termination(Result.SUCCESS, "operator", "a test"), "an operator ended the call: a test", None),
        (
            Termination(Result.UPSTREAM_ERROR, "provider_exhausted", "speaker: no credit"),
            "the assistant's providers failed",
            "provider_exhausted",
        ),
    ],
)
async def test_the_client_learns_why_we_hang_up(
    connect: Connect, termination: Termination, text: str, error: str | None
) -> None:
    peer, wire, ears = await begin(connect)
    wire.observe(CallEnding(termination))
    wire.hang_up()
    wire.hang_up()
    wire.send_audio(FRAME)
    wire.observe(VoiceStarted())
    told = {"type": "call-ending", "reason": termination.reason, "text": text}
    assert await message(peer) == ("server-message", told)
    if error:
        assert await message(peer) == ("error", {"error": error, "fatal": True})
    assert await peer.frame() == Close(1000, termination.reason)
    await ears.ended.wait()
    assert ears.heard == [("closed", "agent_hung_up")]
    wire.observe(VoiceEnded())


@pytest.mark.parametrize(
    ("refused", "complaint"),
    [
        (message_frame("send-text", {"content": " "}, "q"), "1 to 2000"),
        (message_frame("send-text", {"content": "x" * 2001}, "q"), "1 to 2000"),
        (message_frame("send-text", {"content": 5}, "q"), "1 to 2000"),
        (message_frame("dtmf", {"buttons": "5"}, "q"), "list"),
        (message_frame("dtmf", {"buttons": []}, "q"), "list"),
        (message_frame("dtmf", {"buttons": ["5", "12"]}, "q"), "0-9"),
        (message_frame("dtmf", {"buttons": ["5"] * 33}, "q"), "1 to 32"),
        (message_frame("dtmf", {"buttons": [["5"]]}, "q"), "0-9"),
        (message_frame("client-message", {"t": "sing"}, "q"), "'sing'"),
        (message_frame("raw-audio", {"base64Audio": ""}, "q"), "'raw-audio'"),
    ],
)
async def test_what_is_refused_is_answered_and_the_call_goes_on(
    connect: Connect, refused: bytes, complaint: str
) -> None:
    peer, _, ears = await begin(connect)
    say(peer, refused, audio_frame(FRAME, 16000))
    answer = await told(peer)
    assert isinstance(answer, Message) and (answer.type, answer.id) == ("error-response", "q")
    assert complaint in answer.data["error"]
    await ears.wait_for(1)
    assert ears.heard == [("audio", FRAME)]


@pytest.mark.parametrize("version", [None, "3.0.0", 2, ""])
async def test_a_client_of_another_version_is_told_and_served(connect: Connect, version: object) -> None:
    switchboard = Switchboard()
    peer = await connect(switchboard)
    say(peer, message_frame("client-ready", {"version": version}))
    assert (await message(peer))[0] == "bot-ready"
    assert (await message(peer))[0] == "error-response"


async def test_nothing_is_sent_before_bot_ready(connect: Connect) -> None:
    switchboard = Switchboard(opens=False)
    peer = await connect(switchboard)
    say(peer, message_frame("client-message", {"t": "sing"}, "q"), READY)
    _, wire, ears = await switchboard.call()
    wire.observe(AssistantSays(1, "Hello."))  # the call speaks before its transport has opened the wire
    wire.observe(NotAnswered("no"))
    wire.open(ears)
    assert [(await message(peer))[0] for _ in range(4)] == ["bot-ready", "error-response", "bot-tts-text", "error"]


def test_only_what_the_published_client_knows_is_sent() -> None:
    """The server's messages of @pipecat-ai/client-js 1.13.1 (`RTVIMessageType`); it warns of any other."""
    known = {"bot-ready", "error", "error-response", "server-message", "server-response", "metrics", "bot-output"}
    known |= {"user-started-speaking", "user-stopped-speaking", "user-transcription", "user-llm-text"}
    known |= {"bot-started-speaking", "bot-stopped-speaking", "bot-transcription", "bot-tts-text"}
    source = inspect.getsource(browser)
    sent = set(re.findall(r"(?:_tell_client|message_frame)\(\s*\"([a-z-]+)\"", source))
    assert len(sent) > 8 and sent <= known


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (masked(TEXT, b"hello"), 1003),
        (masked(BINARY, b"\xff" * 20), 1007),
        (masked(BINARY, b"\x22\x03\x0a\x01{"), 1007),
        (masked(BINARY, audio_frame(FRAME, 4000)), 1003),
        (masked(BINARY, bytes(65537))[:14], 1009),
    ],
)
async def test_bad_input_closes_with_its_code(
    connect: Connect, caplog: pytest.LogCaptureFixture, data: bytes, code: int
) -> None:
    peer, _, ears = await begin(connect)
    with caplog.at_level(logging.WARNING):
        peer.send(data)
        assert (await peer.frame()).code == code
        await peer.rest()
    (record,) = caplog.records
    assert "provider=browser peer=127.0.0.1" in record.getMessage() and record.exc_info is None
    await ears.ended.wait()
    assert ears.termination.reason == "protocol_error"


async def test_a_client_that_is_never_ready(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    switchboard = Switchboard()
    peer = await connect(switchboard)
    say(peer, audio_frame(FRAME, 16000))
    assert (await peer.frame()).code == 1008
    assert "start_timeout" in caplog.text
    await peer.rest()

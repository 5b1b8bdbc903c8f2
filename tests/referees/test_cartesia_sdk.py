"""The cartesia SDK against the fake: its client speaks, its models check every message both ways."""

from __future__ import annotations

import pytest
from cartesia import AsyncCartesia
from cartesia.types.generation_request import GenerationRequest
from cartesia.types.websocket_response import WebsocketResponse
from pydantic import TypeAdapter

from actors.media.audio import MULAW_8K, PCM_8K
from actors.providers.cartesia import CartesiaOptions, CartesiaTts
from actors.providers.spec import SegmentDone
from tests.fakes import tones
from tests.fakes.cartesia import FakeCartesia
from tests.fakes.emitted import Emitted

FORM = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
VOICE = {"mode": "id", "id": "f786b574-daa5-4673-aa0c-cbe3e8534c02"}
Response = TypeAdapter(WebsocketResponse)


@pytest.fixture
async def fake(monkeypatch):
    """Its messages are checked as they leave: the SDK's client builds its objects without looking."""
    from tests.fakes.cartesia import _Speak

    said: list[str] = []

    def say(self, message):
        Response.validate_python(message)
        said.append(message["type"])
        super(_Speak, self).say(message)

    monkeypatch.setattr(_Speak, "say", say)
    async with FakeCartesia(late=False) as fake:
        fake.said = said
        yield fake


@pytest.fixture
async def client(fake):
    http = fake.url.replace("ws:", "http:")
    async with AsyncCartesia(api_key=fake.key, base_url=http, websocket_base_url=fake.url) as client:
        yield client


async def test_a_context_of_several_inputs(fake, client):
    async with client.tts.websocket_connect() as connection:
        context = connection.context(model_id="sonic-3", voice=VOICE, output_format=FORM, add_timestamps=True)
        await context.push("good morning ")
        await context.push("", flush=True)
        await context.push("cartesia")
        await context.no_more_inputs()
        audio, words, kinds = {}, [], []
        async for response in context.receive():
            kinds.append(response.type)
            if response.type == "chunk" and response.audio:
                audio[response.flush_id] = audio.get(response.flush_id, b"") + response.audio
            elif response.type == "timestamps":
                words += response.word_timestamps.words
    assert [tones.read(audio[flush_id]) for flush_id in (1, 2)] == [["good", "morning"], ["cartesia"]]
    assert words == ["good", "morning", "cartesia"]
    assert kinds[-1] == "done" and "flush_done" in kinds
    assert not fake.violations


async def test_a_cancel(fake, client):
    fake.pause_s = 0.01
    async with client.tts.websocket_connect() as connection:
        context = connection.context(model_id="sonic-3", voice=VOICE, output_format=FORM)
        await context.push("this will never be heard to its end")
        await fake.until(lambda: fake.said.count("chunk") >= 2)
        await context.cancel()
        await fake.until(lambda: fake.cancelled)
    assert "done" not in fake.said


async def test_a_fault_has_its_shape(fake, monkeypatch):
    monkeypatch.setenv("CARTESIA_API_KEY", fake.key)
    emitted = Emitted()
    tts = CartesiaTts(CartesiaOptions(base_url=fake.url), emitted, PCM_8K, "en-US")
    tts._request["output_format"]["sample_rate"] = 7
    await tts.open()
    tts.speak(1, "hello")
    await emitted.failure()
    assert set(fake.said) == {"error"}
    tts.close()


@pytest.mark.parametrize("audio", [MULAW_8K, PCM_8K])
async def test_our_requests_are_theirs(fake, monkeypatch, audio):
    monkeypatch.setenv("CARTESIA_API_KEY", fake.key)
    emitted = Emitted()
    tts = CartesiaTts(CartesiaOptions(base_url=fake.url, speed=1.1), emitted, audio, "en-US")
    await tts.open()
    tts.speak(1, "hello there")
    tts.speak(2, "caller")
    tts.end()
    await emitted.until(SegmentDone, 2)
    await fake.until(lambda: "done" in fake.said)
    tts.close()
    names = {field.alias or name for name, field in GenerationRequest.model_fields.items()}
    for request in fake.taken:
        GenerationRequest.model_validate(request)
        assert request.keys() <= names
    flags = [(request["transcript"], request["continue"], request.get("flush", False)) for request in fake.taken]
    flush = ("", True, True)
    assert flags == [("hello there ", True, False), flush, ("caller ", True, False), flush, ("", False, False)]


async def test_our_requests_are_those_of_their_client(fake, client, monkeypatch):
    """The same two sentences, flushed and ended, by both; but for the names of the contexts."""
    monkeypatch.setenv("CARTESIA_API_KEY", fake.key)
    async with client.tts.websocket_connect() as connection:
        common = {"language": "en", "add_timestamps": True, "max_buffer_delay_ms": 0}
        context = connection.context(model_id="sonic-3", voice=VOICE, output_format=FORM, **common)
        for text in ("hello there ", "caller "):
            await context.push(text)
            await context.push("", flush=True)
        await context.no_more_inputs()
        theirs = [response.type async for response in context.receive()]
    requests, fake.taken = fake.taken, []
    fake.said.clear()
    emitted = Emitted()
    tts = CartesiaTts(CartesiaOptions(base_url=fake.url), emitted, PCM_8K, "en-US")
    await tts.open()
    for segment, text in enumerate(("hello there", "caller"), 1):
        tts.speak(segment, text)
    tts.end()
    await fake.until(lambda: "done" in fake.said)
    tts.close()
    for request in (*requests, *fake.taken):
        del request["context_id"]
    assert fake.taken == requests
    assert fake.said == theirs

"""deepgram-sdk against the fake Deepgram: its client holds a conversation, its models check every message."""

from __future__ import annotations

import inspect

import pytest
from deepgram import AsyncDeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.core.events import EventType
from deepgram.environment import DeepgramClientEnvironment
from deepgram.listen.v1.client import AsyncV1Client
from deepgram.listen.v1.types import (
    ListenV1Error,
    ListenV1Metadata,
    ListenV1Results,
    ListenV1SpeechStarted,
    ListenV1UtteranceEnd,
)

from actors.media.audio import PCM_8K
from actors.providers.deepgram import DeepgramOptions, DeepgramStt
from actors.providers.spec import EndOfTurn
from tests.fakes import tones
from tests.fakes.deepgram import FakeDeepgram
from tests.fakes.emitted import Emitted

STRICT = {
    "Results": ListenV1Results,
    "Metadata": ListenV1Metadata,
    "SpeechStarted": ListenV1SpeechStarted,
    "UtteranceEnd": ListenV1UtteranceEnd,
    "Error": ListenV1Error,
}


@pytest.fixture
async def fake(monkeypatch):
    """Its messages are checked as they leave: the SDK's client builds its objects without looking."""
    from tests.fakes.deepgram import _Listen

    said: list[str] = []

    def say(self, message):
        STRICT[message["type"]].model_validate(message)
        said.append(message["type"])
        super(_Listen, self).say(message)

    monkeypatch.setattr(_Listen, "say", say)
    async with FakeDeepgram(speech_final=False) as fake:
        fake.said = said
        yield fake


def client(fake: FakeDeepgram, key: str = FakeDeepgram.key) -> AsyncDeepgramClient:
    environment = DeepgramClientEnvironment(base="http://127.0.0.1", production=fake.url, agent="", agent_rest="")
    return AsyncDeepgramClient(api_key=key, environment=environment)


async def test_it_holds_a_conversation(fake):
    heard = []
    query = {"model": "nova-3", "encoding": "linear16", "sample_rate": "8000", "endpointing": "250"}
    switches = {"interim_results": "true", "vad_events": "true", "utterance_end_ms": "1000", "punctuate": "true"}
    async with client(fake).listen.v1.connect(**query, **switches) as connection:
        connection.on(EventType.MESSAGE, heard.append)
        audio = tones.spell("good morning deepgram") + PCM_8K.silence(1300) + tones.spell("one more")
        for start in range(0, len(audio), 800):
            await connection.send_media(audio[start : start + 800])
        await connection.send_keep_alive()
        await connection.send_finalize()
        await connection.send_close_stream()
        await connection.start_listening()
    finals = [m for m in heard if isinstance(m, ListenV1Results) and m.is_final]
    assert [m.channel.alternatives[0].transcript for m in finals] == ["good morning deepgram", "one more"]
    assert [m.from_finalize for m in finals] == [False, True]
    assert set(fake.said) == {"Results", "SpeechStarted", "UtteranceEnd", "Metadata"}
    assert fake.controls == ["KeepAlive", "Finalize", "CloseStream"] and not fake.violations


async def test_it_understands_a_refusal(fake):
    with pytest.raises(ApiError) as caught:
        async with client(fake, key="wrong").listen.v1.connect(model="nova-3", encoding="linear16", sample_rate="8000"):
            pass
    assert caught.value.status_code == 401


async def test_an_error_message_has_its_shape(fake, monkeypatch):
    monkeypatch.setenv("DEEPGRAM_API_KEY", fake.key)
    stt = DeepgramStt(DeepgramOptions(base_url=fake.url), Emitted(), PCM_8K, "en-US", ())
    await stt.open()
    stt._give("nonsense")
    await fake.until(lambda: "Error" in fake.said)
    stt.close()


async def test_every_parameter_of_ours_is_one_of_theirs(fake, monkeypatch):
    monkeypatch.setenv("DEEPGRAM_API_KEY", fake.key)
    emitted = Emitted()
    options = DeepgramOptions(base_url=fake.url, smart_format=True, keyterms=["Acme"])
    stt = DeepgramStt(options, emitted, PCM_8K, "en-US", ())
    await stt.open()
    stt.finalize()
    await emitted.until(EndOfTurn)
    stt.close()
    known = inspect.signature(AsyncV1Client.connect).parameters
    assert {name for name, _ in fake.requests[0]["query"]} <= set(known)

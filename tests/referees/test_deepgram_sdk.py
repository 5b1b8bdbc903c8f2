"""deepgram-sdk against the fake Deepgram: its client holds a conversation, its models check every message."""

from __future__ import annotations

import inspect

import orjson
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
from deepgram.listen.v2.client import AsyncV2Client
from deepgram.listen.v2.types import ListenV2Connected, ListenV2FatalError, ListenV2TurnInfo

from actors.media.audio import PCM_8K
from actors.providers.deepgram import DeepgramOptions, DeepgramStt
from actors.providers.deepgram_flux import FluxStt
from actors.providers.spec import EndOfTurn
from tests.fakes import tones
from tests.fakes.deepgram import FakeDeepgram, Listen
from tests.fakes.deepgram_flux import FluxListen
from tests.fakes.emitted import Emitted

V1 = {
    "Results": ListenV1Results,
    "Metadata": ListenV1Metadata,
    "SpeechStarted": ListenV1SpeechStarted,
    "UtteranceEnd": ListenV1UtteranceEnd,
    "Error": ListenV1Error,
}
V2 = {"Connected": ListenV2Connected, "TurnInfo": ListenV2TurnInfo, "Error": ListenV2FatalError}


@pytest.fixture
async def fake(monkeypatch):
    """Its messages are checked as they leave: the SDK's client builds its objects without looking."""
    said: list[str] = []

    def say_raw(self, payload):
        message, models = orjson.loads(payload), V2 if isinstance(self, FluxListen) else V1
        models[message["type"]].model_validate(message)
        said.append(message["type"])
        super(Listen, self).say_raw(payload)

    monkeypatch.setattr(Listen, "say_raw", say_raw)
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


async def test_what_carries_nothing_is_passed_over_by_both(monkeypatch):
    monkeypatch.setenv("DEEPGRAM_API_KEY", FakeDeepgram.key)
    heard, emitted = [], Emitted()
    query = {"model": "nova-3", "encoding": "linear16", "sample_rate": "8000", "endpointing": "250"}
    audio = tones.spell("good morning") + PCM_8K.silence(400)
    async with FakeDeepgram() as fake:
        fake.noise = (b'{"type":"Novelty"}', b"{}", b"[]", b"null", b'{"type":"Results","channel":null}')
        async with client(fake).listen.v1.connect(**query) as connection:
            connection.on(EventType.MESSAGE, heard.append)
            await connection.send_media(audio)
            await connection.send_close_stream()
            await connection.start_listening()
        stt = DeepgramStt(DeepgramOptions(base_url=fake.url), emitted, PCM_8K, "en-US", ())
        await stt.open()
        stt.hear(audio)
        await emitted.until(EndOfTurn)
        stt.close()
    finals = [m for m in heard if isinstance(m, ListenV1Results) and m.channel and m.is_final]
    theirs = [m.channel.alternatives[0].transcript for m in finals]
    assert [text for text in emitted.heard if text != "|"] == theirs == ["good morning"]


async def test_it_understands_a_refusal(fake):
    with pytest.raises(ApiError) as caught:
        async with client(fake, key="wrong").listen.v1.connect(model="nova-3", encoding="linear16", sample_rate="8000"):
            pass
    assert caught.value.status_code == 401


async def test_an_error_message_has_its_shape(fake, monkeypatch):
    monkeypatch.setenv("DEEPGRAM_API_KEY", fake.key)
    stt = DeepgramStt(DeepgramOptions(base_url=fake.url), Emitted(), PCM_8K, "en-US", ())
    await stt.open()
    stt._socket.send("nonsense")
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


# --- v2: flux ---------------------------------------------------------------------------------------------------------


async def test_flux_holds_a_conversation(fake):
    heard = []
    query = {"model": "flux-general-en", "encoding": "linear16", "sample_rate": "8000", "eager_eot_threshold": "0.5"}
    async with client(fake).listen.v2.connect(**query) as connection:
        connection.on(EventType.MESSAGE, heard.append)
        spoken = tones.spell("good morning"), PCM_8K.silence(300), tones.spell("deepgram"), PCM_8K.silence(900)
        audio = b"".join(spoken) + tones.spell("one more")
        for start in range(0, len(audio), 800):
            await connection.send_media(audio[start : start + 800])
        await connection.send_force_end_turn()
        await connection.send_close_stream()
        await connection.start_listening()
    assert isinstance(heard[0], ListenV2Connected)
    turns = [m for m in heard if isinstance(m, ListenV2TurnInfo) and m.event != "Update"]
    assert [m.event for m in turns] == [
        *("StartOfTurn", "EagerEndOfTurn", "TurnResumed", "EagerEndOfTurn", "EndOfTurn", "StartOfTurn", "EndOfTurn")
    ]
    eager, over, forced = turns[3], turns[4], turns[6]
    assert eager.transcript == over.transcript == "good morning deepgram" and forced.transcript == "one more"
    assert (over.trigger, forced.trigger) == ("model", "manual")
    assert [m.sequence_id for m in heard] == list(range(len(heard)))
    assert fake.controls == ["ForceEndTurn", "CloseStream"] and not fake.violations


async def test_an_error_of_flux_has_its_shape(fake, monkeypatch):
    monkeypatch.setenv("DEEPGRAM_API_KEY", fake.key)
    emitted = Emitted()
    stt = FluxStt(DeepgramOptions(base_url=fake.url, model="flux-general-en"), emitted, PCM_8K, "en-US", ())
    await stt.open()
    stt._socket.send('{"type":"KeepAlive"}')  # which it does not have
    assert "UNPARSABLE_CLIENT_MESSAGE" in str(await emitted.failure())
    assert "Error" in fake.said
    stt.close()


async def test_every_parameter_for_flux_is_one_of_theirs(fake, monkeypatch):
    monkeypatch.setenv("DEEPGRAM_API_KEY", fake.key)
    options = DeepgramOptions(base_url=fake.url, model="flux-general-multi", keyterms=["Acme"])
    stt = FluxStt(options, Emitted(), PCM_8K, "en-US", ())
    await stt.open()
    stt.close()
    known = inspect.signature(AsyncV2Client.connect).parameters
    assert {name for name, _ in fake.requests[0]["query"]} <= set(known)

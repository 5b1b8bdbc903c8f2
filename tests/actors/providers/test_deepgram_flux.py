"""The flux session against its fake: turns that are probably over, that go on, that end; failures; what it sends."""

from __future__ import annotations

from typing import Any

import pytest

from actors.errors import Remedy
from actors.media.audio import MULAW_8K, PCM_8K, PCM_16K, AudioFormat
from actors.media.resample import Converter
from actors.providers import deepgram
from actors.providers.deepgram import DeepgramOptions, DeepgramStt, deepgram_stt
from actors.providers.deepgram_flux import FluxStt
from actors.providers.registry import Registry
from actors.providers.spec import EagerEndOfTurn, EndOfTurn, Final, Interim, SttSession, TurnResumed
from config.assistant import ProviderChoice
from config.errors import ConfigError
from tests.fakes import tones
from tests.fakes.deepgram import FakeDeepgram
from tests.fakes.deepgram_flux import FluxListen
from tests.fakes.emitted import Emitted


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("DEEPGRAM_API_KEY", FakeDeepgram.key)


@pytest.fixture
async def fake():
    async with FakeDeepgram() as fake:
        yield fake
        assert not fake.violations


def session(fake: FakeDeepgram, emitted: Emitted, audio: AudioFormat = PCM_8K, **options: Any) -> SttSession:
    given = DeepgramOptions(base_url=fake.url, **{"model": "flux-general-en", **options})
    return deepgram_stt(given, emitted, audio, "en-US", ())


def say(stt: SttSession, text: str, silence_ms: int) -> None:
    convert = Converter(PCM_8K, stt.audio)
    audio = convert.convert(tones.spell(text) + PCM_8K.silence(silence_ms))
    size = stt.audio.frame_bytes * 3
    for start in range(0, len(audio), size):
        stt.hear(audio[start : start + size])


def course(emitted: Emitted) -> list[Any]:
    """What was emitted, but for interims."""
    return [event for event in emitted.events if not isinstance(event, Interim)]


@pytest.mark.parametrize("audio", [PCM_8K, PCM_16K, MULAW_8K])
async def test_a_turn_is_probably_over_and_then_it_is(fake, audio):
    emitted = Emitted()
    stt = session(fake, emitted, audio)
    await stt.open()
    say(stt, "hello there", 900)
    await emitted.until(EndOfTurn)
    eager, final, over = course(emitted)
    assert (eager, final.text, over) == (EagerEndOfTurn("hello there"), "hello there", EndOfTurn(final.end_ms))
    assert final.end_ms == pytest.approx(400 + 460, abs=80)
    assert "hello" in [event.text for event in emitted.of(Interim)]
    say(stt, "one more", 900)
    await emitted.until(EndOfTurn, 2)
    assert emitted.heard == ["hello there", "|", "one more", "|"]
    stt.close()
    await fake.until(lambda: not fake.open)
    assert fake.controls == ["CloseStream"]


async def test_a_caller_who_goes_on_is_told_with_all_of_his_words(fake):
    emitted = Emitted()
    stt = session(fake, emitted)
    await stt.open()
    say(stt, "book a table", 300)
    say(stt, "for two", 900)
    await emitted.until(EndOfTurn)
    assert [type(event) for event in course(emitted)] == [EagerEndOfTurn, TurnResumed, EagerEndOfTurn, Final, EndOfTurn]
    assert [event.text for event in emitted.of(EagerEndOfTurn)] == ["book a table", "book a table for two"]
    assert emitted.heard == ["book a table for two", "|"]
    stt.close()


async def test_without_a_threshold_nothing_is_eager(fake):
    emitted = Emitted()
    stt = session(fake, emitted, eager_eot_threshold=None)
    await stt.open()
    say(stt, "book a table", 300)
    say(stt, "for two", 900)
    await emitted.until(EndOfTurn)
    assert [type(event) for event in course(emitted)] == [Final, EndOfTurn]
    stt.close()


async def test_finalize_ends_the_turn_at_once_and_once(fake):
    emitted = Emitted()
    stt = session(fake, emitted)
    await stt.open()
    say(stt, "stop here", 100)
    stt.finalize()
    await emitted.until(EndOfTurn)
    say(stt, "next one", 100)
    stt.finalize()
    await emitted.until(EndOfTurn, 2)
    assert emitted.heard == ["stop here", "|", "next one", "|"]
    assert fake.controls == ["ForceEndTurn"] * 2
    stt.close()


async def test_finalize_of_a_turn_that_has_just_ended_is_answered_by_that(fake):
    emitted = Emitted()
    stt = session(fake, emitted)
    await stt.open()
    say(stt, "both at once", 900)
    stt.finalize()  # before its EndOfTurn has come back
    say(stt, "and more", 900)
    await emitted.until(EndOfTurn, 2)
    assert emitted.heard == ["both at once", "|", "and more", "|"]
    stt.close()


async def test_finalize_without_a_turn_is_answered_by_us(fake, monkeypatch):
    monkeypatch.setattr(deepgram, "FINALIZE_GRACE_S", 0.02)
    emitted = Emitted()
    stt = session(fake, emitted)
    await stt.open()
    say(stt, "", 600)
    await emitted.until(Interim)
    stt.finalize()
    await emitted.until(EndOfTurn)
    assert emitted.heard == ["|"]
    stt.close()


async def test_a_turn_under_way_is_not_ended_without_its_words(fake, monkeypatch):
    """The answer takes its time: only our own impatience could end the turn."""
    monkeypatch.setattr(deepgram, "FINALIZE_GRACE_S", 0.02)
    monkeypatch.setattr(FluxListen, "on_control", lambda self, kind: None)
    emitted = Emitted()
    stt = session(fake, emitted)
    await stt.open()
    say(stt, "wait for me", 100)
    await emitted.until(Interim, 2)
    stt.finalize()
    await fake.until(lambda: fake.controls == ["ForceEndTurn"])
    with pytest.raises(TimeoutError):
        await emitted.until(EndOfTurn, within_s=0.2)
    stt.close()


async def test_silence_gives_signs_of_life(fake):
    emitted = Emitted()
    stt = session(fake, emitted)
    await stt.open()
    say(stt, "", 2000)
    await emitted.until(Interim, 4)
    assert {event.text for event in emitted.of(Interim)} == {""} and len(emitted.of(Interim)) == len(emitted.events)
    stt.close()


async def test_the_request_says_what_the_options_say(fake):
    options = {"model": "flux-general-multi", "eager_eot_threshold": 0.4, "eot_threshold": 0.8, "eot_timeout_ms": 3000}
    stt = session(fake, Emitted(), PCM_16K, keyterms=["Acme", "Röhre & Co"], **options)
    await stt.open()
    assert fake.requests[0]["path"] == "/v2/listen"
    assert fake.requests[0]["query"] == [
        *[("model", "flux-general-multi"), ("encoding", "linear16"), ("sample_rate", "16000")],
        *[("eager_eot_threshold", "0.4"), ("eot_threshold", "0.8"), ("eot_timeout_ms", "3000")],
        *[("keyterm", "Acme"), ("keyterm", "Röhre & Co")],
    ]
    stt.close()


@pytest.mark.parametrize(("code", "remedy"), [("UNPARSABLE_CLIENT_MESSAGE", Remedy.REFUSED), ("OTHER", Remedy.RETRY)])
async def test_an_error_message_ends_the_session(fake, code, remedy):
    fake.script(message=f'{{"type":"Error","sequence_id":1,"code":"{code}","description":"it is broken"}}')
    emitted = Emitted()
    stt = session(fake, emitted)
    await stt.open()
    error = await emitted.failure()
    assert error.remedy is remedy and code in str(error) and "it is broken" in str(error)
    stt.close()


@pytest.mark.parametrize(
    "message",
    [
        *("not JSON", "[]", "{}", '{"type":"TurnInfo"}', '"TurnInfo"'),
        '{"type":"Warning","request_id":"r","sequence_id":1,"code":"X","description":"mind the gap"}',
    ],
)
async def test_what_carries_nothing_is_passed_over(fake, message):
    fake.script(message=message)
    emitted = Emitted()
    stt = session(fake, emitted)
    await stt.open()
    say(stt, "still here", 900)
    await emitted.until(EndOfTurn)
    assert emitted.heard == ["still here", "|"]
    stt.close()


# --- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "kind"), [("nova-3", DeepgramStt), ("flux-general-en", FluxStt)])
def test_the_model_decides(model: str, kind: type):
    choice = ProviderChoice(provider="deepgram", model=model)
    assert type(Registry().open_stt(choice, print, PCM_8K, "en-US", ())) is kind


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"eot_threshold": 0.7}, "eot_threshold: only flux models have this option, and the model is 'nova-3'"),
        ({"model": "flux-general-en", "endpointing_ms": 300}, "endpointing_ms: only nova models .* 'flux-general-en'"),
        ({"model": "flux-general-en", "language": "de"}, "language: only nova models"),
        ({"model": "flux-general-en", "eager_eot_threshold": 0.2}, r"eager_eot_threshold: .*0\.3; given: 0\.2"),
        ({"model": "flux-general-en", "eot_threshold": 1.1}, r"eot_threshold: .* equal to 1"),
        ({"model": "flux-general-en", "eot_timeout_ms": 100}, r"eot_timeout_ms: .* equal to 500"),
        (
            {"model": "flux-general-en", "eager_eot_threshold": 0.8},
            r"eager_eot_threshold: must not be above eot_threshold \(0\.7\) \(given: 0\.8\)",
        ),
    ],
)
def test_an_option_of_the_other_protocol_or_out_of_range_is_named(options: dict[str, Any], complaint: str):
    with pytest.raises(ConfigError, match=complaint):
        Registry().options("stt", ProviderChoice(provider="deepgram", **options))

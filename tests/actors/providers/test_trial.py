"""Conversations of one sentence: with the vendors' fakes, with sessions that fail, with the embedded voice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from actors.engines.hints import plain
from actors.engines.pool import close_engines
from actors.errors import ProviderError, ProviderStalled, Remedy
from actors.providers.registry import Registry
from actors.providers.spec import Kind
from actors.providers.trial import LlmFigures, SttFigures, TrialPlan, TtsFigures, try_provider
from config.assistant import ProviderChoice
from tests.fakes import tones
from tests.fakes.cartesia import FakeCartesia
from tests.fakes.deepgram import FakeDeepgram
from tests.fakes.openai import FakeOpenAi
from tests.fakes.providers import FAULTS, QUESTIONS

SENTENCE = "are you open today, or not"
FAKES = ["tests.fakes.providers"]


@pytest.fixture(autouse=True)
def faults() -> Iterator[None]:
    yield
    FAULTS.clear()
    QUESTIONS.clear()


def plan(kind: Kind, provider: str = "fake", **options: Any) -> TrialPlan:
    choice = ProviderChoice(provider=provider, **options)
    return TrialPlan(kind=kind, choice=choice, sentence=SENTENCE, speech=tones.spell(SENTENCE))


async def attempt(given: TrialPlan, limit_s: float = 10.0, waits: list[str] | None = None) -> Any:
    return await try_provider(Registry(FAKES), given, limit_s, (waits if waits is not None else []).append)


async def test_a_recognizer_hears_the_sentence_at_the_pace_of_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeDeepgram() as fake:
        monkeypatch.setenv("DEEPGRAM_API_KEY", fake.key)
        began_s = asyncio.get_running_loop().time()
        figures = await attempt(plan("stt", "deepgram", base_url=fake.url, endpointing_ms=5000))
        took_ms = (asyncio.get_running_loop().time() - began_s) * 1000
        await fake.until(lambda: not fake.open)
    assert isinstance(figures, SttFigures)
    assert figures.transcript == " ".join(tones.normalise(SENTENCE))
    assert figures.speech_ms == 1200 <= took_ms
    assert figures.connect_ms > 0 and 0 < figures.final_ms <= figures.end_of_turn_ms < took_ms - 1200
    assert fake.controls == ["Finalize", "CloseStream"] and not fake.violations


async def test_words_that_were_final_before_the_end_count_as_no_wait() -> None:
    """A pause within the speech ends a turn by itself, as far as the provider can tell."""
    speech = tones.spell("one two") + bytes(16_000) + tones.spell("three")
    async with FakeDeepgram() as fake:
        options = {"base_url": fake.url, "api_key": "${TRIAL_KEY}", "endpointing_ms": 300}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TRIAL_KEY", fake.key)
            figures = await attempt(replace(plan("stt", "deepgram", **options), speech=speech))
        await fake.until(lambda: not fake.open)
    assert figures.transcript == "one two three"


async def test_silence_is_heard_until_the_turn_is_over() -> None:
    FAULTS.plant("finalize", "stall")
    with pytest.raises(ProviderStalled, match=r"fake: the transcript did not come in 0.3 s"):
        await attempt(plan("stt"), limit_s=0.3)


async def test_a_recognizer_that_hears_nothing_has_failed() -> None:
    with pytest.raises(ProviderError, match=r"heard no words in 0.5 s of speech") as caught:
        await attempt(replace(plan("stt"), speech=bytes(8000)))
    assert caught.value.remedy is Remedy.CONFIG


async def test_a_model_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[str] = []
    async with FakeOpenAi(pause_s=0.02) as fake:
        monkeypatch.setenv("OPENAI_API_KEY", fake.key)
        figures = await attempt(plan("llm", "openai", base_url=fake.url), waits=waits)
        await fake.until(lambda: not fake.open)
        (body,) = fake.bodies
    assert isinstance(figures, LlmFigures)
    assert figures.answer == f"you said {SENTENCE}"
    assert 0 < figures.first_token_ms < figures.first_clause_ms < figures.answer_ms
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert waits == ["the connection", "the first word of the answer", "the rest of the answer"]


async def test_an_assistants_own_prompt_is_used() -> None:
    await attempt(replace(plan("llm"), system_prompt="Be a hotel."))
    assert [line.text for line in QUESTIONS[0].history] == ["Be a hotel.", SENTENCE]


async def test_a_model_that_says_nothing_has_failed() -> None:
    with pytest.raises(ProviderError, match="answered without a word"):
        await attempt(plan("llm", reply=" "))


async def test_a_voice_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeCartesia(pause_s=0.01) as fake:
        monkeypatch.setenv("CARTESIA_API_KEY", fake.key)
        figures = await attempt(plan("tts", "cartesia", base_url=fake.url))
        await fake.until(lambda: not fake.open)
    assert isinstance(figures, TtsFigures)
    assert figures.length_ms == 1200
    assert 0 < figures.first_audio_ms < figures.all_audio_ms
    assert figures.realtime_factor == pytest.approx(figures.all_audio_ms / 1200, abs=0.001)


@pytest.mark.parametrize(
    ("kind", "where", "how"),
    [
        *(("stt", where, how) for where in ("open", "hear", "finalize") for how in ("raise", "exit", "fail", "config")),
        *(
            (kind, where, how)
            for kind, where in (("tts", "audio"), ("llm", "token"))
            for how in ("raise", "exit", "fail")
        ),
    ],
)
async def test_what_a_session_fails_with_is_raised(kind: Kind, where: str, how: str) -> None:
    FAULTS.plant(where, how)  # type: ignore[arg-type]
    with pytest.raises(ProviderError, match=r"wrong key|scripted failure|SystemExit|: 1$") as caught:
        await attempt(plan(kind))
    assert not isinstance(caught.value, ProviderStalled)


@pytest.mark.parametrize(
    ("kind", "where", "awaited"),
    [
        ("stt", "open", "the connection"),
        ("llm", "ask", "the first word of the answer"),
        ("llm", "token", "the rest of the answer"),
        ("tts", "speak", "the first audio"),
        ("tts", "audio", "the rest of the audio"),
    ],
)
async def test_no_wait_is_longer_than_the_limit(kind: Kind, where: str, awaited: str) -> None:
    FAULTS.plant(where, "stall", nth=2 if where in ("token", "audio") else 1)
    with pytest.raises(ProviderStalled, match=rf"fake: {awaited} did not come in 0.2 s"):
        await attempt(plan(kind), limit_s=0.2)


async def test_a_cancelled_trial_closes_its_session() -> None:
    async with FakeDeepgram() as fake:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DEEPGRAM_API_KEY", fake.key)
            trial = asyncio.create_task(attempt(plan("stt", "deepgram", base_url=fake.url)))
            await fake.until(lambda: bool(fake.audio_ms and fake.audio_ms[0] > 100))
        trial.cancel()
        with pytest.raises(asyncio.CancelledError):
            await trial
        await fake.until(lambda: not fake.open)


async def test_the_embedded_voice_says_what_is_to_be_heard() -> None:
    phrases = ("what are your opening hours", "book a table", "good morning")
    try:
        figures = await attempt(
            TrialPlan(kind="stt", choice=ProviderChoice(provider="embedded"), sentence=phrases[0], phrases=phrases)
        )
    finally:
        await close_engines()
    assert plain(figures.transcript) == phrases[0]
    assert 800 < figures.speech_ms < 3000

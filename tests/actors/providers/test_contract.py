"""What every session promises (`actors.providers.spec`), whoever provides it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from actors.errors import ProviderError, Remedy
from actors.media.audio import MULAW_8K, PCM_8K
from actors.media.resample import Converter
from actors.providers import intake
from actors.providers.registry import Registry
from actors.providers.spec import (
    Answered,
    ChatMessage,
    EndOfTurn,
    Final,
    Interim,
    LlmSession,
    Question,
    SegmentAudio,
    SegmentDone,
    SessionFailed,
    SttSession,
    Token,
    TtsSession,
)
from config.assistant import ProviderChoice
from tests.fakes import tones
from tests.fakes.cartesia import FakeCartesia
from tests.fakes.deepgram import FakeDeepgram
from tests.fakes.emitted import Emitted
from tests.fakes.openai import FakeOpenAi
from tests.fakes.remote import FakeProvider

INTENTS = [{"name": "hours", "say": ["are you open today"], "reply": "We are open from nine to five."}]
SERVERS: dict[str, Callable[[], FakeProvider]] = {
    "deepgram": FakeDeepgram,
    "openai": lambda: FakeOpenAi(pause_s=0.005),
    "cartesia": lambda: FakeCartesia(pause_s=0.005),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "deepgram": {"endpointing_ms": 5000},
    "deepgram flux": {"model": "flux-general-en", "eot_threshold": 1.0},
    "script": {"intents": INTENTS, "sorry": ["Pardon?"], "tokens_per_s": 500},
}
OPEN_S = pytest.mark.parametrize("open_s", [0.0, 0.1, 0.5, 1.5])
ANSWERS = {"script": "We are open from nine to five.", "fake": "you said are you open today"}


@pytest.fixture
def open_s() -> float:
    """How late a session opens; a test that is run with several delays parametrizes it."""
    return 0.0


@asynccontextmanager
async def provided(
    name: str, monkeypatch: pytest.MonkeyPatch, open_s: float
) -> AsyncIterator[tuple[Registry, ProviderChoice]]:
    registry, options = Registry(["tests.fakes.providers"]), OPTIONS.get(name, {})
    name = name.split()[0]
    if name not in SERVERS:
        late = {"open_s": open_s} if name == "fake" else {}
        yield registry, ProviderChoice(provider=name, **options, **late)
        return
    async with SERVERS[name]() as server:
        server.usual["open_s"] = open_s
        monkeypatch.setenv(f"{name.upper()}_API_KEY", server.key)
        yield registry, ProviderChoice(provider=name, base_url=server.url, **options)
        await server.until(lambda: not server.open)  # whoever was closed has gone
        assert not server.violations


# --- stt -----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["fake", "deepgram", "deepgram flux"])
async def stt(request, monkeypatch, open_s) -> AsyncIterator[tuple[SttSession, Emitted]]:
    async with provided(request.param, monkeypatch, open_s) as (registry, choice):
        emitted = Emitted()
        session = registry.open_stt(choice, emitted, PCM_8K, "en-US", ())
        yield session, emitted
        session.close()


def feed(session: SttSession, text: str) -> float:
    audio = tones.spell(text) + PCM_8K.silence(100)
    for start in range(0, len(audio), 960):
        session.hear(audio[start : start + 960])
    return PCM_8K.duration_ms(len(audio))


@OPEN_S
async def test_finalize_is_answered_by_one_end_of_turn_after_the_finals(stt):
    session, emitted = stt
    await session.open()
    fed_ms = 0.0
    for turn, text in enumerate(("hello there", "one two three four five"), 1):
        fed_ms += feed(session, text)
        session.finalize()
        await emitted.until(EndOfTurn, turn)
        assert emitted.heard[-2:] == [text, "|"]
        assert fed_ms - 200 <= emitted.of(Final)[-1].end_ms <= fed_ms
    assert len(emitted.of(EndOfTurn)) == 2
    assert emitted.of(Interim)


async def test_finalize_of_silence_is_answered_too(stt):
    session, emitted = stt
    await session.open()
    feed(session, "")
    session.finalize()
    await emitted.until(EndOfTurn)
    assert emitted.heard == ["|"]


@OPEN_S
async def test_audio_given_before_it_is_open_is_heard(stt):
    session, emitted = stt
    feed(session, "good morning")
    session.finalize()
    await session.open()
    await emitted.until(EndOfTurn)
    assert emitted.heard == ["good morning", "|"]


async def test_a_closed_recognizer_says_nothing(stt):
    session, emitted = stt
    await session.open()
    feed(session, "hello there")
    session.close()
    count = len(emitted.events)
    session.close()
    await asyncio.sleep(0.02)
    assert len(emitted.events) == count


async def test_a_recognizer_may_be_closed_before_it_is_opened(stt):
    session, emitted = stt
    session.close()
    assert not emitted.events


# --- llm -----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["fake", "script", "openai"])
async def llm(request, monkeypatch, open_s) -> AsyncIterator[tuple[LlmSession, Emitted, str]]:
    monkeypatch.setitem(OPTIONS, "fake", {"tokens_per_s": 500})
    async with provided(request.param, monkeypatch, open_s) as (registry, choice):
        emitted = Emitted()
        session = registry.open_llm(choice, emitted)
        yield session, emitted, ANSWERS.get(request.param, ANSWERS["fake"])
        session.close()


def question(turn: int, said: str = "") -> Question:
    return Question(turn, (ChatMessage("user", "are you open today"),), said)


@OPEN_S
async def test_an_answer_is_tokens_of_its_turn_and_one_end(llm):
    session, emitted, answer = llm
    await session.open()
    for turn in (4, 9):
        session.ask(question(turn))
        await emitted.until(Answered, 1 if turn == 4 else 2)
        tokens = [event for event in emitted.of(Token) if event.turn == turn]
        assert "".join(token.text for token in tokens).strip() == answer
        assert emitted.events[-1] == Answered(turn)


async def test_the_rest_of_an_answer_follows_what_was_said_or_all_of_it_comes_again(llm):
    session, emitted, answer = llm
    first, _, rest = answer.partition(" ")
    session.ask(question(1, said=first))
    await emitted.until(Answered)
    assert emitted.answer.strip() in (rest, answer)


async def test_a_question_replaces_the_one_under_way(llm):
    session, emitted, _ = llm
    session.ask(question(1))
    await emitted.until(Token)
    session.ask(question(2))
    assert await emitted.until(Answered) == Answered(2)
    turns = [event.turn for event in emitted.events]
    assert turns == sorted(turns)


async def test_nothing_of_a_cancelled_answer_is_emitted(llm):
    session, emitted, _ = llm
    session.ask(question(1))
    await emitted.until(Token)
    session.cancel()
    count = len(emitted.events)
    session.cancel()
    await asyncio.sleep(0.02)
    assert len(emitted.events) == count


async def test_a_closed_model_says_nothing(llm):
    session, emitted, _ = llm
    session.ask(question(1))
    session.close()
    session.close()
    await asyncio.sleep(0.02)
    assert not emitted.events


# --- tts -----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["fake", "cartesia"])
async def tts(request, monkeypatch, open_s) -> AsyncIterator[tuple[TtsSession, Emitted]]:
    async with provided(request.param, monkeypatch, open_s) as (registry, choice):
        emitted = Emitted()
        session = registry.open_tts(choice, emitted, MULAW_8K, "en-US")
        yield session, emitted
        session.close()


def read(emitted: Emitted, segment: int) -> list[str]:
    return tones.read(Converter(MULAW_8K, PCM_8K).convert(emitted.audio(segment)))


@OPEN_S
async def test_segments_come_whole_and_in_order(tts):
    session, emitted = tts
    session.speak(2, "good morning")  # before it is open
    await session.open()
    session.speak(3, "how are you")
    await emitted.until(SegmentDone, 2)
    assert emitted.segments_done == [2, 3]
    assert read(emitted, 2) == ["good", "morning"] and read(emitted, 3) == ["how", "are", "you"]
    order = [event.segment for event in emitted.events]
    assert order == sorted(order)


async def test_words_come_with_their_times(tts):
    session, emitted = tts
    await session.open()
    session.speak(1, "good morning caller")
    await emitted.until(SegmentDone)
    words = [word for event in emitted.of(SegmentAudio) for word in event.words]
    assert [word.text for word in words] == ["good", "morning", "caller"]
    assert [word.start_ms for word in words] == pytest.approx([0, 200, 400])


async def test_nothing_of_a_cancelled_segment_is_emitted(tts):
    session, emitted = tts
    await session.open()
    session.speak(1, "one two three four five six")
    session.speak(2, "seven")
    await emitted.until(SegmentAudio, 2)
    session.cancel()
    count = len(emitted.events)
    session.speak(3, "eight")
    await emitted.until(SegmentDone)
    assert emitted.segments_done == [3] and read(emitted, 3) == ["eight"]
    assert {event.segment for event in emitted.events[count:]} == {3}


async def test_an_utterance_may_be_given_while_the_one_before_is_spoken(tts):
    session, emitted = tts
    session.end()  # of nothing
    session.speak(1, "good morning")
    session.speak(2, "how are you")
    session.end()
    session.speak(3, "goodbye")
    session.end()
    await session.open()
    await emitted.until(SegmentDone, 3)
    assert emitted.segments_done == [1, 2, 3]
    assert [len(read(emitted, segment)) for segment in (1, 2, 3)] == [2, 3, 1]
    order = [event.segment for event in emitted.events]
    assert order == sorted(order)


async def test_a_closed_voice_says_nothing(tts):
    session, emitted = tts
    await session.open()
    session.speak(1, "one two three")
    await emitted.until(SegmentAudio)
    session.close()
    count = len(emitted.events)
    session.close()
    await asyncio.sleep(0.02)
    assert len(emitted.events) == count


Use = Callable[[], Awaitable[tuple[Any, Emitted]]]

# --- services that are as nasty as the world -------------------------------------------------------------------------

REMOTE = pytest.mark.parametrize("name", ["deepgram", "deepgram flux", "openai", "cartesia"])
HALF = {"openai": b'data: {"choices": [{"del'}  # of WebSockets: a text frame of 100 bytes, cut after three


@asynccontextmanager
async def used(name: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[FakeProvider, Use]]:
    """A service, and what opens a session there and gives it work: answers with the session and what it emits."""
    kind = name.split()[0]
    async with SERVERS[kind]() as server:
        monkeypatch.setenv(f"{kind.upper()}_API_KEY", server.key)
        choice = ProviderChoice(provider=kind, base_url=server.url, **OPTIONS.get(name, {}))
        registry, sessions = Registry(), list[Any]()

        async def use() -> tuple[Any, Emitted]:
            emitted = Emitted()
            if kind == "deepgram":
                session: Any = registry.open_stt(choice, emitted, PCM_8K, "en-US", ())
            elif kind == "openai":
                session = registry.open_llm(choice, emitted)
            else:
                session = registry.open_tts(choice, emitted, MULAW_8K, "en-US")
            sessions.append(session)
            await session.open()
            if kind == "deepgram":
                feed(session, "good morning caller")
                session.finalize()
            elif kind == "openai":
                session.ask(question(1))
            else:
                session.speak(1, "good morning caller")
            return session, emitted

        yield server, use
        for session in sessions:
            session.close()
            await session.wait_closed()


async def done(name: str, emitted: Emitted) -> None:
    """All of the work is there, whole."""
    if name == "openai":
        await emitted.until(Answered)
        assert emitted.answer.strip() == ANSWERS["fake"]
    elif name == "cartesia":
        await emitted.until(SegmentDone)
        assert read(emitted, 1) == ["good", "morning", "caller"]
    else:
        await emitted.until(EndOfTurn)
        assert emitted.heard == ["good morning caller", "|"]


@REMOTE
@pytest.mark.parametrize("how", [{"late_s": 0.9}, {"after": 1, "stall_s": 0.9}], ids=["late", "stalls"])
async def test_who_answers_late_has_said_all(name: str, how: dict[str, float], monkeypatch: pytest.MonkeyPatch):
    async with used(name, monkeypatch) as (server, use):
        server.script(**how)
        _, emitted = await use()
        await done(name, emitted)
        assert not emitted.of(SessionFailed)


NOISE = (
    *(b"", b"null", b"[]", b"{}", b'{"type":"ping"}', b'{"x":NaN}', b"not JSON", b'{"choices":null}', b'{"type":null}'),
    *(
        b'{"type":"Results","channel":null}',
        b'{"type":"Results","channel":{"alternatives":[]}}',
        b'{"type":"TurnInfo"}',
    ),
    *(b'{"type":"timestamps","context_id":"context-1"}', b'{"type":"chunk","context_id":"context-1","data":null}'),
)


@REMOTE
async def test_who_says_much_that_carries_nothing_has_said_all(name: str, monkeypatch: pytest.MonkeyPatch):
    async with used(name, monkeypatch) as (server, use):
        server.noise = NOISE
        _, emitted = await use()
        await done(name, emitted)
        assert not emitted.of(SessionFailed) and emitted.alive


@REMOTE
async def test_who_floods_us_has_failed(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(intake, "BURST_PIECES", 200)
    monkeypatch.setattr(intake, "PIECES_PER_S", 100)
    async with used(name, monkeypatch) as (server, use):
        server.noise = (b"{}",) * 1000
        _, emitted = await use()
        error = await emitted.failure()
        assert error.remedy is Remedy.RETRY and "a second" in str(error)


@REMOTE
async def test_who_is_busy_says_for_how_long(name: str, monkeypatch: pytest.MonkeyPatch):
    async with used(name, monkeypatch) as (server, use):
        server.script(status=429, headers={"Retry-After": "3"})
        try:
            _, emitted = await use()
            error = await emitted.failure()
        except ProviderError as refused:
            error = refused
        assert (error.remedy, error.retry_after_s) == (Remedy.THROTTLED, 3.0)


@REMOTE
async def test_who_refuses_once_is_asked_again(name: str, monkeypatch: pytest.MonkeyPatch):
    async with used(name, monkeypatch) as (server, use):
        server.script(status=503)
        try:
            _, emitted = await use()
            error = (await emitted.until(SessionFailed)).error
        except ProviderError as refused:
            error = refused
        assert error.remedy is Remedy.RETRY
        await done(name, (await use())[1])


@REMOTE
async def test_who_dies_in_the_middle_of_a_frame_has_failed(name: str, monkeypatch: pytest.MonkeyPatch):
    async with used(name, monkeypatch) as (server, use):
        server.script(after=1, half=HALF.get(name, b"\x81\x64{"))
        _, emitted = await use()
        assert (await emitted.until(SessionFailed)).error.remedy is Remedy.RETRY
        await done(name, (await use())[1])


@REMOTE
@pytest.mark.parametrize("message", ["{}", '{"type": "Unheard"}', '{"type"'], ids=["empty", "unknown", "half"])
async def test_what_makes_no_sense_is_passed_over_or_a_failure(
    name: str, message: str, monkeypatch: pytest.MonkeyPatch
):
    """Never an exception in our loop, and never silence."""
    async with used(name, monkeypatch) as (server, use):
        server.script(after=1, message=message, stall_s=0.01)
        _, emitted = await use()
        await emitted.until((SessionFailed, Answered, SegmentDone, EndOfTurn))
        assert all(failed.error.remedy is Remedy.RETRY for failed in emitted.of(SessionFailed))

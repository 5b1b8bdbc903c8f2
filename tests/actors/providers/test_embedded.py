"""The embedded voice with its real engines: what espeak-ng says through a telephone, pocketsphinx hears."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from actors.engines.pool import close_engines, engine_pool
from actors.engines.voice_client import synthesize
from actors.errors import ProviderError, Remedy
from actors.media import g711
from actors.media.audio import MULAW_8K, PCM_8K, PCM_16K, AudioFormat, Encoding
from actors.providers.embedded import EmbeddedTts, GrammarOptions, GrammarStt, TtsOptions
from actors.providers.registry import Registry
from actors.providers.script import Script
from actors.providers.spec import (
    ChatMessage,
    EndOfTurn,
    Final,
    Interim,
    SegmentAudio,
    SegmentDone,
    SessionEvent,
    SessionFailed,
    Use,
)
from config.assistant import AssistantConfig

RECEPTION = Path(__file__).parents[3] / "assistants" / "reception.yaml"
PIECE_BYTES = PCM_8K.frame_bytes * 3


@pytest.fixture(autouse=True)
async def engines() -> AsyncIterator[None]:
    yield
    await close_engines()


@pytest.fixture(scope="module")
def reception() -> AssistantConfig:
    return AssistantConfig(**yaml.safe_load(RECEPTION.read_text()))


class Log:
    """Keeps what a session emits, and lets a test wait for it."""

    def __init__(self) -> None:
        self.events: list[SessionEvent] = []
        self._news = asyncio.Event()

    def __call__(self, event: SessionEvent) -> None:
        self.events.append(event)
        self._news.set()

    def all(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def wait(self, kind: type[Any], count: int = 1) -> list[Any]:
        async with asyncio.timeout(20):
            while len(self.all(kind)) < count:
                self._news.clear()
                await self._news.wait()
        return self.all(kind)


async def telephone(text: str, voice: str = "en-us+f3") -> bytes:
    """The sentence as PCM after mu-law, with some silence around it."""
    law = MULAW_8K.silence(300) + g711.encode(await synthesize(text, voice)) + MULAW_8K.silence(400)
    return g711.decode(law)


def pour(session: GrammarStt, pcm: bytes) -> None:
    for start in range(0, len(pcm), PIECE_BYTES):
        session.hear(pcm[start : start + PIECE_BYTES])


def phrases_of(assistant: AssistantConfig) -> tuple[str, ...]:
    return Registry().phrases(assistant)


async def heard(log: Log, session: GrammarStt, text: str, voice: str = "en-us+f3") -> str:
    """What the session makes of the sentence."""
    finals, ends = len(log.all(Final)), len(log.all(EndOfTurn))
    pour(session, await telephone(text, voice))
    session.finalize()
    await log.wait(EndOfTurn, ends + 1)
    return " ".join(final.text for final in log.all(Final)[finals:])


def listening(log: Log, phrases: tuple[str, ...], audio: AudioFormat = PCM_8K, language: str = "en-US") -> GrammarStt:
    return GrammarStt(GrammarOptions(), log, audio, language, phrases)


# --- hearing -----------------------------------------------------------------------------------------------------


CONVERSATION = [
    "what are your opening hours",
    "book a table for friday please",
    "yes please",
    "what is my account balance",
    "i want to speak to the manager",
    "could you repeat that please",
    "no thank you",
    "goodbye",
]
FOREIGN = [
    "my printer is on fire",
    "the train leaves at seven",
    "purple elephants dance at midnight",
    "the number is five five five one two three four",
    "turn off the lights",
]


async def test_an_end_of_turn_says_up_to_where_it_has_heard(reception: AssistantConfig) -> None:
    """Which tells a late one from the next."""
    log, fed_ms = Log(), 0.0
    session = listening(log, phrases_of(reception))
    await session.open()
    for turn in (1, 2):
        pcm = await telephone("yes please")
        pour(session, pcm)
        session.finalize()
        fed_ms += PCM_8K.duration_ms(len(pcm))
        ends = await log.wait(EndOfTurn, turn)
        assert ends[-1].end_ms == pytest.approx(fed_ms, abs=1)
    session.close()


@pytest.mark.parametrize("voice", ["en-us", "en-us+f3"])
async def test_sentences_of_the_grammar_are_heard_exactly(reception: AssistantConfig, voice: str) -> None:
    log = Log()
    session = listening(log, phrases_of(reception))
    await session.open()
    assert [await heard(log, session, text, voice) for text in CONVERSATION] == CONVERSATION
    assert log.all(SessionFailed) == []
    session.close()


async def test_each_heard_sentence_is_answered(reception: AssistantConfig) -> None:
    script = Script(Registry().options("llm", reception.llm[0]))  # type: ignore[arg-type]
    history = [ChatMessage("user", text) for text in CONVERSATION]
    replies = [script.answer(history[: count + 1]) for count in range(len(history))]
    assert replies[1].text.startswith("On Friday") and "booked for Friday" in replies[2].text
    assert not any(reply.text.startswith(("Sorry", "I did not")) for reply in replies)
    assert replies[5].text == f"I said: {replies[4].text}"
    assert [reply.hang_up for reply in replies] == [False] * 6 + [True, True]


async def test_foreign_sentences_are_refused(reception: AssistantConfig) -> None:
    log = Log()
    session = listening(log, phrases_of(reception))
    await session.open()
    assert [await heard(log, session, text) for text in FOREIGN] == [""] * len(FOREIGN)
    assert await heard(log, session, "goodbye") == "goodbye"
    session.close()


async def test_a_word_that_the_dictionary_lacks_is_heard_by_its_pronunciation() -> None:
    sounds = {"Zorblax": ["Z AO1 R B L AE0 K S", "z er b l ah k s"], "café": "K AE F EY", "yes": "Y EH S"}
    options = GrammarOptions.model_validate({"pronunciations": sounds})
    phrases = ("tell me about the zorblax", "where is the café please", "yes please")
    assert not list(options.problems(Use("en-GB", phrases)))
    log = Log()
    session = GrammarStt(options, log, PCM_8K, "en-GB", phrases)
    await session.open()
    assert [await heard(log, session, text) for text in phrases] == list(phrases)
    session.close()


def complaints(options: GrammarOptions | TtsOptions, language: str = "en-US", *phrases: str) -> list[tuple[str, bool]]:
    return [(problem.text, problem.fatal) for problem in options.problems(Use(language, phrases or ("yes please",)))]


def test_unknown_words_are_named_all_at_once_with_the_way_to_add_them() -> None:
    options = GrammarOptions.model_validate({"pronunciations": {"quux": "K W AH K S", "hello": "HH AH L OW"}})
    ((unused, is_fatal), (text, is_refused)) = complaints(options, "en", "sell me a zorblax", "a quux for 7 gnorps")
    assert (unused, is_fatal) == ("no sentence has this word", False)
    assert is_refused and "'gnorps' in 'a quux for 7 gnorps', 'zorblax' in 'sell me a zorblax'" in text
    assert "'7' in" in text and "numbers and abbreviations as words" in text and "`pronunciations`" in text
    assert "quux'" not in text.replace("'a quux for 7 gnorps'", "")


@pytest.mark.parametrize(
    ("word", "sounds", "complaint"),
    [
        ("zorblax", "Z OR B", "'OR' is no sound of ARPAbet; legal are: AA AE "),
        ("zorblax", "", "at least one sound"),
        ("zorblax", [], "at least 1"),
        ("two words", "T UW", "'two words': must be one word"),
        ("?!", "T UW", "must be one word"),
        ("zorblax", 7, "valid string"),
    ],
)
def test_a_wrong_pronunciation_is_refused(word: str, sounds: Any, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        GrammarOptions.model_validate({"pronunciations": {word: sounds}})


@pytest.mark.parametrize("language", ["en", "en-US", "en_GB", "EN-au"])
def test_it_hears_english(language: str) -> None:
    assert complaints(GrammarOptions(), language) == []


@pytest.mark.parametrize("language", ["de", "de-DE", "enm", "fr-CA", "english"])
def test_it_hears_nothing_else(language: str) -> None:
    (found,) = complaints(GrammarOptions(), language)
    assert found == (
        f"embedded hears English only, and the assistant's language is {language!r}: name another stt",
        True,
    )


def test_it_hears_listed_sentences_only() -> None:
    (problem,) = GrammarOptions().problems(Use("en", ()))
    assert problem.fatal and "no llm of this assistant lists any" in problem.text
    assert not list(GrammarOptions().problems(Use("en", None)))


@pytest.mark.parametrize("language", ["en-US", "de-DE", "pt-BR", "cmn", "no"])
@pytest.mark.parametrize("voice", ["", "en-us+f3", "de"])
def test_a_voice_that_there_is(voice: str, language: str) -> None:
    assert complaints(TtsOptions(voice=voice), language) == []


@pytest.mark.parametrize(
    ("voice", "language", "complaint", "is_refused"),
    [
        ("klingonish", "en", "espeak-ng has no such voice: unknown voice 'klingonish'; legal are: af, am, ", True),
        ("", "xx", "espeak-ng has no such voice for the assistant's language: unknown voice 'xx'; ", True),
        ("en-us+whispr", "en", "no such variant: unknown variant 'whispr'; did you mean 'whisper'? legal are: ", False),
    ],
)
def test_a_voice_that_there_is_not(voice: str, language: str, complaint: str, is_refused: bool) -> None:
    ((text, fatal),) = complaints(TtsOptions(voice=voice), language)
    assert complaint in text and fatal is is_refused


async def test_finalize_ends_the_turn_even_in_silence() -> None:
    log = Log()
    session = listening(log, ("goodbye",))
    session.finalize()  # before it is open: kept
    await session.open()
    await log.wait(EndOfTurn)
    session.hear(PCM_8K.silence(1000))
    session.finalize()
    await log.wait(EndOfTurn, 2)
    assert [event for event in log.events if event not in log.all(Interim)] == [EndOfTurn(0.0), EndOfTurn(1000.0)]
    session.close()


async def test_a_final_tells_how_much_audio_it_settles() -> None:
    log = Log()
    session = listening(log, ("goodbye", "what are your opening hours"))
    sound = await telephone("what are your opening hours")
    pour(session, sound)  # before it is open: kept
    await session.open()
    session.finalize()
    await log.wait(EndOfTurn)
    (final,) = log.all(Final)
    assert final.end_ms == pytest.approx(PCM_8K.duration_ms(len(sound)))
    interims = [interim.text for interim in log.all(Interim)]
    assert interims and all(final.text.startswith(text) or text == final.text for text in interims[-1:])
    assert log.events.index(log.all(Interim)[-1]) < log.events.index(final) < log.events.index(log.all(EndOfTurn)[-1])
    session.close()


async def test_two_callers_are_heard_at_once_each_with_its_own_grammar() -> None:
    first, second = Log(), Log()
    one, two = listening(first, ("yes please", "no thank you")), listening(second, ("tell me a joke", "goodbye"))
    await asyncio.gather(one.open(), two.open())
    sounds = await telephone("no thank you"), await telephone("goodbye")
    for start in range(0, max(map(len, sounds)), PIECE_BYTES):
        one.hear(sounds[0][start : start + PIECE_BYTES])
        two.hear(sounds[1][start : start + PIECE_BYTES])
    one.finalize()
    two.finalize()
    await asyncio.gather(first.wait(EndOfTurn), second.wait(EndOfTurn))
    assert [event.text for event in first.all(Final)] == ["no thank you"]
    assert [event.text for event in second.all(Final)] == ["goodbye"]
    one.close()
    two.close()


async def test_a_killed_recognizer_fails_its_session_and_the_next_one_hears() -> None:
    log = Log()
    session = listening(log, ("goodbye", "yes please"))
    await session.open()
    sound = await telephone("goodbye")
    pour(session, sound[: len(sound) // 2])
    (pid,) = engine_pool("recognizer").pids
    os.kill(pid, signal.SIGKILL)
    (failed,) = await log.wait(SessionFailed)
    assert failed.error.remedy is Remedy.RETRY
    pour(session, sound)  # into the void
    session.finalize()
    session.close()
    again = listening(log, ("goodbye", "yes please"))
    await again.open()
    assert await heard(log, again, "goodbye") == "goodbye"
    assert len(log.all(SessionFailed)) == 1
    again.close()


@pytest.mark.parametrize(
    ("session", "complaint"),
    [
        (lambda log: listening(log, ("goodbye",), language="de-DE"), "hears English only, not de-DE"),
        (lambda log: listening(log, ("goodbye",), MULAW_8K), "hears 8 or 16 kHz PCM"),
        (lambda log: listening(log, ("?",)), "was given none"),
        (lambda log: listening(log, ("sell me a zorblax",)), "lacks 'zorblax'"),
    ],
)
async def test_what_cannot_be_heard_is_said_at_once(session: Any, complaint: str) -> None:
    log = Log()
    with pytest.raises(ProviderError, match=complaint) as caught:
        await session(log).open()
    assert caught.value.remedy is Remedy.CONFIG
    assert log.events == []


async def test_a_session_closed_before_it_is_open_is_harmless() -> None:
    log = Log()
    session = listening(log, ("goodbye",))
    opening = asyncio.create_task(session.open())
    await asyncio.sleep(0)
    session.close()
    await opening
    session.close()
    session.hear(bytes(960))
    early = listening(log, ("goodbye",))
    early.close()
    await early.open()
    assert log.events == []


# --- speaking ----------------------------------------------------------------------------------------------------


def speaking(log: Log, audio: AudioFormat = MULAW_8K, **options: Any) -> EmbeddedTts:
    return EmbeddedTts(TtsOptions(**options), log, audio, "en-US")


async def test_segments_are_spoken_in_order_with_their_words() -> None:
    log = Log()
    session = speaking(log)
    texts = {1: "Hello there, how may I help you?", 2: "We open at 10:30 - and close at 5."}
    for segment, text in texts.items():
        session.speak(segment, text)
    await session.open()
    await log.wait(SegmentDone, 2)
    assert [event.segment for event in log.all(SegmentDone)] == [1, 2]
    assert [key for key, _ in itertools.groupby(event.segment for event in log.events)] == [1, 2]
    for segment, text in texts.items():
        audio = [event for event in log.all(SegmentAudio) if event.segment == segment]
        words = [word for event in audio for word in event.words]
        length_ms = MULAW_8K.duration_ms(sum(len(event.payload) for event in audio))
        assert " ".join(word.text for word in words) == text
        assert words[0].start_ms == 0 and words[-1].end_ms == pytest.approx(length_ms, abs=4)
        assert all(left.end_ms == right.start_ms for left, right in itertools.pairwise(words))
        assert all(20 < word.end_ms - word.start_ms < 1500 for word in words)
    session.close()


async def test_words_come_with_the_audio_in_which_they_begin() -> None:
    log = Log()
    session = speaking(log)
    session.speak(1, "one two three four five six seven eight nine ten. " * 10)
    await log.wait(SegmentDone)
    start_ms = 0.0
    for event in log.all(SegmentAudio):
        end_ms = start_ms + MULAW_8K.duration_ms(len(event.payload))
        assert all(start_ms - 5 <= word.start_ms <= end_ms + 5 for word in event.words)
        start_ms = end_ms
    assert sum(len(event.words) for event in log.all(SegmentAudio)) == 100
    session.close()


async def test_nothing_follows_a_cancel() -> None:
    log = Log()
    session = speaking(log)
    session.speak(1, "one two three four five. " * 100)
    session.speak(2, "never said")
    await log.wait(SegmentAudio)
    session.cancel()
    before = len(log.events)
    session.speak(1, "after all")
    await log.wait(SegmentDone)
    spoken = [word.text for event in log.events[before:] if isinstance(event, SegmentAudio) for word in event.words]
    assert spoken == ["after", "all"]
    session.speak(2, "closed")
    session.close()
    session.close()
    session.speak(3, "closed")
    await synthesize("the engine would have spoken by now")
    assert len(log.all(SegmentDone)) == 1


async def test_a_killed_voice_fails_its_session_and_the_next_one_speaks() -> None:
    log = Log()
    session = speaking(log)
    session.speak(1, "one two three four five. " * 300)
    session.speak(2, "never said")
    await log.wait(SegmentAudio)
    os.kill(engine_pool("voice").pids[0], signal.SIGKILL)
    (failed,) = await log.wait(SessionFailed)
    assert failed.error.remedy is Remedy.RETRY
    session.speak(3, "into the void")
    session.close()
    again = speaking(log)
    await again.open()
    again.speak(1, "here again")
    await log.wait(SegmentDone)
    assert len(log.all(SessionFailed)) == 1
    again.close()


async def test_an_empty_text_is_done_at_once() -> None:
    log = Log()
    session = speaking(log, PCM_16K)
    session.speak(4, " ")
    await log.wait(SegmentDone)
    assert log.all(SegmentDone) == [SegmentDone(4)]
    session.close()


async def test_an_unknown_voice_is_said_at_once() -> None:
    with pytest.raises(ProviderError, match="no voice 'zz-zz'") as caught:
        await speaking(Log(), voice="zz-zz").open()
    assert caught.value.remedy is Remedy.CONFIG


async def test_a_rate_that_nobody_has_fails_the_session() -> None:
    log = Log()
    session = speaking(log, AudioFormat(Encoding.PCM, 400))
    session.speak(1, "hello")
    (failed,) = await log.wait(SessionFailed)
    assert "sample rate 400" in failed.error.detail

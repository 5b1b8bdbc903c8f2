"""`embedded` hears freely, with its real engine: a person's voice through a telephone. And what hears in its place."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import signal
import wave
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actors.engines import weights
from actors.engines.health import sample
from actors.engines.hints import plain
from actors.engines.pool import close_engines, engine_pool
from actors.errors import ProviderError, Remedy
from actors.media import g711
from actors.media.audio import MULAW_8K, PCM_8K, AudioFormat
from actors.providers import embedded
from actors.providers.embedded import EmbeddedStt, FreeSpeech, GrammarOptions, SttOptions
from actors.providers.spec import EndOfTurn, Final, Interim, SessionFailed, Use
from tests.actors.providers.test_embedded import Log, pour, telephone

WHOLE = "ever tried ever failed no matter try again fail again fail better"
BEGINNING_S = 2.6  # "ever tried ever failed"


@pytest.fixture(autouse=True)
async def engines(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    if weights.why_not():
        pytest.skip(weights.why_not())
    monkeypatch.setattr(embedded, "free_speech", FreeSpeech())
    yield
    await close_engines()


@cache
def person() -> bytes:
    """A person reads, as PCM after mu-law at 8 kHz, with some silence around him (the recording of the package)."""
    spec = importlib.util.find_spec(weights.PACKAGE)
    assert spec and spec.submodule_search_locations
    with wave.open(str(Path(spec.submodule_search_locations[0]) / "test-data" / "beckett.wav")) as file:
        assert file.getframerate() == 16000
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
    spectrum = np.fft.rfft(sound)[: len(sound) // 4 + 1]
    half = np.fft.irfft(spectrum, len(sound) // 2) / 2
    law = MULAW_8K.silence(300) + g711.encode(half.clip(-32768, 32767).astype("<i2").tobytes()) + MULAW_8K.silence(400)
    return g711.decode(law)


def beginning() -> bytes:
    return person()[: round(2 * 8000 * (0.3 + BEGINNING_S))] + PCM_8K.silence(400)


def listening(log: Log, *phrases: str, audio: AudioFormat = PCM_8K, language: str = "en-US") -> EmbeddedStt:
    return EmbeddedStt(SttOptions(), log, audio, language, phrases)


async def heard(log: Log, session: EmbeddedStt, pcm: bytes) -> str:
    finals, ends = len(log.all(Final)), len(log.all(EndOfTurn))
    pour(session, pcm)
    session.finalize()
    await log.wait(EndOfTurn, ends + 1)
    return plain(" ".join(final.text for final in log.all(Final)[finals:]))


async def test_a_person_is_heard_in_his_own_words() -> None:
    log = Log()
    session = listening(log)
    await session.open()
    assert await heard(log, session, person()) == WHOLE
    assert log.all(EndOfTurn)[0].end_ms == pytest.approx(PCM_8K.duration_ms(len(person())), abs=1)
    session.close()


async def test_the_text_is_there_before_it_is_asked_for() -> None:
    log = Log()
    session = listening(log, "ever cried ever sailed", "what are your opening hours")
    pour(session, beginning())  # before it is open: kept
    await session.open()
    async with asyncio.timeout(20):
        while not any(plain(interim.text) == "ever tried ever failed" for interim in log.all(Interim)):
            await log.wait(Interim, len(log.all(Interim)) + 1)
    assert log.all(Final) == []
    (pid,) = engine_pool("recognizer").pids
    before = sample(pid)
    session.finalize()
    await log.wait(EndOfTurn)
    after = sample(pid)
    assert before and after and after.ran_s - before.ran_s < 0.02, "nothing was decoded again"
    assert [plain(final.text) for final in log.all(Final)] == ["ever tried ever failed"]
    session.close()


@pytest.mark.parametrize("kind", ["silence", "noise", "hum", "ringing"])
async def test_what_is_no_speech_is_no_text(kind: str) -> None:
    times = np.arange(8000 * 3) / 8000
    sounds = {
        "silence": np.zeros(len(times)),
        "noise": np.random.default_rng(9).normal(0, 1500, len(times)),
        "hum": 6000 * np.sin(2 * np.pi * 100 * times),
        "ringing": 6000 * np.sin(2 * np.pi * 425 * times) * (times % 2 < 1),
    }
    log = Log()
    session = listening(log)
    await session.open()
    assert await heard(log, session, sounds[kind].astype("<i2").tobytes()) == ""
    session.close()


async def test_two_callers_are_heard_at_once() -> None:
    logs = [Log(), Log()]
    sessions = [listening(log) for log in logs]
    await asyncio.gather(*(session.open() for session in sessions))
    assert len(engine_pool("recognizer").pids) == 1
    texts = await asyncio.gather(*(heard(*pair, beginning()) for pair in zip(logs, sessions, strict=True)))
    assert texts == ["ever tried ever failed"] * 2
    for session in sessions:
        session.close()


@pytest.mark.parametrize("harm", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_dead_or_stopped_engine_fails_its_session_and_the_next_one_hears(harm: signal.Signals) -> None:
    log = Log()
    session = listening(log)
    await session.open()
    sound = beginning()
    pour(session, sound[: len(sound) // 2])
    os.kill(engine_pool("recognizer").pids[0], harm)
    (failed,) = await log.wait(SessionFailed)
    assert failed.error.remedy is Remedy.RETRY
    session.finalize()
    session.close()
    again = listening(log)
    await again.open()
    assert await heard(log, again, sound) == "ever tried ever failed"
    assert len(log.all(SessionFailed)) == 1
    again.close()


async def test_a_closed_session_is_silent() -> None:
    log = Log()
    session = listening(log)
    session.close()
    await session.open()
    session.hear(bytes(960))
    session.finalize()
    early = listening(log)
    opening = asyncio.create_task(early.open())
    await asyncio.sleep(0)
    early.close()
    await opening
    assert log.events == []


@pytest.mark.parametrize("language", ["de-DE", "fr", "enm"])
async def test_another_language_is_refused_clearly(language: str) -> None:
    (problem,) = SttOptions().problems(Use(language, ("ja bitte",)))
    assert problem.fatal and "hears English only" in problem.text and language in problem.text
    with pytest.raises(ProviderError, match=f"hears English only, not {language}") as caught:
        await listening(Log(), "ja bitte", language=language).open()
    assert caught.value.remedy is Remedy.CONFIG


def test_it_needs_no_listed_sentences_and_no_dictionary() -> None:
    for phrases in ((), ("sell me a zorblax",), None):
        assert list(SttOptions().problems(Use("en", phrases))) == []


# --- where it cannot run ----------------------------------------------------------------------------------------------


async def test_without_memory_the_grammar_hears_and_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(weights, "available_bytes", lambda: 100 << 20)
    log = Log()
    for _ in range(2):
        session = listening(log, "goodbye", "yes please")
        await session.open()
        assert await heard(log, session, await telephone("goodbye")) == "goodbye"
        session.close()
    (line,) = caplog.messages
    assert line.endswith("listed sentences only: 100 MB of memory are free, and 400 MB are needed")
    assert [problem.fatal for problem in SttOptions().problems(Use("en", ()))] == [True]


@pytest.mark.parametrize("phrases", [("goodbye", "yes please"), ()])
async def test_with_unusable_weights_the_grammar_hears(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path, phrases: tuple[str, ...]
) -> None:
    """The engine finds that the package is not the one that it knows."""
    (tmp_path / weights.PACKAGE).mkdir()
    (tmp_path / weights.PACKAGE / "__init__.py").touch()
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.prefix = '/nowhere'\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    caplog.set_level(logging.WARNING, embedded.__name__)
    log = Log()
    session = listening(log, *phrases)
    if not phrases:
        with pytest.raises(ProviderError, match="was given none"):
            await session.open()
        return
    await session.open()
    assert await heard(log, session, await telephone("goodbye")) == "goodbye"
    assert len([line for line in caplog.messages if "in place of embedded" in line]) == 1
    session.close()


@pytest.mark.parametrize(
    ("flags", "expected"), [("flags: fpu avx avx2 avx_vnni", ""), ("flags: fpu sse4", "its CPU has no AVX2")]
)
def test_an_old_cpu_cannot(monkeypatch: pytest.MonkeyPatch, flags: str, expected: str) -> None:
    real = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda path: flags if str(path) == "/proc/cpuinfo" else real(path))
    assert weights.why_not() == expected


def test_the_options_of_its_stand_in_are_its_own_too() -> None:
    given: dict[str, Any] = {"threshold": -9, "pronunciations": {"zorblax": "Z AO R"}}
    assert SttOptions.model_validate(given).pronunciations == GrammarOptions.model_validate(given).pronunciations

"""Calls through everything: webhook, socket, wire, media clock, actors, providers, ledger, store."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import wave
from pathlib import Path

import numpy as np
import pytest

from actors.call.recovery import NOT_STARTED_S
from actors.engines import process as processes
from actors.engines.pool import engine_pool
from scripts.caller.call import place_call
from scripts.caller.plan import CallerSays
from tests.calls.conftest import House, until
from tests.fakes.recorded import recorded

VIA = pytest.mark.parametrize("via", ["twilio", "audiosocket", "browser"])


@VIA
async def test_a_spoken_conversation_with_the_embedded_default(house: House, via: str, tmp_path: Path):
    sentences = recorded("what are your opening hours", "that is all thank you")
    recording = tmp_path / "call.wav"
    report = await place_call(house.plan("reception", via, sentences, record=recording))
    assert report.answered
    assert report.ended_by == "assistant"
    assert report.conversation is not None
    said = [(line["role"], line["text"]) for line in report.conversation["messages"]]
    assert ("user", "What are your opening hours?") in said
    assert said[-1][1].endswith("Goodbye!")
    assert report.conversation["termination"]["reason"] == "assistant_hung_up"
    with wave.open(str(recording)) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, 8000)
        left, right = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2).T
    assert np.abs(left).max() > 3000
    assert np.abs(right).max() > 3000


@VIA
async def test_many_calls_at_once_leave_nothing_behind(house: House, via: str):
    sentences = recorded("hello, when are you open")
    reports = await asyncio.gather(*(place_call(house.plan("steady", via, sentences)) for _ in range(10)))
    assert all(report.answered for report in reports)
    assert house.company() == []
    assert house.worker.clock.stats.legs == 0


@VIA
async def test_barge_in_stops_the_assistant(house: House, via: str):
    sentences = recorded("hello, when are you open", "stop it now please")
    report = await place_call(house.plan("steady", via, sentences, turns=3, barge_in=True))
    assert report.barge_in_ms is not None
    assert report.barge_in_ms < 500
    interrupted = [line for line in report.conversation["messages"] if line["interrupted"]]
    assert interrupted
    assert len(interrupted[0]["text"]) < len("Certainly. We are open from nine to five on every day of the week.")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_recognizer_lost_in_mid_sentence_is_replaced(house: House, how: signal.Signals):
    sentences = recorded("what are your opening hours", "that is all thank you")
    pids = []

    def lose_it_while_speaking(event: object) -> None:
        if isinstance(event, CallerSays) and event.turn == 1:
            pids.extend(engine_pool("recognizer").pids)
            asyncio.get_running_loop().call_later(0.8, lambda: [os.kill(pid, how) for pid in pids])

    report = await place_call(house.plan("reception", "audiosocket", sentences), lose_it_while_speaking)
    assert pids
    assert report.answered
    assert ("user", "What are your opening hours?") in [(m["role"], m["text"]) for m in report.conversation["messages"]]
    assert not set(pids) & set(engine_pool("recognizer").pids)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_voice_lost_as_it_speaks_is_replaced(house: House, how: signal.Signals):
    sentences = recorded("what are your opening hours", "that is all thank you")
    pids = []

    async def lose_it_at_work() -> None:
        (process,) = (
            process for process in engine_pool("voice")._processes if process.pid in engine_pool("voice").pids
        )
        while not process.load:  # noqa: ASYNC110 - a sentence takes it a millisecond, and no event tells of that
            await asyncio.sleep(0)
        os.kill(process.pid, how)
        pids.append(process.pid)

    def lose_it_at_the_answer(event: object) -> None:
        if isinstance(event, CallerSays) and event.turn == 1:
            tasks.append(asyncio.create_task(lose_it_at_work()))

    tasks: list[asyncio.Task[None]] = []
    report = await place_call(house.plan("reception", "audiosocket", sentences), lose_it_at_the_answer)
    assert pids and not set(pids) & set(engine_pool("voice").pids)
    assert report.answered
    said = [(m["role"], m["text"], m["interrupted"]) for m in report.conversation["messages"]]
    hours = "The front desk never sleeps. The restaurant is open from six to eleven, on Wednesday, Friday and Saturday."
    assert ("assistant", hours, False) in said


async def test_keys_are_pressed(house: House):
    report = await place_call(house.plan("steady", "twilio", recorded("hello"), dtmf="42"))
    assert any(line["text"].startswith("[pressed 2 keys]") for line in report.conversation["messages"])


async def test_a_caller_who_vanishes_ends_the_call(house: House):
    sentences = recorded("hello, when are you open")
    call = asyncio.create_task(place_call(house.plan("steady", "twilio", sentences)))
    await until(lambda: bool(house.company()))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(lambda: not house.company())


async def test_stopping_the_worker_ends_its_calls_and_says_why(house: House):
    call = asyncio.create_task(place_call(house.plan("steady", "audiosocket", recorded("hello"), follow=False)))
    await until(lambda: bool(house.company()))
    await house.worker.stop()
    report = await call
    assert report.ended_by == "assistant"


async def test_a_voice_that_cannot_be_started_is_no_long_silence(house: House, monkeypatch: pytest.MonkeyPatch):
    """No process for it, and no other voice in the chain: nobody can say anything, so the call ends."""

    def start(*_: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(processes, "_start", start)
    began_s = time.monotonic()
    report = await place_call(house.plan("reception", "twilio", recorded("what are your opening hours")))
    assert time.monotonic() - began_s < NOT_STARTED_S + 5.0
    assert report.ended_by == "assistant"
    assert report.conversation is not None
    termination = report.conversation["termination"]
    assert (termination["reason"], "cannot be started" in termination["detail"]) == ("provider_exhausted", True)

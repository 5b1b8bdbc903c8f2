"""Whole simulated calls in real time, over both wires, against the least of all servers."""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.caller.call import place_call
from scripts.caller.errors import CallRefused, ServerUnreachable
from scripts.caller.plan import CallerSays, CallEvent, CallPlan, Connected, MessageSeen, NotFollowed, Sentence, TurnOver
from tests.fakes.reflex import KEY, ReflexServer, tone

BEEP = Sentence("beep", tone(300))


def plan(server: ReflexServer, **changes: Any) -> CallPlan:
    given: dict[str, Any] = {
        "to": server.url,
        "assistant": "reflex",
        "via": "audiosocket",
        "sentences": (BEEP,),
        "turns": 1,
        "key": KEY,
        "audiosocket": server.audiosocket,
    }
    return CallPlan(**{**given, **changes})


async def test_a_call_of_two_turns_over_both_wires(tmp_path: Path) -> None:
    await asyncio.gather(two_turns("twilio", tmp_path), two_turns("audiosocket", tmp_path))


async def two_turns(via: str, folder: Path) -> None:
    events: list[CallEvent] = []
    recording = folder / f"{via}.wav"
    async with ReflexServer() as server:
        report = await place_call(plan(server, via=via, turns=2, record=recording), events.append)
        await asyncio.wait_for(server.eof.wait(), 2)
    assert report.answered and report.ended_by == "caller"
    assert report.context_id == server.context_id
    assert [turn.number for turn in report.turns] == [1, 2]
    for turn in report.turns:  # the server waits for 10 silent frames; a busy machine sends some of them at once
        assert turn.latency_ms is not None and 50 < turn.latency_ms < 600
    assert report.greeting_ms is not None and report.greeting_ms < 4000
    assert report.audio.frames > 50 - 5
    kinds = [type(event) for event in events if not isinstance(event, MessageSeen)]
    assert kinds == [Connected, CallerSays, TurnOver, CallerSays, TurnOver]
    assert_both_voices(recording, report.duration_s)


def assert_both_voices(path: Path, duration_s: float) -> None:
    with wave.open(str(path), "rb") as file:
        assert file.getnchannels() == 2 and file.getframerate() == 8000
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2).astype(float)
    assert len(samples) / 8000 == pytest.approx(duration_s, abs=0.2)
    loud = (np.abs(samples) > 3000).sum(axis=0) / 8000 * 1.5  # a sine is above half its peak for two thirds
    assert loud[0] == pytest.approx(0.6, abs=0.15)
    assert loud[1] == pytest.approx(0.3 + 2 * 0.4, abs=0.15)


async def test_barge_in_is_measured_over_both_wires() -> None:
    async with ReflexServer(answer_ms=1600) as one, ReflexServer(answer_ms=1600) as two:
        reports = await asyncio.gather(
            place_call(plan(one, via="twilio", turns=3, barge_in=True, follow=False)),
            place_call(plan(two, via="audiosocket", turns=3, barge_in=True, follow=False)),
        )
    for report in reports:
        assert report.answered
        assert report.barge_in_ms is not None and report.barge_in_ms < 200


async def test_unanswered_turns_after_the_assistant_hung_up_and_a_record_that_cannot_be_read() -> None:
    async with ReflexServer(answers=1, hang_up=True, readable=False) as server:
        events: list[CallEvent] = []
        report = await place_call(plan(server, turns=3), events.append)
    assert [turn.latency_ms is not None for turn in report.turns] == [True, False, False]
    assert not report.answered and report.ended_by == "assistant"
    assert sum(isinstance(event, NotFollowed) for event in events) == 1


async def test_the_conversation_is_followed_line_by_line_until_its_end() -> None:
    events: list[CallEvent] = []
    async with ReflexServer() as server:
        report = await place_call(plan(server, dtmf="42#"), events.append)
    seen = [(event.role, event.text) for event in events if isinstance(event, MessageSeen)]
    assert seen == [("user", "beep?"), ("assistant", "beep!")]
    assert report.conversation is not None and report.conversation["termination"]["reason"] == "caller_hung_up"
    assert server.digits == "42#"


async def test_twilio_hears_keys_mark_echoes_and_a_stop() -> None:
    async with ReflexServer() as server:
        await place_call(plan(server, via="twilio", dtmf="7", follow=False))
    assert [event["dtmf"]["digit"] for event in server.heard if event["event"] == "dtmf"] == ["7"]
    assert {event["mark"]["name"] for event in server.heard if event["event"] == "mark"} == {"u1", "u2"}
    assert server.heard[-1]["event"] == "stop"


async def test_a_wrong_key_is_refused_with_a_hint() -> None:
    async with ReflexServer() as server:
        for via in ("twilio", "audiosocket"):
            with pytest.raises(CallRefused, match=r"401: wrong key.*--key"):
                await place_call(plan(server, via=via, key="rpd-wrong"))


async def test_nobody_there() -> None:
    async with ReflexServer() as server:
        gone = plan(server)
    with pytest.raises(ServerUnreachable, match="cannot be reached"):
        await place_call(gone)

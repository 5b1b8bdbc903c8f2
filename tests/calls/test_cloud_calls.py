"""Calls over Deepgram, OpenAI and Cartesia, as their fakes know them: whole, and with each of them failing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from config.assistant import AssistantConfig
from scripts.caller.call import place_call
from tests.calls.conftest import House, until
from tests.fakes.cartesia import FakeCartesia
from tests.fakes.deepgram import FakeDeepgram
from tests.fakes.openai import FakeOpenAi
from tests.fakes.recorded import recorded
from tests.fakes.remote import FakeProvider

GREETING = "Hello, how may I help you?"
ANSWER = "We are open from nine to five. On Sundays we are closed."


@dataclass
class Cloud:
    """The three providers of an assistant."""

    stt: FakeDeepgram
    llm: FakeOpenAi
    tts: FakeCartesia

    @property
    def all(self) -> tuple[FakeProvider, ...]:
        return self.stt, self.llm, self.tts

    def assistant(self, **changes: Any) -> AssistantConfig:
        """`changes` of the file; those under `stt` are options of Deepgram."""
        return AssistantConfig.model_validate({
            **{"name": "cloud", "greeting": GREETING, **changes},
            "stt": {"provider": "deepgram", "base_url": self.stt.url, **changes.get("stt", {})},
            "llm": {"provider": "openai", "base_url": self.llm.url},
            "tts": {"provider": "cartesia", "base_url": self.tts.url},
        })  # fmt: skip


@pytest.fixture
async def cloud(monkeypatch) -> AsyncIterator[Cloud]:
    for name, kind in (("DEEPGRAM", FakeDeepgram), ("OPENAI", FakeOpenAi), ("CARTESIA", FakeCartesia)):
        monkeypatch.setenv(f"{name}_API_KEY", kind.key)
    async with AsyncExitStack() as stack:
        fakes = FakeDeepgram(), FakeOpenAi(pause_s=0.01), FakeCartesia(pause_s=0.02)
        cloud = Cloud(*[await stack.enter_async_context(fake) for fake in fakes])
        cloud.llm.reply = lambda messages: ANSWER
        yield cloud
        for fake in cloud.all:
            assert not fake.violations


async def held(house: House, cloud: Cloud, *texts: str, changes: dict[str, Any] | None = None, **plan: object):
    await house.hire(cloud.assistant(**(changes or {})))
    sentences = recorded(*(texts or ("hello, when are you open",)))
    report = await place_call(house.plan("cloud", "twilio", sentences, **plan))
    await until(lambda: not any(fake.open for fake in cloud.all))
    assert report.answered
    return report


def refusal(code: str, message: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": "invalid_request_error", "code": code}}).encode()


async def test_a_conversation(house: House, cloud: Cloud):
    report = await held(house, cloud, "hello, when are you open", "and on the weekend")
    said = [line["text"] for line in report.conversation["messages"] if line["role"] == "assistant"]
    assert said == [GREETING, ANSWER, ANSWER]
    assert len(cloud.stt.requests) == len(cloud.tts.requests) == 1
    assert len(cloud.llm.connections) == 1
    assert cloud.stt.lead_ms < 1000
    assert house.company() == []


async def test_a_recognizer_that_is_cut_off_in_mid_sentence(house: House, cloud: Cloud):
    """The greeting takes 1.2 s; the caller speaks after it."""
    cloud.stt.script(after=2500, drop=True)
    report = await held(house, cloud)
    assert len(cloud.stt.requests) == 2
    assert [line["text"] for line in report.conversation["messages"]].count(ANSWER) == 1


@pytest.mark.parametrize("open_s", [0.8, 1.5])
async def test_services_that_open_late_each_time(house: House, cloud: Cloud, open_s: float):
    """The caller speaks 1.2 s after the call began; the recognizer is cut off, and its successor opens late, too."""
    for fake in cloud.all:
        fake.usual["open_s"] = open_s
    cloud.stt.script(after=2500, drop=True)
    report = await held(house, cloud, changes={"not_understood": "Pardon?"})
    said = [line["text"] for line in report.conversation["messages"] if line["role"] == "assistant"]
    assert said == [GREETING, ANSWER]
    assert len(cloud.stt.requests) == 2


async def test_a_model_that_is_cut_off_in_mid_answer(house: House, cloud: Cloud):
    cloud.llm.script(after=9, drop=True)
    report = await held(house, cloud)
    assert cloud.llm.bodies[1]["messages"][-2] == {"role": "assistant", "content": "We are open from nine to five."}
    assert [line["text"] for line in report.conversation["messages"]].count(ANSWER) == 1


async def test_a_model_that_is_busy(house: House, cloud: Cloud):
    cloud.llm.script(status=503)
    await held(house, cloud)
    assert len(cloud.llm.requests) == 2


async def test_services_that_say_much_that_carries_nothing(house: House, cloud: Cloud):
    for fake in cloud.all:
        fake.noise = (b"null", b"[]", b"{}", b'{"type":"ping"}', b'{"choices":null}', b'{"channel":null}', b"not JSON")
    report = await held(house, cloud)
    assert [line["text"] for line in report.conversation["messages"]].count(ANSWER) == 1
    assert [len(fake.requests) for fake in cloud.all] == [1, 1, 1]


async def test_a_model_that_asks_for_a_moment(house: House, cloud: Cloud):
    """It is asked again then, and not before."""
    cloud.llm.script(status=429, headers={"Retry-After": "1"})
    report = await held(house, cloud)
    assert len(cloud.llm.requests) == 2
    assert report.turns[0].latency_ms > 1000
    assert [line["text"] for line in report.conversation["messages"]].count(ANSWER) == 1


async def test_a_history_that_is_too_long_is_shortened(house: House, cloud: Cloud):
    cloud.llm.script(status=400, body=refusal("context_length_exceeded", "maximum context length is 12 tokens"))
    report = await held(house, cloud)
    first, second = (body["messages"] for body in cloud.llm.bodies)
    assert [line["role"] for line in first] == ["assistant", "user"] and second == first[1:]
    assert [line["text"] for line in report.conversation["messages"]].count(ANSWER) == 1


async def test_a_question_that_the_filter_refuses_costs_that_question(house: House, cloud: Cloud):
    cloud.llm.script(status=400, body=refusal("content_filter", "The prompt triggered content management policy"))
    report = await held(house, cloud, "hello, when are you open", "and on the weekend")
    said = [line["text"] for line in report.conversation["messages"] if line["role"] == "assistant"]
    assert said == [GREETING, "Sorry, could you say that again?", ANSWER]
    assert [line["role"] for line in cloud.llm.bodies[1]["messages"]] == ["assistant", "assistant", "user"]


async def test_a_voice_that_is_cut_off_in_mid_sentence(house: House, cloud: Cloud):
    cloud.tts.script(after=18, drop=True)  # the greeting has 12 chunks
    report = await held(house, cloud)
    assert len(cloud.tts.requests) == 2
    assert [line["text"] for line in report.conversation["messages"]].count(ANSWER) == 1


@pytest.mark.parametrize("silently", [False, True])
async def test_a_model_that_lets_the_voice_wait_between_two_sentences(house: House, cloud: Cloud, silently: bool):
    """For longer than a voice may be silent that owes something, and than a context lives."""
    cloud.llm.pause_s, cloud.tts.expire_s, cloud.tts.expires_silently = 0.3, 0.3, silently
    report = await held(house, cloud, changes={"stalls": {"tts_ms": 600, "filler_ms": 9000}})
    assert [line["text"] for line in report.conversation["messages"]].count(ANSWER) == 1
    assert len(cloud.tts.requests) == 1
    assert [request["context_id"] for request in cloud.tts.spoken] == ["context-1", "context-2", "context-3"]
    assert "context-2" in cloud.tts.expired


async def test_a_caller_who_interrupts(house: House, cloud: Cloud):
    cloud.tts.pause_s = 0.08  # hardly faster than it is heard: there is something left to cancel
    cloud.llm.reply = lambda messages: "This is a rather long answer, which nobody wants to hear. " * 6
    report = await held(house, cloud, "hello, when are you open", "stop it", turns=3, barge_in=True)
    assert report.barge_in_ms is not None and report.barge_in_ms < 600
    assert cloud.tts.cancelled


async def test_an_answer_that_is_begun_when_flux_expects_the_end_is_heard_earlier(house: House, cloud: Cloud):
    """The same call twice: flux is sure 1 s after it was nearly so, and the model needs 0.7 s for its first clause."""
    cloud.stt.eager_ms, cloud.stt.end_ms, cloud.llm.pause_s = 300.0, 1300.0, 0.1
    sentences = recorded("when are you open")
    calls = {}
    for eager in (0.5, None):
        ends: list[tuple[int, int]] = []  # (questions, sentences spoken) when a turn ends

        def note(event: str, ends: list[tuple[int, int]] = ends) -> None:
            if event == "EndOfTurn":
                ends.append((len(cloud.llm.requests), len(cloud.tts.spoken)))

        cloud.stt.on_turn = note
        stt = {"model": "flux-general-en", "eager_eot_threshold": eager}
        patience = {"endpointing": {"silence_ms": 3000}, "stalls": {"next_token_ms": 5000}}
        await house.hire(cloud.assistant(stt=stt, **patience))
        report = await place_call(house.plan("cloud", "twilio", sentences))
        said = [line["text"] for line in report.conversation["messages"] if line["role"] == "assistant"]
        assert report.answered and said == [GREETING, ANSWER]
        calls[eager] = report.turns[0].latency_ms, ends
        cloud.llm.requests.clear()
        cloud.tts.spoken.clear()
    (early_ms, early_ends), (late_ms, late_ends) = calls[0.5], calls[None]
    greeting = late_ends[0][1]
    assert early_ends[0][0] > 0 and early_ends[0][1] == greeting  # asked, and nothing of the answer was spoken
    assert late_ends[0][0] == 0
    assert early_ms < late_ms
    figures = house.worker.metrics.exposition()
    assert 'callboard_speculations_total{outcome="kept"} 1.0' in figures

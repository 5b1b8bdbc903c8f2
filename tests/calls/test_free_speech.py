"""A caller in his own words, an open model on this machine, and nobody's account: the five lines of the README."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from config.assistant import AssistantConfig
from scripts.caller.call import place_call
from tests.calls.conftest import House
from tests.fakes.openai import FakeOpenAi
from tests.fakes.recorded import recorded

SHOWN = re.search(r"```yaml\n(name: my-desk\n.*?)```", Path("README.md").read_text(), re.S)
QUESTION = "Can you help me with my computer please?"


async def test_free_speech_reaches_a_model_on_this_machine_without_any_key(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert SHOWN is not None
    async with FakeOpenAi() as model:
        model.key = ""  # as Ollama
        model.reply = lambda messages: "Have you tried to switch it off and on again?"
        shown = yaml.safe_load(SHOWN[1])
        shown["llm"]["base_url"] = model.url
        await house.hire(AssistantConfig.model_validate(shown))
        report = await place_call(house.plan("my-desk", "audiosocket", recorded(QUESTION)))
        assert report.answered and report.conversation is not None
        said = [(line["role"], line["text"]) for line in report.conversation["messages"]]
        assert ("assistant", "Have you tried to switch it off and on again?") in said
        (heard,) = [text for role, text in said if role == "user"]
        assert re.sub(r"[^a-z ]", "", heard.lower()) == re.sub(r"[^a-z ]", "", QUESTION.lower())
        assert model.bodies[-1]["messages"][-1]["content"] == heard

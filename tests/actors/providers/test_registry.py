"""Discovery, and what the registry says about a bad assistant."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from actors.errors import UnknownProvider
from actors.media.audio import PCM_8K
from actors.providers import embedded, script
from actors.providers.registry import Registry
from config.assistant import AssistantConfig
from config.errors import ConfigError

SCRIPT: dict[str, Any] = {
    "provider": "script",
    "intents": [{"name": "hours", "say": ["what are your opening hours"], "reply": "Nine to five."}],
}


def assistant(**changes: Any) -> AssistantConfig:
    return AssistantConfig(**{"name": "desk", "stt": "embedded", "llm": SCRIPT, "tts": "embedded", **changes})


def test_every_provider_is_found() -> None:
    found = {(spec.kind, spec.name) for spec in Registry().list()}
    assert {("stt", "embedded"), ("llm", "script"), ("tts", "embedded")} <= found


def test_an_extra_module_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = ModuleType("extra_providers")
    extra.SPECS = (replace(script.SPECS[0], name="other"),)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "extra_providers", extra)
    assert Registry(extra=["extra_providers"]).spec("llm", "other").name == "other"


@pytest.mark.parametrize(("module", "complaint"), [("no.such.module", "No module named"), ("json", "SPECS")])
def test_a_bad_extra_module_is_named(module: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=f"EXTRA_PROVIDERS: '{module}'.*{complaint}"):
        Registry(extra=[module])


def test_two_providers_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = ModuleType("extra_providers")
    extra.SPECS = (replace(script.SPECS[0]),)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "extra_providers", extra)
    with pytest.raises(ConfigError, match="llm provider 'script' already"):
        Registry(extra=["extra_providers"])


def test_an_unknown_provider_is_answered_with_the_legal_names() -> None:
    with pytest.raises(UnknownProvider, match=r"llm: unknown provider 'scrpt'; legal are: .*script"):
        Registry().check(assistant(llm="scrpt"))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"llm": [SCRIPT, {"provider": "script", "intents": []}]}, r"llm\[1\]\.intents: .*at least 1 item"),
        (
            {"llm": {**SCRIPT, "intents": [{**SCRIPT["intents"][0], "say": ["for {day}"]}]}},
            r"llm\[0\]\.intents\[0\]\.say: 'for {day}': no values for the slot {day}",
        ),
        ({"stt": {"provider": "embedded", "modle": "x"}}, r"stt\[0\]\.modle: Extra inputs .* \(given: 'x'\)"),
        (
            {"tts": {"provider": "embedded", "pitch": 100}},
            r"tts\[0\]\.pitch: .*less than or equal to 99 \(given: 100\)",
        ),
        (
            {"llm": {**SCRIPT, "intents": [{"name": "x", "say": ["sell me a zorblax"], "reply": "No."}]}},
            r"stt\[0\]: cannot hear the word 'zorblax' in 'sell me a zorblax'",
        ),
    ],
)
def test_a_bad_option_is_named_with_its_place(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Registry().check(assistant(**changes))


def test_sessions_are_made_with_checked_options() -> None:
    registry, config = Registry(), assistant(tts={"provider": "embedded", "pitch": 10})
    registry.check(config)
    stt = registry.open_stt(config.stt[0], print, PCM_8K, "en-US", registry.phrases(config))
    tts = registry.open_tts(config.tts[0], print, PCM_8K, "en-US")
    assert isinstance(stt, embedded.EmbeddedStt) and stt.phrases == ("what are your opening hours",)
    assert isinstance(tts, embedded.EmbeddedTts) and tts.options.pitch == 10
    assert isinstance(registry.open_llm(config.llm[0], print), script.ScriptSession)

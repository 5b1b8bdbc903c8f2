"""Discovery, and what the registry says about a bad assistant."""

from __future__ import annotations

import gc
import sys
import time
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
from config.problems import shown

WORDS = (
    *("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "red", "blue", "green", "black"),
    *("white", "small", "large", "old", "new", "good", "long", "short", "high", "low", "late", "early", "open", "warm"),
)
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


def complaints(**changes: Any) -> list[str]:
    return [f"{shown(problem.path)}: {problem.text}" for problem in Registry().problems(assistant(**changes))]


def test_an_unknown_provider_is_answered_with_the_legal_names() -> None:
    with pytest.raises(UnknownProvider, match=r"llm: unknown provider 'scrpt'; did you mean 'script'\? legal are: "):
        Registry().spec("llm", "scrpt")
    assert complaints(llm="scrpt")[0].startswith("llm[0].provider: unknown provider 'scrpt'; did you mean 'script'?")


def test_a_good_assistant_has_no_problems() -> None:
    assert complaints() == []


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"llm": [SCRIPT, {"provider": "script", "intents": []}]}, "llm[1].intents: is empty; legal are at least 1"),
        (
            {"llm": {**SCRIPT, "intents": [{**SCRIPT["intents"][0], "say": ["for {day}"]}]}},
            "llm[0].intents[0].say[0]: 'for {day}': no values for the slot {day}; there are no slots",
        ),
        (
            {"llm": {**SCRIPT, "intents": [{**SCRIPT["intents"][0], "say": [True]}]}},
            "llm[0].intents[0].say[0]: must be text; YAML reads it as true or false (True): put it in quotes",
        ),
        (
            {"stt": {"provider": "embedded", "treshold": -1}},
            "stt[0].treshold: unknown field 'treshold'; did you mean 'threshold'? "
            "legal are: threshold, pronunciations, confidence, hints",
        ),
        (
            {"tts": {"provider": "embedded", "pitch": 100}},
            "tts[0].pitch: Input should be less than or equal to 99; given: 100; "
            "legal: a whole number, at least 0, at most 99",
        ),
        (
            {"tts": {"provider": "embedded", "pitch": True}},
            "tts[0].pitch: must be a number; YAML reads it as true",
        ),
    ],
)
def test_a_bad_option_is_named_with_its_place(changes: dict[str, Any], complaint: str) -> None:
    assert complaints(**changes) == [complaint]


def test_each_member_of_each_chain_is_looked_at() -> None:
    found = complaints(
        stt=[{"provider": "deepgram", "model": ""}, "embeded"],
        llm=[SCRIPT, {"provider": "openai", "temperature": 3}],
        tts=["embedded", {"provider": "embedded", "voice": "klingonish"}],
    )
    assert [complaint.partition(":")[0] for complaint in found] == [
        *("stt[0].model", "stt[1].provider", "llm[1].temperature", "tts[1].voice")
    ]


def test_a_key_that_is_missing_here_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPGRAM_API_KEY", raising=False)
    monkeypatch.delenv("MY_KEY", raising=False)
    stt = [{"provider": "deepgram"}, {"provider": "deepgram", "api_key": "${MY_KEY}"}]
    problems = Registry().problems(assistant(stt=stt))
    assert [problem.fatal for problem in problems] == [False, False]
    assert "DEEPGRAM_API_KEY" in problems[0].text and "MY_KEY" in problems[1].text
    monkeypatch.setenv("DEEPGRAM_API_KEY", "x")
    monkeypatch.setenv("MY_KEY", "x")
    assert not Registry().problems(assistant(stt=stt))
    own = {"provider": "openai", "base_url": "http://127.0.0.1:11434/v1", "model": "llama3.2"}
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert not [problem for problem in Registry().problems(assistant(llm=[own, SCRIPT])) if not problem.fatal]


def test_sessions_are_made_with_checked_options() -> None:
    registry, config = Registry(), assistant(tts={"provider": "embedded", "pitch": 10})
    stt = registry.open_stt(config.stt[0], print, PCM_8K, "en-US", registry.phrases(config))
    tts = registry.open_tts(config.tts[0], print, PCM_8K, "en-US")
    assert isinstance(stt, embedded.GrammarStt) and stt.phrases == ("what are your opening hours",)
    assert isinstance(tts, embedded.EmbeddedTts) and tts.options.pitch == 10
    assert isinstance(registry.open_llm(config.llm[0], print), script.ScriptSession)


def test_a_versions_options_are_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    registry, parsed = Registry(), []
    parse = registry._parsed
    monkeypatch.setattr(registry, "_parsed", lambda kind, choice: parsed.append(kind) or parse(kind, choice))
    say = [f"i would like number {one} {two}" for one in WORDS for two in WORDS]
    llm = {"provider": "script", "intents": [{"name": "n", "say": say, "reply": "Yes."}]}
    config = AssistantConfig(name="big", stt="embedded", llm=llm, tts="embedded")
    registry.prepare(config)
    assert sorted(parsed) == ["llm", "stt", "tts"]
    begin = time.perf_counter()
    for _ in range(100):
        assert len(registry.phrases(config)) == len(say)
        assert registry.options("llm", config.llm[0]) is registry.options("llm", config.llm[0])
    assert time.perf_counter() - begin < 0.1 and len(parsed) == 3
    other = config.model_copy(deep=True)
    assert registry.options("llm", other.llm[0]) is not registry.options("llm", config.llm[0])
    del config, other
    gc.collect()
    assert not registry._options._made and not registry._sentences._made

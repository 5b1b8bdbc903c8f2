"""What `callboard providers check` is to try: which sessions of which options, and with which sentence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

from actors.errors import ProviderError
from actors.providers.grammar import normalise
from actors.providers.registry import Registry
from actors.providers.remote import RemoteOptions
from actors.providers.spec import Kind
from actors.providers.trial import TrialPlan
from config.assistant import AssistantConfig, ProviderChoice
from config.errors import ConfigError

SENTENCE = "what are your opening hours"
REPLY = "We are open from nine to five. Come in whenever you like."


def plan_trials(
    registry: Registry,
    name: str,
    kind: Kind | None,
    assistant: AssistantConfig | None,
    options: Sequence[str],
    sentence: str | None,
) -> list[TrialPlan]:
    """A trial of each session that `name` would have in the assistant. Raises `ConfigError` for what cannot be tried:
    an unknown provider, a wrong option, no key."""
    kinds = _kinds(registry, name, kind)
    if options and len(kinds) > 1:
        raise ConfigError(f"--option: {name} is {' and '.join(kinds)}; name one of them by --kind")
    if sentence is not None and not normalise(sentence):
        raise ConfigError(f"--say {sentence!r}: must hold at least one word")
    served = assistant or _desk(sentence or SENTENCE)
    phrases = registry.phrases(served)
    plans = [
        TrialPlan(
            kind=each,
            choice=_checked(registry, each, choice, options),
            sentence=sentence or _sentence(phrases),
            language=served.language,
            system_prompt=served.system_prompt,
            phrases=phrases,
        )
        for each in kinds
        for choice in _choices(served, each, name) or ([] if assistant else [ProviderChoice(provider=name)])
    ]
    if not plans:
        raise ConfigError(f"assistant {served.name}: does not name {name!r} as {' or '.join(kinds)}")
    return plans


def _kinds(registry: Registry, name: str, kind: Kind | None) -> tuple[Kind, ...]:
    specs = registry.list()
    kinds = tuple(spec.kind for spec in specs if spec.name == name)
    if not kinds:
        legal = ", ".join(dict.fromkeys(spec.name for spec in specs))
        raise ConfigError(f"unknown provider {name!r}; legal are: {legal}")
    if kind is not None and kind not in kinds:
        raise ConfigError(f"--kind {kind}: {name} is {' and '.join(kinds)} only")
    return kinds if kind is None else (kind,)


def _desk(sentence: str) -> AssistantConfig:
    """Whose options the providers get that cannot do without; each other provider has its own defaults."""
    script = {"provider": "script", "intents": [{"name": "sentence", "say": sentence, "reply": REPLY}]}
    return AssistantConfig.model_validate({"name": "trial", "stt": "embedded", "llm": script, "tts": "embedded"})


def _choices(assistant: AssistantConfig, kind: Kind, name: str) -> list[ProviderChoice]:
    return [choice for choice in getattr(assistant, kind) if choice.provider == name]


def _checked(registry: Registry, kind: Kind, choice: ProviderChoice, given: Sequence[str]) -> ProviderChoice:
    """The choice with the options `given` above its own, if it can be tried."""
    changes = dict(map(_option, given))
    changed = ProviderChoice.model_validate({**choice.options, **changes, "provider": choice.provider})
    options = registry.options(kind, changed)
    if isinstance(options, RemoteOptions):
        try:
            options.key()
        except ProviderError as error:
            raise ConfigError(f"{error}; set it, or name another one by the option api_key: ${{NAME}}") from None
    return changed


def _option(text: str) -> tuple[str, Any]:
    """KEY=VALUE, the value as an assistant's file would have it."""
    key, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[a-z][a-z0-9_]*", key) or key == "provider":
        raise ConfigError(f"--option {text!r}: legal: KEY=VALUE with the name of an option of the provider")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"--option {key}: its value is not YAML") from None


def _sentence(phrases: Sequence[str]) -> str:
    """One that the assistant understands."""
    return SENTENCE if not phrases or normalise(SENTENCE) in phrases else phrases[0]

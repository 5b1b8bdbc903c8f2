"""Finds the providers, checks an assistant's options with the providers' own models, and makes their sessions."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from typing import Any, cast

from pydantic import ValidationError

import actors.providers
from actors.errors import UnknownProvider
from actors.media.audio import AudioFormat
from actors.providers.spec import (
    Emit,
    Kind,
    LlmSession,
    Options,
    ProviderSpec,
    SttSession,
    TtsSession,
)
from config.assistant import AssistantConfig, ProviderChoice
from config.errors import ConfigError

KINDS: tuple[Kind, ...] = ("stt", "llm", "tts")


class Registry:
    """All providers that this process can use.

    `extra`: names of further modules with `SPECS`. Raises `ConfigError` for a module that cannot be imported or has
    none, and for two providers of one kind and name.
    """

    def __init__(self, extra: Iterable[str] = ()) -> None:
        self._specs: dict[tuple[Kind, str], ProviderSpec] = {}
        for spec in _discover(extra):
            if self._specs.setdefault((spec.kind, spec.name), spec) is not spec:
                raise ConfigError(f"EXTRA_PROVIDERS: there is a {spec.kind} provider {spec.name!r} already")

    def list(self) -> tuple[ProviderSpec, ...]:
        """All specs, by kind and name."""
        return tuple(sorted(self._specs.values(), key=lambda spec: (KINDS.index(spec.kind), spec.name)))

    def spec(self, kind: Kind, name: str) -> ProviderSpec:
        """Raises `UnknownProvider`, which lists the legal names."""
        try:
            return self._specs[kind, name]
        except KeyError:
            legal = ", ".join(spec.name for spec in self.list() if spec.kind == kind) or "none"
            raise UnknownProvider(f"{kind}: unknown provider {name!r}; legal are: {legal}") from None

    def options(self, kind: Kind, choice: ProviderChoice, where: str = "") -> Options:
        """The choice's options as their own model. Raises `ConfigError` naming the field, `where` in front."""
        try:
            return self.spec(kind, choice.provider).options(**choice.options)
        except ValidationError as error:
            raise ConfigError(_first_error(where or kind, error)) from None

    def check(self, assistant: AssistantConfig) -> None:
        """Raises `UnknownProvider`, or `ConfigError` such as "llm[0].intents[2].say: ..."."""
        phrases = self.phrases(assistant)
        for kind, where, choice in _choices(assistant):
            options = self.options(kind, choice, where)
            if check := getattr(options, "check_phrases", None):
                try:
                    check(phrases)
                except ValueError as error:
                    raise ConfigError(f"{where}: {error}") from None

    def phrases(self, assistant: AssistantConfig) -> tuple[str, ...]:
        """The sentences that a recognizer should expect: those that the assistant's language models know."""
        found = (
            getattr(self.options(kind, choice, where), "phrases", ())
            for kind, where, choice in _choices(assistant)
            if kind == "llm"
        )
        return tuple(dict.fromkeys(phrase for phrases in found for phrase in phrases))

    def open_stt(
        self, choice: ProviderChoice, emit: Emit, audio: AudioFormat, language: str, phrases: tuple[str, ...]
    ) -> SttSession:
        """A session, made but not yet opened; its module is imported when the first call needs it."""
        return cast(SttSession, self._make("stt", choice, emit, audio, language, phrases))

    def open_llm(self, choice: ProviderChoice, emit: Emit) -> LlmSession:
        """As `open_stt`."""
        return cast(LlmSession, self._make("llm", choice, emit))

    def open_tts(self, choice: ProviderChoice, emit: Emit, audio: AudioFormat, language: str) -> TtsSession:
        """As `open_stt`."""
        return cast(TtsSession, self._make("tts", choice, emit, audio, language))

    def _make(self, kind: Kind, choice: ProviderChoice, *given: Any) -> Any:
        module, _, name = self.spec(kind, choice.provider).session.partition(":")
        return getattr(importlib.import_module(module), name)(self.options(kind, choice), *given)


def _discover(extra: Iterable[str]) -> Iterator[ProviderSpec]:
    for module in pkgutil.iter_modules(actors.providers.__path__, f"{actors.providers.__name__}."):
        yield from getattr(importlib.import_module(module.name), "SPECS", ())
    for name in extra:
        try:
            yield from importlib.import_module(name).SPECS
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"EXTRA_PROVIDERS: {name!r}: {error}") from error


def _choices(assistant: AssistantConfig) -> Iterator[tuple[Kind, str, ProviderChoice]]:
    for kind in KINDS:
        for index, choice in enumerate(getattr(assistant, kind)):
            yield kind, f"{kind}[{index}]", choice


def _first_error(where: str, error: ValidationError) -> str:
    first = error.errors()[0]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    given = first["input"]
    shown = f" (given: {given!r})" if isinstance(given, str | int | float) and first["type"] != "value_error" else ""
    return f"{where}{path}: {first['msg'].removeprefix('Value error, ')}{shown}"

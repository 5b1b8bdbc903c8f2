"""Finds the providers, checks an assistant's options with the providers' own models, and makes their sessions."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar, cast
from weakref import ref

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
    Use,
)
from config.assistant import MAX_SAMPLE_CHARS, AssistantConfig, ProviderChoice
from config.errors import ConfigError
from config.problems import Problem, Where, problems_of, shown, unknown

V = TypeVar("V")

KINDS: tuple[Kind, ...] = ("stt", "llm", "tts")


class Registry:
    """All providers that this process can use.

    `extra`: names of further modules with `SPECS`. Raises `ConfigError` for a module that cannot be imported or has
    none, and for two providers of one kind and name.
    """

    def __init__(self, extra: Iterable[str] = ()) -> None:
        self._specs: dict[tuple[Kind, str], ProviderSpec] = {}
        self._options, self._sentences = _PerObject[Options](), _PerObject[tuple[str, ...]]()
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
            legal = (spec.name for spec in self.list() if spec.kind == kind)
            raise UnknownProvider(f"{kind}: {unknown('provider', name, legal)}") from None

    def options(self, kind: Kind, choice: ProviderChoice) -> Options:
        """The choice's options as their own model, parsed once. Raises `UnknownProvider`, `ConfigError`."""
        return self._options.get(choice, lambda: self._parsed(kind, choice))

    def prepare(self, assistant: AssistantConfig) -> None:
        """Parse whatever calls of this assistant need, so that they need not wait for it: 80 ms for 1,000 sentences.

        Raises `UnknownProvider`, `ConfigError` for a language model's options, which no call can start without.
        """
        self.phrases(assistant)
        for kind, _, choice in _choices(assistant):
            with suppress(ConfigError, UnknownProvider):  # the call goes on with the next of the chain
                self.options(kind, choice).prepare(assistant.language)

    def _parsed(self, kind: Kind, choice: ProviderChoice) -> Options:
        model = self.spec(kind, choice.provider).options
        try:
            return model.model_validate(choice.options)
        except ValidationError as error:
            found = (problem.under((kind,)) for problem in problems_of(error, model))
            raise ConfigError("\n".join(f"{shown(problem.path)}: {problem.text}" for problem in found)) from None

    def problems(self, assistant: AssistantConfig) -> Sequence[Problem]:
        """All that is wrong, or may be, with its providers: unknown ones, their options, what they cannot do."""
        unread: list[Problem] = []
        read: dict[Where, Options] = {}
        for kind, path, choice in _choices(assistant):
            try:
                read[path] = self.spec(kind, choice.provider).options.model_validate(choice.options)
            except UnknownProvider as error:
                unread.append(Problem((*path, "provider"), str(error).removeprefix(f"{kind}: ")))
            except ValidationError as error:
                unread += [p.under(path) for p in problems_of(error, self.spec(kind, choice.provider).options)]
        models = {path: options for path, options in read.items() if path[0] == "llm"}
        found = [*unread, *_in_use(models, Use(assistant.language, None))]
        are_right = assistant.llm and not any(problem.fatal and problem.path[0] == "llm" for problem in found)
        use = Use(assistant.language, _phrases(models.values()) if are_right else None)
        return [*found, *_in_use({path: read[path] for path in read if path not in models}, use)]

    def phrases(self, assistant: AssistantConfig) -> tuple[str, ...]:
        """The sentences that a recognizer should expect: those that the assistant's language models know."""
        try:
            return self._sentences.get(
                assistant, lambda: _phrases(self.options("llm", choice) for choice in assistant.llm)
            )
        except ValueError as error:  # an assistant that nobody has checked
            raise ConfigError(f"llm: {error}") from None

    def sample_call(self, assistant: AssistantConfig) -> tuple[str, ...]:
        """What a simulated caller may say to it, one sentence a turn: its own list, else its script's; else nothing."""
        if assistant.sample_call:
            return assistant.sample_call
        for choice in assistant.llm:
            with suppress(ConfigError, UnknownProvider):
                if found := getattr(self.options("llm", choice), "sample_call", ()):
                    return tuple(text[:MAX_SAMPLE_CHARS] for text in found)
        return ()

    def open_stt(
        self, choice: ProviderChoice, emit: Emit, audio: AudioFormat, language: str, phrases: tuple[str, ...]
    ) -> SttSession:
        """A session, made but not yet opened; its module is imported when the first call needs it."""
        return cast(SttSession, self._make("stt", choice, emit, audio, language, phrases))

    def open_llm(self, choice: ProviderChoice, emit: Emit, language: str = "en") -> LlmSession:
        """As `open_stt`."""
        session = cast(LlmSession, self._make("llm", choice, emit))
        session.language = language
        return session

    def open_tts(self, choice: ProviderChoice, emit: Emit, audio: AudioFormat, language: str) -> TtsSession:
        """As `open_stt`."""
        return cast(TtsSession, self._make("tts", choice, emit, audio, language))

    def _make(self, kind: Kind, choice: ProviderChoice, *given: Any) -> Any:
        module, _, name = self.spec(kind, choice.provider).session.partition(":")
        return getattr(importlib.import_module(module), name)(self.options(kind, choice), *given)


class _PerObject(Generic[V]):
    """What was made of a frozen object, as long as that lives. By identity: to hash it would cost as much."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[ref[Any], V]] = {}

    def get(self, of: Any, make: Callable[[], V]) -> V:
        """May be called in any thread; raises what `make` raises."""
        found = self._made.get(id(of))
        if found is not None and found[0]() is of:
            return found[1]
        key, made = id(of), make()
        self._made[key] = (ref(of, lambda _: self._made.pop(key, None)), made)
        return made


def _discover(extra: Iterable[str]) -> Iterator[ProviderSpec]:
    for module in pkgutil.iter_modules(actors.providers.__path__, f"{actors.providers.__name__}."):
        yield from getattr(importlib.import_module(module.name), "SPECS", ())
    for name in extra:
        try:
            yield from importlib.import_module(name).SPECS
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"EXTRA_PROVIDERS: {name!r}: {error}") from error


def _choices(assistant: AssistantConfig) -> Iterator[tuple[Kind, Where, ProviderChoice]]:
    for kind in KINDS:
        for index, choice in enumerate(getattr(assistant, kind)):
            yield kind, (kind, index), choice


def _in_use(read: Mapping[Where, Options], use: Use) -> Iterator[Problem]:
    for path, options in read.items():
        yield from (problem.under(path) for problem in options.problems(use))


def _phrases(models: Iterable[Options]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(phrase for options in models for phrase in getattr(options, "phrases", ())))

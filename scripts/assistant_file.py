"""Reads an assistant's YAML file and says all that is wrong with it: the one way by which an assistant comes in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from config.assistant import AssistantConfig
from config.errors import ConfigError
from config.problems import Problem, problems_of
from config.yaml_file import Document, read_yaml

MOST_LINES = 50  # of complaints
CHAINS = ("stt", "llm", "tts")


def read_assistant(
    path: Path, extra_providers: Sequence[str] = (), warn: Callable[[str], None] | None = None, *, strict: bool = False
) -> AssistantConfig:
    """The checked assistant. `warn` is told what is doubtful but may work; `strict` refuses that, too.

    Raises `ConfigError` with a line for each problem: file and line, field, what is wrong, what is legal.
    """
    from actors.providers.registry import Registry

    document = read_yaml(path)
    if not isinstance(document.content, dict):
        raise ConfigError(f"{path}: must hold a mapping with name, stt, llm and tts")
    assistant, problems = _validated(document.content)
    problems = [*document.problems, *problems, *Registry(extra_providers).problems(assistant)]
    fatal = [problem for problem in problems if problem.fatal or strict]
    if fatal:
        raise ConfigError("\n".join(_lines(document, fatal)))
    for line in _lines(document, problems):
        if warn:
            warn(line)
    return assistant


def _validated(content: dict[str, Any]) -> tuple[AssistantConfig, list[Problem]]:
    """The assistant, without the fields that are wrong: what the others hold is checked all the same."""
    try:
        assistant = AssistantConfig.model_validate(content)
        return assistant, list(assistant.problems())
    except ValidationError as error:
        found = list(problems_of(error, AssistantConfig))
    wrong = {problem.path[0] for problem in found if problem.path}
    rest = {name: value for name, value in content.items() if name not in wrong}
    stand_ins = {name: "embedded" for name in CHAINS if name not in rest} | {"name": "unnamed"}
    assistant = AssistantConfig.model_validate({**stand_ins, **rest})
    return assistant.model_copy(update={name: () for name in CHAINS if name not in rest}), found


def _lines(document: Document, problems: list[Problem]) -> Iterator[str]:
    ordered = sorted(dict.fromkeys(problems), key=lambda problem: document.find(problem.path)[0])
    yield from map(document.complaint, ordered[:MOST_LINES])
    if len(ordered) > MOST_LINES:
        yield f"{document.name}: and {len(ordered) - MOST_LINES} problems more"

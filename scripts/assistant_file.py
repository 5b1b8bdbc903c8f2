"""Reads an assistant's YAML file: its own model first, then each provider's options."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from config.assistant import AssistantConfig
from config.errors import BadInput, ConfigError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def read_assistant(path: Path, extra_providers: Sequence[str] = ()) -> AssistantConfig:
    """The checked assistant; `ConfigError` has a line for each wrong field: file, field, what is legal, the value."""
    from actors.providers.registry import Registry

    assistant = _validated(path, _content(path))
    try:
        Registry(extra_providers).check(assistant)
    except BadInput as error:  # an unknown provider, or an option that its model refuses
        raise ConfigError(f"{path}: {error}") from None
    return assistant


def _content(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: must hold a mapping with name, stt, llm and tts")
    return content


def _validated(path: Path, content: dict[str, Any]) -> AssistantConfig:
    try:
        return AssistantConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {_complaint(detail)}" for detail in error.errors())) from None


def _complaint(detail: ErrorDetails) -> str:
    field = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in detail["loc"]).lstrip(".")
    given = "" if detail["type"] == "missing" else f"; given: {str(detail['input'])[:60]!r}"
    return f"{field}: {detail['msg']}{given}"

"""Walks a settings model: what each option is called in the environment, and what it may hold."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import AliasChoices, AliasPath, BaseModel, SecretStr
from pydantic.fields import FieldInfo

_NUMBERS = {int: "a whole number", float: "a number"}
_BOUNDS = {"gt": "over {}", "ge": "at least {}", "lt": "under {}", "le": "at most {}"}


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its path in the settings, its names in the environment (the documented one first)."""

    path: tuple[str, ...]
    names: tuple[str, ...]
    description: str
    legal: str
    default: Any
    secret: bool

    @property
    def name(self) -> str:
        return self.names[0]

    def value_in(self, settings: BaseModel) -> Any:
        value: Any = settings
        for step in self.path:
            value = getattr(value, step)
        return value

    def shown(self, value: Any) -> str:
        """`value` for people: a secret is masked, nothing is empty, a list is comma-separated."""
        if value is None or value == "":
            return ""
        if self.secret or isinstance(value, SecretStr):
            return "********" if not isinstance(value, SecretStr) or value.get_secret_value() else ""
        return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def options(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[Option]:
    """Every option of `model`, groups opened, in the order of definition."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from options(field.annotation, (*path, name))
        else:
            yield _option(field, (*path, name))


def env_name(path: tuple[str | int, ...]) -> str:
    """POSTGRES__PORT for ("postgres", "port")."""
    return "__".join(step for step in path if isinstance(step, str)).upper()


def _option(field: FieldInfo, path: tuple[str, ...]) -> Option:
    return Option(
        path=path,
        names=tuple(dict.fromkeys(env_name((*path[:-1], *tail)) for tail in [path[-1:], *_aliases(field)])),
        description=field.description or "",
        legal=legal(field),
        default=field.default,
        secret=SecretStr in _plain_types(field.annotation),
    )


def _aliases(field: FieldInfo) -> list[tuple[str | int, ...]]:
    choices = field.validation_alias.choices if isinstance(field.validation_alias, AliasChoices) else []
    return [tuple(choice.path) if isinstance(choice, AliasPath) else (choice,) for choice in choices]


def _plain_types(annotation: Any) -> tuple[Any, ...]:
    """The members of a union without None, or the type by itself."""
    union = get_origin(annotation) in (Union, types.UnionType)
    return tuple(t for t in get_args(annotation) if t is not type(None)) if union else (annotation,)


def legal(field: FieldInfo) -> str:
    """What the field may hold, in words: "a whole number, at least 1, at most 65535"."""
    kind = _plain_types(field.annotation)[0]
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    if kind in _NUMBERS:
        return ", ".join([_NUMBERS[kind], *_bounds(field)])
    if field.examples:
        return f"text such as {field.examples[0]}"
    return "text"


def _bounds(field: FieldInfo) -> list[str]:
    found = [(text, getattr(limit, key, None)) for limit in field.metadata for key, text in _BOUNDS.items()]
    return [
        text.format(f"{bound:g}" if isinstance(bound, float) else bound) for text, bound in found if bound is not None
    ]

"""Walks a settings model: what each option is called in the environment, and what it may hold."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import AliasChoices, AliasPath, BaseModel, BeforeValidator, SecretStr
from pydantic.fields import FieldInfo

_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_BOUNDS = {"gt": "over {}", "ge": "at least {}", "lt": "under {}", "le": "at most {}"}
_LENGTHS = {"min_length": "at least {} {}", "max_length": "at most {} {}"}


@dataclass(frozen=True, slots=True)
class Legal:
    """Annotates a field whose type and bounds do not say in words what it may hold."""

    text: str


class OneOrMany(BeforeValidator):
    """Annotates a list of texts for which one text may stand; the JSON schema says so."""

    kind = "text, or a list of texts"

    def __init__(self) -> None:
        super().__init__(lambda value: value if value is None or isinstance(value, list | tuple) else (value,))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        known = handler(schema)
        many = next(kind for kind in known.get("anyOf", [known]) if "items" in kind)
        return {"anyOf": [many["items"], many, *(kind for kind in known.get("anyOf", []) if kind is not many)]}


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
    if told := next((rule.text for rule in field.metadata if isinstance(rule, Legal)), None):
        return told
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    named = next((rule.kind for rule in field.metadata if isinstance(rule, OneOrMany)), None) or _named(kind)
    words = ", ".join([named, *_bounds(field)])
    if field.examples and kind is not bool:
        words += f"{' ' if words == 'text' else ', '}such as {field.examples[0]}"
    return words + (", or null" if type(None) in get_args(field.annotation) else "")


def _named(kind: Any) -> str:
    if kind in _NAMES:
        return _NAMES[kind]
    if get_origin(kind) is tuple:
        return "text" if str in leaves(kind) else "a list of mappings"
    is_mapping = get_origin(kind) is dict or (isinstance(kind, type) and issubclass(kind, BaseModel))
    return "a mapping" if is_mapping else "text"


def leaves(annotation: Any) -> set[Any]:
    """The plain types in an annotation."""
    inner = get_args(annotation)
    return set().union(*map(leaves, inner)) if inner else {annotation}


def _bounds(field: FieldInfo) -> list[str]:
    unit = "characters" if field.annotation is str else "entries"
    return [
        text.format(f"{bound:g}" if isinstance(bound, float) else bound, unit)
        for limit in field.metadata
        for key, text in (_BOUNDS | _LENGTHS).items()
        if (bound := getattr(limit, key, None)) is not None
    ]

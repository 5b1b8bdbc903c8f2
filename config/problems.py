"""What is wrong with a file of options: where it is, and what would be right. All of it at once, not the first only."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from config.options import legal

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Where = tuple[str | int, ...]
_SHOWN_CHARS = 60
_MOST_WORDED = 1000  # complaints of one value: nobody reads on, and good words take time
_READ_AS: dict[type, str] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    datetime.datetime: "a time",
    datetime.date: "a date",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """`fatal`: it can never work; else it may be meant so, or depends on where it will run."""

    path: Where
    text: str
    fatal: bool = True

    def under(self, path: Where) -> Problem:
        return replace(self, path=(*path, *self.path))


def shown(path: Where) -> str:
    """llm[0].intents[2].say for ("llm", 0, "intents", 2, "say")."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def unknown(what: str, given: str, legal_names: Iterable[str]) -> str:
    """Such as: unknown field 'greting'; did you mean 'greeting'? Legal are: greeting, idle, name."""
    names = list(dict.fromkeys(legal_names))
    near = get_close_matches(given, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown {what} {given[:_SHOWN_CHARS]!r}; {hint}legal are: {', '.join(names) or 'none'}"


def problems_of(error: ValidationError, model: type[BaseModel]) -> Iterator[Problem]:
    """Each complaint of pydantic about a value of `model`, in the words of whoever writes the file."""
    for number, detail in enumerate(error.errors(include_url=False)):
        if detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]:
            continue  # its entries are wrong, and are complained of by themselves
        yield Problem(detail["loc"], _complaint(detail, model) if number < _MOST_WORDED else detail["msg"])


def _complaint(detail: ErrorDetails, model: type[BaseModel]) -> str:
    path = detail["loc"]
    owner = _annotation_at(model, path[:-1]) if path else model
    fields = owner.model_fields if isinstance(owner, type) and issubclass(owner, BaseModel) else {}
    match detail["type"]:
        case "extra_forbidden":
            return unknown("field", str(path[-1]), fields)
        case "value_error":  # says what is legal by itself, and the value unless it may be a secret
            return detail["msg"].removeprefix("Value error, ")
        case "string_type":
            return f"must be text{_misread(detail['input'])}"
        case "model_type" | "dict_type":
            return f"must be a mapping (NAME: VALUE){_given(detail['input'])}"
        case "tuple_type" | "list_type":
            return f"must be a list{_given(detail['input'])}"
        case "too_long":
            return f"has {detail['ctx']['actual_length']} entries; legal are at most {detail['ctx']['max_length']}"
        case "too_short":
            return f"is empty; legal are at least {detail['ctx']['min_length']}"
    field = next((fields[step] for step in reversed(path) if step in fields), None)
    words = f"; legal: {legal(field)}" if field is not None else ""
    given = "" if detail["type"] == "missing" else _given(detail["input"])
    return f"{detail['msg']}{given}{words}"


def _misread(given: Any) -> str:
    """YAML 1.1 makes something else of many a plain word: yes, no, on, off, 12:30, 2026-01-02, 007."""
    if given is None:
        return "; nothing stands here: write '' for no text, or leave the field out"
    if read_as := _READ_AS.get(type(given)):
        return f"; YAML reads it as {read_as} ({str(given)[:_SHOWN_CHARS]}): put it in quotes"
    return _given(given)


def _given(given: Any) -> str:
    return f"; given: {given!r:.{_SHOWN_CHARS}}" if isinstance(given, str | int | float | None) else ""


def _annotation_at(annotation: Any, path: Where) -> Any:
    """What stands at `path` below a model: a model, a field's type, or None where it is not known."""
    for step in path:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            field = annotation.model_fields.get(str(step))
            annotation = field.annotation if field else None
        else:  # tuple[Intent, ...], dict[str, Intent]
            inner = [part for part in get_args(annotation) if part is not Ellipsis]
            annotation = inner[-1] if inner and get_origin(annotation) else None
    return annotation

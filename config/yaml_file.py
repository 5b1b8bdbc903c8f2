"""Reads a YAML file that a person has written: what is surely a slip is a problem with its line, not silently taken.

PyYAML keeps the last of two equal keys, follows aliases without end (a "bomb" of 1 KB stands for 10^9 values), and a
recursive one for ever. So the tree of nodes is looked through, within limits, before values are made of it.
"""

from __future__ import annotations

import os
import re
import select
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from config.errors import ConfigError
from config.problems import Problem, Where, shown

MAX_BYTES = 2 << 20
MAX_VALUES = 200_000  # with each alias counted as what it stands for
CHARS_PER_VALUE = 64  # a long text counts as several values: aliases repeat it as cheaply as a short one
MAX_DEPTH = 32
MAX_NUMBER_CHARS = 100  # of a number or a time: a long one takes minutes to read (1:59:59...), or cannot be shown
SILENCE_S = 5.0  # of a pipe that is read like a file
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is some twenty times as fast
_MERGE = "tag:yaml.org,2002:merge"
_SHORT = ("int", "float", "timestamp")
# No text can hold these: PostgreSQL refuses them, and no voice has them.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_CONTROL = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Document:
    """The values of a file, where each stands, and what is wrong already."""

    name: str
    content: Any
    problems: tuple[Problem, ...]
    root: yaml.Node | None = field(repr=False)
    _fields: dict[int, dict[str, yaml.Node]] = field(default_factory=dict, repr=False)  # by mapping

    def complaint(self, problem: Problem) -> str:
        """desk.yaml:7: idle.timeout_s: ..."""
        line, path = self.find(problem.path)
        return f"{self.name}:{line}: {shown(path)}: {problem.text}" if path else f"{self.name}:{line}: {problem.text}"

    def find(self, path: Where) -> tuple[int, Where]:
        """The line (from 1) of the value at `path`, or of the nearest one around it; and the path as the file has it,
        where one value may stand for a list of one: stt.model for ("stt", 0, "model")."""
        node = self.root
        line, found = 1, list[str | int]()
        for step in path:
            below = self._below(node, step) if node else None
            if below is not None or not (
                isinstance(step, int) and isinstance(node, yaml.MappingNode | yaml.ScalarNode)
            ):
                node = below
                found.append(step)
            line = node.start_mark.line + 1 if node else line
        return line, tuple(found)

    def _below(self, node: yaml.Node, step: str | int) -> yaml.Node | None:
        if isinstance(node, yaml.MappingNode):
            if id(node) not in self._fields:
                self._fields[id(node)] = {key.value: value for key, value in reversed(node.value)}
            return self._fields[id(node)].get(str(step))
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            found: yaml.Node = node.value[step]
            return found
        return None


def read_yaml(path: Path, most_bytes: int = MAX_BYTES) -> Document:
    """The document of the file, None if it is empty. Raises `ConfigError`: unreadable, too large, not YAML, several."""
    text = _text(path, most_bytes)
    loader = _LOADER(text)
    try:
        root = loader.get_single_node()
        builder = _Builder(loader)
        content = None
        if root is not None:
            _check_size(path, root)
            content = builder.value(root, ())
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}{_of_yaml(error, text)}") from None
    except RecursionError:
        raise ConfigError(f"{path}: is nested more than {MAX_DEPTH} deep") from None
    finally:
        loader.dispose()
    return Document(str(path), content, tuple(builder.problems), root)


def _text(path: Path, most_bytes: int) -> str:
    try:
        raw = _bytes(path, most_bytes)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    if len(raw) > most_bytes:
        raise ConfigError(f"{path}: is larger than {most_bytes:,} bytes")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: is not UTF-8 text: byte 0x{raw[error.start]:02x}") from None


def _bytes(path: Path, most: int) -> bytes:
    """What the file holds, or one byte too many of it. A pipe may be one, too (`<(...)`), but is not waited for."""
    raw = b""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        while len(raw) <= most:
            if not select.select([descriptor], [], [], SILENCE_S)[0]:
                raise ConfigError(f"{path}: is no file, and nothing has come out of it for {SILENCE_S:g} s")
            if not (data := os.read(descriptor, most + 1 - len(raw))):
                break
            raw += data
    finally:
        os.close(descriptor)
    return raw


def _of_yaml(error: yaml.YAMLError, text: str) -> str:
    """ ":7: is not YAML: ..." of PyYAML's complaint, which takes six lines."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if isinstance(error, yaml.reader.ReaderError):
        return f":{text.count(chr(10), 0, error.position) + 1}: is not YAML: {error.reason}"
    what = getattr(error, "problem", None) or " ".join(str(error).split())
    if mark is None:
        return f": is not YAML: {what}"
    if "another document" in what:
        return f":{mark.line + 1}: a second document begins; a file holds one"
    lines = text.splitlines()
    indent = re.match(r"[ \t]*", lines[mark.line]) if mark.line < len(lines) else None
    if indent and "\t" in indent[0]:
        what = "a tab cannot indent: use spaces"
    return f":{mark.line + 1}: is not YAML: {what} (column {mark.column + 1})"


def _check_size(path: Path, root: yaml.Node) -> None:
    """Raises `ConfigError` for a value within itself, and for too much or too deep a tree, with aliases followed."""
    sizes: dict[int, int] = {}  # by node; 0: it is being measured

    def size(node: yaml.Node, depth: int) -> int:
        known = sizes.get(id(node))
        if known == 0:
            raise ConfigError(f"{path}:{node.start_mark.line + 1}: an alias stands within what it stands for")
        if known is not None:
            return known
        if depth > MAX_DEPTH:
            raise ConfigError(f"{path}:{node.start_mark.line + 1}: is nested more than {MAX_DEPTH} deep")
        sizes[id(node)] = 0
        total = _own_size(node) + sum(size(child, depth + 1) for child in _children(node))
        if total > MAX_VALUES:
            line = node.start_mark.line + 1
            raise ConfigError(f"{path}:{line}: more than {MAX_VALUES:,} values, with what aliases stand for")
        sizes[id(node)] = total
        return total

    size(root, 0)


def _own_size(node: yaml.Node) -> int:
    return 1 + len(node.value) // CHARS_PER_VALUE if isinstance(node, yaml.ScalarNode) else 1


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


class _Builder:
    """Makes values of nodes, and collects what is wrong with them."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._seen: set[int] = set()  # mappings: an alias leads to one again
        self.problems: list[Problem] = []

    def value(self, node: yaml.Node, path: Where) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Where) -> dict[str, Any]:
        if id(node) not in self._seen:
            self._seen.add(id(node))
            self._check_keys(node, path)
            self._loader.flatten_mapping(node)  # puts what is merged (<<) before the mapping's own keys
            node.value = [(self._name(key, path), value) for key, value in node.value]
        return {key.value: self.value(value, (*path, key.value)) for key, value in node.value}

    def _check_keys(self, node: yaml.MappingNode, path: Where) -> None:
        """A key is the text that stands there: `no:` is "no", since no model has other keys."""
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in lines and key.tag != _MERGE:
                self._add((*path, key.value), f"stands here twice, in line {lines[key.value]} and in line {line}")
            lines[key.value] = line

    def _name(self, key: yaml.Node, path: Where) -> yaml.ScalarNode:
        """A list or a mapping in a key's place may be something else elsewhere, by an alias: it stays what it is."""
        if isinstance(key, yaml.ScalarNode):
            return key
        self._add(path, f"the name of a field in line {key.start_mark.line + 1} must be text")
        return yaml.ScalarNode("tag:yaml.org,2002:str", "?", key.start_mark, key.end_mark)

    def _scalar(self, node: yaml.Node, path: Where) -> Any:
        kind = node.tag.rpartition(":")[2]
        try:
            if kind in _SHORT and len(node.value) > MAX_NUMBER_CHARS:
                raise ValueError
            value = self._loader.construct_object(node)
        except Exception:  # an unknown tag; 2026-02-31; 5,000 digits; `!!int ''` is an IndexError within PyYAML
            self._add(path, f"YAML cannot read {node.value!r:.60} as {kind}: put it in quotes")
            return str(node.value)
        if isinstance(value, str):
            self._check_text(value, path)
        return value

    def _check_text(self, text: str, path: Where) -> None:
        if found := _NO_TEXT.search(text):
            self._add(path, f"holds U+{ord(found[0]):04X}, which no text may hold")
        elif found := _CONTROL.search(text):
            self._add(path, f"holds the control character U+{ord(found[0]):04X}", fatal=False)

    def _add(self, path: Where, text: str, fatal: bool = True) -> None:
        self.problems.append(Problem(path, text, fatal))

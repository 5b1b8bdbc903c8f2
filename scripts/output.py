"""What a command prints: tables for people, JSON for programs."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

_ESCAPES = "callboard-escapes"

if TYPE_CHECKING:  # rich takes 60 ms to import; `--help` and `--json` do without it
    from rich.console import Console


def prepare_output() -> None:
    """A terminal of another alphabet shows an escape for what it lacks; JSON in it stays JSON."""
    _complete_streams()
    codecs.register_error(_ESCAPES, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=_ESCAPES)


def _complete_streams() -> None:
    """Standard input, output or error that we were started without (`2>&-`) is /dev/null: else the next file or socket
    that is opened gets its number, and whatever a library prints."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest number that is free
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w", closefd=False))


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """\\u1234, of what lies beyond it two: as in JSON."""
    assert isinstance(error, UnicodeEncodeError)
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4)), error.end


def lose_output() -> None:
    """Who read standard output has gone: what is still buffered goes nowhere, without a complaint at the end."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        sys.stdout = None


_SHORT = 12  # characters: such cells are kept in one line


@cache
def console() -> Console:
    """The terminal; highlighting is off, because what is printed are people's words."""
    from rich.console import Console

    class Terminal(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would end the process

    # a pipe has no width: lines are not broken for whoever reads them there
    width = None if sys.stdout.isatty() else 200
    return Terminal(highlight=False, soft_wrap=True, width=width)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], empty: str = "nothing there yet") -> None:
    """A table of plain cells (markup in them is not interpreted), or the line `empty`.

    Where the terminal is narrow, long cells take several lines, and nothing is cut off.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    cells = [[printable(cell) for cell in row] for row in rows]
    if not cells:
        console().print(empty)
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name, column in zip(columns, zip(*cells, strict=True), strict=True):
        longest = max(map(len, (name, *column)))
        table.add_column(name, overflow="fold", no_wrap=longest <= _SHORT)
    for row in cells:
        table.add_row(*map(Text, row))
    console().print(table, soft_wrap=False)


def print_json(value: Any, *, indent: bool = True) -> None:
    """`value` as JSON: dataclasses, dates, UUIDs and pydantic models included; one line without `indent`."""
    import orjson

    text = orjson.dumps(value, default=_plain, option=orjson.OPT_INDENT_2 if indent else None)
    sys.stdout.write(text.decode() + "\n")
    sys.stdout.flush()


def printable(text: str) -> str:
    """What others have said must not steer the terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def _plain(value: Any) -> Any:
    from pathlib import Path

    from pydantic import BaseModel

    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")

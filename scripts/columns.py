"""Plain columns and trees: a thousand rows are printed in milliseconds, where a table with borders takes a second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any


def columns(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    """The lines: numbers to the right, everything else to the left."""
    table = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *table, strict=True)]
    right = [bool(rows) and isinstance(value, int | float) for value in (rows[0] if rows else header)]
    for line in (list(header), *table):
        cells = zip(line, widths, right, strict=True)
        yield "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width) for cell, width, to_right in cells
        ).rstrip()


def branches(node: dict[str, Any], label: str = "label") -> Iterator[str]:
    """A node and its `children` as a tree of lines."""
    yield node[label]
    children = node["children"]
    for number, child in enumerate(children, 1):
        last = number == len(children)
        for index, line in enumerate(branches(child, label)):
            yield (("└─ " if last else "├─ ") if index == 0 else ("   " if last else "│  ")) + line


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)

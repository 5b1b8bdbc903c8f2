"""Carries an object that lives in this process (a socket's driver, the clock) through a mailbox."""

from __future__ import annotations

import itertools
from typing import Any
from weakref import WeakValueDictionary

_alive: WeakValueDictionary[int, Local] = WeakValueDictionary()
_numbers = itertools.count(1)


class Local:
    """A reference by identity: a copied or pickled `Local` is the same `Local`, as long as it lives in this process."""

    __slots__ = ("__weakref__", "number", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.number = next(_numbers)
        _alive[self.number] = self

    def __reduce__(self) -> tuple[Any, tuple[int]]:
        return _find, (self.number,)

    def __copy__(self) -> Local:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Local:
        return self

    def __repr__(self) -> str:
        return f"Local({type(self.value).__name__})"


def _find(number: int) -> Local:
    try:
        return _alive[number]
    except KeyError:
        raise ReferenceError(f"Local {number} is gone, or belongs to another process") from None

"""Addresses: a name that is never given twice, and a direct pointer to whoever receives there."""

from __future__ import annotations

import itertools
import os
from typing import Any, Protocol
from weakref import WeakValueDictionary

from thespian.actors import ActorAddress

_books: WeakValueDictionary[str, AddressBook] = WeakValueDictionary()
_numbers = itertools.count(1)


class Receiver(Protocol):
    """Whatever stands behind an address: an actor's cell, an endpoint outside, the system itself."""

    def accept(self, message: Any, sender: Any) -> None:
        """Take one message, from any thread."""


class LoopAddress(ActorAddress):  # type: ignore[misc]
    """An address of this process. `receiver` is None once nobody lives there, and stays None."""

    __slots__ = ("_aaddr", "receiver")
    __hash__ = None  # type: ignore[assignment]  # as in Thespian: the other bases cannot hash an address

    def __init__(self, name: str, receiver: Receiver | None) -> None:
        self._aaddr = name
        self.receiver = receiver

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, LoopAddress) and self._aaddr == other._aaddr)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __copy__(self) -> LoopAddress:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> LoopAddress:
        return self

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return _find, (self._aaddr,)

    @property
    def name(self) -> str:
        return str(self._aaddr)


class AddressBook:
    """Issues the addresses of one system and finds them again when they come out of a pickle."""

    def __init__(self) -> None:
        self.prefix = f"loop-{os.getpid()}.{next(_numbers)}"
        self.live: dict[str, LoopAddress] = {}
        self._counter = itertools.count(1)
        _books[self.prefix] = self

    def issue(self, receiver: Receiver | None) -> LoopAddress:
        name = f"{self.prefix}:{next(self._counter)}"
        address = self.live[name] = LoopAddress(name, receiver)
        return address

    def retire(self, address: LoopAddress) -> None:
        address.receiver = None
        self.live.pop(address.name, None)


def _find(name: str) -> LoopAddress:
    book = _books.get(name.partition(":")[0])
    return (book and book.live.get(name)) or LoopAddress(name, None)

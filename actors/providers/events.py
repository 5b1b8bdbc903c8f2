"""What vendors send, and the one rule for it: an event that carries nothing for us is passed over.

Every provider behind a network reads its events through `Events`. Unknown kinds, empty ones, `null`, a field that is
missing or of another type, half a character, NaN: none of these is a failure. What ends a session is what makes its
stream useless: an error that the vendor tells of, more than the budget, or so many events in a row of which no sense
can be made that nothing is to be hoped for. The getters give what a field holds if it is what it should be. Who
receives the events counts them (`intake.py`).
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable
from typing import Any

import orjson
from pybase64 import b64decode

from actors.errors import ProviderError
from actors.providers.spec import Alive, Emit, SessionEvent

MOST_SENSELESS = 20  # events in a row
MOST_NUMBER = 1e15
ALIVE_EVERY_S = 0.1  # so often a sign of life is worth a message
_SENSELESS = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
_NUMBERS = (int, float)
_HALF = re.compile("[\ud800-\udfff]")  # a surrogate that stands alone: half a character

log = logging.getLogger(__name__)


class Events:
    """The events of one connection or answer. `take` is given each one that is a JSON object."""

    def __init__(self, provider: str, take: Callable[[dict[str, Any]], None]) -> None:
        self._provider, self._take = provider, take
        self._row = 0
        self.senseless = 0  # in all

    def feed(self, payload: bytes | bytearray) -> None:
        """The next event. Raises `ProviderError` for what makes the stream useless."""
        try:
            event = decode(payload)
            if isinstance(event, dict):
                self._take(event)
            elif isinstance(event, list):  # as Google wraps its errors, and answers that are not streamed
                for part in filter(None, map(record, event)):
                    self._take(part)
        except _SENSELESS as error:
            self.pass_over(type(error).__name__)
        else:
            self._row = 0

    def pass_over(self, what: str) -> None:
        """An event of which no sense can be made."""
        self._row += 1
        self.senseless += 1
        log.debug("%s: passed over what makes no sense (%s)", self._provider, what)
        if self._row >= MOST_SENSELESS:
            raise ProviderError(self._provider, f"sent {self._row} events in a row that make no sense ({what})")


class LifeSigns:
    """Tells the call that its provider lives, whatever it has sent; not for each of a hundred events a second, and not
    where something else says so: all that is emitted goes through `emit`."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._told_s = float("-inf")
        self._has_emitted = self._busy = False  # something else, since then

    def emit(self, event: SessionEvent) -> None:
        self._has_emitted = True
        self._emit(event)

    def came(self) -> None:
        """Bytes have come."""
        now = time.monotonic()
        if now - self._told_s >= ALIVE_EVERY_S:
            told, self._has_emitted, self._told_s = self._has_emitted, False, now
            if not told:
                self._emit(Alive(self._busy))

    def silence(self) -> None:
        """Nothing is emitted any more."""
        self._emit = _nothing

    def at_work(self, busy: bool) -> None:
        """Whether it does now what may take a while before there is anything to say."""
        if busy != self._busy:
            self._busy, self._told_s, self._has_emitted = busy, float("-inf"), False
            self.came()


def _nothing(event: SessionEvent) -> None: ...


class Halves:
    """Puts characters together that were cut in two: each half comes as an escape in an event of its own."""

    def __init__(self) -> None:
        self._half = ""

    def join(self, piece: str) -> str:
        """What there is of the text with this piece, in whole characters."""
        if not self._half and piece.isascii():
            return text(piece)
        piece, self._half = self._half + piece, ""
        if "\ud800" <= piece[-1:] <= "\udbff":
            piece, self._half = piece[:-1], piece[-1]
        return text(piece)


# --- what a payload and its fields hold ----------------------------------------------------------------------------


def decode(payload: bytes | bytearray) -> Any:
    """As JSON, or what vendors take for it: with NaN, half characters, broken UTF-8. None if it is empty. Raises
    `ValueError`, `RecursionError`."""
    try:
        return orjson.loads(payload)
    except ValueError:
        return json.loads(payload.decode("utf-8-sig", "replace")) if payload.strip() else None


def record(value: Any) -> dict[str, Any]:
    """The object; an empty one for what is none."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """The list; an empty one for what is none."""
    return value if isinstance(value, list) else []


def first(value: Any) -> dict[str, Any]:
    """The list's first object; an empty one where there is none."""
    return value[0] if isinstance(value, list) and value and isinstance(value[0], dict) else {}


def text(value: Any) -> str:
    """The text without NULs, which no database takes, and with a mark in the place of half a character; empty for what
    is none."""
    if not isinstance(value, str):
        return ""
    string: str = value if "\0" not in value else value.replace("\0", "")
    if string.isascii() or not _HALF.search(string):
        return string
    return string.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def flag(value: Any) -> bool:
    """Whether it says yes; "false" is no yes."""
    return bool(value is True or value == 1 or value == "true")


def sound(value: Any) -> bytes:
    """What a text in base64 holds; empty for what is no text. Raises `ValueError` for what is no base64: it would be
    noise."""
    if not isinstance(value, str):
        return b""
    return b64decode(value if "\n" not in value else "".join(value.split()), validate=True)


def number(value: Any) -> float | None:
    """The number, if it is one that can be a time or a count."""
    if type(value) in _NUMBERS and -MOST_NUMBER < value < MOST_NUMBER:  # as bool and NaN are not
        return float(value)
    return None

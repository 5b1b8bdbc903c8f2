"""The messages of one call as an operator sees them: who told whom what, and never a word of it.

A pure machine under the tap's driver (`directory.py`): time comes in as `now` (s). It ends by itself when it would cost
the call too much: after `LINES_PER_S` in one second, after `limit` lines, or when nobody has asked for `FORGOTTEN_S`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

LINES_PER_S = 200
LINES = 1_000
FORGOTTEN_S = 5.0
AUDIO_EVERY_S = 1.0

Line = dict[str, Any]
Name = Callable[[Any], str]


@dataclass(slots=True)
class _Audio:
    """What passed of one kind of audio between two actors since the last line about it."""

    count: int = 0
    size: int = 0


class Trace:
    """`name` gives an address the name that people know. Lines wait until `poll` takes them; `over` says why it has
    ended: rate_limit, count_limit, not_polled, call_ended."""

    def __init__(self, name: Name, now: float, limit: int = LINES) -> None:
        self.over = ""
        self._name, self._limit = name, limit
        self._began_s = self._polled_s = self._audio_s = now
        self._lines: list[Line] = []
        self._written = 0
        self._second, self._in_second = 0, 0
        self._audio: dict[tuple[str, str, str], _Audio] = {}

    def passed(self, now: float, message: Any, sender: Any, receiver: Any) -> None:
        """A message passes. Audio is only counted: a line about it comes each second."""
        if self.over:
            return
        route = self._name(sender), self._name(receiver), type(message).__name__
        if is_audio(message):
            audio = self._audio.setdefault(route, _Audio())
            audio.count += 1
            audio.size += size_of(message)
        elif self._may_write(now):
            self._write(now, route, 1, size_of(message))

    def poll(self, now: float) -> list[Line]:
        """The lines since the last time."""
        self._polled_s = now
        if self.over or now - self._audio_s >= AUDIO_EVERY_S:
            self._audio_s = now
            for route, audio in self._audio.items():
                self._write(now, route, audio.count, audio.size)
            self._audio.clear()
        lines, self._lines = self._lines, []
        return lines

    def check(self, now: float, *, call_lives: bool) -> bool:
        """Whether it goes on."""
        if not self.over and self.is_forgotten(now):
            self.over = "not_polled"
        if not self.over and not call_lives:
            self.over = "call_ended"
        return not self.over

    def is_forgotten(self, now: float) -> bool:
        """Nobody has fetched its lines for a while, and nobody will."""
        return now - self._polled_s > FORGOTTEN_S

    def _may_write(self, now: float) -> bool:
        if int(now) != self._second:
            self._second, self._in_second = int(now), 0
        if self._in_second >= LINES_PER_S:
            self.over = "rate_limit"
        elif self._written >= self._limit:
            self.over = "count_limit"
        return not self.over

    def _write(self, now: float, route: tuple[str, str, str], count: int, size: int) -> None:
        self._in_second += 1
        self._written += 1
        sender, receiver, kind = route
        t_s = round(now - self._began_s, 3)
        self._lines.append({"t_s": t_s, "from": sender, "to": receiver, "type": kind, "count": count, "size": size})


def is_audio(message: Any) -> bool:
    return isinstance(getattr(message, "payload", None), bytes)


def size_of(message: Any) -> int:
    """Bytes of payload and characters of text in its own fields; numbers and parts count nothing."""
    values = (getattr(message, name, None) for name in getattr(type(message), "__dataclass_fields__", ()))
    return sum(len(value) for value in values if isinstance(value, bytes | str))

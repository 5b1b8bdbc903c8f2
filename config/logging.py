"""Logging: one line a record, for people or for machines, and never a secret or a whole phone number.

What peers send is logged cut and escaped, and what they cause is logged once a second (`peer_line`): however much one
sends, it neither fills the disk nor hides what others did.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, TextIO

from config.outlet import LineHandler

_SECRET_NAMES = "x-api-key|authorization|x-twilio-signature|auth_token|password|token"
_REDACTIONS = [
    (re.compile(r"\brpd-[\w-]+"), "rpd-***"),
    (re.compile(rf"(?i)\b({_SECRET_NAMES})(\W{{0,2}}[=:]\W{{0,2}})((?:bearer|basic) )?[^\s&\"',;}}]+"), r"\1\2***"),
    (re.compile(r"(://[^:/@\s]*):[^@/\s]+@"), r"\1:***@"),
    (re.compile(r"(\+|%2[bB])\d{3,11}(\d{4})(?!\d)"), r"\1***\2"),
]
PEER_CHARS = 200  # of what a peer sent, in one place of a line
LINE_CHARS = 4000  # of one message, whoever wrote it
LINES_PER_S = 50  # of one kind, for all peers together
_FOREIGN = ("tornado.", "asyncio")  # loggers of libraries that log what peers send: whole headers, whole lines


def redact(text: str) -> str:
    """`text` without API keys, credentials and passwords in URLs; phone numbers keep their last four digits."""
    for pattern, replacement in _REDACTIONS:
        text = pattern.sub(replacement, text)
    return text


def escape(text: str) -> str:
    """`text` on one line of one direction: controls, line separators, direction marks and halves of characters shown
    as in Python's own literals."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def cut(text: str, chars: int = PEER_CHARS) -> str:
    """The beginning of a text that is longer than `chars`, and how long it is."""
    return text if len(text) <= chars else f"{text[:chars]}... ({len(text):,} characters)"


# --- what peers cause ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Key:
    """One kind of line of one peer."""

    quiet_until: float
    held: int = 0  # lines kept back since the last one
    tells_later: bool = False


@dataclass(slots=True)
class _Kind:
    """One kind of line, of all peers."""

    second: float = float("-inf")
    lines: int = 0  # in this second
    held: int = 0  # lines kept back of peers that have no key (any more)


class Throttle:
    """Lets one line per kind, peer and second through, and `per_s` of a kind from all peers; counts the others.

    `now` is a monotonic clock in seconds. It remembers the last `keys` peers; there are as many kinds as our code has.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic, keys: int = 1024, per_s: int = LINES_PER_S) -> None:
        self._now, self._most, self._per_s = now, keys, per_s
        self._keys: OrderedDict[tuple[Hashable, str], _Key] = OrderedDict()
        self._kinds: dict[Hashable, _Kind] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def admit(self, kind: Hashable, peer: str) -> int | None:
        """How many lines like this were kept back before it; None: so is this."""
        now, key = self._now(), self._keys.get((kind, peer))
        if key is not None and now < key.quiet_until:
            key.held += 1
            return None
        total = self._kinds.setdefault(kind, _Kind())
        if now - total.second >= 1.0:
            total.second, total.lines = now, 0
        if total.lines >= self._per_s:
            total.held += 1
            return None
        held, total.held, total.lines = total.held + (key.held if key else 0), 0, total.lines + 1
        key = self._keys.setdefault((kind, peer), _Key(0.0))
        key.quiet_until, key.held = now + 1.0, 0
        self._keys.move_to_end((kind, peer))
        while len(self._keys) > self._most:
            (old, _), forgotten = self._keys.popitem(last=False)
            self._kinds[old].held += forgotten.held
        return held

    def owes(self, kind: Hashable, peer: str) -> bool:
        """Whether somebody must ask `settle` a second later, as no line may follow by itself; says so once."""
        key = self._keys.get((kind, peer))
        if key is None or key.tells_later:
            return False
        key.tells_later = True
        return True

    def settle(self, kind: Hashable, peer: str) -> tuple[int, float]:
        """How many lines were kept back, which now count as told; and after how many seconds to ask again, or 0."""
        key, now = self._keys.get((kind, peer)), self._now()
        if key is None:
            return 0, 0.0
        if key.held and now < key.quiet_until:
            return 0, key.quiet_until - now
        held, key.held, key.tells_later = key.held, 0, False
        if held:
            key.quiet_until = now + 1.0
        return held, 0.0


_peers = Throttle()


def peer_line(
    log: logging.Logger, kind: str, peer: str, text: str, *args: object, level: int = logging.WARNING
) -> None:
    """Log what a peer has caused: one line per `kind` (an error's code), peer and second; those that were kept back
    are counted in the next one, or a second later. Arguments are cut."""
    if not log.isEnabledFor(level):
        return
    key = (log.name, kind)
    if (held := _peers.admit(key, peer)) is not None:
        log.log(level, text + _more(held), *map(_cut_argument, args), stacklevel=2)
    elif _peers.owes(key, peer):
        _later(1.0, log, kind, peer, level)


def _later(delay_s: float, *told: Any) -> None:
    with suppress(RuntimeError):  # no loop runs
        asyncio.get_running_loop().call_later(delay_s + 0.05, _tell_rest, *told)


def _tell_rest(log: logging.Logger, kind: str, peer: str, level: int) -> None:
    held, wait_s = _peers.settle((log.name, kind), peer)
    if wait_s:
        _later(wait_s, log, kind, peer, level)
    elif held:
        log.log(level, "%s: %s more of %s", kind, f"{held:,}", cut(peer))


def _more(held: int) -> str:
    return f" (and {held:,} more)" if held else ""


def _cut_argument(argument: object) -> object:
    return argument if isinstance(argument, int | float) else cut(str(argument))


class ForeignFilter(logging.Filter):
    """The same for the loggers of libraries, whose lines hold whatever a peer sent."""

    def __init__(self, throttle: Throttle | None = None) -> None:
        super().__init__()
        self._throttle = throttle or Throttle()

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(_FOREIGN):
            return True
        args = record.args if isinstance(record.args, tuple) else ()
        peer = cut(str(args[0])) if args and "from %s" in str(record.msg) else ""
        held = self._throttle.admit((record.name, record.lineno), peer)
        if held is None:
            return False
        record.msg = f"{cut(str(record.msg))}{_more(held)}"
        record.args = tuple(map(_cut_argument, args)) or record.args
        return True


# --- lines -----------------------------------------------------------------------------------------------------------


class TextFormatter(logging.Formatter):
    """Lines for people; what a peer sent cannot forge a second line: a traceback's lines are marked as such."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
        self.default_msec_format = "%s.%03d"

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = escape(cut(record.message, LINE_CHARS))
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:
        return "\n".join(f"  | {escape(cut(line, LINE_CHARS))}" for line in super().formatException(ei).split("\n"))

    def format(self, record: logging.LogRecord) -> str:
        record.exc_text = None  # else another formatter's
        return redact(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and error where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(cut(record.getMessage(), LINE_CHARS)),
        }
        if record.exc_info:
            lines = self.formatException(record.exc_info).split("\n")
            entry["error"] = redact("\n".join(cut(line, LINE_CHARS) for line in lines))
        line = json.dumps(entry, ensure_ascii=False)
        return line if line.isprintable() else "".join(c if c.isprintable() else _json_escape(c) for c in line)


def _json_escape(char: str) -> str:
    return f"\\u{ord(char):04x}" if char <= "\uffff" else json.dumps(char)[1:-1]


def configure(level: str, format: Literal["text", "json"] = "text", stream: TextIO | None = None) -> None:
    """Log everything from `level` on to `stream` (standard error), in place of whatever was configured before."""
    is_own = sys.stderr is not sys.__stderr__  # who has replaced it wants the lines
    handler: logging.Handler = logging.StreamHandler(stream) if stream or is_own else LineHandler()
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter())
    handler.addFilter(ForeignFilter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("tornado.access").setLevel(logging.ERROR)  # its lines hold whole URLs
    logging.getLogger("alembic").setLevel(logging.WARNING)  # a start is no news

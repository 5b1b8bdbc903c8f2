"""Standard error as the log writes to it: who reads it and stops reading must not stop us.

A pipe whose reader hangs (`2>&1 | less`, a stuck collector) and a terminal with Ctrl-S take nothing any more, and a
write to them waits for ever: in the loop that serves calls, in the manager, in the main process. So nothing here waits:
a line that finds no room is lost, and counted. A file takes every line, as fast as its disk is.

What others share with us (a shell's terminal) must not become non-blocking for them: it is opened anew, for us alone.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import stat
import sys
from collections.abc import Callable
from contextlib import suppress

_STDERR = 2
_AT_ONCE = select.PIPE_BUF  # what can be written of this size or less is written whole


class Outlet:
    """Writes lines to a descriptor, or says that they found no room. Each process has its own after a fork."""

    def __init__(self, descriptor: int = _STDERR) -> None:
        self._descriptor = descriptor
        self._rest = b""  # of a line that found room only for its beginning
        self._pid = 0
        self._ours = -1
        self._send: Callable[[bytes], int]

    def write(self, line: bytes) -> bool:
        """Whether it went out. Raises `OSError` if it never can: a disk that is full, a reader that has gone."""
        if self._pid != os.getpid():
            self._open()
        if self._rest:
            self._rest = self._rest[self._sent(self._rest) :]
            if self._rest:
                return False
        sent = self._sent(line)
        self._rest = line[sent:] if sent else b""
        return sent > 0

    def close(self) -> None:
        """Let go of what is ours; the descriptor is not."""
        if self._ours >= 0 and self._pid == os.getpid():
            os.close(self._ours)
        self._ours, self._pid = -1, 0

    def _sent(self, data: bytes) -> int:
        try:
            return self._send(data)
        except BlockingIOError:
            return 0

    def _open(self) -> None:
        """In a child the number may belong to something else by now: it is not closed there."""
        mode = os.fstat(self._descriptor).st_mode
        self._ours, self._rest = -1, b""
        self._send = self._write_on
        if stat.S_ISSOCK(mode):
            self._send = self._send_at_once
        elif stat.S_ISFIFO(mode) or os.isatty(self._descriptor):
            self._send = self._write_if_ready
            with suppress(OSError):  # another user's, or no /proc
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY
                self._ours = os.open(f"/proc/self/fd/{self._descriptor}", flags)
                self._send = self._write_to_ours
        self._pid = os.getpid()

    def _write_on(self, data: bytes) -> int:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        return len(data)

    def _write_to_ours(self, data: bytes) -> int:
        return os.write(self._ours, data)

    def _write_if_ready(self, data: bytes) -> int:
        """As good as it gets without a descriptor of our own: what is ready takes so much."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        sent = 0
        while sent < len(data) and poll.poll(0):
            sent += os.write(self._descriptor, data[sent : sent + _AT_ONCE])
        return sent

    def _send_at_once(self, data: bytes) -> int:
        with socket.socket(fileno=os.dup(self._descriptor)) as shared:
            return shared.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


class LineHandler(logging.Handler):
    """Logs to standard error, and says how many lines were lost as soon as one finds room again."""

    def __init__(self, descriptor: int = _STDERR) -> None:
        super().__init__()
        self._outlet = Outlet(descriptor)
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            lines = self._line(record)
            if self._lost:
                text = "%s lines before this one are lost: they could not be written"
                lost = logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, (f"{self._lost:,}",), None)
                lines = self._line(lost) + lines
            self._lost = 0 if self._outlet.write(lines) else self._lost + 1
        except OSError:
            self._lost += 1  # there is no other place where this could be said
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        self._outlet.close()
        super().close()

    def _line(self, record: logging.LogRecord) -> bytes:
        encoding, errors = ("utf-8", None) if sys.stderr is None else (sys.stderr.encoding, sys.stderr.errors)
        return f"{self.format(record)}\n".encode(encoding, errors or "backslashreplace")

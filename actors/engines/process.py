"""One engine process, seen from the loop: `python -m actors.engines.<name>` behind a socket pair.

Everything is synchronous and non-blocking on the loop thread (add_reader on both descriptors, no tasks), so that a
session can open a channel from any of its methods. The end of the process is the end of its socket: it is noticed at
once and every channel is told. A process that does not answer a ping is killed, which comes to the same.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

from actors.engines.frames import BadFrame, Frame, FrameKind, FrameReader, encode
from actors.errors import ProviderError, Remedy

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
PING_S = 0.5
HUNG_S = 2.0  # an engine that has not answered for so long is killed
MAX_UNSENT_BYTES = 8 * 1024 * 1024
READ_BYTES = 256 * 1024
# The child needs no secret of ours: only what an interpreter needs to start. One thread each: cores are for processes.
ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "VIRTUAL_ENV")
SINGLE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class ChannelListener(Protocol):
    """What a channel's owner hears, on the loop thread."""

    def on_event(self, event: dict[str, Any]) -> None: ...

    def on_audio(self, payload: bytes) -> None: ...

    def on_failed(self, error: ProviderError) -> None:
        """The channel is gone; nothing follows."""


class Channel:
    """One piece of work in an engine process. After `close` (or a failure) nothing is heard of it any more."""

    def __init__(self, process: EngineProcess, number: int) -> None:
        self._process, self._number = process, number

    def send(self, command: dict[str, Any]) -> None:
        self._send(FrameKind.EVENT, command)

    def send_audio(self, payload: bytes) -> None:
        self._send(FrameKind.AUDIO, payload)

    def close(self) -> None:
        self._send(FrameKind.CLOSE, b"")
        self._process.forget(self._number)

    def _send(self, kind: FrameKind, payload: bytes | dict[str, Any]) -> None:
        if self._process.knows(self._number):
            self._process.write(encode(kind, self._number, payload))


class EngineProcess:
    """A running engine and its channels."""

    def __init__(self, name: str) -> None:
        """Starts `actors.engines.<name>`; must be called on the loop thread. Raises `ProviderError`."""
        self.name = name
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader()
        self._numbers = itertools.count(1)
        self._listeners: dict[int, ChannelListener] = {}
        self._unsent = bytearray()
        self._last_line = ""
        self._socket, self._process = _spawn(name)
        assert self._process.stderr is not None
        self._stderr = self._process.stderr
        self._heard_at = self._loop.time()
        self._loop.add_reader(self._socket, self._readable)
        self._loop.add_reader(self._stderr, self._read_stderr)
        self._ping = self._loop.call_later(PING_S, self._check)
        self.alive = True

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def load(self) -> int:
        """Channels that are open."""
        return len(self._listeners)

    def open(self, listener: ChannelListener, opening: dict[str, Any]) -> Channel:
        number = next(self._numbers)
        self._listeners[number] = listener
        self.write(encode(FrameKind.OPEN, number, opening))
        return Channel(self, number)

    def knows(self, number: int) -> bool:
        return number in self._listeners

    def forget(self, number: int) -> None:
        self._listeners.pop(number, None)

    def write(self, data: bytes) -> None:
        """Send, or keep until the engine reads on; an engine that never does is killed."""
        if self._unsent:
            self._unsent += data
            if len(self._unsent) > MAX_UNSENT_BYTES:
                self._loop.call_soon(self._end, "does not read its input")
            return
        sent = self._send_some(data)
        if sent < len(data) and self.alive:
            self._unsent += data[sent:]
            self._loop.add_writer(self._socket, self._writable)

    def stop(self) -> None:
        """Kill the process; its channels are told."""
        self._end("was stopped")

    def _send_some(self, data: bytes | bytearray) -> int:
        try:
            return self._socket.send(data) if self.alive else len(data)
        except BlockingIOError:
            return 0
        except OSError:  # the reader sees the same end and reports it
            return len(data)

    def _writable(self) -> None:
        del self._unsent[: self._send_some(self._unsent)]
        if not self._unsent:
            self._loop.remove_writer(self._socket)

    def _readable(self) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
            frames = self._reader.receive(data)
        except BlockingIOError:
            return
        except BadFrame as error:
            return self._end(f"sent no frame: {error}")
        except OSError:  # a reset: it died with something unread
            data = b""
        if not data:
            return self._end("died")
        self._heard_at = self._loop.time()
        for frame in frames:
            self._deliver(frame)

    def _deliver(self, frame: Frame) -> None:
        listener = self._listeners.get(frame.channel)
        if listener is None:  # closed meanwhile, or the answer to a ping
            return
        if frame.kind is FrameKind.AUDIO:
            listener.on_audio(frame.payload)
        elif frame.kind is FrameKind.EVENT:
            listener.on_event(frame.json)
        elif frame.kind is FrameKind.FAILED:
            self.forget(frame.channel)
            listener.on_failed(ProviderError("embedded", frame.json["detail"], Remedy(frame.json["remedy"])))

    def _read_stderr(self) -> None:
        data = os.read(self._stderr.fileno(), 4096)
        if not data:
            self._loop.remove_reader(self._stderr)
        lines = [line.strip() for line in data.decode(errors="replace").splitlines() if line.strip()]
        if lines:
            self._last_line = lines[-1][:300]
            log.warning("engine %s (pid %d): %s", self.name, self.pid, self._last_line)

    def _check(self) -> None:
        if self._loop.time() - self._heard_at > HUNG_S:
            return self._end("hangs")
        self.write(encode(FrameKind.PING, 0))
        self._ping = self._loop.call_later(PING_S, self._check)

    def _end(self, reason: str) -> None:
        if not self.alive:
            return
        self.alive = False
        self._ping.cancel()
        for descriptor in (self._socket, self._stderr):
            self._loop.remove_reader(descriptor)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self._stderr.close()
        self._process.kill()
        status = self._process.wait()  # SIGKILL ends it within a millisecond
        if reason != "was stopped":
            log.warning("engine %s (pid %d) %s, status %d", self.name, self.pid, reason, status)
        listeners, self._listeners = list(self._listeners.values()), {}
        for listener in listeners:
            listener.on_failed(ProviderError("embedded", f"the {self.name} process {reason}", Remedy.RETRY))


def _spawn(name: str) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    kept = {key: os.environ[key] for key in ENVIRONMENT if key in os.environ}
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", f"actors.engines.{name}"],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={**kept, **SINGLE_THREAD, "PYTHONPATH": path},
            start_new_session=True,  # a Ctrl-C in the terminal is the worker's to handle
        )
    except OSError as error:
        ours.close()
        raise ProviderError("embedded", f"cannot start the {name} process: {error}") from error
    finally:
        theirs.close()
    return ours, process

"""One engine process, seen from the loop: `python -m actors.engines.<name>` behind a socket pair.

Everything is synchronous and non-blocking on the loop thread (add_reader on both descriptors, no tasks), so that a
session can open a channel from any of its methods, also before the process runs: a thread starts it. The end of the
process is the end of its socket: it is noticed at once and every channel is told. A process that `Health` takes for
dead is killed, which comes to the same; nobody waits for it to be gone.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from actors.engines.frames import BadFrame, Frame, FrameKind, FrameReader, encode
from actors.engines.health import IN_CIRCLES, LOOK_S, SECOND_LOOK_S, Health, sample
from actors.errors import EngineNotStarted, ProviderCrashed, ProviderError, ProviderStalled, Remedy
from store.errors import NoThreads

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
REAP_S = 0.02  # how often a killed process is asked whether it is gone
LAG_SMOOTHING = 0.3  # weight of a new answer
MAX_UNSENT_BYTES = 8 * 1024 * 1024
READ_BYTES = 256 * 1024
# The child needs no secret of ours: only what an interpreter needs to start. One thread each: cores are for processes.
ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "VIRTUAL_ENV")
SINGLE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


# To start a process takes some milliseconds, a hundred where the machine is busy: a thread does it. It lives as long as
# its engines, because the kernel ends them with the *thread* that has started them (prctl(2), PR_SET_PDEATHSIG).
_starters: WeakKeyDictionary[asyncio.AbstractEventLoop, ThreadPoolExecutor] = WeakKeyDictionary()


def open_starter() -> None:
    """Have the thread that starts the running loop's engines: later there may be none to be had. Raises `NoThreads`."""
    try:
        _starter().submit(int)
    except RuntimeError as error:
        raise NoThreads(f"the engines' thread: {error}: a limit on processes, or memory") from None


def _starter() -> ThreadPoolExecutor:
    loop = asyncio.get_running_loop()
    if (starter := _starters.get(loop)) is None:
        starter = _starters[loop] = ThreadPoolExecutor(1, "engine-starter")
    return starter


def close_starter() -> None:
    """The running loop's engines are gone."""
    if (starter := _starters.pop(asyncio.get_running_loop(), None)) is not None:
        starter.shutdown()


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

    @property
    def lag_s(self) -> float:
        """How late the engine does what it is told, in seconds."""
        return self._process.lag_s

    @property
    def busy(self) -> bool:
        """Whether the engine has its hands full: what it owes will come."""
        return self._process.busy

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

    def __init__(self, name: str, doubtful: Callable[[EngineProcess], None] = lambda process: None) -> None:
        """Starts `actors.engines.<name>`; must be called on the loop thread. `doubtful` is told when it may be dead."""
        self.name = name
        self.alive = True
        self.pid = 0  # 0: not started yet
        self.spare = False  # it waits for another one's end
        self.refused = False  # it could not be started
        self.proven = False  # it has said something: a process of this name can run here
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()  # done when nothing of it is left
        self._loop, self._doubtful = asyncio.get_running_loop(), doubtful
        self._reader = FrameReader()
        self._numbers = itertools.count(1)
        self._listeners: dict[int, ChannelListener] = {}
        self._opening: dict[int, float] = {}  # channels that it has said nothing on, the oldest first, and since when
        self._unsent = bytearray()
        self._last_line = ""
        self._reason = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._health = Health()
        self._looked_at = self._loop.time()
        self._pinged_at: float | None = None  # a ping is out
        self._smooth_lag_s = 0.0
        self._socket, self._theirs = socket.socketpair()
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket, self._readable)
        self._timer = self._loop.call_later(LOOK_S, self._look)
        self.write(encode(FrameKind.PING, 0))  # answered before any work: who dies without has not died of its work
        _begin(name, self._theirs).add_done_callback(self._hand_over)

    @property
    def load(self) -> int:
        """Channels that are open."""
        return len(self._listeners)

    @property
    def lag_s(self) -> float:
        """How late it answers, smoothed; at least as late as the question that is out, if it is."""
        return max(self._smooth_lag_s, self._health.unanswered_s)

    @property
    def opening_s(self) -> float:
        """For so long somebody has waited for its first word."""
        return self._loop.time() - next(iter(self._opening.values())) if self._opening else 0.0

    @property
    def busy(self) -> bool:
        """It runs or waits for the CPU most of the time, or has still to start."""
        return self.alive and (not self.pid or self._health.busy)

    @property
    def fit(self) -> bool:
        """Whether to give it work: it is alive, and not stopped just now."""
        if not self.alive or self._health.stopped:
            return False
        seen = sample(self.pid) if self._pinged_at is not None and self.pid else None
        if seen is not None and seen.state in "Tt":
            self._look_again()
            return False
        return True

    def open(self, listener: ChannelListener, opening: dict[str, Any]) -> Channel:
        number = next(self._numbers)
        self._listeners[number] = listener
        self._opening[number] = self._loop.time()
        self.write(encode(FrameKind.OPEN, number, opening))
        return Channel(self, number)

    def knows(self, number: int) -> bool:
        return number in self._listeners

    def forget(self, number: int) -> None:
        self._listeners.pop(number, None)
        self._opening.pop(number, None)

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

    # --- the socket --------------------------------------------------------------------------------------------------

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
        self._health.heard()
        self.proven = True
        for frame in frames:
            self._deliver(frame)

    def _deliver(self, frame: Frame) -> None:
        if frame.kind is FrameKind.PING and self._pinged_at is not None:
            late_s = max(self._loop.time() - self._pinged_at, frame.json["late_s"])
            self._smooth_lag_s += LAG_SMOOTHING * (late_s - self._smooth_lag_s)
            self._pinged_at = None
        self._opening.pop(frame.channel, None)
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
        assert self._process is not None and self._process.stderr is not None
        data = os.read(self._process.stderr.fileno(), 4096)
        if not data:
            self._loop.remove_reader(self._process.stderr)
        lines = [line.strip() for line in data.decode(errors="replace").splitlines() if line.strip()]
        if lines:
            self._last_line = lines[-1][:300]
            log.warning("engine %s (pid %d): %s", self.name, self.pid, self._last_line)

    # --- its health --------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        now = self._loop.time()
        passed_s, self._looked_at = now - self._looked_at, now
        seen = sample(self.pid) if self.pid else None
        if reason := self._health.look(seen, passed_s, self._pinged_at is not None):
            return self._end(reason)
        if self._pinged_at is None:
            self._pinged_at = now
            self.write(encode(FrameKind.PING, 0))
        if self._health.stopped:
            self._doubtful(self)
        self._timer = self._loop.call_later(SECOND_LOOK_S if self._health.stopped else LOOK_S, self._look)

    def _look_again(self) -> None:
        """Soon, and not here: whoever asks is in the middle of something."""
        self._timer.cancel()
        self._timer = self._loop.call_later(0, self._look)

    # --- its beginning and its end -----------------------------------------------------------------------------------

    def _hand_over(self, started: Future[subprocess.Popen[bytes]]) -> None:
        """On the starter's thread."""
        try:
            self._loop.call_soon_threadsafe(self._started, started)
        except RuntimeError:  # the loop has ended
            self._theirs.close()
            if started.exception() is None:
                started.result().kill()
                started.result().wait()

    def _started(self, started: Future[subprocess.Popen[bytes]]) -> None:
        self._theirs.close()  # not sooner: what could not be started has not died
        if (error := started.exception()) is not None:
            self.refused = True
            self._end(f"cannot be started: {error}")
            return self.gone.set_result(None)
        self._process = started.result()
        self.pid = self._process.pid
        if self.alive:
            assert self._process.stderr is not None
            self._loop.add_reader(self._process.stderr, self._read_stderr)
        else:
            self._kill()

    def _end(self, reason: str) -> None:
        if not self.alive:
            return
        self.alive, self._reason = False, reason
        self._timer.cancel()
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        if self._process is not None:
            self._kill()
        self._doubtful(self)
        listeners, self._listeners = list(self._listeners.values()), {}
        kind = EngineNotStarted if self.refused or (reason == "died" and not self.proven) else _kind_of(reason)
        for listener in listeners:
            listener.on_failed(kind("embedded", f"the {self.name} process {reason}", Remedy.RETRY))

    def _kill(self) -> None:
        assert self._process is not None and self._process.stderr is not None
        self._loop.remove_reader(self._process.stderr)
        self._process.stderr.close()
        self._process.kill()
        self._reap()

    def _reap(self) -> None:
        """A killed process is gone within a millisecond, or ten: the calls of this loop do not wait for it."""
        assert self._process is not None
        status = self._process.poll()
        if status is None:
            self._loop.call_later(REAP_S, self._reap)
            return
        if self._reason != "was stopped":
            log.warning("engine %s (pid %d) %s, status %d", self.name, self.pid, self._reason, status)
        self.gone.set_result(None)


def _kind_of(reason: str) -> type[ProviderError]:
    return ProviderCrashed if reason == "died" or reason.startswith(IN_CIRCLES) else ProviderStalled


def _begin(name: str, theirs: socket.socket) -> Future[subprocess.Popen[bytes]]:
    try:
        return _starter().submit(_start, name, theirs)
    except RuntimeError as error:  # there is no thread to be had
        failed: Future[subprocess.Popen[bytes]] = Future()
        failed.set_exception(error)
        return failed


def _start(name: str, theirs: socket.socket) -> subprocess.Popen[bytes]:
    """On the starter's thread. Raises `OSError`."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    kept = {key: os.environ[key] for key in ENVIRONMENT if key in os.environ}
    if theirs.fileno() < 0:
        raise OSError("nobody waits for it any more")
    return subprocess.Popen(
        [sys.executable, "-m", f"actors.engines.{name}"],
        stdin=theirs.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        bufsize=0,
        env={**kept, **SINGLE_THREAD, "PYTHONPATH": path},
        start_new_session=True,  # a Ctrl-C in the terminal is the worker's to handle
    )

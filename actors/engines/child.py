"""The engine's side of the socket pair: one thread that reads frames and works, a bit for each channel in turn."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from actors.engines.frames import Frame, FrameKind, FrameReader, encode
from actors.errors import Remedy

PR_SET_PDEATHSIG = 1  # prctl(2)
READ_BYTES = 256 * 1024


class WorkFailed(Exception):
    """This piece of work cannot be done; other channels go on."""

    def __init__(self, detail: str, remedy: Remedy) -> None:
        super().__init__(detail)
        self.detail, self.remedy = detail, remedy


class Reply:
    """How a piece of work talks back to its session."""

    def __init__(self, peer: socket.socket, channel: int) -> None:
        self._peer, self._channel = peer, channel

    def event(self, **event: Any) -> None:
        self._peer.sendall(encode(FrameKind.EVENT, self._channel, event))

    def audio(self, payload: bytes) -> None:
        self._peer.sendall(encode(FrameKind.AUDIO, self._channel, payload))

    def failed(self, error: Exception) -> None:
        detail, remedy = f"{type(error).__name__}: {error}", Remedy.RETRY
        if isinstance(error, WorkFailed):
            detail, remedy = error.detail, error.remedy
        self._peer.sendall(encode(FrameKind.FAILED, self._channel, {"detail": detail, "remedy": remedy.value}))


class Work(ABC):
    """One channel's work. Any exception ends it, and only it."""

    has_more = False  # input has left something to do: `step` is wanted
    owed_since: float | None = None  # somebody waits for its result, since then (`time.monotonic`): before all others

    def on_audio(self, payload: bytes) -> None:  # noqa: B027 - not all work hears
        """The next samples."""

    def on_event(self, event: dict[str, Any]) -> None:  # noqa: B027 - not all work takes commands
        """A command."""

    @abstractmethod
    def step(self) -> bool:
        """Do a few milliseconds of what is left to do without further input; True while there is more."""


StartWork = Callable[[Reply, dict[str, Any]], Work]


class Desk:
    """All open work of this process."""

    def __init__(self, peer: socket.socket, start: StartWork) -> None:
        self._peer, self._start = peer, start
        self._work: dict[int, Work] = {}
        self.busy: list[int] = []  # channels with something left to do, in turn

    def handle(self, frame: Frame) -> None:
        if frame.kind is FrameKind.PING:
            self._peer.sendall(encode(FrameKind.PING, frame.channel, {"late_s": self._late_s()}))
        elif frame.kind is FrameKind.CLOSE:
            self._forget(frame.channel)
        else:
            self._guarded(frame.channel, lambda: self._dispatch(frame))

    def step(self) -> None:
        channel = next((each for each in self.busy if self._work[each].owed_since is not None), self.busy[0])
        self._guarded(channel, lambda: self._step(channel))

    def _late_s(self) -> float:
        """For so long somebody has waited for what is still to be done."""
        waiting = (self._work[channel].owed_since for channel in self.busy)
        return max((time.monotonic() - since for since in waiting if since is not None), default=0.0)

    def _dispatch(self, frame: Frame) -> None:
        if frame.kind is FrameKind.OPEN:
            self._work[frame.channel] = self._start(Reply(self._peer, frame.channel), frame.json)
            self.busy.append(frame.channel)
        elif work := self._work.get(frame.channel):
            if frame.kind is FrameKind.AUDIO:
                work.on_audio(frame.payload)
            else:
                work.on_event(frame.json)
            if work.has_more and frame.channel not in self.busy:
                self.busy.append(frame.channel)

    def _step(self, channel: int) -> None:
        has_more = self._work[channel].step()
        if has_more and self._work[channel].owed_since is not None:
            return  # it is finished before anybody else's is gone on with
        self.busy.remove(channel)
        if has_more:
            self.busy.append(channel)

    def _guarded(self, channel: int, action: Callable[[], None]) -> None:
        try:
            action()
        except ConnectionError:
            raise
        except Exception as error:
            self._forget(channel)
            Reply(self._peer, channel).failed(error)

    def _forget(self, channel: int) -> None:
        self._work.pop(channel, None)
        with contextlib.suppress(ValueError):
            self.busy.remove(channel)


def serve(start: StartWork) -> None:
    """Run this process as an engine until the worker at the other end of stdin is gone."""
    _die_with_parent()
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as peer, contextlib.suppress(ConnectionError):
        desk, reader = Desk(peer, start), FrameReader()
        while True:
            if not desk.busy or select.select([peer], [], [], 0)[0]:
                data = peer.recv(READ_BYTES)
                if not data:
                    return
                for frame in reader.receive(data):
                    desk.handle(frame)
            if desk.busy:
                desk.step()


def _die_with_parent() -> None:
    # The end of the socket says it too, but not to a process that is stuck in C.
    parent = os.getppid()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)

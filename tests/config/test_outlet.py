"""The log's lines on a standard error that nobody reads: nothing waits, and what was lost is counted."""

from __future__ import annotations

import fcntl
import logging
import os
import pty
import socket
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from config.outlet import LineHandler, Outlet

pytestmark = pytest.mark.timeout(10)  # who waits, waits for ever


@contextmanager
def stuck(kind: str) -> Iterator[tuple[int, int]]:
    """The reader's descriptor and the writer's, of which nothing is read."""
    if kind == "pipe":
        ours, theirs = os.pipe()
    elif kind == "socket":
        ours, theirs = (end.detach() for end in socket.socketpair())
    else:
        ours, theirs = pty.openpty()
    before = fcntl.fcntl(theirs, fcntl.F_GETFL)
    os.set_blocking(theirs, False)
    if kind == "terminal":
        termios.tcflow(theirs, termios.TCOOFF)  # Ctrl-S
    with suppress(BlockingIOError):
        while os.write(theirs, b"x" * 64):
            pass
    os.set_blocking(theirs, True)
    try:
        yield ours, theirs
        assert fcntl.fcntl(theirs, fcntl.F_GETFL) == before  # it is not ours alone
    finally:
        os.close(ours)
        os.close(theirs)


def drain(descriptor: int) -> bytes:
    os.set_blocking(descriptor, False)
    read = b""
    with suppress(BlockingIOError):
        while data := os.read(descriptor, 65536):
            read += data
    return read


@pytest.mark.parametrize("kind", ["pipe", "socket", "terminal"])
@pytest.mark.parametrize("foreign", [False, True])  # of another user, so that it cannot be opened anew
def test_a_line_that_finds_no_room_is_counted(kind: str, foreign: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if foreign:
        monkeypatch.setattr(os, "open", _refused)
    with stuck(kind) as (ours, theirs):
        handler = LineHandler(theirs)
        log = logging.Logger("x")
        log.addHandler(handler)
        for number in range(3):
            log.error("lost %d", number)
        if kind == "terminal":
            termios.tcflow(theirs, termios.TCOON)
        drain(ours)
        log.error("found")
        log.error("as ever")
        lines = drain(ours).decode().split()
        assert " ".join(lines) == "3 lines before this one are lost: they could not be written found as ever"
        handler.close()


def _refused(*_: object) -> int:
    raise PermissionError


def test_a_long_line_is_not_torn_by_the_next_one() -> None:
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 4096)
    outlet = Outlet(theirs)
    assert outlet.write(b"a" * 9000 + b"\n")
    assert not outlet.write(b"lost\n")
    read = drain(ours)
    while b"c" not in read:
        outlet.write(b"c\n")
        read += drain(ours)
    assert read == b"a" * 9000 + b"\nc\n"
    outlet.close()
    for end in (ours, theirs):
        os.close(end)


def test_a_child_has_an_outlet_of_its_own() -> None:
    ours, theirs = os.pipe()
    outlet = Outlet(theirs)
    outlet.write(b"parent\n")
    if not (child := os.fork()):
        os.closerange(theirs + 1, 64)  # a node's starter lets go of everything else
        os._exit(0 if outlet.write(b"child\n") else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert drain(ours) == b"parent\nchild\n"
    outlet.close()
    for end in (ours, theirs):
        os.close(end)


def test_a_reader_that_has_gone_is_no_error() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    handler = LineHandler(theirs)
    handler.handle(logging.makeLogRecord({"msg": "lost"}))
    handler.close()
    os.close(theirs)


def test_a_file_takes_everything(tmp_path) -> None:
    with (tmp_path / "log").open("wb") as file:
        outlet = Outlet(file.fileno())
        assert all(outlet.write(b"%d" % n * 1000 + b"\n") for n in range(200))
    assert len((tmp_path / "log").read_bytes().splitlines()) == 200

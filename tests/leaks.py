"""After every test nothing of it may remain: no socket, thread, process or task."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.databases import session_pids

SETTLE_S = 2.0  # a socket that was closed, or a process that was told to end, needs a moment


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First in, last out: the checks see what all other fixtures leave behind."""
    for item in items:
        if isinstance(item, pytest.Function):
            if inspect.iscoroutinefunction(item.obj):
                item.fixturenames.insert(0, "no_task_remains")
            item.fixturenames.insert(0, "nothing_remains")


@pytest.fixture
async def no_task_remains() -> AsyncIterator[None]:
    """No task of the test's loop is left, but for the ones that run the test itself."""
    before = asyncio.all_tasks()
    yield
    deadline = time.monotonic() + SETTLE_S
    while (left := asyncio.all_tasks() - before - {asyncio.current_task()}) and time.monotonic() < deadline:
        await asyncio.wait(left, timeout=0.05)
    assert not left, f"tasks are left: {left}"


@pytest.fixture
def nothing_remains() -> Iterator[None]:
    """No socket, thread or child process is left that was not there before."""
    before = _present()
    yield
    deadline = time.monotonic() + SETTLE_S
    while (left := _present() - before) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.02)
    assert not left, f"left behind: {sorted(left)}"


def _present() -> set[str]:
    return {*_sockets(), *_threads(), *_children()}


def _sockets() -> Iterator[str]:
    for entry in os.scandir("/proc/self/fd"):
        try:
            target = os.readlink(entry.path)
        except OSError:
            continue  # the folder's own descriptor
        if target.startswith("socket:"):
            yield f"descriptor {entry.name} {target}"


def _threads() -> Iterator[str]:
    for thread in threading.enumerate():
        yield f"thread {thread.ident} {thread.name}"


def _children() -> Iterator[str]:
    for task in Path("/proc/self/task").iterdir():
        try:
            children = (task / "children").read_text().split()
        except OSError:
            continue
        for pid in (child for child in children if int(child) not in session_pids):
            yield f"process {pid} {_command(pid)}"


def _command(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return "(gone)"

"""The watchdog of a worker's process."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from actors.node.worker import HUNG_STATUS, STOPPING_S, Watchdog, WorkerProcess

INTERVAL_S, LIMIT_S = 0.25, 0.5


class Ended(Exception):
    """In place of the end of this process."""


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A worker's process whose loop never answers; its thread is a stand-in."""

    def end(status: int) -> None:
        assert status == HUNG_STATUS
        raise Ended

    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(WorkerProcess, "wakeupAfter", lambda self, after: None)
    made: Any = WorkerProcess.__new__(WorkerProcess)
    made._number, made._interval_s = 0, INTERVAL_S
    made._watchdog = Watchdog.within(LIMIT_S, INTERVAL_S)
    made._thread = SimpleNamespace(stopping=False, call=lambda *args: None, where=lambda: "somewhere")
    return made


def silent_s(watched: Any) -> float:
    """For how long it bears that."""
    for looks in range(1000):
        try:
            watched._watch()
        except Ended:
            return looks * INTERVAL_S
    raise AssertionError("for ever")


def test_a_loop_that_writes_its_last_rows_is_given_as_long_as_the_node_waits(watched: Any) -> None:
    assert silent_s(watched) == LIMIT_S
    watched._watchdog.answered()
    watched._thread.stopping = True
    assert silent_s(watched) == STOPPING_S

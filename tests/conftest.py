"""Fixtures for every test."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from config.logging import Throttle

pytest_plugins = ["tests.databases", "tests.leaks"]


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background; what we start would ignore it, too
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # started by nohup: likewise, but we go on
    signal.signal(signal.SIGHUP, lambda *_: None)


@pytest.fixture(autouse=True, scope="session")
def state_of_our_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The nodes of the tests and those of whoever runs them do not find each other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True)
def nothing_kept_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What peers of other tests have caused a moment ago keeps no line of this test's back."""
    monkeypatch.setattr("config.logging._peers", Throttle())

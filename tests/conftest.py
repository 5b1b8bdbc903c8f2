"""Fixtures for every test."""

from __future__ import annotations

import pytest

from config.logging import Throttle

pytest_plugins = ["tests.databases", "tests.leaks"]


@pytest.fixture(autouse=True)
def nothing_kept_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What peers of other tests have caused a moment ago keeps no line of this test's back."""
    monkeypatch.setattr("config.logging._peers", Throttle())

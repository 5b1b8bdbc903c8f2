"""A part of Thespian's own suite on the loop base; all of it is run by scripts/conformance."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "conformance"


def conformance(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, timeout=55)


@pytest.mark.parametrize(
    ("message_copy", "chosen"),
    [("reference", "test_createActor or test_simpleActor or test_stats"), ("pickle", "test_globalName")],
)
def test_the_core_of_thespians_suite_passes(message_copy: str, chosen: str) -> None:
    done = conformance("-k", chosen, "--message-copy", message_copy)
    assert done.returncode == 0, done.stdout
    assert "failed 0" in done.stdout
    assert "(0 passed on the loop base" not in done.stdout


def test_a_selection_of_nothing_is_an_error() -> None:
    assert conformance("-k", "no_such_test").returncode == 2


def test_a_wrong_option_is_an_error() -> None:
    done = conformance("--message-copy", "telepathy")
    assert done.returncode == 2
    assert "telepathy" in done.stderr

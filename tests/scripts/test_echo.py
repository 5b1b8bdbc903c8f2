"""The table of echoes: it holds with the guard, it fails without, and a wrong option is named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "echo"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, timeout=100)


@pytest.mark.parametrize("wire", ["twilio", "audiosocket"])
def test_no_echo_is_a_caller_and_every_caller_is_heard(wire):
    done = run("--quick", "--json", "--wire", wire)
    assert done.returncode == 0, done.stdout + done.stderr
    cells = json.loads(done.stdout)["cells"]
    assert len(cells) == 3 and all(cell["ok"] for cell in cells)
    assert cells[0]["level_db"] is None and cells[0]["missed"] == 0


def test_without_the_guard_an_echo_interrupts():
    done = run("--quick", "--json", "--off")
    assert done.returncode == 1
    assert sum(cell["false"] for cell in json.loads(done.stdout)["cells"]) > 0


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--calls", "0", "--calls 0: must be 1 to 1000"),
        ("--levels", "loud", "'loud' is not a list of numbers"),
        ("--paths", "cave", "'cave' is not one of line, room"),
        ("--delays", "2000", "must be 0 to 1000 ms"),
    ],
)
def test_a_wrong_option_is_named(option, value, says):
    done = run(option, value)
    assert done.returncode == 2 and says in done.stderr

"""scripts/overload: a short run with a few calls, and what it makes of a command line."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from actors.engines.process import ROOT

SCRIPT = [sys.executable, str(ROOT / "scripts/overload")]


def test_a_short_run_loses_no_call() -> None:
    done = subprocess.run(
        [*SCRIPT, "--quick", "--capacity", "6", "--share", "1", "--json"],
        capture_output=True, text=True, timeout=55, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr  # 1: late frames, on a machine that is busy with other tests
    found = json.loads(done.stdout)
    assert found["capacity"] == 6
    offered, hogged = found["steps"]
    assert (offered["step"], hogged["step"]) == ("100 %", "hog 1 s")
    assert offered["offered"] == 6 and offered["turns"] >= 3
    assert offered["lost"] == hogged["lost"] == 0
    assert hogged["recovery_s"] >= 0


@pytest.mark.parametrize("wrong", [["--share", "0"], ["--percents", "much"], ["--providers", "none"]])
def test_a_wrong_command_line_is_one_line_and_exit_2(wrong: list[str]) -> None:
    done = subprocess.run([*SCRIPT, *wrong], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("overload: error:")
    assert "Traceback" not in done.stderr

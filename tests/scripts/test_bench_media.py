"""The benchmark of the media path runs, and measures what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench-media"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, timeout=50)


@pytest.mark.parametrize("wire", ["twilio", "audiosocket16"])
def test_it_prints_the_cost_of_a_call(wire):
    done = run("--legs", "3", "--seconds", "2", "--wire", wire, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["legs"] == 3 and result["ticks"] > 50
    stages = result["cpu_ms_per_call_second"]
    assert stages["total"] >= stages["vad"] > 0
    assert result["speech_events"] > 0


def test_a_wrong_number_is_named():
    done = run("--legs", "0")
    assert done.returncode == 2
    assert "--legs 0: must be 1 to 2000" in done.stderr

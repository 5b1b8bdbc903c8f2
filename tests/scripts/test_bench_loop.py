"""scripts/bench-loop: the column of the loop base, and the options."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench-loop"


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, timeout=55)


def test_measures_the_loop_base() -> None:
    done = bench("--base", "loop", "--json")
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)
    assert result["base"] == "loop"
    assert all(value > 0 for key, value in result.items() if key != "base")


def test_a_wrong_base_is_an_error() -> None:
    done = bench("--base", "abacus")
    assert done.returncode == 2
    assert "abacus" in done.stderr

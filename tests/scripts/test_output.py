"""Tables for people: whatever the width, nothing of a cell is lost, and nothing in it steers the terminal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.output import console, print_table

CALLER = "sip:" + "0123456789" * 8 + "@example.com"


@pytest.mark.parametrize("width", [60, 80, 200])
def test_nothing_is_cut_off(width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(console(), "width", width)
    print_table(("call", "caller", "ended"), [("17", CALLER, "the caller hung up"), ("18", "\x1b[31m+1555", "[bold]")])
    out = capsys.readouterr().out
    assert "\u2026" not in out and "\x1b" not in out and "[31m+1555" in out and "[bold]" in out
    column = out.splitlines()[1].index("caller")
    assert CALLER in "".join(line[column:].split(" ")[0] for line in out.splitlines())
    assert max(map(len, out.splitlines())) <= width


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_command_without_a_standard_stream_does_its_work(closed: str, tmp_path: Path) -> None:
    command = f'exec "$0" -m scripts.callboard --data-dir {tmp_path} calls {closed}'
    done = subprocess.run(["sh", "-c", command, sys.executable], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")

"""Who lives with this DATA_DIR, as another process sees it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from store.presence import FOLDER, Presence

HOLD = """
import pathlib, sys
from store.presence import Presence
held = Presence(pathlib.Path(sys.argv[1]), sys.argv[2])
print("held", flush=True)
input()
"""


def hold(folder: Path, incarnation: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), incarnation], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdout.readline() == b"held\n"
    return process


def test_the_living_are_seen_and_the_dead_are_not(tmp_path: Path) -> None:
    ours = Presence(tmp_path, "desk/0/a")
    with hold(tmp_path, "desk/1/b") as other, hold(tmp_path, "desktop/0/c"), hold(tmp_path, "front.desk/0/d") as third:
        assert ours.others("desk") == {"desk/1/b"}
        os.kill(third.pid, signal.SIGSTOP)  # who is stopped is not dead
        assert ours.others("front.desk") == {"front.desk/0/d"}
        for process in (other, third):
            process.kill()
            process.wait()
        assert ours.others("desk") == ours.others("front.desk") == set()
        assert {path.name for path in (tmp_path / FOLDER).iterdir()} == {"desk_0_a", "desktop_0_c"}
    ours.close()
    assert Presence(tmp_path, "desk/0/e").others("desk") == set()


def test_a_disk_that_takes_no_file_costs_only_the_lock(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FOLDER).write_text("no folder")
    presence = Presence(tmp_path, "desk/0/a")
    assert "cannot see that this worker lives" in caplog.text
    assert presence.others("desk") == set()
    presence.close()

"""Ctrl-C in the first moments of a command, while most of what it runs is still being imported."""

from __future__ import annotations

import configparser
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Interrupts this process when it looks for a module, and begins as the installed command does.
PROGRAM = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == WANTED:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

WANTED = sys.argv.pop(1)
from scripts.entry import main

sys.meta_path.insert(0, Interrupt())
sys.exit(main())
"""


def interrupted(at: str, *argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, at, *argv]
    usual = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # where the tests run in the background it is ignored
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    finally:
        signal.signal(signal.SIGINT, usual)


@pytest.mark.parametrize(
    ("module", "argv"),
    [
        ("scripts.callboard", ["--help"]),
        ("config.errors", ["ps"]),
        ("scripts.commands.serve", ["serve"]),
        ("tempfile", ["--version"]),
        ("pydantic", ["config"]),
    ],
)
def test_an_interrupt_while_modules_are_imported_is_no_traceback(module: str, argv: list[str]) -> None:
    done = interrupted(module, *argv)
    if done.returncode == 0:
        pytest.fail(f"{module} was not imported: {done.stdout}")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_the_installed_command_begins_there() -> None:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    assert parser["options.entry_points"]["console_scripts"].split() == ["callboard", "=", "scripts.entry:main"]
    assert "-m scripts.entry demo" in (ROOT / "scripts" / "demo").read_text()

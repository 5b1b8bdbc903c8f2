"""Tests that failed beside others and passed alone: told by name, and a failure when it is not the first time.

Conversations in real time suffer when somebody else takes the machine; but a test that needs its second try again and
again has a race, which is to be mended. The memory is the user's, not the clone's: CI works in fresh clones.

    python -m tests.retries failed            the tests that failed in the last run, a line each
    python -m tests.retries passed NAME...    so many needed a second try (or none did): 1 if one of them did lately
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

RUNS = 20  # so many are remembered
LAST_FAILED = Path(".pytest_cache/v/cache/lastfailed")


def memory(environ: Mapping[str, str]) -> Path:
    state = environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "callboard" / "retried-tests.json"


def failed(cache: Path = LAST_FAILED) -> list[str]:
    """What pytest says of its last run."""
    try:
        return sorted(json.loads(cache.read_text()))
    except (OSError, ValueError):
        return []


def passed(names: Sequence[str], path: Path) -> list[str]:
    """Remember a run in which `names` needed a second try; returns those that did so in an earlier one, too."""
    runs = _read(path)
    again = [name for name in names if any(name in run["tests"] for run in runs)]
    runs = [*runs, {"at": time.strftime("%Y-%m-%d %H:%M"), "tests": list(names)}][-RUNS:]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps(runs, indent=1))
        fresh.replace(path)
    except OSError as error:
        print(f"{path}: {error.strerror}: the next run will not know of this one", file=sys.stderr)
    return again


def _read(path: Path) -> list[dict[str, list[str]]]:
    try:
        return [run for run in json.loads(path.read_text()) if isinstance(run["tests"], list)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def main(argv: Sequence[str]) -> int:
    if argv[0] == "failed":
        print("\n".join(failed()))
        return 0
    path = memory(os.environ)
    again = passed(argv[1:], path)
    for name in again:
        print(f"Not for the first time in the last {RUNS} runs: {name} has a race; mend it ({path})", file=sys.stderr)
    return 1 if again else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

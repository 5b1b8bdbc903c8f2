"""Every reason for which a call may end has words."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from store.endings import ENDINGS, in_words
from store.records import LOST_REASONS

ROOT = Path(__file__).parents[2]
GIVES_A_REASON = {"Termination": 1, "drop": 0, "HangUp": 0, "HangUpAll": 0, "_drain": 1}  # name -> argument


def reasons() -> Iterator[str]:
    """The constants that the source gives as reasons."""
    for package in ("actors", "transports"):
        for path in (ROOT / package).rglob("*.py"):
            for call in ast.walk(ast.parse(path.read_text())):
                if isinstance(call, ast.Call):
                    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
                    place = GIVES_A_REASON.get(name)
                    if place is not None and len(call.args) > place and isinstance(call.args[place], ast.Constant):
                        yield str(call.args[place].value)


def test_every_reason_has_words() -> None:
    found = {*reasons(), *LOST_REASONS}
    assert {"caller_hung_up", "operator", "drained", "shutdown", "media_timeout", "idle", "memory"} <= found
    assert found - ENDINGS.keys() == set()


def test_a_reason_of_another_version_is_readable() -> None:
    assert in_words("some_new_reason") == "some new reason"
    assert in_words("operator", "a test") == "an operator ended the call: a test"

"""A second try is told, and is given once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import retries


def test_a_second_try_is_given_once(tmp_path: Path) -> None:
    memory = tmp_path / "state" / "retried.json"
    assert retries.passed(["tests/a.py::x", "tests/a.py::y"], memory) == []
    assert retries.passed([], memory) == []
    assert retries.passed(["tests/a.py::y", "tests/b.py::z"], memory) == ["tests/a.py::y"]
    for _ in range(retries.RUNS):
        retries.passed([], memory)
    assert retries.passed(["tests/a.py::y"], memory) == []


@pytest.mark.parametrize("content", ["", "{", "{}", "[1]", '[{"at": "x"}]'])
def test_a_memory_that_cannot_be_read_is_none(content: str, tmp_path: Path) -> None:
    memory = tmp_path / "retried.json"
    memory.write_text(content)
    assert retries.passed(["x"], memory) == []
    assert retries.passed(["x"], memory) == ["x"]


def test_what_failed_is_pytests_own_word(tmp_path: Path) -> None:
    cache = tmp_path / "lastfailed"
    assert retries.failed(cache) == []
    cache.write_text(json.dumps({"tests/b.py::y[a b]": True, "tests/a.py::x": True}))
    assert retries.failed(cache) == ["tests/a.py::x", "tests/b.py::y[a b]"]


def test_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert retries.main(["passed"]) == 0
    assert retries.main(["passed", "tests/a.py::x"]) == 0
    assert retries.main(["passed", "tests/a.py::x"]) == 1
    assert "tests/a.py::x has a race" in capsys.readouterr().err


def test_a_memory_that_cannot_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert retries.passed(["x"], tmp_path / "file" / "retried.json") == []
    assert "the next run will not know of this one" in capsys.readouterr().err

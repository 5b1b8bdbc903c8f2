"""The rules of the house, as far as a machine can see them."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ORDER = ["config", "store", "actors", "transports", "scripts"]
MAX_FILE_LINES, MAX_FUNCTION_LINES = 500, 60


def python_files() -> list[Path]:
    """Every Python file of the project, the scripts without an ending included."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and _is_python(ROOT / name)]


def _is_python(path: Path) -> bool:
    if not path.is_file():
        return False
    first_line = path.read_bytes().split(b"\n", 1)[0]
    return path.suffix == ".py" or (not path.suffix and first_line.startswith(b"#!") and b"python" in first_line)


FILES = python_files()
files = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_there_is_something_to_check():
    assert len(FILES) > 100


@files
def test_imports_run_one_way(path: Path):
    home = path.relative_to(ROOT).parts[0]
    if home not in ORDER:
        return
    packages = {module.split(".")[0] for module in imported(ast.parse(path.read_text()))}
    later = set(ORDER[ORDER.index(home) + 1 :])
    if path.suffix:  # what has none is not installed: it runs in a clone, and campaigns need our fakes
        later.add("tests")
    assert not packages & later, f"{path.name} imports what stands right of {home}"


@files
def test_files_and_functions_stay_small(path: Path):
    text = path.read_text()
    assert text.count("\n") <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{node.name} has {lines} lines"


@files
def test_public_classes_say_what_they_are(path: Path):
    if path.relative_to(ROOT).parts[0] not in ORDER:
        return
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node) or _obvious(node), f"{node.name} has no docstring"


def _obvious(node: ast.ClassDef) -> bool:
    """An enum or a handler of two lines under a telling name."""
    return len(node.body) <= 2 or any(isinstance(base, ast.Name) and base.id == "Enum" for base in node.bases)


@pytest.mark.parametrize("path", sorted((ROOT / "scripts").iterdir()), ids=lambda path: path.name)
def test_what_a_shell_script_calls_is_there(path: Path):
    """Functions of `setup.sh` that a script names without having them fail only when it is run."""
    if path.is_dir() or path.suffix or "source scripts/setup.sh" not in path.read_text():
        return
    known = set(re.findall(r"^(\w+)\(\)", (ROOT / "scripts/setup.sh").read_text(), re.M))
    used = set(re.findall(r"^\s*((?:set|ensure|run)_\w+)\b", path.read_text(), re.M))
    assert used <= known

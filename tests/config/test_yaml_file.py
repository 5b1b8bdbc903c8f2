"""YAML that people write: slips are told with their lines, and no file costs much."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.yaml_file import MAX_BYTES, Document, read_yaml


def read(folder: Path, content: str | bytes) -> Document:
    file = folder / "desk.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_yaml(file)


def complaints(document: Document) -> list[str]:
    return [document.complaint(problem).removeprefix(f"{document.name}:") for problem in document.problems]


def test_values_and_their_lines(tmp_path: Path) -> None:
    document = read(tmp_path, "a: 1\nb:\n  - c: x\n    d: [y, z]\n  - 2.5\n")
    assert document.content == {"a": 1, "b": [{"c": "x", "d": ["y", "z"]}, 2.5]}
    assert not document.problems
    assert [document.find(path) for path in [("b",), ("b", 0, "d", 1), ("b", 1)]] == [
        (3, ("b",)),
        (4, ("b", 0, "d", 1)),
        (5, ("b", 1)),
    ]
    assert document.find(()) == (1, ())
    assert document.find(("a", 0)) == (1, ("a",))  # one value stands for a list of one
    assert document.find(("b", 0, "nothing")) == (3, ("b", 0, "nothing"))  # nearest to it


@pytest.mark.parametrize("content", ["", "# nothing\n"])
def test_an_empty_file_holds_nothing(tmp_path: Path, content: str) -> None:
    document = read(tmp_path, content)
    assert document.content is None and document.find(("a",)) == (1, ("a",))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("a: 1\nb: 2\na: 3\n", "1: a: stands here twice, in line 1 and in line 3"),
        ("a:\n  - x: 1\n    y: {z: 1, z: 2}\n", "3: a[0].y.z: stands here twice, in line 3 and in line 3"),
        ("'yes': 1\nyes: 2\n", "1: yes: stands here twice, in line 1 and in line 2"),
        ("a: 2026-02-31\n", "1: a: YAML cannot read '2026-02-31' as timestamp: put it in quotes"),
        ("a: !!int ''\n", "1: a: YAML cannot read '' as int: put it in quotes"),
        ("a: !!timestamp x\n", "1: a: YAML cannot read 'x' as timestamp: put it in quotes"),
        ("a: !!bool maybe\n", "1: a: YAML cannot read 'maybe' as bool: put it in quotes"),
        ("a: !!python/name:os.system x\n", "1: a: YAML cannot read 'x' as os.system: put it in quotes"),
        (f"a: {'9' * 5000}\n", "1: a: YAML cannot read '9999"),
        (f"a: 0x{'f' * 9000}\n", "1: a: YAML cannot read '0xfff"),  # too long to be shown as a number
        (f"a: 1{':59' * 500_000}\n", "1: a: YAML cannot read '1:59:59"),  # takes minutes to read
        ("? [a, b]\n: c\n", "1: the name of a field in line 1 must be text"),
        ("a: &a {b: c}\nd: {? *a : e}\n", "2: d: the name of a field in line 1 must be text"),
        ("a: {<<: {? {b: c} : d}}\n", "1: a: the name of a field in line 1 must be text"),
        ('a:\n- "x\\0y"\n', "2: a[0]: holds U+0000, which no text may hold"),
    ],
)
def test_a_slip_is_told_with_its_line(tmp_path: Path, content: str, complaint: str) -> None:
    (found,) = complaints(document := read(tmp_path, content))
    assert found.startswith(complaint) and document.problems[0].fatal


def test_what_stands_in_a_names_place_stays_what_it_is(tmp_path: Path) -> None:
    assert read(tmp_path, "a: &a {b: c}\n? *a\n: d\ne: *a\n").content == {"a": {"b": "c"}, "?": "d", "e": {"b": "c"}}


@pytest.mark.parametrize("character", ["\\e", "\\a", "\\x9b", "\\u2028", "\\u202e"])
def test_a_control_character_is_doubtful(tmp_path: Path, character: str) -> None:
    document = read(tmp_path, f'a: "x{character}y"\n')
    assert not document.problems[0].fatal and "holds the control character U+" in document.problems[0].text


def test_several_slips_are_told_at_once(tmp_path: Path) -> None:
    assert len(complaints(read(tmp_path, "a: 1\na: 2\nb: {c: 1, c: 2}\nd: 2026-13-01\n"))) == 3


@pytest.mark.parametrize(
    ("content", "values"),
    [
        ("a: &x [1, 2]\nb: *x\n", {"a": [1, 2], "b": [1, 2]}),
        (
            "a: &x {p: 1, q: 2}\nb: &y {<<: *x, q: 3}\nc: *y\n",
            {"a": {"p": 1, "q": 2}, **{k: {"p": 1, "q": 3} for k in "bc"}},
        ),
        ("\ufeffno: x\n7: y\n", {"no": "x", "7": "y"}),
    ],
)
def test_what_is_unusual_and_right_is_taken(tmp_path: Path, content: str, values: object) -> None:
    document = read(tmp_path, content)
    assert document.content == values and not document.problems


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(20)
)
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n + 1}: &a{n + 1} {{<<: [*a{n}, *a{n}]}}\n" for n in range(30))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (BOMB, ": more than 200,000 values, with what aliases stand for"),
        (f"a: &a {'x' * 500_000}\nb: [{', '.join(['*a'] * 100_000)}]\n", ":2: more than 200,000 values"),
        (MERGES, ": more than 200,000 values, with what aliases stand for"),
        ("a: &a [1, *a]\n", ":1: an alias stands within what it stands for"),
        ("a: &a\n  <<: *a\n", ": an alias stands within what it stands for"),
        ("a: *nowhere\n", ":1: is not YAML: found undefined alias (column 4)"),
        ("a:\n\tb: 1\n", ":2: is not YAML: a tab cannot indent: use spaces (column 1)"),
        ("a: 1\n---\nb: 2\n", ":2: a second document begins; a file holds one"),
        ("a: [\n", ":2: is not YAML: "),
        ("a: 'x\n", ":2: is not YAML: "),
        ("a: " + "[" * 900 + "]" * 900, ":1: is nested more than 32 deep"),
        ("a: " + "[" * 9000, ":1: is not YAML: "),
        ("\x01", ":1: is not YAML: control characters are not allowed"),
        (b"a: 1\nb: M\xfcller\n", ":2: is not UTF-8 text: byte 0xfc"),
        ("a: 1\n".encode("utf-16"), ":1: is not UTF-8 text: byte 0xff"),
        (b"#" * (MAX_BYTES + 1), ": is larger than 2,097,152 bytes"),
        ("\n".join(f"- {{name: i{n}, say: number {n}, reply: Fine}}" for n in range(100_000)), ": is larger than "),
        ("\n".join(f"- {{n: i{n}}}" for n in range(100_000)), ": more than 200,000 values"),
    ],
)
def test_what_is_no_use_is_refused_quickly(tmp_path: Path, content: str | bytes, complaint: str) -> None:
    begin = time.process_time()
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, content)
    text = str(caught.value).removeprefix(str(tmp_path / "desk.yaml"))
    assert complaint in text and "\n" not in text
    assert time.process_time() - begin < 10  # a bomb takes for ever, 100,000 entries in Python alone a minute


@pytest.mark.parametrize(
    ("path", "complaint"), [(".", "Is a directory"), ("no.yaml", "No such file"), ("/dev/zero", "is larger than")]
)
def test_what_is_no_file_is_refused(tmp_path: Path, path: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        read_yaml(tmp_path / path)


def test_a_pipe_is_read_like_a_file(tmp_path: Path) -> None:
    os.mkfifo(fifo := tmp_path / "desk.yaml")
    with subprocess.Popen(["sh", "-c", '{ echo "a: 1"; sleep 0.1; echo "b: 2"; } > "$0"', str(fifo)]):
        assert read_yaml(fifo).content == {"a": 1, "b": 2}


@pytest.mark.timeout(10)
def test_a_pipe_from_which_nothing_comes_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("config.yaml_file.SILENCE_S", 0.05)
    os.mkfifo(fifo := tmp_path / "desk.yaml")
    with pytest.raises(ConfigError, match=r"desk\.yaml: is no file, and nothing has come out of it for 0\.05 s"):
        read_yaml(fifo)

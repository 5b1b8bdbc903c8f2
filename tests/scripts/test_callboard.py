"""The `callboard` command: what it prints, which exit code it ends with, what it never prints."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from config.assistant import AssistantConfig
from scripts.callboard import main
from scripts.commands.demo import ASSISTANT
from tests.disks import full_disk

__all__ = ["full_disk"]

COMMANDS = [
    *(["demo"], ["serve"], ["call"], ["check"], ["config"], ["assistant"], ["key"]),
    *(["assistant", "apply"], ["assistant", "list"], ["assistant", "show"]),
    *(["key", "create"], ["key", "list"], ["key", "revoke"]),
    *(["ps"], ["tree"], ["inspect"], ["trace"], ["exits"], ["deadletters"], ["nodes"]),
    *(["restart"], ["hangup"], ["drain"], ["providers"], ["providers", "check"]),
]
DESK = """
name: desk
greeting: Hello.
stt: embedded
tts: embedded
llm:
  provider: script
  intents:
    - {name: hours, say: [what are your opening hours], reply: Nine to five.}
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run one command line in an environment of its own: exit code, standard output, standard error."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level  # `serve` puts its own in their place
    for name in [name for name in os.environ if "__" in name or name.startswith("CALLBOARD")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HTTP__PORT", "0")
    monkeypatch.setenv("AUDIOSOCKET__PORT", "0")

    def run(*argv: str) -> tuple[int, str, str]:
        code = main(argv)
        out, err = capsys.readouterr()
        return code, out, err

    yield run
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("command", [[], *COMMANDS], ids=" ".join)
def test_every_help_has_examples_and_exit_codes(command: list[str], run: Run) -> None:
    code, out, _ = run(*command, "--help")
    assert code == 0
    assert "examples:\n  callboard" in out
    assert "130 interrupted" in out


def test_help_imports_nothing_heavy() -> None:
    heavy = ["rich", "pydantic", "sqlalchemy", "tornado", "numpy", "asyncio", "yaml", "thespian"]
    check = (
        "import sys; from scripts.callboard import main; code = main(['--help']);"
        f" found = [name for name in {heavy} if name in sys.modules]; sys.exit(f'{{found}}' if found else code)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["nonsense"],
        ["key", "create"],
        ["call", "--assistant", "a"],
        ["call", "--say", "hi"],
        ["call", "--assistant", "a", "--say", "hi", "--wav", "x.wav"],
        ["call", "--assistant", "a", "--say", "hi", "--via", "pigeon"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_a_usage_error(argv: list[str], run: Run) -> None:
    code, out, err = run(*argv)
    assert code == 2
    assert out == "" and err.startswith("usage: callboard")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--turns", "0"], "--turns 0: legal: 1 to 100"),
        (["--turns", "2", "--barge-in"], "--turns 2: --barge-in"),
        (["--dtmf", "12x"], "--dtmf '12x': legal: 0-9"),
        (["--to", "ftp://x"], "--to 'ftp://x' is not an address"),
        (["--audiosocket", "localhost"], "--audiosocket 'localhost': legal: HOST:PORT"),
        (["--say", " "], "must not be empty"),
    ],
)
def test_a_call_that_cannot_be_planned(options: list[str], complaint: str, run: Run) -> None:
    code, out, err = run("call", "--assistant", "a", "--say", "hi", *options)
    assert code == 2
    assert out == ""
    assert err.startswith("callboard: bad_config: ") and complaint in err and err.count("\n") == 1


def test_files_that_are_not_there_are_named(run: Run, tmp_path: Path) -> None:
    code, _, err = run("call", "--assistant", "a", "--wav", str(tmp_path / "no.wav"))
    assert code == 2 and "no.wav" in err and "Traceback" not in err


def test_a_server_that_is_not_there(run: Run, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        code, out, err = run("call", "--assistant", "a", "--say", "hi", "--to", f"http://127.0.0.1:{port}", "--json")
    assert code == 1 and out == ""
    assert err.startswith("callboard: server_unreachable: ") and err.count("\n") == 1


def test_a_wrong_setting_is_named_with_what_is_legal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP__PORT", "x")
    for command in (["config"], ["check"], ["serve"], ["key", "list"]):
        code, out, err = run(*command)
        assert code == 2 and out == ""
        assert err.startswith("callboard: bad_config: HTTP__PORT = 'x': legal: a whole number")


def test_config_masks_secrets(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES__PASSWORD", "hunter2")
    code, out, _ = run("config", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0
    assert rows["POSTGRES__PASSWORD"]["value"] == "********"
    assert rows["POSTGRES__PORT"]["is_default"] is True
    _, table, _ = run("config", "--changed")
    assert "POSTGRES__PASSWORD" in table and "POSTGRES__PORT" not in table
    assert "hunter2" not in out + table


def test_keys_are_shown_once_and_can_be_revoked(run: Run) -> None:
    assert "no keys yet" in run("key", "list")[1]
    code, out, _ = run("key", "create", "laptop", "--json")
    made: dict[str, Any] = json.loads(out)
    assert code == 0 and made["secret"].startswith("rpd-")
    _, shown, _ = run("key", "create", "desk")
    (secret,) = re.findall(r"^rpd-\w{20,}$", shown, re.M)
    listed = run("key", "list")[1] + run("key", "list", "--json")[1]
    assert "laptop" in listed and made["hint"] in listed
    assert made["secret"] not in listed and secret not in listed
    assert run("key", "revoke", str(made["id"]))[0] == 0
    keys = json.loads(run("key", "list", "--json")[1])
    assert [key["revoked_at"] is not None for key in keys] == [True, False]


@pytest.mark.parametrize("name", ["", "two\nlines", "x" * 101])
def test_a_name_that_no_key_may_have_is_a_wrong_command_line(run: Run, name: str) -> None:
    code, _, err = run("key", "create", name)
    assert code == 2 and "legal: 1 to 100 printable characters" in err and err.count("\n") == 1


def test_a_demo_whose_data_folder_is_a_file_says_so(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, _, err = run("demo", "--once", "--data-dir", str(tmp_path / "file"))
    assert code == 1 and "DATA_DIR" in err and "it is no folder" in err and err.count("\n") == 1


def test_a_host_that_nobody_knows_is_named_with_its_setting(run: Run) -> None:
    code, _, err = run("serve", "--host", "999.1.1.1")
    assert code == 1 and "HTTP__HOST = '999.1.1.1'" in err and "Traceback" not in err


def test_a_key_that_is_not_there(run: Run) -> None:
    code, _, err = run("key", "revoke", "77")
    assert code == 1 and err.startswith("callboard: unknown_key: ")


def test_assistants_are_applied_listed_and_shown(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "desk.yaml"
    file.write_text(DESK)
    assert run("assistant", "apply", str(file)) == (0, "desk: assistant 1, version 1\n", "")
    assert run("assistant", "apply", str(file))[1] == "desk: assistant 1, version 1\n"
    file.write_text(DESK.replace("Hello.", "Hi."))
    assert json.loads(run("assistant", "apply", str(file), "--json")[1])["version"] == 2
    (listed,) = json.loads(run("assistant", "list", "--json")[1])
    assert (listed["config"]["name"], listed["version"]) == ("desk", 2)
    assert "script" in run("assistant", "list")[1]
    code, shown, _ = run("assistant", "show", "desk")
    assert code == 0 and "greeting: Hi." in shown
    again = tmp_path / "again.yaml"
    again.write_text(shown)
    assert run("assistant", "apply", str(again))[1] == "desk: assistant 1, version 2\n"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("- a list", "must hold a mapping"),
        ("name: [", "is not YAML"),
        (DESK.replace("name: desk", "name: The Desk"), "name: String should match pattern"),
        (
            DESK.replace("greeting", "greting"),
            "3: greting: unknown field 'greting'; did you mean 'greeting'? legal are: name, language, ",
        ),
        (DESK.replace("stt: embedded", ""), "stt: Field required"),
        (DESK.replace("stt: embedded", "stt: nobody"), "nobody"),
        (DESK.replace("reply: Nine", "repply: Nine"), "llm.intents[0].repply"),
        ("\x00\x01", "is not YAML"),
    ],
)
def test_a_wrong_assistant_file_names_the_field(content: str, complaint: str, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "desk.yaml"
    file.write_text(content)
    code, out, err = run("assistant", "apply", str(file))
    assert out == "" and "Traceback" not in err
    assert complaint in err and str(file) in err
    assert code == 2


def test_a_new_assistant_is_written_and_applies(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run("assistant", "new", "front-desk")
    assert (code, out, err) == (0, "front-desk.yaml: change it, then: callboard assistant apply front-desk.yaml\n", "")
    assert run("assistant", "apply", "front-desk.yaml", "--strict")[:2] == (0, "front-desk: assistant 1, version 1\n")
    before = Path("front-desk.yaml").read_text()
    code, _, err = run("assistant", "new", "front-desk")
    assert code == 2 and "front-desk.yaml: is there already, and is not overwritten" in err
    assert Path("front-desk.yaml").read_text() == before
    assert run("assistant", "new", "front-desk", "--output", "other.yaml")[0] == 0
    code, _, err = run("assistant", "new", "front-desk", "--output", "nowhere/desk.yaml")
    assert code == 2 and "nowhere/desk.yaml: nowhere is not there" in err
    code, _, err = run("assistant", "new", "Front Desk")
    assert code == 2 and "NAME 'Front Desk': legal: 1 to 63 lower-case letters" in err
    assert sorted(path.name for path in tmp_path.glob("*.yaml")) == ["front-desk.yaml", "other.yaml"]


def test_a_new_assistant_that_has_no_room_leaves_nothing(run: Run, full_disk: Path) -> None:
    path = full_disk / "desk.yaml"
    for _ in range(2):
        code, _, err = run("assistant", "new", "desk", "--output", str(path))
        assert code == 1 and str(path) in err and err.count("\n") == 1
        assert not path.exists()


def test_the_schema_for_editors_is_printed(run: Run) -> None:
    code, out, _ = run("assistant", "schema")
    assert code == 0 and json.loads(out)["properties"].keys() == AssistantConfig.model_fields.keys()


def test_what_is_doubtful_is_warned_of_or_refused(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "desk.yaml"
    file.write_text(DESK.replace("Hello.", "Hello {name}."))
    code, out, err = run("assistant", "apply", str(file), "--json")
    assert code == 0 and json.loads(out)["version"] == 1
    assert err == f"callboard: warning: {file}:3: greeting: has a slot in braces, which is said as it stands\n"
    code, out, err = run("assistant", "apply", str(file), "--strict")
    assert (code, out) == (2, "") and err.startswith(f"callboard: bad_config: {file}:3: greeting: ")


def test_an_assistant_file_that_is_not_there(run: Run, tmp_path: Path) -> None:
    code, _, err = run("assistant", "apply", str(tmp_path / "no.yaml"))
    assert code == 2 and "no.yaml: No such file" in err


def test_an_unknown_assistant(run: Run) -> None:
    code, _, err = run("assistant", "show", "nobody")
    assert code == 1 and err.startswith("callboard: unknown_assistant: ") and err.count("\n") == 1


def test_check_finds_this_machine_ready(run: Run) -> None:
    code, out, _ = run("check", "--json")
    found = {finding["part"]: finding for finding in json.loads(out)}
    assert {part for part, finding in found.items() if not finding["ok"]} == set()
    assert code == 0
    assert {"Python", "packages", "HTTP port", "AudioSocket port", "data folder", "database"} <= found.keys()
    assert "Redis" not in found
    run("key", "list")  # makes the database
    assert "newest" in run("check")[1]


def test_check_gives_a_hint_per_failing_part(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        monkeypatch.setenv("HTTP__PORT", port)
        monkeypatch.setenv("DATA_DIR", str(tmp_path / "file" / "below"))
        monkeypatch.setenv("REDIS__HOST", "127.0.0.1")
        monkeypatch.setenv("REDIS__PORT", port)
        monkeypatch.setenv("POSTGRES__HOST", "127.0.0.1")
        monkeypatch.setenv("POSTGRES__PORT", "1")
        code, out, _ = run("check", "--json")
    failing = {finding["part"]: finding["hint"] for finding in json.loads(out) if not finding["ok"]}
    assert code == 1
    assert failing.keys() == {"HTTP port", "data folder", "Redis", "database"}
    assert all(failing.values())
    assert "HTTP__PORT" in failing["HTTP port"]


def test_the_demos_assistant_is_there_and_right(run: Run) -> None:
    assert run("assistant", "apply", str(ASSISTANT))[0] == 0

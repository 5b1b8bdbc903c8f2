"""Every command, walked: its help, its exit codes, and that nothing a user can do shows a traceback."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from scripts.callboard import build_parser, main
from tests.databases import Server, postgres_environ
from tests.disks import full_disk
from tests.servers import redis_environ, stoppable_redis

__all__ = ["full_disk"]

pytestmark = pytest.mark.timeout(300)
HANG_S = 120  # for a second's work of a process; a busy machine takes ten times as long as a quiet one
ROOT = Path(__file__).resolve().parents[2]
DESK = "assistants/reception.yaml"
# What each needs at least; a new command must be added here.
ARGUMENTS: dict[str, list[str]] = {
    "demo": [],
    "serve": [],
    "call": ["--assistant", "a", "--say", "hi"],
    "calls": [],
    "calls show": ["1"],
    "check": [],
    "config": [],
    "assistant apply": [DESK],
    "assistant list": [],
    "assistant show": ["a"],
    "assistant new": ["a"],
    "assistant schema": [],
    "providers": [],
    "providers check": ["script"],
    "key create": ["k"],
    "key list": [],
    "key revoke": ["1"],
    "ps": [],
    "tree": [],
    "inspect": ["a"],
    "trace": ["a"],
    "deadletters": [],
    "exits": [],
    "nodes": [],
    "restart": ["a"],
    "hangup": ["a"],
    "drain": [],
}
OPENS_THE_DATABASE = [name for name in ARGUMENTS if name.split()[0] in ("calls", "key")]
OPENS_THE_DATABASE += ["assistant apply", "assistant list", "assistant show", "serve"]
ASKS_THE_NODE = [
    *("ps", "tree", "inspect", "trace", "deadletters", "exits", "nodes", "restart", "hangup", "drain"),
]
READS_SETTINGS = [*OPENS_THE_DATABASE, "check", "config", "providers", "providers check"]


def walk(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command that does something."""
    if parser.get_default("run"):
        yield " ".join(path), parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from walk(below, (*path, name))


LEAVES = dict(walk(build_parser()))


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    dropped = ("DATA_DIR", "PYTHONUNBUFFERED")
    kept = {name: value for name, value in os.environ.items() if "__" not in name and name not in dropped}
    ports = {f"{group}__PORT": "0" for group in ("HTTP", "AUDIOSOCKET", "OPERATOR")}
    return kept | ports | {"DATA_DIR": str(tmp_path / "data"), "XDG_STATE_HOME": str(tmp_path / "state")}


@pytest.fixture
def run(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run one command line: exit code, standard output, standard error."""
    for name in os.environ.keys() - environ.keys():
        monkeypatch.delenv(name)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(ROOT)

    def run(name: str, *more: str) -> tuple[int, str, str]:
        if name == "serve":  # it configures the logging of its process
            process = child(dict(os.environ), name, *more)
            try:
                out, err = (pipe.decode() for pipe in process.communicate(timeout=HANG_S))
            finally:
                process.kill()
            return process.returncode, out, err
        code = main([*name.split(), *ARGUMENTS[name], *more])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def child(environ: dict[str, str], *argv: str, **options: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "scripts.callboard", *argv]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen(command, env=environ, cwd=ROOT, **pipes)  # type: ignore[call-overload, no-any-return]


def test_every_command_is_walked() -> None:
    assert LEAVES.keys() == ARGUMENTS.keys()


@pytest.mark.parametrize("name", ARGUMENTS)
def test_help_names_the_exit_codes_and_the_data_folder(name: str, run, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(name, "--help")
    assert (code, err) == (0, "")
    assert re.search(r"exit codes:\n  0 \S.*  1 \S.*  2 .*130 interrupted", out), out
    assert "--data-dir DIR" in out and "examples:\n  callboard" in out


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_wrong_command_line_is_2(name: str, run) -> None:
    code, out, err = run(name, "--no-such-option")
    assert code == 2 and out == "" and err.startswith("usage: callboard")


@pytest.mark.parametrize("name", READS_SETTINGS)
def test_a_wrong_setting_is_2(name: str, run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMITS__MAX_CALLS", "many")
    code, out, err = run(name)
    assert code == 2 and out == ""
    assert err.startswith("callboard: bad_config: LIMITS__MAX_CALLS = 'many'") and err.count("\n") == 1


@pytest.mark.parametrize("name", ASKS_THE_NODE)
def test_no_node_is_1(name: str, run) -> None:
    code, out, err = run(name)
    assert code == 1 and out == ""
    assert err.startswith("callboard: no_node: ") and err.count("\n") == 1


# --- a database that cannot be used --------------------------------------------------------------------------------


def damaged(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + b"\x5a" * 8000)


def truncated(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3])


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()


def nonsense(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
        connection.commit()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o700)


UNUSABLE = {
    "another file": lambda path: path.write_text("no database\n" * 100) and None,
    "damaged": damaged,
    "truncated": truncated,
    "newer": newer,
    "nonsense": nonsense,
    "folder": folder,
}


@pytest.fixture
def database_file(sqlite_template: Path, tmp_path: Path) -> Path:
    """A sound database in DATA_DIR, which nobody has open."""
    path = tmp_path / "data" / "callboard.db"
    path.parent.mkdir(mode=0o700)
    path.write_bytes(sqlite_template.read_bytes())
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("name", OPENS_THE_DATABASE)
@pytest.mark.parametrize("what", UNUSABLE)
def test_a_database_that_cannot_be_used_is_1_and_one_line(what: str, name: str, run, database_file: Path) -> None:
    UNUSABLE[what](database_file)
    code, out, err = run(name)
    assert code == 1 and out == ""
    assert re.fullmatch(r"callboard: (store_unavailable|schema_mismatch): .*callboard\.db.*\n", err), err


@pytest.mark.parametrize("what", UNUSABLE)
def test_check_says_what_is_wrong_with_a_database(what: str, run, database_file: Path) -> None:
    UNUSABLE[what](database_file)
    code, out, err = run("check", "--json")
    finding = {found["part"]: found for found in json.loads(out)}["database"]
    assert (code, err) == (1, "")
    assert not finding["ok"] and finding["hint"] and "callboard.db" in finding["detail"]


def test_a_full_disk_is_1_and_one_line(run, full_disk: Path) -> None:
    for name in OPENS_THE_DATABASE:
        code, out, err = run(name, "--data-dir", str(full_disk / "data"))
        assert code == 1 and out == "" and err.count("\n") == 1 and "Traceback" not in err, err
    code, out, _ = run("check", "--data-dir", str(full_disk))
    assert code == 1 and "No space left" in out


@pytest.mark.parametrize(
    "fault", [{"PASSWORD": "wrong"}, {"DB_NAME": "nowhere"}, {"PORT": "1"}, {"HOST": "no.invalid"}]
)
def test_a_postgresql_that_refuses_is_1_and_one_line(
    fault: dict[str, str], run, postgres_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = {f"POSTGRES__{name}": value for name, value in fault.items()}
    for name, value in {**postgres_environ(postgres_server, "postgres"), **wrong}.items():
        monkeypatch.setenv(name, value)
    for name in ("key list", "calls", "check"):
        code, out, err = run(name)
        assert code == 1 and "Traceback" not in err + out
        assert (err.count("\n"), out) == (1, "") or name == "check"
        assert postgres_server.password not in err + out


def test_a_redis_with_another_password_is_told(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with stoppable_redis(tmp_path) as server:
        with redis.Redis(server.login.host, server.login.port) as client:
            client.config_set("requirepass", "opensesame")
        for name, value in {**redis_environ(server.login), "REDIS__PASSWORD": "hunter2"}.items():
            monkeypatch.setenv(name, value)
        code, out, _ = run("check", "--json")
        found = {found["part"]: found for found in json.loads(out)}["Redis"]
        assert code == 1 and not found["ok"] and "hunter2" not in out
        monkeypatch.setenv("REDIS__PASSWORD", "opensesame")
        assert run("check", "--json")[0] == 0


# --- terminals, pipes, signals -------------------------------------------------------------------------------------


def test_the_version() -> None:
    done = subprocess.run([sys.executable, "-m", "scripts.callboard", "--version"], cwd=ROOT, capture_output=True)
    assert done.returncode == 0 and re.fullmatch(rb"callboard \d+\.\d+\.\d+, Python 3\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize("argv", [["config"], ["config", "--json"], ["providers"], ["--help"]], ids=" ".join)
def test_a_reader_that_leaves_is_no_fault(argv: list[str], environ: dict[str, str]) -> None:
    process = child(environ, *argv)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()  # before it prints
    assert process.stderr.read() == b""
    assert process.wait(HANG_S) == 141
    process.stderr.close()


def test_a_full_disk_under_the_output_is_a_fault(environ: dict[str, str]) -> None:
    with open("/dev/full", "wb") as full:
        process = child(environ, "config", stdout=full)
        _, said = process.communicate(timeout=HANG_S)
    assert process.returncode == 1 and said == b"callboard: system_error: [Errno 28] No space left on device\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_of_another_alphabet(encoding: str, environ: dict[str, str], tmp_path: Path) -> None:
    environ |= {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    name = "Büro ☎ 𝄞"
    for argv in (["key", "create", name], ["key", "list"], ["key", "list", "--json"], ["check"]):
        process = child(environ, *argv)
        out, err = process.communicate(timeout=HANG_S)
        assert (process.returncode, err) == (0, b""), argv
        if "--json" in argv:
            assert json.loads(out.decode(encoding))[0]["name"] == name


def test_bytes_that_are_no_text(environ: dict[str, str]) -> None:
    process = child(environ, "call", "--assistant", os.fsdecode(b"\xff"), "--say", "hi", "--to", "http://127.0.0.1:1")
    _, err = process.communicate(timeout=HANG_S)
    assert process.returncode in (1, 2) and err.count(b"\n") == 1 and b"internal_error" not in err


@pytest.mark.parametrize(
    "argv",
    [
        ["call", "--assistant", "a", "--say", "hi", "--say", "a\udcff"],
        ["key", "create", "a\udcff"],
        ["key", "revoke", "\udcff"],
        ["calls", "--caller", "\udcff"],
        ["hangup", "a", "--because", "\udcff"],
    ],
)
def test_a_text_that_is_no_utf8_is_named(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "\\udcff': legal: text in UTF-8" in err


def test_what_was_given_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["assistant", "apply", "/nowhere/a\x1b[31m\x9b.yaml"]) == 2
    err = capsys.readouterr().err
    assert "a\\x1b[31m\\x9b.yaml" in err and "\x1b" not in err


def test_an_interrupt_is_130_without_a_traceback(environ: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        process = child(environ, "trace", "x", "--url", url)
        connection, _ = silent.accept()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=HANG_S)
        connection.close()
    assert (process.returncode, err) == (130, b"")


def test_what_nobody_foresaw_is_one_line_and_a_file(run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fails(settings: object) -> None:
        raise KeyError("a fault of ours")

    monkeypatch.setattr("scripts.readiness.findings", fails)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    code, out, err = run("check")
    assert code == 1 and out == "" and err.count("\n") == 1
    assert err.startswith(
        "callboard: internal_error: KeyError: 'a fault of ours'; this is a fault of Callboard, told in "
    )
    assert "Traceback" in Path(err.rpartition(" ")[2].strip()).read_text()

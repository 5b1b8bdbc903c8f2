"""scripts/setup.sh: what it says of what is missing and of what failed, and that it mends what was half done."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import time
import tomllib
from configparser import ConfigParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from actors.engines.weights import MANIFEST, home

pytestmark = pytest.mark.timeout(200)
HANG_S = 120  # bash starts dozens of programs, which a busy machine may take ten times as long for
ROOT = Path(__file__).resolve().parents[2]
FILES = (
    "scripts/setup.sh",
    "setup.cfg",
    "pyproject.toml",
    "requirements/run.txt",
    "requirements/dev.txt",
    "requirements/embedding.txt",
)
TOOLS = ("bash", "cat", "env", "flock", "grep", "head", "mkdir", "mktemp", "rm", "sha256sum", "sleep", "tail", "tr")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The few files that set-up reads, in a folder whose name has a space."""
    clone = tmp_path / "a clone"
    for name in FILES:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, clone / name)
    (clone / "tests/browser/npm").mkdir(parents=True)
    return clone


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A PATH of its own, with hardly more than a minimal system has."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("touch", *TOOLS):
        (folder / tool).symlink_to(shutil.which(tool) or pytest.fail(f"{tool} is missing"))
    return folder


def program(folder: Path, name: str, *lines: str) -> None:
    """A program in `folder` that does what the lines of shell say."""
    (folder / name).write_text("\n".join(("#!/bin/bash", *lines, "")))
    (folder / name).chmod(0o755)


WEIGHTS = Path(".venv/share/callboard") / home().name / MANIFEST
PREPARE = f'mkdir -p "{WEIGHTS.parent}" && touch "{WEIGHTS}"'


def python(folder: Path, pip: str, ensurepip: str = "exit 0", weights: str = PREPARE) -> None:
    """A Python for which `pip` is shell, too; it makes environments of itself."""
    make_venv = 'mkdir -p .venv/bin && cp "$0" .venv/bin/python && echo "$(pwd -P)/.venv" > .venv/bin/activate'
    program(
        folder,
        "python3",
        'case "$*" in',
        f"    *'import ensurepip'*) {ensurepip} ;;",
        f'    *"-m venv"*) {make_venv} ;;',
        f'    *"-m pip"*install*) {pip} ;;',
        "    *platform*) echo 3.12.3 ;;",
        f"    *actors.engines.weights*) {weights} ;;",
        "esac",
    )
    for tool in ("cp", "mkdir"):
        if not (folder / tool).exists():
            (folder / tool).symlink_to(f"/bin/{tool}")


SYSTEM = "[[ ! -e os-release ]] || SYSTEM=os-release"  # the test's own, where it has one


def command(purpose: str, root: bool = False) -> list[str]:
    """Set-up as root or as an ordinary user sees it, whoever runs the tests."""
    is_root = f"_is_root() {{ {str(root).lower()}; }}"
    return ["bash", "-c", f"set -euo pipefail; source scripts/setup.sh; {is_root}; {SYSTEM}; set_up {purpose}"]


def set_up(clone: Path, path: Path, purpose: str = "run", *, root: bool = False) -> tuple[int, str]:
    environ = {"PATH": str(path), "TMPDIR": str(clone.parent)}
    done = subprocess.run(
        command(purpose, root), cwd=clone, env=environ, capture_output=True, text=True, timeout=HANG_S
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.mark.parametrize(("system", "packages"), [("debian", {"chromium"}), ("ubuntu", set())])
def test_a_user_is_told_all_that_is_missing_in_one_line(
    clone: Path, path: Path, system: str, packages: set[str]
) -> None:
    (clone / "os-release").write_text(f"ID={system}\n")
    program(path, "apt-get", "exit 1")
    code, said = set_up(clone, path)
    assert (code, said) == (1, "First run: sudo apt-get install --no-install-recommends python3 python3-venv\n")
    python(path, "exit 0", ensurepip="exit 1")
    code, said = set_up(clone, path, "dev")
    assert code == 1 and said.count("\n") == 1 and "python3-venv" in said
    assert {"redis-server", "nodejs", "npm"} <= set(said.split())
    assert {"chromium"} & set(said.split()) == packages


def test_root_installs_what_is_missing(clone: Path, path: Path) -> None:
    program(path, "dpkg", "exit 0")
    python(path, "exit 0")
    (path / "python3").rename(path / "later")
    program(path, "apt-get", f'[[ $1 == update ]] || mv "{path}/later" "{path}/python3"')
    (path / "mv").symlink_to("/bin/mv")
    code, said = set_up(clone, path, root=True)
    assert (code, said.splitlines()[0]) == (0, "Installing python3 python3-venv ...")
    assert set_up(clone, path, root=True) == (0, "")


@pytest.mark.parametrize(
    ("pip_says", "cause"),
    [
        (
            "Failed to establish a new connection: [Errno -3] Temporary failure in name resolution",
            "no way to the package",
        ),
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("OSError: [Errno 30] Read-only file system: 'x'", "read-only"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "lock file"),
        ("error: command 'gcc' failed: No such file or directory", "build-essential"),
    ],
)
def test_a_failure_is_one_line_with_its_cause(clone: Path, path: Path, pip_says: str, cause: str) -> None:
    python(path, f'echo Traceback; echo "{pip_says}"; exit 1')
    code, said = set_up(clone, path)
    assert code == 1 and "Traceback" not in said
    assert cause in said.splitlines()[-1]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="there is no such package")
def test_weights_are_prepared_once_and_their_absence_stops_nobody(clone: Path, path: Path) -> None:
    python(path, "exit 0", weights="echo no memory >&2; exit 1")
    for _ in range(2):
        code, said = set_up(clone, path)
        assert code == 0 and "no memory" in said and said.count("as they are shipped") == 1
    (path / "python3").unlink()
    (clone / ".venv/bin/python").unlink()
    python(path, "exit 0", weights=f"echo preparing >&2; {PREPARE}")
    assert "preparing" in set_up(clone, path)[1]
    assert set_up(clone, path) == (0, "")


def test_another_failure_shows_the_last_words(clone: Path, path: Path) -> None:
    python(path, "echo something new; exit 3")
    code, said = set_up(clone, path)
    assert code == 1 and "something new" in said and "exit code 3" in said


def test_what_was_half_done_is_done_anew(clone: Path, path: Path, tmp_path: Path) -> None:
    began = tmp_path / "began"
    python(path, f'touch "{began}"; sleep 60')
    process = subprocess.Popen(
        command("run"), cwd=clone, env={"PATH": str(path)}, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while not began.exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    assert "Interrupted" in process.communicate(timeout=HANG_S)[1]
    assert process.returncode == 130
    (clone / ".venv/rubbish").touch()

    python(path, "exit 0")
    assert set_up(clone, path)[0] == 0
    assert not (clone / ".venv/rubbish").exists()
    assert set_up(clone, path) == (0, "")


def test_an_environment_that_was_moved_or_lost_its_python_is_made_anew(clone: Path, path: Path) -> None:
    python(path, "exit 0")
    assert set_up(clone, path)[0] == 0
    moved = clone.rename(clone.with_name("moved clone"))
    assert "Making a virtual environment" in set_up(moved, path)[1]
    (moved / ".venv/bin/python").unlink()
    (moved / ".venv/bin/python").symlink_to("/usr/bin/python3.9-that-is-gone")
    assert "Making a virtual environment" in set_up(moved, path)[1]


def test_a_changed_lock_file_is_installed(clone: Path, path: Path) -> None:
    python(path, "exit 0")
    assert set_up(clone, path)[0] == 0
    with (clone / "requirements/run.txt").open("a") as file:
        file.write("# another one\n")
    assert set_up(clone, path)[1] == "Installing Callboard into .venv ...\n"


def test_two_at_once_take_turns(clone: Path, path: Path, tmp_path: Path) -> None:
    python(path, f'echo once >> "{tmp_path}/installed"; sleep 0.5')
    environ = {"PATH": str(path)}
    both = [subprocess.Popen(command("run"), cwd=clone, env=environ, stderr=subprocess.PIPE) for _ in range(2)]
    assert [process.communicate(timeout=HANG_S) and process.returncode for process in both] == [0, 0]
    assert (tmp_path / "installed").read_text().count("once") == 3  # three steps of one installation


# --- the lock file -----------------------------------------------------------------------------------------------


def locked(name: str) -> dict[str, list[Requirement]]:
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    found: dict[str, list[Requirement]] = {}
    for line in lines:
        if line[:1].isalnum():
            requirement = Requirement(line.removesuffix(" \\"))
            found.setdefault(requirement.name.lower(), []).append(requirement)
    return found


@pytest.mark.parametrize(("name", "extras"), [("run", ()), ("dev", ("dev",)), ("referees", ("dev", "referees"))])
def test_the_lock_file_fits_setup_cfg(name: str, extras: tuple[str, ...]) -> None:
    """Where it does not: `scripts/lock --keep`."""
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    texts = [parser["options"]["install_requires"], *(parser["options.extras_require"][extra] for extra in extras)]
    wanted = [Requirement(line) for text in texts for line in text.splitlines() if line and not line.startswith("#")]
    wanted += map(Requirement, tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"])
    pins = locked(name)
    for version in ("3.11", "3.12", "3.13"):
        environment = {"python_version": version, "python_full_version": f"{version}.4"}
        for requirement in wanted:
            if requirement.marker is None or requirement.marker.evaluate(environment):
                here = [p for p in pins[requirement.name.lower()] if not p.marker or p.marker.evaluate(environment)]
                (pin,) = here
                (exact,) = pin.specifier
                assert requirement.specifier.contains(exact.version), f"{requirement} is locked as {exact.version}"


def test_every_package_has_hashes_and_one_version_everywhere() -> None:
    for name in ("run", "dev", "referees"):
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        assert text.count(" \\\n    --hash=sha256:") >= len(locked(name)) > 20
    referees = locked("referees")
    for name, pins in {**locked("run"), **locked("dev")}.items():
        assert list(map(str, pins)) == list(map(str, referees[name])), name


def test_a_lock_without_python_is_one_line(clone: Path, path: Path) -> None:
    shutil.copy(ROOT / "scripts/lock", clone / "scripts/lock")
    (path / "dirname").symlink_to(shutil.which("dirname") or "")
    done = subprocess.run(
        [path / "bash", clone / "scripts/lock"], env={"PATH": str(path)}, capture_output=True, text=True, timeout=HANG_S
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "needs Python 3.11 or newer with venv" in done.stderr

"""Which nodes run on this machine for this user, and which of them a command means.

A node writes two files and removes them at its end. DATA_DIR/operator.json says how it is reached: its token is in it.
STATE/nodes/PID.json says where that is, so that a second terminal finds a node whose DATA_DIR it does not know. A file
of a process that has gone is passed over: a process is known by its number and the moment of its start.

Light on purpose, and without the settings: `callboard ps` is to answer at once.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from config.errors import ConfigError
from config.folders import NoHome, expanded

FILE = "operator.json"  # in DATA_DIR: {"url", "token", "http", "audiosocket", "database", "pid", "started"}
DATABASE_FILE = "callboard.db"
_TEXTS = ("url", "token", "http", "audiosocket", "database")


@contextmanager
def announced(data_dir: Path, content: Mapping[str, Any]) -> Iterator[None]:
    """As long as the block lasts this process's node is found; `content` is what operator.json says beside the process.

    Raises `OSError` if DATA_DIR cannot be written; who cannot write STATE is found by DATA_DIR alone.
    """
    process = {"pid": os.getpid(), "started": _started(os.getpid())}
    _write(data_dir / FILE, {**content, **process})
    with suppress(OSError, NoHome):
        pointer = _pointers(os.environ) / f"{os.getpid()}.json"
        pointer.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(pointer, {"data_dir": str(data_dir.absolute()), "at_s": time.time(), **process})
    try:
        yield
    finally:
        with suppress(OSError, NoHome):
            (_pointers(os.environ) / f"{os.getpid()}.json").unlink(missing_ok=True)
        if node(data_dir).get("pid") == os.getpid():  # it may be another node's by now
            (data_dir / FILE).unlink(missing_ok=True)


def node(data_dir: Path) -> dict[str, Any]:
    """What the living node of this folder says of itself; empty if there is none."""
    found = _read(data_dir / FILE)
    return found if _lives(found) else {}


def lives_in(data_dir: Path) -> bool:
    """Whether a node uses this folder, also one that has been moved or removed since."""
    return bool(node(data_dir)) or data_dir.absolute() in living(os.environ)


def living(environ: Mapping[str, str]) -> list[Path]:
    """The folders of this user's nodes, the one that was started last first. What the dead have left is removed."""
    found = []
    with suppress(OSError, NoHome):
        for pointer in sorted(_pointers(environ).glob("*.json")):
            said = _read(pointer)
            at_s, folder = said.get("at_s"), said.get("data_dir")
            if not _lives(said):
                pointer.unlink(missing_ok=True)
            elif isinstance(folder, str) and isinstance(at_s, float):
                found.append((at_s, Path(folder)))
    return list(dict.fromkeys(folder for _, folder in sorted(found, reverse=True)))


def data_dir(environ: Mapping[str, str]) -> Path:
    """DATA_DIR where it is said; else that of the node that was started last; else the default."""
    return named_data_dir(environ) or guessed_data_dir(environ) or default_data_dir(environ)


@contextmanager
def within(folder: str | Path | None) -> Iterator[None]:
    """In this block DATA_DIR is what the command line says, for this process and those that it starts."""
    before = os.environ.get("DATA_DIR")
    if folder is None:
        yield
        return
    if not str(folder):  # a script's variable that is not set; "" would be the folder that one stands in
        raise ConfigError("--data-dir '': legal: the name of a folder")
    os.environ["DATA_DIR"] = str(expanded(folder))
    try:
        yield
    finally:
        if before is None:
            del os.environ["DATA_DIR"]
        else:
            os.environ["DATA_DIR"] = before


def named_data_dir(environ: Mapping[str, str]) -> Path | None:
    """DATA_DIR as the environment or the settings' file names it."""
    plain = {name.lower(): value for name, value in environ.items() if value}
    if "callboard_config" in plain:  # only a file is worth the 150 ms that the settings take to import
        from config.settings import load_settings

        return load_settings(environ).data_dir
    return expanded(plain["data_dir"]) if "data_dir" in plain else None


def guessed_data_dir(environ: Mapping[str, str]) -> Path | None:
    """The folder of the node that was started last, where one runs and nobody has named a folder.

    Where somebody could mean another one, a line on standard error says which it is.
    """
    if named_data_dir(environ) is not None or not (nodes := living(environ)):
        return None
    default = default_data_dir(environ)
    others = [folder for folder in nodes[1:] if folder != default]
    if nodes[0] != default and (default / DATABASE_FILE).exists():
        others.append(default)
    if others:
        names = ", ".join(map(str, others))
        said = f"this is about {nodes[0]}, whose node was started last, not about {names}; --data-dir says which"
        print(f"callboard: {said}", file=sys.stderr)
    return nodes[0]


def default_data_dir(environ: Mapping[str, str]) -> Path:
    return expanded(environ.get("XDG_DATA_HOME") or "~/.local/share") / "callboard"


def state_dir(environ: Mapping[str, str]) -> Path:
    """Where this user's programs keep what need not outlive the machine."""
    return expanded(environ.get("XDG_STATE_HOME") or "~/.local/state") / "callboard"


def _pointers(environ: Mapping[str, str]) -> Path:
    return state_dir(environ) / "nodes"


def reach(host: str, port: int) -> str:
    """HOST:PORT by which one reaches a listener from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """All or nothing, for nobody else's eyes."""
    fresh = path.with_suffix(f".{os.getpid()}")
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(content, file)
        os.replace(fresh, path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None


def read(path: Path) -> dict[str, Any]:
    """What a node has written there. Raises `OSError`, and `ValueError` for what no node has written."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("no file")
    try:
        found = json.loads(path.read_text("utf-8"))
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(found, dict) or any(not isinstance(found.get(name, ""), str) for name in _TEXTS):
        raise ValueError("no node's")
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        return read(path)
    except (OSError, ValueError):
        return {}


def _lives(said: Mapping[str, Any]) -> bool:
    pid, started = said.get("pid"), said.get("started")
    return isinstance(pid, int) and started is not None and _started(pid) == started


def _started(pid: int) -> int | None:
    """The clock ticks from the machine's start to the process's (proc(5), field 22); None if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else int(fields[19])
    except (OSError, ValueError, IndexError):
        return None

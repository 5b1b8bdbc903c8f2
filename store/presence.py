"""Which workers live on this machine with this DATA_DIR, whoever has started them.

A worker holds a lock (flock) on a file of its own, DATA_DIR/workers/INCARNATION, as long as its process lives: the
kernel lets go of it, however that ends. So a node knows the calls of the dead from those of a living one that has, by
mistake, the same name, or that has lost its main process and ends its calls.
"""

from __future__ import annotations

import fcntl
import logging
import os
from contextlib import suppress
from pathlib import Path

from store.errors import FolderNotPrivate
from store.private import FILE_MODE, private_folder

log = logging.getLogger(__name__)

FOLDER = "workers"


class Presence:
    """One worker's lock. Everything here blocks for a moment at most."""

    def __init__(self, data_dir: Path, incarnation: str) -> None:
        """`incarnation`: NODE/NUMBER/UUID. A disk that takes no file costs the worker its lock, no more."""
        self._folder, self._name, self._lock = data_dir / FOLDER, _file_name(incarnation), -1
        try:
            path = private_folder(self._folder) / self._name
            self._lock = os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (OSError, FolderNotPrivate) as error:
            log.warning("%s: other nodes of this name cannot see that this worker lives: %s", self._folder, error)

    def others(self, node: str) -> set[str]:
        """The incarnations of the node with this name that live; the files of the dead are removed."""
        prefix = _file_name(f"{node}/")
        files = [path for path in self._folder.glob(f"{prefix}*") if path.name != self._name]
        return {path.name.replace("_", "/") for path in files if _is_held(path)}

    def close(self) -> None:
        """The worker ends."""
        if self._lock >= 0:
            with suppress(OSError):
                (self._folder / self._name).unlink()
            os.close(self._lock)
            self._lock = -1


def _file_name(incarnation: str) -> str:
    return incarnation.replace("/", "_")  # which no node's name contains


def _is_held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False

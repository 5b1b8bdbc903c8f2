"""Folders and files of Callboard's own: what callers said, keys and tokens are nobody else's business on this machine.

A folder is 0700 and a file 0600 from the moment that it is made, whatever the umask. What an earlier version has left
more open is mended; what cannot be mended, because it is not ours or not ours alone, is refused.
"""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

from store.errors import FolderNotPrivate

log = logging.getLogger(__name__)

FOLDER_MODE, FILE_MODE = 0o700, 0o600
DATABASE = "callboard.db"
_SQLITE = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", f"{DATABASE}-journal")
_OURS = frozenset((*_SQLITE, "operator.json", "spool", "workers", "serve.log", "lost+found"))
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def open_data_dir(path: Path) -> Path:
    """DATA_DIR, made if need be; it and what lies in it is ours alone. Raises `FolderNotPrivate`."""
    try:
        private_folder(path)
    except OSError as error:
        reason = "it is no folder" if isinstance(error, FileExistsError) else error.strerror
        raise FolderNotPrivate(f"DATA_DIR {str(path)!r} cannot be made: {reason}") from None
    for name in (*_SQLITE, "operator.json", "serve.log"):
        _mend(path / name, FILE_MODE)
    for name in ("spool", "workers"):
        _mend(path / name, FOLDER_MODE)
    return path


def private_folder(path: Path) -> Path:
    """A folder that only its owner may enter, made if need be. Raises `FolderNotPrivate`, `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=FOLDER_MODE, exist_ok=True)
    _close_to_others(path)
    return path


def make_private_file(path: Path) -> None:
    """An empty file, unless there is one: whoever opens it later by its name finds it closed to others."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK, FILE_MODE))  # at a pipe nobody would wait


def _close_to_others(path: Path) -> None:
    found = path.stat()
    user = os.geteuid()
    if found.st_uid != user and user != 0:
        raise FolderNotPrivate(
            f"DATA_DIR {str(path)!r} belongs to user {found.st_uid}, we are {user}: name a folder of our own, such as"
            f" {str(path / 'callboard')!r}"
        )
    if not found.st_mode & _OTHERS:
        return
    if not _is_ours_alone(path, found):
        raise FolderNotPrivate(
            f"DATA_DIR {str(path)!r} has mode {stat.S_IMODE(found.st_mode):04o} and holds other things than Callboard's"
            f": name a folder of our own, such as {str(path / 'callboard')!r}"
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and (planted := _planted(path, user)):
        raise FolderNotPrivate(
            f"DATA_DIR {str(path)!r} could be written by others, and {planted!r} in it is a link or another user's:"
            " look at it, then remove it"
        )
    path.chmod(FOLDER_MODE)
    log.warning("DATA_DIR %s was open to others (%04o): mended, 0700", path, stat.S_IMODE(found.st_mode))


def _is_ours_alone(path: Path, found: os.stat_result) -> bool:
    """Whether it may be closed: not /tmp, not somebody's home, not a folder that other programs use."""
    if found.st_mode & stat.S_ISVTX:
        return False
    names = set(os.listdir(path))
    return DATABASE in names or names <= _OURS


def _planted(path: Path, user: int) -> str:
    """What somebody else may have put there, so that our files land elsewhere; "" if there is nothing."""
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_symlink() or entry.stat(follow_symlinks=False).st_uid not in (0, user):
                return entry.name
    return ""


def _mend(path: Path, mode: int) -> None:
    try:
        found = path.stat()
        if found.st_mode & _OTHERS:
            path.chmod(mode)
            log.warning("%s was open to others (%04o): mended, %04o", path, stat.S_IMODE(found.st_mode), mode)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise FolderNotPrivate(f"{path}: may be open to others, cannot be mended: {error.strerror}") from None

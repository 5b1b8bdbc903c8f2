"""What is kept is nobody else's: folders and files, new ones and those of an earlier version, whatever the umask."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from config.settings import load_settings
from store.conversations import Batch
from store.engine import Database
from store.errors import FolderNotPrivate
from store.migrations import migrate
from store.private import open_data_dir, private_folder
from store.records import EventRow
from store.spool import NumberedRows, Spool, spool_folder


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    before = os.umask(0o000)
    yield
    os.umask(before)


def mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):04o}"


def test_everything_that_is_made_is_ours_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "callboard"
    opened = Database.from_settings(load_settings({"DATA_DIR": str(folder)}))
    migrate(opened)
    spool = Spool(spool_folder(folder, "node/0/a"))
    spool.append([NumberedRows(Batch(uuid4(), 1), (EventRow(1, "x", datetime.now(UTC)),))])
    found = {path: mode(path) for path in (folder, *folder.rglob("*"))}
    spool.close()
    opened.close()
    assert {path.name for path in found} >= {"callboard.db", "callboard.db-wal", "callboard.db-shm", "00000001.jsonl"}
    for path, shown in found.items():
        assert shown == ("0700" if path.is_dir() else "0600"), path


def test_what_an_earlier_version_left_open_is_mended_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    for name in ("callboard.db", "callboard.db-wal", "callboard.db-shm", "operator.json"):
        (folder / name).touch(0o644)
    (folder / "spool").mkdir(0o755)
    with caplog.at_level(logging.WARNING):
        open_data_dir(folder)
    assert {mode(path) for path in folder.iterdir()} == {"0600", "0700"} and mode(folder) == "0700"
    assert str(folder) in caplog.text and "0755" in caplog.text
    caplog.clear()
    open_data_dir(folder)
    assert not caplog.records


@pytest.mark.parametrize("made", [0o1777, 0o755, 0o750])
def test_a_folder_of_others_is_never_closed_to_them(tmp_path: Path, made: int) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "somebody's").touch()
    folder.chmod(made)
    with pytest.raises(FolderNotPrivate, match=r"DATA_DIR .*shared/callboard") as caught:
        Database.from_settings(load_settings({"DATA_DIR": str(folder)}))
    assert "\n" not in str(caught.value) and mode(folder) == f"{made:04o}"
    private_folder(folder / "callboard")


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = tmp_path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(FolderNotPrivate, match=f"belongs to user {owner}, we are {owner + 1}"):
        private_folder(tmp_path)


def test_a_link_in_a_folder_that_others_could_write_is_refused(tmp_path: Path) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    data.mkdir()
    elsewhere.mkdir()
    elsewhere.chmod(0o755)
    (data / "spool").symlink_to(elsewhere)
    data.chmod(0o777)
    with pytest.raises(FolderNotPrivate, match="spool"):
        open_data_dir(data)
    assert elsewhere.stat().st_mode & 0o777 == 0o755
    data.chmod(0o755)  # nobody else could have put it there
    open_data_dir(data)

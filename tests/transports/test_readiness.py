"""`GET /readiness/` says whether the next call could be taken, whoever asks how often."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest

from store.errors import StoreUnavailable
from tests.disks import full_disk
from tests.transports.front import FORM, Site
from transports import readiness
from transports.readiness import Readiness

__all__ = ["full_disk"]

MakeSite = Callable[..., Awaitable[Site]]
SOUND = {"node": "ok", "database": "ok", "disk": "ok"}


async def parts(site: Site) -> tuple[int, dict[str, str]]:
    answer = await site.fetch("/readiness/")
    return answer.code, json.loads(answer.body)["parts"]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Readiness, "KEEP_S", 0.0)


async def test_a_sound_worker(site: Site) -> None:
    assert json.loads((await site.fetch("/healthz/")).body) == {"status": "ok"}
    assert await parts(site) == (200, SOUND)


async def test_a_database_that_is_damaged_while_we_serve(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "callboard.db"
    os.truncate(path, 5000)
    (tmp_path / "callboard.db-wal").unlink()
    code, found = await parts(site)
    assert code == 503 and str(path) in found.pop("database")
    assert found == {"node": "ok", "disk": "ok"}
    assert (await site.fetch("/healthz/")).code == 200


async def test_whatever_refuses_the_calls_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a look from outside finds nothing."""
    with site.services.database.connect(writes=True) as connection:
        connection.exec_driver_sql("ALTER TABLE assistants RENAME TO elsewhere")
        connection.commit()
    monkeypatch.setattr(readiness, "database_trouble", lambda database: "")
    for _ in range(5):
        call = await site.fetch(
            "/v1/talk/twilio/call/reception", method="POST", body=urlencode(FORM), headers=site.keyed
        )
        assert call.code == 503, call.body
    code, found = await parts(site)
    assert code == 503 and "no such table: assistants" in found["database"]


async def test_a_full_disk(make_site: MakeSite, full_disk: Path) -> None:
    site = await make_site(data_dir=full_disk)
    assert await parts(site) == (503, SOUND | {"disk": f"{full_disk}: No space left on device"})


async def test_a_spool_that_cannot_be_written(site: Site, tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("not a folder")
    assert await parts(site) == (503, SOUND | {"disk": f"{tmp_path / 'spool'}: Not a directory"})
    (tmp_path / "spool").unlink()
    assert await parts(site) == (200, SOUND)


async def test_a_disk_that_hangs_holds_one_thread(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    hung, looks = threading.Event(), []

    def hangs(folder: Path) -> str:
        looks.append(folder)
        hung.wait(10)
        return ""

    monkeypatch.setattr(Readiness, "LIMIT_S", 0.05)
    monkeypatch.setattr(readiness, "disk_trouble", hangs)
    for _ in range(3):
        code, found = await parts(site)
        assert code == 503 and found["disk"] == "no answer within 0.05 s"
    assert len(looks) == 1
    monkeypatch.setattr(Readiness, "LIMIT_S", 5.0)
    hung.set()
    assert (await parts(site))[0] == 200


async def test_a_look_for_which_there_is_no_thread(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    class Unstartable(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(readiness, "Thread", Unstartable)
    trouble = "cannot be looked at: can't start new thread"
    assert await parts(site) == (503, {"node": "ok", "database": trouble, "disk": trouble})
    monkeypatch.undo()
    assert await parts(site) == (200, SOUND)


async def test_many_who_ask_cost_one_look(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    monkeypatch.setattr(Readiness, "KEEP_S", 60.0)
    monkeypatch.setattr(readiness, "disk_trouble", lambda folder: looks.append(folder) or "")
    answers = await asyncio.gather(*(parts(site) for _ in range(20)))
    assert answers == [(200, SOUND)] * 20 and len(looks) == 1


async def test_a_look_that_fails_is_no_traceback(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(database: object) -> str:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(readiness, "database_trouble", fails)
    assert await parts(site) == (503, SOUND | {"database": "StoreUnavailable: gone"})

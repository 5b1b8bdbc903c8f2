"""The spool: what was appended comes back in order, whatever happened to the process, the disk or the file."""

from __future__ import annotations

import logging
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID
from zlib import crc32

import pytest

from store import spool as spool_module
from store.conversations import Batch
from store.errors import SpoolFull
from store.records import CarrierEvent, ConversationEnd, EventRow, LedgerRow, MessageRow, MetricRow, OwnerLost
from store.spool import NumberedRows, Spool, spool_folder

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
WRITER = UUID(int=7)


def batch(number: int, *rows: LedgerRow) -> NumberedRows:
    return NumberedRows(Batch(WRITER, number), rows or (MessageRow(1, number, "user", f"line {number}", AT),))


def drain(spool: Spool, after: int = 0) -> list[NumberedRows]:
    found = []
    while numbered := spool.next(after):
        found.append(numbered)
        after = numbered.batch.sequence
    return found


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "spool" / "node_0_a")
    yield made
    made.close()


def files(spool: Spool) -> list[Path]:
    return sorted(spool._folder.glob("*"))


@contextmanager
def died(spool: Spool) -> Iterator[list[Spool]]:
    """What the next worker finds after this spool's worker has let go of its lock without tidying up."""
    for name in ("_lock", "_writing"):
        if (descriptor := getattr(spool, name)) >= 0:
            os.close(descriptor)
            setattr(spool, name, -1)
    found = list(Spool.of_the_dead(spool._folder.parent))
    yield found
    for adopted in found:
        adopted.close()


def test_every_kind_of_row_comes_back_as_it_was(spool: Spool) -> None:
    rows: tuple[LedgerRow, ...] = (
        MessageRow(1, 2, "user", "a\nb\0c\ud800 \N{SNOWMAN}", AT, interrupted=True, began_at=AT - timedelta(seconds=2)),
        MetricRow(1, 2, "turn_latency_ms", 0.1 + 0.2, AT),
        EventRow(1, "dtmf", AT, {"count": 2, "of": [1.5, None, {"a": True}], "big": 2**80}),
        ConversationEnd(1, "success", "caller_hung_up", "", AT),
        OwnerLost("node/0/a", "worker_lost", AT),
        CarrierEvent("40325ec2-5efd-4bd3-805f-53576e581d13", "twilio", AT, {"CallStatus": "completed"}),
    )
    spool.append([batch(1, *rows)])
    assert drain(spool) == [batch(1, *rows)]


def test_a_spool_of_an_older_callboard_is_read(spool: Spool) -> None:
    spool.append([batch(1, MessageRow(1, 2, "user", "hello", AT))])
    (segment,) = files(spool)
    _, _, content = segment.read_bytes().strip().partition(b" ")
    older = content.replace(b', "began_at": null', b"")
    assert older != content
    segment.write_bytes(b"%08x %s\n" % (crc32(older), older))
    assert drain(spool) == [batch(1, MessageRow(1, 2, "user", "hello", AT))]


def test_batches_come_in_order_and_what_is_written_is_given_up(spool: Spool) -> None:
    spool.append([batch(1), batch(2)])
    spool.append([batch(3)])
    assert spool.next(1) == batch(2)
    spool.append([batch(4)])
    assert drain(spool, 2) == [batch(3), batch(4)]
    assert (files(spool), spool.size_bytes) == ([], 0)
    spool.append([batch(5)])
    assert drain(spool, 4) == [batch(5)]


def test_nothing_is_made_before_it_is_needed(spool: Spool) -> None:
    assert spool.next(0) is None
    assert not spool._folder.exists()


def test_close_leaves_no_empty_folder_but_keeps_what_is_there(spool: Spool) -> None:
    spool.append([batch(1)])
    spool.close()
    assert len(files(spool)) == 1
    with died(spool) as (adopted,):
        assert drain(adopted) == [batch(1)]
    assert not spool._folder.exists()


def test_only_the_owner_may_read_it(spool: Spool) -> None:
    spool.append([batch(1)])
    assert [path.stat().st_mode & 0o777 for path in (spool._folder, *files(spool))] == [0o700, 0o600]


def test_segments_go_as_soon_as_they_are_written(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 500)
    for number in range(1, 21):
        spool.append([batch(number)])
    count = len(files(spool))
    assert count > 3
    assert spool.size_bytes == sum(path.stat().st_size for path in files(spool))
    after = 0
    while (found := spool.next(after)) and found.batch.sequence < 20:
        after = found.batch.sequence
    assert (after, len(files(spool))) == (19, 1)


def test_it_is_bounded_and_has_room_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "a", limit_bytes=1000)
    number = 0
    with pytest.raises(SpoolFull, match=r"/a: holds its 1,000 bytes already"):
        for number in range(1, 100):
            spool.append([batch(number)])
    assert 3 < number < 20
    assert [found.batch.sequence for found in drain(spool)] == list(range(1, number))
    spool.append([batch(number)])
    assert drain(spool, number - 1) == [batch(number)]
    spool.close()


# --- the dead ----------------------------------------------------------------------------------------------------


def test_a_living_workers_spool_is_left_alone(spool: Spool) -> None:
    spool.append([batch(1)])
    assert list(Spool.of_the_dead(spool._folder.parent)) == []


def test_a_dead_workers_spool_is_found_by_one(spool: Spool) -> None:
    spool.append([batch(1), batch(2)])
    with died(spool) as (adopted,):
        assert list(Spool.of_the_dead(spool._folder.parent)) == []
        assert adopted.name == "node_0_a"
        assert drain(adopted) == [batch(1), batch(2)]


def test_an_adoption_that_was_interrupted_begins_anew(spool: Spool) -> None:
    spool.append([batch(1), batch(2)])
    with died(spool) as (adopted,):
        assert adopted.next(0) == batch(1)
    with died(spool) as (adopted,):
        assert drain(adopted) == [batch(1), batch(2)]


def test_no_folder_and_foreign_files(tmp_path: Path) -> None:
    assert list(Spool.of_the_dead(tmp_path / "nowhere")) == []
    (tmp_path / "file").touch()
    assert list(Spool.of_the_dead(tmp_path)) == []


def test_the_folders_name_is_one_name() -> None:
    assert spool_folder(Path("/data"), "node/0/7f") == Path("/data/spool/node_0_7f")


CHILD = """
import sys
from pathlib import Path
from store.spool import Spool
from tests.store.test_spool import batch
spool = Spool(Path(sys.argv[1]))
for number in range(1, 10_000):
    spool.append([batch(number)])
    print(number, flush=True)
"""


def test_a_killed_process_loses_nothing_that_was_appended(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(tmp_path / "spool" / "killed")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        for line in child.stdout:
            if int(line) == 50:
                child.send_signal(signal.SIGKILL)
                last = max(50, *map(int, child.stdout.read().split()), 0)
                break
    (adopted,) = Spool.of_the_dead(tmp_path / "spool")
    found = drain(adopted)
    adopted.close()
    assert found[:last] == [batch(number) for number in range(1, last + 1)]
    assert len(found) - last in (0, 1)


# --- damage ------------------------------------------------------------------------------------------------------


def damage(spool: Spool, change: Any) -> None:
    (path,) = files(spool)
    path.write_bytes(change(path.read_bytes()))


DAMAGES = {
    "torn tail": (lambda data: data[:-20], [1, 2, 3]),
    "no line end": (lambda data: data[:-1], [1, 2, 3, 4]),
    "a flipped bit": (lambda data: data.replace(b"line 2", b"line 3", 1), [1, 3, 4]),
    "a hole": (lambda data: data.replace(data.splitlines()[2], b"\0" * 4096), [1, 2, 4]),
    "lines that fit, of no use": (
        lambda data: data + b"".join(b"%08x %s\n" % (spool_module.crc32(c), c) for c in (b"{}", b"[", b"7", b"")),
        [1, 2, 3, 4],
    ),
}


@pytest.mark.parametrize("which", DAMAGES)
def test_damage_costs_only_what_is_damaged(spool: Spool, which: str, caplog: pytest.LogCaptureFixture) -> None:
    change, left = DAMAGES[which]
    spool.append([batch(number) for number in range(1, 5)])
    with died(spool) as (adopted,):
        damage(spool, change)
        with caplog.at_level(logging.ERROR):
            assert [found.batch.sequence for found in drain(adopted)] == left
    assert len(caplog.records) == (0 if which == "no line end" else 1)


@pytest.mark.parametrize("cut", range(0, 400, 7))
def test_a_tail_torn_anywhere(spool: Spool, cut: int) -> None:
    spool.append([batch(1), batch(2)])
    with died(spool) as (adopted,):
        damage(spool, lambda data: data[:cut])
        found = drain(adopted)
    assert found == [batch(1), batch(2)][: len(found)]


def test_a_row_that_json_cannot_hold_is_left_out(spool: Spool, caplog: pytest.LogCaptureFixture) -> None:
    bad = EventRow(1, "x", AT, {"a": object()})
    old = EventRow(1, "x", cast(Any, "yesterday"))
    good = MessageRow(1, 1, "user", "x", AT)
    with caplog.at_level(logging.ERROR):
        spool.append([batch(1, bad, good, old)])
        assert drain(spool) == [batch(1, good)]
    assert [record.getMessage()[:17] for record in caplog.records] == ["EventRow left out"] * 2


@contextmanager
def disk_full_at(limit_bytes: int) -> Iterator[None]:
    """No file of this process grows beyond this: writes come back short, then fail."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_takes_all_or_nothing(spool: Spool, caplog: pytest.LogCaptureFixture) -> None:
    spool.append([batch(1)])
    with disk_full_at(spool.size_bytes + 50), pytest.raises(OSError, match="too large"):
        spool.append([batch(2)])
    spool.append([batch(2), batch(3)])
    with caplog.at_level(logging.ERROR):
        assert drain(spool) == [batch(1), batch(2), batch(3)]
    assert caplog.records == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    spool = Spool(tmp_path / "file" / "a")
    with pytest.raises(OSError, match="file"):
        spool.append([batch(1)])
    spool.close()

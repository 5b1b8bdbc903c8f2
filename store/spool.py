"""The ledger's spool: batches that the database did not take yet, in files that survive the worker.

A spool is one folder, of one worker's incarnation, with append-only segments `00000001.jsonl`. A line is one batch: the
CRC-32 of the rest in hexadecimal, a space, and JSON: `{"writer", "sequence", "rows": [[kind, {field: value}], ...]}`.
A line that is torn or does not fit its CRC is passed over. Each append is one write and one fdatasync, so what was
appended survives the process and the power. The folder is locked (flock) as long as its worker lives: a spool that can
be locked is a dead worker's, and who locks it writes it into the database. A batch may be offered to the database
again at any time, since `ledger_writers` knows how far each writer has come.

Everything here blocks, and belongs to one thread.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID
from zlib import crc32

from store.conversations import Batch
from store.errors import SpoolFull
from store.private import FILE_MODE, private_folder
from store.records import CarrierEvent, ConversationEnd, EventRow, LedgerRow, MessageRow, MetricRow, OwnerLost

log = logging.getLogger(__name__)

SEGMENT_BYTES = 4 << 20
SPOOL_BYTES = 256 << 20  # about a million rows
_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (MessageRow, MetricRow, EventRow, CarrierEvent, ConversationEnd, OwnerLost)
}
_TIMES = ("at", "began_at")


def spool_folder(data_dir: Path, incarnation: str) -> Path:
    """Where the ledger of this incarnation of a worker spools; the neighbours are other workers' spools."""
    return data_dir / "spool" / incarnation.replace("/", "_")


@dataclass(frozen=True, slots=True)
class NumberedRows:
    """Rows of the ledger that go into the database together, and the number under which they go."""

    batch: Batch
    rows: tuple[LedgerRow, ...]


class Spool:
    """The batches of one ledger, oldest first. Its folder is made by the first `append`."""

    def __init__(self, folder: Path, limit_bytes: int = SPOOL_BYTES) -> None:
        self._folder, self._limit_bytes = folder, limit_bytes
        self._segments: deque[Path] = deque()
        self._lock = self._writing = -1  # descriptors: of the folder, of the last segment
        self._reading: BinaryIO | None = None  # the first segment
        self._begun = 0  # segments
        self._damaged = 0  # lines of the first segment
        self._size_bytes = self._segment_bytes = 0

    @classmethod
    def of_the_dead(cls, root: Path) -> Iterator[Spool]:
        """The spools below `root` whose workers are gone; each is locked, and is the caller's until it closes it."""
        for folder in sorted(root.glob("*/")):
            spool = cls(folder)
            try:
                spool._take_folder()
            except OSError:
                continue  # its worker lives, or another one has it
            spool._segments.extend(sorted(folder.glob("*.jsonl")))
            spool._size_bytes = sum(path.stat().st_size for path in spool._segments)
            yield spool

    @property
    def name(self) -> str:
        """The folder's name: whose rows these are."""
        return self._folder.name

    @property
    def size_bytes(self) -> int:
        """What was appended and is not given up yet."""
        return self._size_bytes

    def append(self, batches: Sequence[NumberedRows]) -> None:
        """Keep `batches` behind all others; all or none. Raises `SpoolFull`, `OSError`."""
        data = b"".join(map(_line, batches))
        if self._size_bytes + len(data) > self._limit_bytes:
            raise SpoolFull(f"{self._folder}: holds its {self._limit_bytes:,} bytes already")
        if self._writing < 0 or self._segment_bytes >= SEGMENT_BYTES:
            self._begin_segment()
        try:
            _write_all(self._writing, data)
            os.fdatasync(self._writing)
        except OSError:
            with suppress(OSError):  # if even this fails, the torn line will be passed over
                os.ftruncate(self._writing, self._segment_bytes)
            self._end_segment()
            raise
        self._segment_bytes += len(data)
        self._size_bytes += len(data)

    def next(self, after: int) -> NumberedRows | None:
        """The oldest batch with a number over `after`. All before it are given up: they are in the database."""
        while self._segments:
            try:
                for found in self._read():
                    if found.batch.sequence > after:
                        return found
            except OSError as error:
                log.error("spool: %s: lost: %s", self._segments[0], error.strerror)
            self._drop_segment()
        return None

    def close(self) -> None:
        """Let go of the folder; what is in it stays, for whoever looks for the spools of the dead."""
        self._end_segment()
        if self._reading:
            self._reading.close()
        if self._lock >= 0:
            with suppress(OSError):  # not empty
                self._folder.rmdir()
            os.close(self._lock)
            self._lock = -1

    def _take_folder(self) -> None:
        self._folder.stat()
        lock = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock).st_ino != self._folder.stat().st_ino:
                raise FileNotFoundError(str(self._folder))  # was empty, and removed between the two calls
        except OSError:
            os.close(lock)
            raise
        self._lock = lock

    def _begin_segment(self) -> None:
        if self._lock < 0:
            private_folder(private_folder(self._folder.parent) / self._folder.name)
            self._take_folder()
        self._end_segment()
        self._begun += 1
        path = self._folder / f"{self._begun:08}.jsonl"
        self._writing = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, FILE_MODE)
        os.fsync(self._lock)  # the file's name is on the disk, too
        self._segments.append(path)
        self._segment_bytes = 0

    def _end_segment(self) -> None:
        if self._writing >= 0:
            os.close(self._writing)
            self._writing = -1

    def _read(self) -> Iterator[NumberedRows]:
        """What is left of the first segment; may be asked again after more was appended."""
        path = self._segments[0]
        self._reading = self._reading or path.open("rb")
        while line := self._reading.readline():
            if found := _parsed(line):
                yield found
            else:
                self._damaged += 1

    def _drop_segment(self) -> None:
        if len(self._segments) == 1:
            self._end_segment()
        if self._reading:
            self._reading.close()
            self._reading = None
        path = self._segments.popleft()
        if self._damaged:
            log.error("spool: %s: %d damaged lines passed over", path, self._damaged)
            self._damaged = 0
        with suppress(OSError):
            self._size_bytes -= path.stat().st_size
            path.unlink()


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _line(numbered: NumberedRows) -> bytes:
    batch = numbered.batch
    rows = ",".join(filter(None, map(_row_json, numbered.rows)))
    content = f'{{"writer":"{batch.writer}","sequence":{batch.sequence},"rows":[{rows}]}}'.encode()
    return b"%08x %s\n" % (crc32(content), content)


def _row_json(row: LedgerRow) -> str:
    """One row; what no JSON can hold the database could not hold either."""
    try:
        return json.dumps([type(row).__name__, asdict(row)], default=_iso)
    except (TypeError, ValueError, RecursionError) as error:
        log.error("%s left out: %s", type(row).__name__, error)
        return ""


def _iso(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__} is no value of JSON")


def _parsed(line: bytes) -> NumberedRows | None:
    """The batch of a line; None if the line is damaged."""
    crc, _, content = line.removesuffix(b"\n").partition(b" ")
    if crc != b"%08x" % crc32(content):
        return None
    try:
        fields = json.loads(content)
        rows = tuple(row for kind, values in fields["rows"] if (row := _row(kind, values)))
        return NumberedRows(Batch(UUID(fields["writer"]), fields["sequence"]), rows)
    except (KeyError, TypeError, ValueError):  # of a Callboard that writes other lines
        return None


def _row(kind: str, values: dict[str, Any]) -> LedgerRow | None:
    try:
        times = {name: datetime.fromisoformat(values[name]) for name in _TIMES if values.get(name)}
        row: LedgerRow = _KINDS[kind](**values | times)
        return row
    except (KeyError, TypeError, ValueError) as error:  # a bad row, or one of another version of Callboard
        log.error("%s left out: %s", kind[:40], error)
        return None

"""Who changed what on a running node: one entry for each of an operator's changing commands."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from config.errors import BadInput
from store.engine import Clock, Database, utc_now
from store.records import AuditEntry
from store.tables import OperatorAuditTable

MAX_ENTRIES = 1000


class AuditRepository:
    """The operators' audit trail: only ever added to."""

    def __init__(self, database: Database, now: Clock = utc_now) -> None:
        self._database, self._now = database, now

    def record(self, who: str, verb: str, arguments: dict[str, Any], result: str) -> AuditEntry:
        """Note that `who` did `verb` with `arguments` (plain values, no secrets) and how it ended: "ok" or an error."""
        row = OperatorAuditTable(at=self._now(), who=who, verb=verb, arguments=arguments, result=result)
        with self._database.write() as session:
            session.add(row)
            session.flush()
            session.refresh(row)
            return _record(row)

    def list(self, limit: int = 100) -> list[AuditEntry]:
        """The newest entries first. Raises `BadInput`."""
        if not 1 <= limit <= MAX_ENTRIES:
            raise BadInput(f"limit = {limit}: legal: 1 to {MAX_ENTRIES}")
        query = select(OperatorAuditTable).order_by(OperatorAuditTable.id.desc()).limit(limit)
        with self._database.read() as session:
            return [_record(row) for row in session.scalars(query)]


def _record(row: OperatorAuditTable) -> AuditEntry:
    return AuditEntry(row.id, row.at, row.who, row.verb, row.arguments, row.result)

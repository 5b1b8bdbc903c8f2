"""API keys: shown once when they are made, kept as a hash."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from config.errors import BadInput
from store.engine import Clock, Database, utc_now
from store.errors import InvalidKey, UnknownKey
from store.records import DEFAULT_PROJECT_ID, ApiKey
from store.tables import ApiKeyTable

PREFIX = "rpd-"
MAX_NAME_CHARS = 100
_USE_NOTED_EVERY = timedelta(minutes=1)  # else every webhook would wait for a write


class KeyRepository:
    """The API keys of each project."""

    def __init__(self, database: Database, now: Clock = utc_now) -> None:
        self._database, self._now = database, now

    def create(self, name: str, project_id: int = DEFAULT_PROJECT_ID) -> tuple[ApiKey, str]:
        """A new key and its secret, 256 random bits after "rpd-", which cannot be had again."""
        if not 0 < len(name.strip()) <= MAX_NAME_CHARS or not name.isprintable():
            raise BadInput(f"key name {name[:MAX_NAME_CHARS]!r}: legal: 1 to {MAX_NAME_CHARS} printable characters")
        secret = PREFIX + secrets.token_hex(32)
        row = ApiKeyTable(
            project_id=project_id,
            name=name.strip(),
            sha256=_sha256(secret),
            hint=secret[: len(PREFIX) + 4] + "...",
            created_at=self._now(),
        )
        with self._database.write() as session:
            session.add(row)
            session.flush()
            return _record(row), secret

    def list(self, project_id: int = DEFAULT_PROJECT_ID) -> list[ApiKey]:
        """Every key, revoked ones too, oldest first."""
        query = select(ApiKeyTable).where(ApiKeyTable.project_id == project_id).order_by(ApiKeyTable.id)
        with self._database.read() as session:
            return [_record(row) for row in session.scalars(query)]

    def revoke(self, which: int | str, project_id: int = DEFAULT_PROJECT_ID) -> ApiKey:
        """Refuse this key (its number, or its hint) from now on; a second time changes nothing.

        Raises `UnknownKey`, also for a hint that several keys share.
        """
        with self._database.write() as session:
            row = _find(session, str(which), project_id)
            row.revoked_at = row.revoked_at or self._now()
            return _record(row)

    def verify(self, secret: str | None) -> ApiKey:
        """The key of this secret. Raises `InvalidKey`."""
        digest = _sha256(secret or "")
        with self._database.read() as session:
            row = session.scalars(select(ApiKeyTable).where(ApiKeyTable.sha256 == digest)).one_or_none()
            # The index compares hashes, of which an attacker cannot choose a prefix; what decides is constant-time.
            if row is None or not hmac.compare_digest(row.sha256, digest) or row.revoked_at:
                raise InvalidKey("API key missing, unknown or revoked; legal: a key of `callboard key create`")
            key = _record(row)
        return self._note_use(key)

    def _note_use(self, key: ApiKey) -> ApiKey:
        now = self._now()
        if key.last_used_at and now - key.last_used_at < _USE_NOTED_EVERY:
            return key
        with self._database.write() as session:
            row = session.get_one(ApiKeyTable, key.id)
            row.last_used_at = now
            return _record(row)


def _find(session: Session, which: str, project_id: int) -> ApiKeyTable:
    hint = which.removesuffix("...")
    by_number = ApiKeyTable.id == int(which) if re.fullmatch(r"[0-9]{1,18}", which) else None
    condition = by_number if by_number is not None else ApiKeyTable.hint == f"{hint}..."
    found = session.scalars(select(ApiKeyTable).where(ApiKeyTable.project_id == project_id, condition)).all()
    if len(found) != 1:
        reason = "several keys have this hint, give the number" if found else "not there"
        raise UnknownKey(f"key {hint[:8]!r}: {reason}; `callboard key list` shows numbers and hints")
    return found[0]


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _record(row: ApiKeyTable) -> ApiKey:
    return ApiKey(row.id, row.project_id, row.name, row.hint, row.created_at, row.last_used_at, row.revoked_at)

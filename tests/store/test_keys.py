"""API keys."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from config.errors import BadInput
from store.engine import Database
from store.errors import InvalidKey, UnknownKey
from store.keys import KeyRepository
from tests.store.factories import START, Clock


def test_a_new_key_is_good_and_kept_as_a_hash(database: Database) -> None:
    keys = KeyRepository(database)
    key, secret = keys.create("asterisk")
    assert secret.startswith("rpd-") and len(secret) == 68
    assert key.hint == f"{secret[:8]}..."
    assert keys.verify(secret).id == key.id
    with database.read() as session:
        stored = " ".join(map(str, session.execute(text("SELECT * FROM api_keys")).one()))
    assert secret not in stored and secret[4:] not in stored


@pytest.mark.parametrize("secret", [None, "", "rpd-", "rpd-" + "0" * 64, "\0", "\ud800", "x" * 100_000])
def test_a_wrong_key_is_refused_and_not_repeated(database: Database, secret: str | None) -> None:
    KeyRepository(database).create("a")
    with pytest.raises(InvalidKey) as caught:
        KeyRepository(database).verify(secret)
    assert not secret or len(secret) < 5 or secret not in str(caught.value)


@pytest.mark.parametrize("by", ["id", "hint", "short hint"])
def test_a_revoked_key_is_refused(database: Database, by: str) -> None:
    keys = KeyRepository(database)
    key, secret = keys.create("a")
    _, other = keys.create("b")
    revoked = keys.revoke({"id": key.id, "hint": key.hint, "short hint": key.hint.rstrip(".")}[by])
    assert revoked.id == key.id and revoked.revoked_at
    assert keys.revoke(key.id) == revoked
    with pytest.raises(InvalidKey):
        keys.verify(secret)
    assert keys.verify(other).name == "b"


def test_a_hint_of_several_keys_is_refused(database: Database) -> None:
    keys = KeyRepository(database)
    key, _ = keys.create("a")
    keys.create("b")
    with database.write() as session:
        session.execute(text("UPDATE api_keys SET hint = :hint"), {"hint": key.hint})
    with pytest.raises(UnknownKey, match="several"):
        keys.revoke(key.hint)


@pytest.mark.parametrize("which", ["", "0", "rpd-", "9" * 30, "\0"])
def test_revoking_an_unknown_key(database: Database, which: str) -> None:
    with pytest.raises(UnknownKey):
        KeyRepository(database).revoke(which)


def test_use_is_noted_once_a_minute(database: Database) -> None:
    clock = Clock()
    keys = KeyRepository(database, clock)
    key, secret = keys.create("a")
    assert key.last_used_at is None
    assert keys.verify(secret).last_used_at == START
    clock.advance(59)
    assert keys.verify(secret).last_used_at == START
    clock.advance(2)
    assert keys.verify(secret).last_used_at == clock()
    assert keys.list()[0].last_used_at == clock()


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\x1b[31m", "a\nb", "\udcff"])
def test_names_have_bounds(database: Database, name: str) -> None:
    with pytest.raises(BadInput, match="1 to 100"):
        KeyRepository(database).create(name)

"""Call contexts: idempotent for a carrier's repeats, claimed exactly once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from config.errors import BadInput
from store.assistants import AssistantRepository
from store.contexts import ContextRepository
from store.engine import Database
from store.errors import ContextExpired, ContextUsed, KeyRevoked, UnknownContext
from store.keys import KeyRepository
from store.records import Assistant, CallContext
from tests.store.factories import START, Clock, assistant_config


@pytest.fixture
def assistant(database: Database) -> Assistant:
    return AssistantRepository(database).apply(assistant_config())


def count(database: Database, table: str) -> int:
    with database.read() as session:
        return session.scalar(text(f"SELECT count(*) FROM {table}")) or 0


def test_a_context_holds_what_was_agreed(database: Database, assistant: Assistant) -> None:
    contexts = ContextRepository(database, ttl_s=60, now=Clock())
    made = contexts.open_context(assistant, "twilio", "+15551234567", callee="+1666", provider_call_id="CA1")
    assert made.id.version == 4
    assert (made.assistant_id, made.assistant_version, made.project_id) == (assistant.id, 1, 1)
    assert (made.provider, made.direction, made.caller, made.callee) == ("twilio", "inbound", "+15551234567", "+1666")
    assert made.expires_at == START + timedelta(seconds=60)
    assert contexts.get(made.id, "twilio") == made
    assert count(database, "conversations") == 1


def test_a_repeated_webhook_gets_the_same_context(database: Database, assistant: Assistant) -> None:
    clock = Clock()
    contexts = ContextRepository(database, ttl_s=60, now=clock)
    first = contexts.open_context(assistant, "twilio", "+1", provider_call_id="CA1")
    clock.advance(90)
    again = contexts.open_context(assistant, "twilio", "+1", provider_call_id="CA1")
    assert (again.id, again.conversation_id) == (first.id, first.conversation_id)
    assert again.expires_at == clock() + timedelta(seconds=60)
    assert contexts.claim(first.id, "twilio") == again
    clock.advance(1)
    assert contexts.open_context(assistant, "twilio", "+1", provider_call_id="CA1") == again
    assert count(database, "conversations") == 1


def test_repeats_at_the_same_moment_get_the_same_context(database: Database, assistant: Assistant) -> None:
    contexts = ContextRepository(database)
    with ThreadPoolExecutor(8) as threads:
        made = list(
            threads.map(lambda _: contexts.open_context(assistant, "twilio", "", provider_call_id="CA1"), range(16))
        )
    assert len({context.id for context in made}) == 1
    assert count(database, "conversations") == 1


def test_calls_without_a_carriers_id_are_different(database: Database, assistant: Assistant) -> None:
    contexts = ContextRepository(database)
    assert contexts.open_context(assistant, "asterisk", "").id != contexts.open_context(assistant, "asterisk", "").id


def test_the_same_carriers_id_elsewhere_is_another_call(database: Database, assistant: Assistant) -> None:
    contexts = ContextRepository(database)
    other = AssistantRepository(database).apply(assistant_config("other"))
    pairs = [(assistant, "twilio"), (assistant, "exotel"), (other, "twilio")]
    made = {contexts.open_context(owner, name, "+1", provider_call_id="CA1").id for owner, name in pairs}
    assert len(made) == 3


def test_a_context_is_claimed_once(database: Database, assistant: Assistant) -> None:
    contexts = ContextRepository(database)
    made = contexts.open_context(assistant, "twilio", "+1")
    assert contexts.claim(made.id, "twilio") == made
    with pytest.raises(ContextUsed):
        contexts.claim(made.id, "twilio")


def test_of_many_claims_at_once_one_wins(database: Database, assistant: Assistant) -> None:
    contexts = ContextRepository(database)
    made = contexts.open_context(assistant, "twilio", "+1")

    def claim(_: int) -> CallContext | None:
        try:
            return contexts.claim(made.id, "twilio")
        except ContextUsed:
            return None

    with ThreadPoolExecutor(8) as threads:
        assert [won for won in threads.map(claim, range(24)) if won] == [made]


def test_a_context_expires(database: Database, assistant: Assistant) -> None:
    clock = Clock()
    contexts = ContextRepository(database, ttl_s=120, now=clock)
    made = contexts.open_context(assistant, "twilio", "+1")
    clock.advance(120)
    with pytest.raises(ContextExpired, match="03:06:05 UTC"):
        contexts.claim(made.id, "twilio")


@pytest.mark.parametrize("provider", ["asterisk", "", "\0"])
def test_another_providers_claim_finds_nothing_and_uses_nothing_up(
    database: Database, assistant: Assistant, provider: str
) -> None:
    contexts = ContextRepository(database)
    made = contexts.open_context(assistant, "twilio", "+1")
    for method in (contexts.claim, contexts.get):
        with pytest.raises(UnknownContext):
            method(made.id, provider)
    assert contexts.claim(made.id, "twilio") == made


@pytest.mark.parametrize("context_id", [uuid4(), UUID(int=0)])
def test_unknown_contexts(database: Database, context_id: UUID) -> None:
    for method in (ContextRepository(database).claim, ContextRepository(database).get):
        with pytest.raises(UnknownContext):
            method(context_id, "twilio")


@pytest.mark.parametrize("field", ["caller", "callee", "provider_call_id"])
def test_a_text_that_is_too_long_is_named(database: Database, assistant: Assistant, field: str) -> None:
    values = {"caller": "+1"} | {field: "9" * 257}
    with pytest.raises(BadInput, match=f"{field} = .*at most 256"):
        ContextRepository(database).open_context(assistant, "twilio", **values)


def test_what_postgresql_refuses_in_texts_is_taken_out(database: Database, assistant: Assistant) -> None:
    contexts = ContextRepository(database)
    made = contexts.open_context(assistant, "twilio", "a\0b\ud800", provider_call_id="CA\0")
    assert contexts.get(made.id, "twilio").caller == "ab?"
    assert contexts.open_context(assistant, "twilio", "", provider_call_id="CA\0").id == made.id


def test_a_revoked_keys_contexts_are_not_claimed_and_not_used_up(database: Database, assistant: Assistant) -> None:
    contexts, keys = ContextRepository(database), KeyRepository(database)
    (first, _), (second, _) = keys.create("first"), keys.create("second")
    made = contexts.open_context(assistant, "twilio", "+1", provider_call_id="CA1", api_key_id=first.id)
    unkeyed = contexts.open_context(assistant, "twilio", "+1", provider_call_id="CA2")
    assert made.api_key_id == first.id
    keys.revoke(first.id)
    with pytest.raises(KeyRevoked, match=f"context {made.id}: the API key that announced it was revoked at 2"):
        contexts.claim(made.id, "twilio")
    assert contexts.claim(unkeyed.id, "twilio").api_key_id is None
    again = contexts.open_context(assistant, "twilio", "+1", provider_call_id="CA1", api_key_id=second.id)
    assert again.id == made.id
    assert contexts.claim(made.id, "twilio").api_key_id == second.id


def test_another_projects_key_claims_nothing(database: Database, assistant: Assistant) -> None:
    contexts = ContextRepository(database)
    made = contexts.open_context(assistant, "twilio", "+1")
    with pytest.raises(UnknownContext):
        contexts.claim(made.id, "twilio", project_id=made.project_id + 1)
    assert contexts.claim(made.id, "twilio", project_id=made.project_id).id == made.id

"""Who owns a running call, and what becomes of the calls of the dead."""

from __future__ import annotations

import pytest

from store.contexts import ContextRepository
from store.conversations import Batch, ConversationRepository
from store.engine import Database
from store.errors import ContextLost, ContextUsed
from store.records import CallContext, ConversationEnd, LostReason, OwnerLost
from tests.store.factories import START, Clock, open_context

DEAD = "node/0/dead"


def claimed(database: Database, owner: str = "") -> CallContext:
    context = open_context(database)
    return ContextRepository(database).claim(context.id, context.provider, owner)


def reasons(database: Database, *contexts: CallContext) -> list[str | None]:
    ends = [ConversationRepository(database).transcript(context.id).termination for context in contexts]
    return [end and end.reason for end in ends]


def test_a_claim_notes_its_owner(database: Database) -> None:
    owned, alone = claimed(database, DEAD), claimed(database)
    show = ConversationRepository(database).show
    assert [show(context.id).summary.owner for context in (owned, alone)] == [DEAD, None]


def test_the_calls_of_a_dead_worker_are_closed_and_no_others(database: Database) -> None:
    lost = [claimed(database, DEAD) for _ in range(2)]
    others = [claimed(database, "node/0/living"), claimed(database), open_context(database)]
    ended = claimed(database, DEAD)
    own_end = ConversationEnd(ended.conversation_id, "success", "idle", "", START)
    conversations = ConversationRepository(database, Clock())
    conversations.write([own_end])
    assert conversations.close_lost(DEAD) == 2
    assert reasons(database, *lost, *others, ended) == ["worker_lost", "worker_lost", None, None, None, "idle"]
    found = conversations.transcript(lost[0].id)
    assert found.status == "ended"
    assert found.termination == ConversationEnd(lost[0].conversation_id, "server_error", "worker_lost", DEAD, START)
    assert conversations.close_lost(DEAD) == 0


def test_a_node_closes_what_its_earlier_life_has_left(database: Database) -> None:
    lost = [claimed(database, "node/0/a"), claimed(database, "node/1/b")]
    alive = claimed(database, "node/0/c")
    others = [claimed(database, "node-2/0/d"), claimed(database, "xnode/0/e"), claimed(database)]
    conversations = ConversationRepository(database)
    assert conversations.close_lost_of_node("node/", {"node/0/c", "node/1/f"}) == 2
    assert reasons(database, *lost, alive, *others) == ["node_lost", "node_lost", None, None, None, None]
    assert conversations.close_lost_of_node("node/", set()) == 1


@pytest.mark.parametrize("prefix", ["%", "n_de/", "\\"])
def test_a_prefix_is_no_pattern(database: Database, prefix: str) -> None:
    claimed(database, "node/0/a")
    assert ConversationRepository(database).close_lost_of_node(prefix, set()) == 0


@pytest.mark.parametrize("reason", ["worker_lost", "node_lost"])
def test_a_late_media_connection_hears_why(database: Database, reason: LostReason) -> None:
    context = claimed(database, DEAD)
    contexts, conversations = ContextRepository(database), ConversationRepository(database, Clock())
    with pytest.raises(ContextUsed, match="claimed already"):
        contexts.claim(context.id, context.provider, "node/1/other")
    conversations.close_lost(DEAD, reason)
    with pytest.raises(ContextLost, match=rf"its call was lost at 2026-01-02 03:04:05 UTC: {reason}") as caught:
        contexts.claim(context.id, context.provider, "node/1/other")
    assert (caught.value.code, caught.value.http_status) == ("context_lost", 410)
    assert conversations.show(context.id).summary.owner == DEAD


def test_an_ended_call_is_used_not_lost(database: Database) -> None:
    context = claimed(database, DEAD)
    ConversationRepository(database).write([ConversationEnd(context.conversation_id, "success", "idle", "", START)])
    with pytest.raises(ContextUsed) as caught:
        ContextRepository(database).claim(context.id, context.provider)
    assert caught.value.code == "context_used"


def test_through_the_ledger(database: Database) -> None:
    lost, other = claimed(database, DEAD), claimed(database, "node/0/living")
    rows = [OwnerLost(DEAD, "worker_lost", START)]
    for _ in range(2):
        ConversationRepository(database).write(rows, Batch(other.id, 1))
    assert reasons(database, lost, other) == ["worker_lost", None]


@pytest.mark.parametrize("presumed_first", [True, False])
def test_the_end_that_a_worker_wrote_itself_is_better(database: Database, presumed_first: bool) -> None:
    context = claimed(database, DEAD)
    conversations = ConversationRepository(database)
    own = ConversationEnd(context.conversation_id, "success", "caller_hung_up", "at last", START)
    presumed = OwnerLost(DEAD, "worker_lost", START)
    for row in [presumed, own] if presumed_first else [own, presumed]:
        conversations.write([row])
    conversations.write([ConversationEnd(context.conversation_id, "success", "late", "", START)])
    assert conversations.transcript(context.id).termination == own

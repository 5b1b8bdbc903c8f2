"""The history of calls, and the operators' audit trail."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, update

from config.errors import BadInput
from store.assistants import AssistantRepository
from store.audit import AuditRepository
from store.contexts import ContextRepository
from store.conversations import ConversationRepository
from store.engine import Database
from store.errors import AmbiguousCall, UnknownCall
from store.records import CallContext, CallSummary, ConversationEnd, MessageRow, MetricRow, Status
from store.tables import CallContextTable, ConversationTable
from tests.store.factories import START, Clock, assistant_config


def call(database: Database, at_s: float = 0, assistant: str = "reception", caller: str = "+1") -> CallContext:
    clock = Clock()
    clock.advance(at_s)
    owner = AssistantRepository(database).apply(assistant_config(assistant))
    return ContextRepository(database, ttl_s=60, now=clock).open_context(owner, "twilio", caller, callee="+2")


def connect(database: Database, context: CallContext, at_s: float, owner: str = "") -> None:
    clock = Clock()
    clock.advance(at_s)
    ContextRepository(database, now=clock).claim(context.id, "twilio", owner)


def listed(database: Database, now_s: float = 100, **filters: Any) -> list[CallSummary]:
    clock = Clock()
    clock.advance(now_s)
    return ConversationRepository(database, clock).list(**filters)


def test_nothing_yet(database: Database) -> None:
    assert listed(database) == []


def test_a_call_in_one_line(database: Database) -> None:
    context = call(database)
    connect(database, context, at_s=2, owner="node/0/a")
    number = context.conversation_id
    end = ConversationEnd(number, "success", "caller_hung_up", "x", START + timedelta(seconds=12.5))
    said = [MessageRow(number, turn, role, "x", START) for turn, role in enumerate(["assistant", "user", "user"])]
    more = MessageRow(number, 2, "user", "and", START)
    latencies = [MetricRow(number, turn, "turn_latency_ms", turn * 100.0, START) for turn in (1, 2, 3, 9)]
    other = MetricRow(number, 1, "llm_first_token_ms", 5000.0, START)
    ConversationRepository(database).write([*said, more, *latencies, other, end])
    expected = CallSummary(
        conversation_id=number,
        context_id=context.id,
        status="ended",
        provider="twilio",
        direction="inbound",
        assistant="reception",
        caller="+1",
        callee="+2",
        started_at=START,
        connected_at=START + timedelta(seconds=2),
        ended_at=end.at,
        duration_s=10.5,
        turns=2,
        latency_p50_ms=250.0,
        result="success",
        reason="caller_hung_up",
        detail="x",
        owner="node/0/a",
        ending="the caller hung up",
    )
    assert listed(database) == [expected]


def test_a_call_that_goes_on_and_one_that_never_came(database: Database) -> None:
    active, pending = call(database), call(database)
    connect(database, active, at_s=3)
    found = {summary.context_id: summary for summary in listed(database, now_s=10)}
    assert (found[active.id].status, found[active.id].duration_s, found[active.id].ended_at) == ("active", 7.0, None)
    assert (found[pending.id].status, found[pending.id].duration_s) == ("pending", None)
    assert (found[active.id].turns, found[active.id].latency_p50_ms) == (0, None)


@pytest.fixture
def four(database: Database) -> dict[str, CallContext]:
    made = {
        "expired": call(database, 0, caller="+11"),
        "ended": call(database, 20, "orders", "+22"),
        "active": call(database, 30, "4711", "+22"),
        "pending": call(database, 90),
    }
    for status in ("ended", "active"):
        connect(database, made[status], 40)
    ConversationRepository(database).write(
        [ConversationEnd(made["ended"].conversation_id, "success", "idle", "", START)]
    )
    return made


def test_the_newest_come_first_up_to_the_limit(database: Database, four: dict[str, CallContext]) -> None:
    assert [found.status for found in listed(database)] == ["pending", "active", "ended", "expired"]
    assert [found.status for found in listed(database, limit=2)] == ["pending", "active"]


@pytest.mark.parametrize("status", ["pending", "expired", "active", "ended"])
def test_by_status(database: Database, four: dict[str, CallContext], status: Status) -> None:
    assert [found.context_id for found in listed(database, status=status)] == [four[status].id]


def test_by_assistant_and_caller(database: Database, four: dict[str, CallContext]) -> None:
    def statuses(**filters: str) -> list[str]:
        return [found.status for found in listed(database, **filters)]

    assert statuses(assistant="orders") == statuses(assistant=str(four["ended"].assistant_id)) == ["ended"]
    assert statuses(assistant="4711") == ["active"]
    assert statuses(caller="+22") == ["active", "ended"]
    assert statuses(caller="+22", assistant="orders", status="ended") == ["ended"]
    assert statuses(caller="+2") == statuses(assistant="nobody") == statuses(assistant="%") == []


@pytest.mark.parametrize(
    ("filters", "said"), [({"limit": 0}, "limit = 0"), ({"limit": 1001}, "legal: 1 to 1000"), ({"status": "x"}, "'x'")]
)
def test_bad_filters_are_named(database: Database, filters: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        listed(database, **filters)


def test_show_finds_by_context_and_by_number(database: Database) -> None:
    first, second = call(database), call(database)
    message = MessageRow(second.conversation_id, 1, "user", "hello", START)
    conversations = ConversationRepository(database)
    conversations.write([message])
    for which in (second.id, str(second.id), second.conversation_id, str(second.conversation_id)):
        found = conversations.show(which)
        assert (found.summary.context_id, found.transcript.messages) == (second.id, (message,))
    assert conversations.show(first.id).summary.conversation_id == first.conversation_id


def with_id(database: Database, context_id: str) -> CallContext:
    """A call whose context has this id."""
    made = call(database)
    with database.write() as session:
        session.execute(update(CallContextTable).where(CallContextTable.id == made.id).values(id=UUID(context_id)))
    return replace(made, id=UUID(context_id))


def test_show_finds_by_the_beginning_of_a_context_id(database: Database) -> None:
    first = with_id(database, "abcd1234-0000-4000-8000-000000000000")
    second = with_id(database, "abcd1235-ffff-4fff-bfff-ffffffffffff")
    show = ConversationRepository(database).show
    assert show("abcd1234").summary.context_id == show("ABCD1234-0").summary.context_id == first.id
    assert show("abcd1235-ffff-4").summary.context_id == second.id
    for which in ("abcd", "abcd-123"):
        with pytest.raises(AmbiguousCall, match="give more"):
            show(which)
    with pytest.raises(UnknownCall):
        show("abc")


def test_a_number_means_the_conversation_first(database: Database) -> None:
    contexts = [with_id(database, f"12345{n}00-0000-4000-8000-000000000000") for n in range(3)]
    with database.write() as session:
        number = ConversationTable.id == contexts[0].conversation_id
        new = ConversationTable(id=12345, project_id=1, assistant_id=contexts[0].assistant_id, created_at=START)
        session.add(new)
        session.flush()
        row = CallContextTable.id == contexts[0].id
        session.execute(update(CallContextTable).where(row).values(conversation_id=12345))
        session.execute(delete(ConversationTable).where(number))
    assert ConversationRepository(database).show("12345").summary.context_id == contexts[0].id


@pytest.mark.parametrize("which", ["", "x", "9" * 18, "9" * 40, -1, 0, "\0", "\u0661", str(UUID(int=0))])
def test_show_of_what_is_not_there(database: Database, which: str | int) -> None:
    with pytest.raises(UnknownCall, match="legal: a conversation's number, or a context id"):
        ConversationRepository(database).show(which)


# --- audit -------------------------------------------------------------------------------------------------------


def test_the_audit_trail_holds_what_was_done(database: Database) -> None:
    clock = Clock()
    audit = AuditRepository(database, clock)
    first = audit.record("127.0.0.1", "hangup", {"call": "c", "n": [1, None]}, "ok")
    clock.advance(1)
    second = audit.record("a\0b", "drain", {}, "bad_input: no such verb")
    assert audit.list() == [second, first]
    assert audit.list(limit=1) == [second]
    assert (first.who, first.verb, first.arguments, first.result, first.at) == (
        "127.0.0.1",
        "hangup",
        {"call": "c", "n": [1, None]},
        "ok",
        START,
    )
    assert AuditRepository(database).list()[0].who == "ab"


@pytest.mark.parametrize("limit", [0, 1001])
def test_a_bad_limit_of_the_audit(database: Database, limit: int) -> None:
    with pytest.raises(BadInput, match=f"limit = {limit}"):
        AuditRepository(database).list(limit)

"""What the ledger writes, and the transcript that is read back."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any, cast
from uuid import uuid4

import pytest

from store.contexts import ContextRepository
from store.conversations import Batch, ConversationRepository
from store.engine import Database
from store.errors import UnknownContext
from store.records import ConversationEnd, EventRow, LedgerRow, MessageRow, MetricRow
from tests.store.factories import START, Clock, open_context


def message(conversation_id: int, text: str, turn: int = 1) -> MessageRow:
    return MessageRow(conversation_id, turn, "user", text, START)


def test_a_transcript_is_what_was_written_in_its_order(database: Database) -> None:
    context = open_context(database)
    number = context.conversation_id
    messages = [message(number, f"line {n}") for n in range(300)]
    metric = MetricRow(number, 1, "turn_latency_ms", 12.5, START + timedelta(milliseconds=7))
    event = EventRow(number, "dtmf", START, {"count": 2, "of": ["a", None]})
    end = ConversationEnd(number, "success", "caller_hung_up", "", START)
    conversations = ConversationRepository(database)
    conversations.write([messages[0], metric, *messages[1:], end, event])
    found = conversations.transcript(context.id)
    assert found.messages == tuple(messages)
    assert (found.metrics, found.events, found.termination) == ((metric,), (event,), end)
    assert (found.context, found.project_id, found.status) == (context, 1, "ended")


def test_status(database: Database) -> None:
    context, clock = open_context(database), Clock()
    clock.at = context.expires_at - timedelta(seconds=1)
    conversations = ConversationRepository(database, clock)
    assert conversations.transcript(context.id).status == "pending"
    clock.advance(2)
    assert conversations.transcript(context.id).status == "expired"
    ContextRepository(database).claim(context.id, "twilio")
    assert conversations.transcript(context.id).status == "active"
    assert conversations.transcript(context.id).termination is None


def test_an_unknown_context_has_no_transcript(database: Database) -> None:
    with pytest.raises(UnknownContext):
        ConversationRepository(database).transcript(uuid4())


def test_nothing_to_write(database: Database) -> None:
    ConversationRepository(database).write([])


def test_the_first_end_stays(database: Database) -> None:
    context = open_context(database)
    first, second = (ConversationEnd(context.conversation_id, "success", why, "", START) for why in ("idle", "late"))
    conversations = ConversationRepository(database)
    conversations.write([first, second])
    conversations.write([second])
    assert conversations.transcript(context.id).termination == first


def test_a_batch_is_written_once(database: Database) -> None:
    context, writer = open_context(database), uuid4()
    conversations = ConversationRepository(database)
    for sequence, text in [(1, "one"), (1, "one"), (2, "two"), (1, "one"), (2, "two")]:
        conversations.write([message(context.conversation_id, text)], Batch(writer, sequence))
    conversations.write([message(context.conversation_id, "other")], Batch(uuid4(), 1))
    assert [row.text for row in conversations.transcript(context.id).messages] == ["one", "two", "other"]


BAD: dict[str, Any] = {
    "no such conversation": lambda number: MessageRow(10**9, 1, "user", "x", START),
    "a number too big": lambda number: MessageRow(number, 2**80, "user", "x", START),
    "no text": lambda number: MessageRow(number, 1, "user", cast(str, None), START),
    "a wrong type": lambda number: MessageRow(number, 1, "user", cast(str, object()), START),
    "no number": lambda number: MetricRow(number, 1, "x", cast(float, object()), START),
    "no JSON": lambda number: EventRow(number, "x", START, {"a": object()}),
    "no time": lambda number: EventRow(number, "x", cast(Any, "yesterday")),
}


@pytest.mark.parametrize("which", BAD)
def test_a_bad_row_does_not_hold_up_the_others(
    database: Database, which: str, caplog: pytest.LogCaptureFixture
) -> None:
    context, writer = open_context(database), uuid4()
    good = [message(context.conversation_id, text) for text in ("before", "after")]
    rows: list[LedgerRow] = [good[0], BAD[which](context.conversation_id), good[1]]
    conversations = ConversationRepository(database)
    with caplog.at_level(logging.ERROR):
        conversations.write(rows, Batch(writer, 1))
        conversations.write(rows, Batch(writer, 1))
    assert conversations.transcript(context.id).messages == tuple(good)
    assert [record.getMessage().partition(" left out")[1] for record in caplog.records] == [" left out"]


def test_texts_that_postgresql_refuses_are_cleaned(database: Database) -> None:
    context = open_context(database)
    conversations = ConversationRepository(database)
    rows = [
        message(context.conversation_id, "a\0b\ud800c"),
        EventRow(context.conversation_id, "x", START, {"k\0": ["v\0", 1]}),
    ]
    conversations.write(rows)
    found = conversations.transcript(context.id)
    assert found.messages[0].text == "ab?c"
    assert found.events[0].data == {"k": ["v", 1]}

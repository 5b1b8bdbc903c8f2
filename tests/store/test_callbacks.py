"""Status callbacks: a bounded number of a call, each once, none after its end, of its own provider and project."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from store.callbacks import LAST_WORD, MOST_BYTES, MOST_CALLBACKS, CallbackRepository
from store.contexts import ContextRepository
from store.conversations import ConversationRepository
from store.engine import Database
from store.errors import CallOver, TooManyCallbacks, UnknownContext
from store.records import CallContext, CarrierEvent, ConversationEnd
from tests.store.factories import START, Clock, open_context


def events(database: Database, context: CallContext) -> list[dict[str, Any]]:
    return [event.data for event in ConversationRepository(database).transcript(context.id).events]


def said(context: CallContext, after_s: float = 0.0, **data: str) -> CarrierEvent:
    at = context.expires_at + timedelta(seconds=after_s)
    return CarrierEvent(str(context.id), context.provider, at, data or {"CallStatus": "ringing"})


@pytest.fixture
def context(database: Database) -> CallContext:
    return open_context(database)


def test_each_is_kept_once_and_so_many(database: Database, context: CallContext) -> None:
    repository, callbacks = ConversationRepository(database), CallbackRepository(database)
    repository.write([said(context, SequenceNumber="0"), said(context, SequenceNumber="0")])
    repository.write([said(context, 1.0, SequenceNumber="0")])
    assert events(database, context) == [{"SequenceNumber": "0"}]
    callbacks.check(context.id, "twilio", context.project_id)
    repository.write([said(context, SequenceNumber=str(number)) for number in range(3 * MOST_CALLBACKS)])
    assert len(events(database, context)) == MOST_CALLBACKS
    with pytest.raises(TooManyCallbacks, match=f"{MOST_CALLBACKS} status callbacks"):
        callbacks.check(context.id, "twilio")


def test_what_they_hold_together_is_bounded(database: Database, context: CallContext) -> None:
    repository = ConversationRepository(database)
    for number in range(20):
        repository.write([said(context, StreamError=f"{number} {'x' * 2000}")])
    assert 0 < len(str(events(database, context))) < MOST_BYTES + 2500


def test_what_postgresql_cannot_hold_is_cleaned_and_still_the_same(database: Database, context: CallContext) -> None:
    repository = ConversationRepository(database)
    for _ in range(2):
        repository.write([said(context, StreamError="a\0b\udc80")])
    assert events(database, context) == [{"StreamError": "ab?"}]


def test_a_call_that_is_over_is_heard_of_once_more_and_then_no_more(database: Database, context: CallContext) -> None:
    clock = Clock()
    repository, callbacks = ConversationRepository(database), CallbackRepository(database, clock)
    ContextRepository(database).claim(context.id, "twilio")
    repository.write([ConversationEnd(context.conversation_id, "success", "caller_hung_up", "", START)])
    for after, kept in ((LAST_WORD, True), (LAST_WORD + timedelta(seconds=1), False)):
        clock.at = START + after
        repository.write([CarrierEvent(str(context.id), "twilio", clock.at, {"CallStatus": f"{after}"})])
        if kept:
            callbacks.check(context.id, "twilio")
        else:
            with pytest.raises(CallOver, match="over since 2026-01-02 03:04:05 UTC"):
                callbacks.check(context.id, "twilio")
    assert events(database, context) == [{"CallStatus": f"{LAST_WORD}"}]


def test_a_call_that_never_connected_is_over_when_its_context_is(database: Database, context: CallContext) -> None:
    repository = ConversationRepository(database)
    repository.write([said(context, 3600.0), said(context, 10.0)])
    assert len(events(database, context)) == 1


def test_of_others_calls_nothing_is_kept(database: Database, context: CallContext) -> None:
    repository, callbacks = ConversationRepository(database), CallbackRepository(database)
    for other in (CarrierEvent(str(uuid4()), "twilio", START, {"a": "b"}), said(context)):
        provider = "vonage" if other.context_id == str(context.id) else "twilio"
        repository.write([CarrierEvent(other.context_id, provider, other.at, other.data)])
    assert events(database, context) == []
    for unknown in ((uuid4(), "twilio", None), (context.id, "vonage", None), (context.id, "twilio", 77)):
        with pytest.raises(UnknownContext):
            callbacks.check(*unknown)

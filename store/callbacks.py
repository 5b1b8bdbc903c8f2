"""Carriers' status callbacks: of which calls they are kept, and how many.

Whoever knows a context id may send them, as often as he likes and whenever: so a call keeps so many, each once, and
none after its end, but for the moment in which a carrier says its last word. What the rule is stands here once; it is
asked when a callback comes, to say so, and again when the ledger writes it, which counts.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.engine import Clock, Database, utc_now
from store.errors import CallOver, TooManyCallbacks, UnknownContext
from store.records import CarrierEvent
from store.tables import CallContextTable, ConversationTable, EventTable, clean_json

NAME = "carrier_status"
MOST_CALLBACKS, MOST_BYTES = 64, 16_384  # of one call
LAST_WORD = timedelta(seconds=60)  # Twilio's and Vonage's `completed` come after the media have ended


class CallbackRepository:
    """What the webhook asks."""

    def __init__(self, database: Database, now: Clock = utc_now) -> None:
        self._database, self._now = database, now

    def check(self, context_id: UUID, provider: str, project_id: int | None = None) -> None:
        """Is a callback of this call kept, which comes now and from this project (None: nobody's key was shown)?

        Raises `UnknownContext` (also for another provider's and another project's), `CallOver`, `TooManyCallbacks`.
        """
        with self._database.read() as session:
            context = session.get(CallContextTable, context_id)
            if context is None or context.provider != provider or project_id not in (None, context.project_id):
                raise UnknownContext(f"context {context_id}: not there for provider {provider[:32]!r}")
            _check(session, context, self._now())


def note(session: Session, row: CarrierEvent) -> None:
    """Write a callback down, unless the rule is against it or it is there already: then nothing happens."""
    context = session.get(CallContextTable, UUID(row.context_id))
    if context is None or context.provider != row.provider:
        return
    data = clean_json(row.data)
    try:
        if data in _check(session, context, row.at):
            return
    except (CallOver, TooManyCallbacks):
        return
    session.add(EventTable(conversation_id=context.conversation_id, name=NAME, at=row.at, data=data))
    session.flush()


def _check(session: Session, context: CallContextTable, at: datetime) -> list[dict[str, Any]]:
    """The callbacks that are there. Raises `CallOver`, `TooManyCallbacks`."""
    conversation = session.get_one(ConversationTable, context.conversation_id)
    over_at = conversation.ended_at or (context.expires_at if context.claimed_at is None else None)
    if over_at is not None and at > over_at + LAST_WORD:
        raise CallOver(f"context {context.id}: its call has been over since {over_at:%Y-%m-%d %H:%M:%S} UTC")
    is_one = (EventTable.conversation_id == context.conversation_id) & (EventTable.name == NAME)
    found = list(session.scalars(select(EventTable.data).where(is_one).limit(MOST_CALLBACKS)))
    if len(found) >= MOST_CALLBACKS or sum(len(json.dumps(data)) for data in found) >= MOST_BYTES:
        raise TooManyCallbacks(
            f"context {context.id}: {len(found)} status callbacks are kept, and no more of this call"
        )
    return found

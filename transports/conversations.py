"""What was said in a call, measured, and how it ended."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from store.endings import in_words
from store.errors import UnknownContext
from store.records import ConversationEnd, LedgerRow, Transcript
from transports.web import Handler, context_id


class Conversation(Handler):
    """`GET /v1/conversations/{contextId}`: one call, also while it goes on; needs an API key of its project."""

    async def get(self, identity: str) -> None:
        key = await self.require_key()
        services = self.services
        found = await services.database.run(services.conversations.transcript, context_id(identity))
        if key is not None and key.project_id != found.context.project_id:
            raise UnknownContext(f"context {found.context.id}: not there")
        self.send_json(conversation(found))


def conversation(found: Transcript) -> dict[str, Any]:
    """The JSON form of a transcript."""
    context = found.context
    return {
        "context_id": context.id,
        "assistant_id": context.assistant_id,
        "assistant_version": context.assistant_version,
        "provider": context.provider,
        "provider_call_id": context.provider_call_id,
        "direction": context.direction,
        "caller": context.caller,
        "callee": context.callee,
        "created_at": found.created_at,
        "status": found.status,
        "messages": [_row(message) for message in found.messages],
        "metrics": [_row(metric) for metric in found.metrics],
        "events": [_row(event) for event in found.events],
        "termination": _ending(found.termination) if found.termination else None,
    }


def _ending(end: ConversationEnd) -> dict[str, Any]:
    return {**_row(end), "text": in_words(end.reason)}


def _row(row: LedgerRow) -> dict[str, Any]:
    return {name: value for name, value in asdict(row).items() if name != "conversation_id"}

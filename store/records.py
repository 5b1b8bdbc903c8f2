"""What the repositories return and the ledger takes: plain frozen objects, no session behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from config.assistant import AssistantConfig

DEFAULT_PROJECT_ID = 1  # made by the first migration


@dataclass(frozen=True, slots=True)
class Project:
    """A project of an organisation: the owner of assistants, keys and calls."""

    id: int
    organisation_id: int
    name: str


@dataclass(frozen=True, slots=True)
class Assistant:
    """One version of an assistant."""

    id: int
    project_id: int
    version: int
    config: AssistantConfig
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as it may be shown: never its secret."""

    id: int
    project_id: int
    name: str
    hint: str  # the first characters, "rpd-1a2b..."
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class CallContext:
    """What a webhook has agreed on for the media connection that follows."""

    id: UUID
    project_id: int
    assistant_id: int
    assistant_version: int
    conversation_id: int
    provider: str
    direction: str  # inbound, outbound
    caller: str
    callee: str
    provider_call_id: str | None
    expires_at: datetime


# --- written behind by the ledger --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One line of a conversation, as it was heard."""

    conversation_id: int
    turn: int
    role: str  # user, assistant
    text: str
    at: datetime
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One measurement of a call; names end in their unit: turn_latency_ms, llm_first_token_ms ..."""

    conversation_id: int
    turn: int
    name: str
    value: float
    at: datetime


@dataclass(frozen=True, slots=True)
class EventRow:
    """Something that happened to the call: answered, dtmf (count only), member_failed, provider_changed ..."""

    conversation_id: int
    name: str
    at: datetime
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConversationEnd:
    """The conversation is over."""

    conversation_id: int
    result: str
    reason: str
    detail: str
    at: datetime


LedgerRow = MessageRow | MetricRow | EventRow | ConversationEnd

# --- read back ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Transcript:
    """All that is known of one call, in the order in which it was written."""

    context: CallContext
    status: str  # pending (no media yet), expired (media never came), active, ended
    created_at: datetime
    messages: tuple[MessageRow, ...]
    metrics: tuple[MetricRow, ...]
    events: tuple[EventRow, ...]
    termination: ConversationEnd | None

    @property
    def project_id(self) -> int:
        return self.context.project_id

"""What the repositories return and the ledger takes: plain frozen objects, no session behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypedDict, get_args
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
    api_key_id: int | None = None  # the key with which it was announced


# --- written behind by the ledger --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One line of a conversation, as it was heard."""

    conversation_id: int
    turn: int
    role: str  # user, assistant
    text: str
    at: datetime  # known: the answer to it became audible (user), or nothing more of it was heard (assistant)
    interrupted: bool = False
    began_at: datetime | None = None  # its first sound; None: recorded before this was measured


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
class CarrierEvent:
    """A carrier says how a call is (`store.callbacks`); which conversation that is, is found when it is written."""

    context_id: str
    provider: str
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


LostReason = Literal["worker_lost", "node_lost"]
LOST_REASONS: tuple[LostReason, ...] = get_args(LostReason)


@dataclass(frozen=True, slots=True)
class OwnerLost:
    """A worker has died: whatever it had not ended is over. The end that it wrote itself, even late, is better."""

    owner: str  # its incarnation
    reason: LostReason
    at: datetime


LedgerRow = MessageRow | MetricRow | EventRow | CarrierEvent | ConversationEnd | OwnerLost

# --- read back ---------------------------------------------------------------------------------------------------

Status = Literal["pending", "expired", "active", "ended"]  # no media yet; media never came; ...


@dataclass(frozen=True, slots=True)
class Transcript:
    """All that is known of one call, in the order in which it was written."""

    context: CallContext
    status: Status
    created_at: datetime
    messages: tuple[MessageRow, ...]
    metrics: tuple[MetricRow, ...]
    events: tuple[EventRow, ...]
    termination: ConversationEnd | None

    @property
    def project_id(self) -> int:
        return self.context.project_id


class Wanted(TypedDict, total=False):
    """Which calls of the history are wanted; what is absent or None narrows nothing."""

    status: Status | None
    assistant: str | None  # name or number
    caller: str | None
    ended: str | None  # the result or the reason of its termination
    since: datetime | None  # of its webhook


@dataclass(frozen=True, slots=True)
class CallSummary:
    """One line of the history of calls."""

    conversation_id: int
    context_id: UUID
    status: Status
    provider: str
    direction: str  # inbound, outbound
    assistant: str  # its name
    caller: str
    callee: str
    started_at: datetime  # of its webhook
    connected_at: datetime | None  # its media: where the time of the call begins; None: never connected
    ended_at: datetime | None
    duration_s: float | None  # from its media connection to its end, or until now; None: never connected
    turns: int  # in which the caller said something
    latency_p50_ms: float | None  # median of the turns' latencies
    result: str | None
    reason: str | None
    detail: str | None
    owner: str | None  # incarnation of the worker that took it
    ending: str | None  # result and reason in words; None: it is not over


@dataclass(frozen=True, slots=True)
class CallHistory:
    """All that is known of one call."""

    summary: CallSummary
    transcript: Transcript


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change that an operator made."""

    id: int
    at: datetime
    who: str
    verb: str
    arguments: dict[str, Any]
    result: str

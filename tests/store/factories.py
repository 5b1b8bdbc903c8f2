"""Small things that the store's tests are made of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from config.assistant import AssistantConfig
from store.assistants import AssistantRepository
from store.contexts import ContextRepository
from store.engine import Database
from store.records import CallContext

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def assistant_config(name: str = "reception", **fields: Any) -> AssistantConfig:
    return AssistantConfig.model_validate(
        {"name": name, "stt": "embedded", "llm": {"provider": "script", "file": "x.yaml"}, "tts": "embedded", **fields}
    )


def open_context(database: Database, provider_call_id: str | None = None) -> CallContext:
    assistant = AssistantRepository(database).apply(assistant_config())
    return ContextRepository(database).open_context(
        assistant, "twilio", "+15551234567", provider_call_id=provider_call_id
    )

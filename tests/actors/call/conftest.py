"""A stage for whole calls: the loop system with copied messages, the media clock, fake providers, a caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from actors.call.switchboard import Switchboard
from actors.call.wire import PlayoutMode
from actors.loop.actor import LoopActor
from actors.loop.local import Local
from actors.loop.system import LoopSystem
from actors.media.clock import MediaClock
from actors.messages import HangUpAll, StartCall
from actors.providers.registry import Registry
from actors.services.pace import Pulse, WorkClock
from actors.services.shared import Services
from config.assistant import AssistantConfig
from store.records import CallContext, ConversationEnd, EventRow, MessageRow
from tests.actors.call.stage import Stage
from tests.fakes.phone import Phone
from tests.fakes.providers import FAULTS, QUESTIONS
from tests.fakes.vad import LoudnessVad


class RowsHere(LoopActor):
    """A ledger that keeps its rows, for the test to read."""

    rows: list[Any] = []

    def receiveMessage(self, message: Any, sender: Any) -> None:
        if isinstance(message, Local):
            self.rows = message.value
        else:
            self.rows.append(message)


class Theatre:
    """Where calls are played."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.system = LoopSystem(loop, message_copy="pickle")
        self.clock = MediaClock(loop, LoudnessVad())
        self.clock.start()
        self.rows: list[Any] = []
        ledger = self.system.createActor(RowsHere)
        self.system.tell(ledger, Local(self.rows))
        work = WorkClock()  # as in a worker: who has no CPU for a while does not blame the providers
        self.system.tell(self.system.createActor(Pulse), Local(work))
        self.switchboard = self.system.createActor(Switchboard)
        self.services = Local(Services(Registry(["tests.fakes.providers"]), self.clock, ledger, work=work))
        self.phones: list[Phone] = []
        self.idle_actors = len(self.system.actors())

    def call(self, playout: PlayoutMode = PlayoutMode.LOCALLY_PACED, **changes: Any) -> Phone:
        """A call to an assistant of fakes."""
        phone = Phone(self.clock, playout)
        self.phones.append(phone)
        fields = {"name": "test", "greeting": "welcome", "stt": "fake", "llm": "fake", "tts": "fake", **changes}
        context = CallContext(
            uuid4(), 1, 1, 1, len(self.phones), "fake", "inbound", "+15550100", "+15550101", None, datetime.now(UTC)
        )
        start = StartCall(context, AssistantConfig.model_validate(fields), Local(phone.wire), self.services)
        self.system.tell(self.switchboard, start)
        return phone

    def company(self) -> list[Any]:
        """The actors themselves, but for the standing ones."""
        cells = self.system._base.cells()
        return [
            cell.instance for cell in cells if hasattr(cell.instance, "inspect") and cell.class_name != "Switchboard"
        ]

    def said(self, conversation: int = 1) -> list[tuple[str, str]]:
        return [(r.role, r.text) for r in self.rows if isinstance(r, MessageRow) and r.conversation_id == conversation]

    async def lines(self, phone: Phone, count: int, within_s: float = 5.0) -> list[tuple[str, str]]:
        """The first `count` lines of the history, once there are so many."""
        number = self.phones.index(phone) + 1
        await phone.until(lambda: len(self.said(number)) >= count, within_s, f"for {count} lines in the history")
        return self.said(number)[:count]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [row.data for row in self.rows if isinstance(row, EventRow) and row.name == name]

    async def ended(self, phone: Phone, within_s: float = 10.0) -> ConversationEnd:
        """How the call has ended, once it has."""
        number = self.phones.index(phone) + 1

        def ends() -> list[ConversationEnd]:
            return [r for r in self.rows if isinstance(r, ConversationEnd) and r.conversation_id == number]

        await phone.until(lambda: bool(ends()), within_s, "for the call to end")
        assert len(ends()) == 1
        return ends()[0]

    async def close(self) -> None:
        for phone in self.phones:
            phone.leave()
        await self.system.ask_async(self.switchboard, HangUpAll("test"), 5.0)
        assert len(self.system.actors()) == self.idle_actors, "a call has left actors behind"
        await self.system.shutdown_async()
        self.clock.stop()
        assert self.clock.stats.legs == 0


@pytest.fixture
async def theatre() -> AsyncIterator[Theatre]:
    FAULTS.clear()
    QUESTIONS.clear()
    theatre = Theatre()
    yield theatre
    await theatre.close()
    FAULTS.clear()


@pytest.fixture
def stage() -> Stage:
    """A conversation whose greeting was heard."""
    stage = Stage()
    stage.speak_out()
    return stage

"""A whole worker with its listeners, store and actors, and callers who reach it through real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from config.assistant import AssistantConfig
from config.settings import load_settings
from scripts.assistant_file import read_assistant
from scripts.caller.plan import CallPlan, Sentence
from store.assistants import AssistantRepository
from transports.worker import Worker

STEADY = {"greeting": "Hello, how may I help you?", "stt": "steady", "llm": "steady", "tts": "steady"}
RECEPTION = Path("assistants/reception.yaml")


class House:
    """One running worker, and what a caller needs to reach it."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.worker.http_port}"

    async def hire(self, config: AssistantConfig) -> None:
        """Put an assistant into the store."""
        database = self.worker.database
        await database.run(AssistantRepository(database).apply, config)

    def plan(self, assistant: str, via: str, sentences: tuple[Sentence, ...], **more: object) -> CallPlan:
        return CallPlan(
            to=self.url,
            assistant=assistant,
            via=via,
            sentences=sentences,
            turns=more.pop("turns", len(sentences)),
            audiosocket=("127.0.0.1", self.worker.audiosocket_port),
            **more,
        )

    def company(self) -> list[str]:
        """The actors that belong to calls."""
        standing = ("Ledger", "Switchboard", "DeadLetters", "Pulse")
        return [a.class_name for a in self.worker.system.actors() if a.class_name.split(".")[-1] not in standing]


async def until(holds: Callable[[], bool], within_s: float = 5.0) -> None:
    """No event tells a stranger that an actor has come or gone: look often."""
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.fixture
async def open_house(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[House]]]:
    houses: list[House] = []

    async def open_(**environment: str) -> House:
        base = {
            "DATA_DIR": str(tmp_path),
            "HTTP__PORT": "0",
            "AUDIOSOCKET__PORT": "0",
            "AUTH__MODE": "open",
            "LIMITS__SHED": "false",  # callers and worker share a loop here, and cores with other tests
            "EXTRA_PROVIDERS": "tests.fakes.steady,tests.fakes.providers",
        }
        worker = Worker(load_settings({**base, **environment}))
        await worker.start()
        houses.append(House(worker))
        return houses[-1]

    yield open_
    for house in houses:
        await house.worker.stop()


@pytest.fixture
async def house(open_house: Callable[..., Awaitable[House]]) -> House:
    """A worker with the assistants `steady` (fakes) and `reception` (the embedded default)."""
    house = await open_house()
    await house.hire(AssistantConfig(name="steady", **STEADY))
    await house.hire(read_assistant(RECEPTION))
    return house

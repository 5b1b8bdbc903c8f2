"""A call that is claimed and cannot start: it has an end in the store, its wire is hung up, and nothing of it stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from config.assistant import AssistantConfig
from config.settings import load_settings
from store.assistants import AssistantRepository
from store.contexts import ContextRepository
from store.records import CallContext, Transcript
from tests.transports.front import SCRIPT
from tests.transports.peers import Peer
from transports.worker import Worker

SCRIPTED: dict[str, Any] = {
    **SCRIPT,
    "llm": {"provider": "script", "intents": [{"name": "hours", "say": ["opening hours"], "reply": "At nine."}]},
}


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[Worker]:
    environ = {"DATA_DIR": str(tmp_path), "HTTP__PORT": "0", "AUDIOSOCKET__PORT": "0", "OPERATOR__PORT": "0"}
    made = Worker(load_settings(environ))
    await made.start()
    await made.database.run(AssistantRepository(made.database).apply, AssistantConfig(**SCRIPTED))
    yield made
    await made.stop()


async def announced(worker: Worker) -> CallContext:
    database = worker.database
    assistant = await database.run(AssistantRepository(database).get, "reception")
    return await database.run(ContextRepository(database).open_context, assistant, "asterisk", "+15550100")


async def refused(worker: Worker, context: CallContext) -> Transcript:
    """Connect its audio, which is hung up; what is known of the call once its end is written."""
    peer = await Peer.connect(worker.audiosocket_port)
    peer.send(b"\x01\x00\x10" + UUID(str(context.id)).bytes)
    await peer.rest()
    await peer.close()
    conversations = worker._app.conversations
    async with asyncio.timeout(5):
        while True:
            found = await worker.database.run(conversations.transcript, context.id)
            if found.termination is not None:
                return found
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("config = '{}'", "bad_config"),
        ("""config = json_replace(config, '$.llm[0].provider', 'nobody')""", "unknown_provider"),
        ("""config = json_replace(config, '$.llm[0].intents', 7)""", "bad_config"),
    ],
)
async def test_an_assistant_that_is_not_readable_any_more(worker: Worker, change: str, reason: str) -> None:
    context = await announced(worker)
    with worker.database.write() as session:
        session.connection().exec_driver_sql(f"UPDATE assistant_versions SET {change}")
    found = await refused(worker, context)
    assert found.status == "ended" and found.termination is not None
    assert (found.termination.result, found.termination.reason) == ("server_error", reason)
    assert worker.link.worker is not None and worker._app.gate.calls == 0

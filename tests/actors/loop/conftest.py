from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from actors.loop.system import LoopSystem


@pytest.fixture
async def system() -> AsyncIterator[LoopSystem]:
    """A system attached to the test's own loop; nothing of it may be left afterwards."""
    before = asyncio.all_tasks()
    attached = LoopSystem(asyncio.get_running_loop())
    yield attached
    await attached.shutdown_async()
    assert attached.actors() == []
    assert asyncio.all_tasks() - before <= {asyncio.current_task()}


@pytest.fixture
def hosted() -> Iterator[LoopSystem]:
    """A system in a thread of its own."""
    system = LoopSystem()
    yield system
    system.shutdown()
    assert not [thread for thread in threading.enumerate() if thread.name == "loop-system"]
    assert system.loop.is_closed()

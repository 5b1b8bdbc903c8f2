"""A worker of its own process with one call that listens, and attackers in processes of theirs."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from tests.attacks.probe import Probe
from tests.node.conftest import NodeProcess, StartNode, start_node  # noqa: F401  a fixture


@dataclass
class Scene:
    """The node under attack and the call that must not notice."""

    node: NodeProcess
    worker: int
    probe: Probe

    async def attack(self, name: str, seconds: float) -> tuple[float, dict[str, Any]]:
        """The longest gap of the probe meanwhile, in seconds, and what the attacker says it did."""
        began_s = time.monotonic()
        host, port = self.node.audiosocket
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.attacks.attacker", name),
            *(self.node.url.removeprefix("http://"), f"{host}:{port}", str(seconds)),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
        )
        try:
            out, _ = await asyncio.wait_for(process.communicate(), seconds + 30)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0
        await asyncio.sleep(0.1)  # what was begun under attack is finished
        return self.probe.worst(began_s, time.monotonic()).blamed_s, json.loads(out)


@pytest.fixture
async def scene(start_node: StartNode) -> AsyncIterator[Scene]:  # noqa: F811
    node = await start_node("--workers", "1")
    (worker,) = await node.pids()
    answer = await node.get("/v1/talk/asterisk/call/steady?from=%2B15550100")
    probe = Probe(node.audiosocket, UUID(answer.body.decode().strip()), worker)
    probe.start()
    yield Scene(node, worker, probe)
    probe.stop()

"""What calls of one worker found dead the others' do not try: a real node, and a provider that never opens."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from actors.services.breaker import FAILURES
from scripts.caller.call import place_call
from scripts.caller.plan import Sentence
from tests.node.conftest import NodeProcess, StartNode, until


async def pulses(node: NodeProcess) -> list[dict[str, Any]]:
    """How each worker is."""
    rows = [row for row in await node.ask("/v1/actors") if row["role"] == "pulse"]
    return [(await node.ask(f"/v1/actors/{row['address']}"))["detail"] for row in rows]


async def test_all_workers_know_a_provider_that_does_not_open(
    start_node: StartNode, tmp_path: Path, sentences: tuple[Sentence, ...]
) -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the other side gives up
        writer.close()

    hole = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = hole.sockets[0].getsockname()[1]
    file = tmp_path / "holed.yaml"
    file.write_text(
        "name: holed\ngreeting: Hello, how may I help you?\nstt: steady\nllm: steady\n"
        f"tts: [{{provider: cartesia, base_url: 'ws://127.0.0.1:{port}'}}, steady]\nstalls: {{connect_ms: 300}}\n"
    )
    node = await start_node("--workers", "2", "--assistant", str(file))
    assert [pulse["state"] for pulse in await pulses(node)] == ["running", "running"]

    failures: list[int] = []

    async def all_know() -> bool:
        rows = [row for pulse in await pulses(node) for row in pulse["breakers"]]
        failures[:] = [row["failures"] for row in rows]
        return [row["provider"] for row in rows] == [f"tts cartesia 127.0.0.1:{port}"] * 2

    async def calling() -> None:  # one after the other: two at once could find it out on either worker by themselves
        while True:
            await place_call(node.plan("holed", sentences, via="audiosocket", turns=1))

    calls = asyncio.create_task(calling())
    try:
        await until(all_know, 30.0)
    finally:
        calls.cancel()
        await asyncio.gather(calls, return_exceptions=True)
        hole.close()
    assert min(failures) < FAILURES, "one of them has been told"
    assert "Traceback" not in node.log

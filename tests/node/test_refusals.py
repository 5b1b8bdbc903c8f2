"""What carriers are told by a real node that takes no call, and by one that has lost theirs."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections import Counter
from uuid import UUID

import pytest

from scripts.caller.call import place_call
from scripts.caller.errors import CallRefused
from tests.node.conftest import NodeProcess, StartNode, until
from tests.node.test_drain import not_ready
from tests.node.test_recovery import calls_by_worker, ended_conversations, hold_calls
from tests.transports.peers import Peer
from tests.transports.test_gate import REJECT

TWILIO = "/v1/talk/twilio/call/steady?From=%2B15550100&CallSid=CA{}"
ASTERISK = "/v1/talk/asterisk/call/steady?from="
TIMES = 8  # every worker is asked
UPGRADE = (
    "GET /v1/talk/twilio/ctx/{} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def upgrade(node: NodeProcess, context: UUID | str) -> tuple[int, str]:
    """Connect a media WebSocket: status and body of the refusal."""
    peer = await Peer.connect(int(node.url.rpartition(":")[2]))
    peer.send(UPGRADE.format(context).encode())
    async with asyncio.timeout(5):
        head = (await peer.reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search(r"Content-Length: (\d+)", head)
        body = await peer.reader.readexactly(int(length[1]) if length else 0)
    await peer.close()
    return int(head.split()[1]), body.decode()


async def audiosocket(node: NodeProcess, context: UUID) -> bytes:
    """Connect over AudioSocket: what is sent until the other side closes, without the silence before it."""
    peer = await Peer.connect(node.audiosocket[1])
    peer.send(b"\x01\x00\x10" + context.bytes)
    received = await peer.rest()
    await peer.close()
    return received.replace(b"\x10\x01\x40" + bytes(320), b"")


async def test_a_draining_node_gives_each_carrier_its_refusal(start_node: StartNode, sentences) -> None:
    node = await start_node("--workers", "2")
    announced = (await node.get(TWILIO.format("0"))).body.decode().split("/ctx/")[1][:36]
    uuid = UUID((await node.get(ASTERISK)).body.decode())
    (running,) = await hold_calls(node, sentences, 1, turns=2)
    node.signal(signal.SIGTERM)
    await not_ready(node)
    for number in range(TIMES):
        rejected = await node.get(TWILIO.format(number))
        assert (rejected.code, rejected.body) == (200, REJECT)
        refused = await node.get(ASTERISK)
        assert (refused.code, refused.body) == (503, b"")
        status, body = await upgrade(node, announced)
        assert status == 503 and '"code":"draining"' in body
        assert await audiosocket(node, uuid) == b"\0\0\0"
    assert (await running).answered
    assert await node.ended(15) == 0
    assert "Traceback" not in node.log


async def test_a_full_worker_is_busy_until_a_call_ends(start_node: StartNode, sentences) -> None:
    node = await start_node("--workers", "1", LIMITS__MAX_CALLS="1")
    (running,) = await hold_calls(node, sentences, 1)
    for via in ("twilio", "audiosocket"):
        with pytest.raises(CallRefused, match=r"MAX_CALLS|503"):
            await place_call(node.plan("steady", sentences[:1], via=via))
    assert (await node.get("/readiness/")).code == 200
    assert (await running).answered
    assert (await place_call(node.plan("steady", sentences[:1], via="audiosocket"))).answered


@pytest.mark.parametrize("via", ["twilio", "audiosocket"])
async def test_a_late_media_connection_is_told_that_its_call_is_lost(
    start_node: StartNode, sentences, via: str
) -> None:
    node = await start_node("--workers", "2")
    call = asyncio.create_task(place_call(node.plan("steady", sentences, via=via)))
    holders: Counter[int] = Counter()

    async def under_way() -> bool:
        holders.update(await calls_by_worker(node))
        return bool(holders)

    await until(under_way)
    (holder,) = holders
    os.kill((await node.pids())[holder], signal.SIGKILL)
    await asyncio.gather(call, return_exceptions=True)
    (lost,) = await ended_conversations(node, 1)
    assert lost.termination.reason == "worker_lost"
    if via == "twilio":
        status, body = await upgrade(node, lost.context.id)
        assert status == 410 and '"code":"context_lost"' in body and "worker_lost" in body
    else:
        assert await audiosocket(node, lost.context.id) == b"\0\0\0"
        await until(lambda: "context_lost" in node.log)

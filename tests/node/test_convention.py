"""Two nodes that know each other: joined by Thespian's convention, alive by their heartbeats in Redis."""

from __future__ import annotations

import signal

from scripts.child_server import free_port
from tests.databases import Server
from tests.node.conftest import NodeProcess, StartNode, until


async def test_two_nodes_see_each_other_until_one_dies(start_node: StartNode, redis_server: Server) -> None:
    port = free_port(0)
    cluster = {
        "NODE__CONVENTION": f"127.0.0.1:{port}",
        "NODE__CLUSTER_SECRET": "of both",
        "REDIS__HOST": redis_server.host,
        "REDIS__PORT": str(redis_server.port),
    }
    leader = await start_node("--workers", "1", folder="one", NODE__NAME="one", NODE__CONTROL_PORT=str(port), **cluster)
    other = await start_node("--workers", "2", folder="two", NODE__NAME="two", **cluster)

    async def sees(node: NodeProcess, *names: str) -> bool:
        rows = await node.ask("/v1/nodes")
        return [row["node"] for row in rows] == list(names) and all(row["joined"] for row in rows)

    for node in (leader, other):
        await until(lambda node=node: sees(node, "one", "two"), 30.0)
    rows = await leader.ask("/v1/nodes")
    assert [row["workers"] for row in rows] == [1, 2]
    assert all(row["age_s"] < 2 for row in rows)
    other.signal(signal.SIGKILL)
    await other.ended()

    async def noticed() -> bool:
        return [row["node"] for row in await leader.ask("/v1/nodes")] == ["one"]

    await until(noticed, 30.0)


async def test_a_node_with_another_secret_does_not_join(start_node: StartNode, redis_server: Server) -> None:
    port = free_port(0)
    cluster = {
        "NODE__CONVENTION": f"127.0.0.1:{port}",
        "REDIS__HOST": redis_server.host,
        "REDIS__PORT": str(redis_server.port),
    }
    leader = await start_node(
        "--workers",
        "1",
        folder="one",
        NODE__NAME="three",
        NODE__CONTROL_PORT=str(port),
        NODE__CLUSTER_SECRET="right",
        **cluster,
    )
    await start_node("--workers", "1", folder="two", NODE__NAME="four", NODE__CLUSTER_SECRET="wrong", **cluster)
    await until(lambda: "a control frame was refused" in leader.log)

    async def beats() -> bool:
        return "four" in [row["node"] for row in await leader.ask("/v1/nodes")]

    await until(beats)
    assert not next(row for row in await leader.ask("/v1/nodes") if row["node"] == "four")["joined"]

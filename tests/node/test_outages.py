"""The database and Redis are away while calls go on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.settings import load_settings
from store.conversations import ConversationRepository
from store.engine import Database
from tests.databases import execute
from tests.node.conftest import NodeProcess, StartNode, until
from tests.node.test_recovery import hold_calls
from tests.servers import StoppableServer, redis_environ, stoppable_postgres, stoppable_redis

CALLS, TURNS = 4, 2
AWAY_S = 6.0  # most of the calls


@pytest.fixture
def postgres(server_folder: Path) -> Iterator[StoppableServer]:
    folder = server_folder / "outage"
    folder.mkdir(exist_ok=True)
    with stoppable_postgres(folder) as server:
        execute(server.login, "CREATE DATABASE callboard")
        yield server


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[StoppableServer]:
    with stoppable_redis(tmp_path) as server:
        yield server


async def readiness(node: NodeProcess) -> dict[str, str]:
    parts: dict[str, str] = json.loads((await node.get("/readiness/")).body)["parts"]
    return parts


async def test_no_call_notices_and_everything_is_written_once(
    start_node: StartNode, sentences, postgres: StoppableServer, redis: StoppableServer
) -> None:
    login = postgres.login
    environ = {
        "POSTGRES__HOST": login.host,
        "POSTGRES__PORT": str(login.port),
        "POSTGRES__USER": login.user,
        "POSTGRES__PASSWORD": login.password,
        **redis_environ(redis.login),
    }
    node = await start_node("--workers", "2", **environ)
    assert set((await readiness(node)).values()) == {"ok"}
    calls = await hold_calls(node, sentences, CALLS, turns=TURNS)

    async def counted() -> bool:  # by both workers, in Redis, told with the next heartbeat
        return [row.get("calls") for row in await node.ask("/v1/nodes")] == [CALLS]

    await until(counted)
    postgres.pause()
    redis.pause()

    async def told() -> bool:  # an answer is kept for a second
        parts = await readiness(node)
        return parts["node"] == "ok" and "ok" not in (parts["database"], parts["redis"])

    await until(told, 10.0)
    await asyncio.sleep(AWAY_S)  # the outage itself
    postgres.resume()
    redis.resume()
    reports = await asyncio.gather(*calls)
    latencies = [turn.latency_ms for report in reports for turn in report.turns]
    assert all(latency is not None and latency < AWAY_S * 1000 for latency in latencies), latencies

    async def ready() -> bool:
        return set((await readiness(node)).values()) == {"ok"}

    await until(ready, 15.0)
    await everything_is_written(environ)


async def everything_is_written(environ: dict[str, str]) -> None:
    """A greeting, and a question and its answer for each turn, exactly once in each call; and how it ended."""
    database = Database.from_settings(load_settings(environ))
    conversations = ConversationRepository(database)

    async def all_ended() -> bool:
        return len(await database.run(conversations.list, status="ended")) == CALLS

    try:
        await until(all_ended, 15.0)
        for summary in await database.run(conversations.list):
            transcript = (await database.run(conversations.show, str(summary.conversation_id))).transcript
            roles = [message.role for message in transcript.messages]
            assert roles == ["assistant", *(["user", "assistant"] * TURNS)]
    finally:
        database.close()

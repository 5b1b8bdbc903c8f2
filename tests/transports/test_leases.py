"""A worker's leases follow its calls, on both kinds of shared state."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import pytest
import redis

from config.settings import load_settings
from store.shared import InProcessState, SharedState
from tests.databases import Server
from transports.leases import TTL_S, Leases


@pytest.fixture(params=["in process", "redis"])
async def shared(request: pytest.FixtureRequest) -> AsyncIterator[SharedState]:
    if request.param == "redis":
        server: Server = request.getfixturevalue("redis_server")
        state = SharedState.from_settings(load_settings({"REDIS__HOST": server.host, "REDIS__PORT": str(server.port)}))
    else:
        state = InProcessState()
    yield state
    await state.close()


@pytest.fixture
def one() -> str:
    """A call's id; the server is shared by all tests."""
    return str(uuid4())


async def test_calls_are_owned_while_they_live(shared: SharedState, one: str) -> None:
    two = str(uuid4())
    live = {one, two}
    leases = Leases(shared, "node/0/a", lambda: live)
    await leases.reconcile()
    first = await shared.owner_of(one)
    assert first is not None and first.owner == "node/0/a"
    live.discard(one)
    await leases.reconcile()
    assert await shared.owner_of(one) is None
    assert await shared.owner_of(two) is not None
    await leases.stop()
    assert await shared.owner_of(two) is None


async def test_another_owner_is_not_overruled_and_said_once(
    shared: SharedState, one: str, caplog: pytest.LogCaptureFixture
) -> None:
    await shared.lease(one, "node/1/b", TTL_S)
    leases = Leases(shared, "node/0/a", lambda: {one})
    with caplog.at_level(logging.ERROR):
        await leases.reconcile()
        await leases.reconcile()
    assert len(caplog.records) == 1 and "node/1/b" in caplog.text
    await leases.stop()
    held = await shared.owner_of(one)
    assert held is not None and held.owner == "node/1/b"


async def test_a_new_lease_has_a_higher_epoch(shared: SharedState, one: str) -> None:
    live = {one}
    leases = Leases(shared, "node/0/a", lambda: live)
    await leases.reconcile()
    first = await shared.owner_of(one)
    live.clear()
    await leases.reconcile()
    live.add(one)
    await leases.reconcile()
    second = await shared.owner_of(one)
    assert first is not None and second is not None and second.epoch > first.epoch
    await leases.stop()


async def test_however_many_calls_there_are_redis_is_asked_once(redis_server: Server) -> None:
    state = SharedState.from_settings(
        load_settings({"REDIS__HOST": redis_server.host, "REDIS__PORT": str(redis_server.port)})
    )
    live = {str(uuid4()) for _ in range(300)}
    leases = Leases(state, "node/0/a", lambda: live)
    with redis.Redis(redis_server.host, redis_server.port) as client:

        def asked() -> int:
            return int(client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0))

        await leases.reconcile()
        before = asked()
        await leases.reconcile()
        assert asked() == before + 1
        live.clear()
        await leases.reconcile()
        assert asked() == before + 2
    await leases.stop()
    await state.close()


async def test_a_look_that_fails_is_not_the_last(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, one: str
) -> None:
    class Failing(InProcessState):
        looks = 0

        async def lease_all(self, calls: Sequence[str], owner: str, ttl_s: float) -> dict[str, int]:
            self.looks += 1
            if self.looks <= 2:
                raise RuntimeError("the client's own state is broken")
            return await super().lease_all(calls, owner, ttl_s)

    monkeypatch.setattr("transports.leases.LOOK_S", 0.001)
    state = Failing()
    leases = Leases(state, "node/0/a", lambda: {one})
    leases.start()
    async with asyncio.timeout(5):
        while await state.owner_of(one) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    await leases.stop()
    assert len(caplog.records) == 1 and "a look has failed" in caplog.text

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from tests.transports.front import Site, open_site


def _sockets() -> int:
    links = (f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd"))
    return sum(os.path.islink(link) and os.readlink(link).startswith("socket:") for link in links)


Loop = Callable[[], asyncio.AbstractEventLoop]


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Loop]:
    """The worker's loop is uvloop's: what touches sockets by itself is tested on that too."""
    loops: dict[str, Loop] = {"asyncio": asyncio.new_event_loop}
    if item.path.stem in ("test_media", "test_twilio_wire", "test_audiosocket_wire"):
        loops["uvloop"] = uvloop.new_event_loop
    return loops


@pytest.fixture
def no_socket_left() -> Iterator[None]:
    before = _sockets()
    yield
    assert _sockets() == before


@pytest.fixture
async def make_site(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Site]]]:
    """Opens a site with options of its own: `await make_site(auth={"mode": "open"})`."""
    sites: list[Site] = []

    async def make(**options: object) -> Site:
        sites.append(await open_site(tmp_path, **options))  # type: ignore[arg-type]
        return sites[-1]

    yield make
    for site in sites:
        await site.close()


@pytest.fixture
async def site(make_site: Callable[..., Awaitable[Site]]) -> Site:
    return await make_site()

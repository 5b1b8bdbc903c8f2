"""A browser before a whole worker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.browser.chromium import PROGRAM, Page, browser
from tests.calls.conftest import House, house, open_house

__all__ = ["house", "open_house"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "browser: drives Chromium, or the published client in Node.js; takes longer")


@pytest.fixture
async def visit(house: House, tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Page]]]:
    """Opens the page in a browser of its own: `await visit(*flags)`."""
    if PROGRAM is None:
        pytest.fail("Chromium is not installed: scripts/test brings it")
    closing = []

    async def open_(*flags: str, path: str = "/") -> Page:
        manager = browser(tmp_path / f"browser-{len(closing)}", *flags)
        page = await manager.__aenter__()
        closing.append(manager)
        await page.open(house.url + path)
        return page

    yield open_
    for manager in closing:
        await manager.__aexit__(None, None, None)

"""A whole worker with the operators' listener, and one who asks it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from actors.loop.cell import Cell
from actors.node.rows import call_of, role_of
from config.assistant import AssistantConfig
from scripts.callboard import main
from scripts.caller.call import place_call
from scripts.caller.plan import CallReport, Connected, Sentence
from scripts.nodes import FILE
from tests.calls.conftest import STEADY, House, open_house, until  # noqa: F401  # a fixture comes by its name

TOKEN = "opensesame"


class Office:
    """A worker with its operators' listener, and calls to look at."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._callers: list[asyncio.Task[CallReport]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.house.worker.operator_port}"

    async def call(self, turns: int = 20) -> str:
        """Somebody calls and is answered; the call's id."""
        connected: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def observe(event: object) -> None:
            if isinstance(event, Connected) and not connected.done():
                connected.set_result(str(event.context_id))

        tone = Sentence("a tone", bytes(16000))
        plan = self.house.plan("steady", "audiosocket", (tone,), turns=turns, follow=False)
        self._callers.append(asyncio.create_task(place_call(plan, observe)))
        call = await connected
        cells = self.house.worker.system.cells
        await until(lambda: any(role_of(cell) == "speaker" and _is_of(cell, call) for cell in cells()))
        return call

    async def rows(self, call: str = "") -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = await self.house.worker.operate("ps", {"call": call})
        return rows

    async def row(self, call: str, role: str) -> dict[str, Any]:
        return next(row for row in await self.rows(call) if row["role"] == role)

    async def hang_up(self) -> None:
        for task in self._callers:
            task.cancel()
        await asyncio.gather(*self._callers, return_exceptions=True)


def _is_of(cell: Cell, call: str) -> bool:
    above = call_of(cell)
    return above is not None and above.instance.call == call


@pytest.fixture
async def office(open_house: Callable[..., Awaitable[House]], tmp_path: Path) -> AsyncIterator[Office]:  # noqa: F811
    house = await open_house(OPERATOR__PORT="0", OPERATOR__TOKEN=TOKEN)
    await house.hire(AssistantConfig(name="steady", **STEADY))
    office = Office(house)
    (tmp_path / FILE).write_text(json.dumps({"url": office.url, "token": TOKEN}))
    yield office
    await office.hang_up()


Command = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command line beside the loop that answers it: exit code, standard output, standard error."""
    monkeypatch.delenv("OPERATOR__TOKEN", raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))

    async def run(*argv: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(main, argv)
        out, err = capsys.readouterr()
        return code, out, err

    return run

"""A PIN that a caller has typed goes through everything, and stands nowhere afterwards: only the model was told."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from actors.node.rows import call_of
from config.assistant import AssistantConfig
from scripts.callboard import main
from scripts.caller.call import place_call
from scripts.caller.plan import CallReport, Sentence
from tests.calls.conftest import STEADY, House
from tests.fakes.providers import FAULTS, QUESTIONS

PIN = "739164"
CANARY = re.compile(r"\D{0,3}".join(PIN), re.DOTALL)


def texts_below(folder: Path) -> dict[str, str]:
    """What was written: database, spool, logs."""
    return {str(path): path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file()}


async def a_call(house: House) -> tuple[CallReport, list[Any]]:
    """A caller types the PIN over the greeting and says something; what is seen of the call meanwhile."""
    seen: list[Any] = []
    tone = Sentence("a tone", bytes(16000))
    plan = house.plan("bank", "browser", (tone,), dtmf=PIN + "#")
    call = asyncio.create_task(place_call(plan, seen.append))
    while not call.done():
        seen += [cell.instance.inspect() for cell in house.worker.system.cells() if call_of(cell) is not None]
        await asyncio.sleep(0.1)
    return call.result(), seen


async def test_no_path_of_ours_holds_the_keys(
    open_house: Callable[..., Awaitable[House]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    FAULTS.clear()
    QUESTIONS.clear()
    FAULTS.plant("ask", "fail", only="pressed")  # the question with the keys is asked again
    house = await open_house(LOG_LEVEL="debug")
    bank = {**STEADY, "greeting": "Your PIN please?", "llm": "fake"}  # which reads back what it is told
    await house.hire(AssistantConfig(name="bank", **bank))
    with caplog.at_level(logging.DEBUG):
        report, seen = await a_call(house)
    asked = [question.history[-1].text for question in QUESTIONS]
    assert sum(" ".join(PIN) in text for text in asked) >= 2, "the model is told, also the second time"
    stored = report.conversation["messages"]
    assert any("[pressed 6 keys]" in line["text"] for line in stored)
    metrics = repr(await house.worker.operate("metrics", {}))
    await house.worker.stop()
    for arguments in (("calls", "show", "1"), ("calls", "show", "1", "--json")):
        assert await asyncio.to_thread(main, arguments) == 0
    shown = capsys.readouterr().out
    assert "[pressed 6 keys]" in shown
    places = {
        "log": caplog.text,
        "metrics": metrics,
        "API": json.dumps(report.conversation),
        "inspect, page": repr(seen),
        "calls show": shown,
        **await asyncio.to_thread(texts_below, tmp_path),
    }
    assert not [place for place, text in places.items() if CANARY.search(text)]

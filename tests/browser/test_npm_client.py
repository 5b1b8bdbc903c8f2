"""The published npm client of RTVI as a second client of our wire: it was written by somebody else."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from actors.media.audio import PCM_8K, PCM_16K
from actors.media.resample import Converter
from actors.providers.grammar import normalise
from scripts.assistant_file import read_assistant
from scripts.child_server import free_port
from store.keys import KeyRepository
from tests.calls.conftest import RECEPTION, House
from tests.fakes.recorded import pcm_of

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
FOLDER = Path(__file__).parent / "npm"
NODE = shutil.which("node")


async def run_client(*arguments: str) -> list[dict[str, Any]]:
    if NODE is None or not (FOLDER / "node_modules").is_dir():
        pytest.fail(f"Node.js or the client is not installed: npm ci --prefix {FOLDER.relative_to(Path.cwd())}")
    process = await asyncio.create_subprocess_exec(
        *(NODE, "client.cjs", *arguments), cwd=FOLDER, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), 90)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = [json.loads(line) for line in out.decode().splitlines() if line.startswith('{"event"')]
    assert process.returncode == 0, f"{lines[-3:]}\n{err.decode()[-2000:]}"
    return lines


async def test_a_call(open_house: Callable[..., Awaitable[House]], tmp_path: Path) -> None:
    house = await open_house(HTTP__PORT=str(free_port(0)), AUTH__MODE="key")
    await house.hire(read_assistant(RECEPTION))
    _, key = await house.worker.database.run(KeyRepository(house.worker.database).create, "browser")
    spoken = tmp_path / "spoken.pcm"
    converter = Converter(PCM_8K, PCM_16K)
    pcm = converter.convert(pcm_of("what are your opening hours")) + converter.flush()
    await asyncio.to_thread(spoken.write_bytes, pcm)
    seen = await run_client(f"{house.url}/v1/talk/browser/call/reception", key, str(spoken))

    assert [line["event"] for line in seen if line["event"] in ("ready", "heard", "refused", "done")] == [
        *("ready", "heard", "refused", "done")
    ]
    data = {name: [line["data"] for line in seen if line["event"] == name] for name in {line["event"] for line in seen}}
    assert data["ready"][0]["version"] == "2.1.0"
    assert {"UserStartedSpeaking", "UserStoppedSpeaking", "BotStartedSpeaking", "BotStoppedSpeaking"} <= data.keys()
    assert "what are your opening hours" in [
        normalise(words["text"]) for words in data["UserTranscript"] if words["final"]
    ]
    said = [words["text"] for words in data["BotTranscript"]]
    assert said[0].startswith("Good day") and "open from six to eleven" in said[1] and "stage" in said[2]
    assert data["heard"][0]["samples"] > 5 * 16000  # a greeting and an answer
    assert "turn_latency" in [figure["processor"] for line in data["Metrics"] for figure in line.get("processing", ())]
    assert "no such request" in json.dumps(data["refused"])
    assert "Error" not in data

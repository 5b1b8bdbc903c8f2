"""`scripts/bench-server`: the contract of the benchmark."""

from __future__ import annotations

import ast
import asyncio
import signal
import sys

import pytest

from scripts.caller.call import place_call
from scripts.caller.plan import CallPlan
from tests.fakes.cartesia import FakeCartesia
from tests.fakes.deepgram import FakeDeepgram
from tests.fakes.openai import FakeOpenAi
from tests.fakes.recorded import recorded
from tests.fakes.remote import FakeProvider


class AllInOne(FakeProvider):
    """The three providers at one address, as the benchmark's are; one key fits all."""

    def __init__(self) -> None:
        super().__init__()
        self.fakes = FakeDeepgram(), FakeOpenAi(), FakeCartesia()

    def routes(self):
        return [route for fake in self.fakes for route in fake.routes()]


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scripts.bench_server", *arguments),
        env={
            "DEEPGRAM_API_KEY": FakeProvider.key,
            "OPENAI_API_KEY": FakeProvider.key,
            "CARTESIA_API_KEY": "a-test-key",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize("via", ["twilio", "audiosocket"])
async def test_assistant_1_is_called_at_once_until_sigterm(via):
    sentences = recorded("hello, when are you open")
    async with AllInOne() as providers:
        address = f"127.0.0.1:{providers.port}"
        server = await start("--providers", address, "--port", "0", "--audiosocket-port", "0")
        ports = ast.literal_eval((await server.stdout.readline()).decode().removeprefix("listening: "))
        plan = CallPlan(
            to=f"http://127.0.0.1:{ports['http']}",
            assistant="1",
            via=via,
            sentences=sentences,
            turns=1,
            audiosocket=("127.0.0.1", ports["audiosocket"]),
        )
        report = await place_call(plan)
        server.send_signal(signal.SIGTERM)
        _, err = await server.communicate()
        assert server.returncode == 0, err
        assert report.answered
        assert not any(fake.violations for fake in providers.fakes)


@pytest.mark.parametrize(
    "arguments", [(), ("--providers", "nowhere"), ("--providers", "127.0.0.1:1", "--port", "70000")]
)
async def test_wrong_usage(arguments):
    server = await start(*arguments)
    _, err = await server.communicate()
    assert server.returncode == 2
    assert b"Traceback" not in err and err.strip()

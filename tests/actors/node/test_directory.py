"""What one worker tells of its actors, without a network in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from thespian.actors import ActorAddress, ActorExitRequest

from actors.loop.actor import LoopActor
from actors.loop.system import LoopSystem
from actors.media.clock import MediaClock
from actors.media.vad import BatchedVad
from actors.messages import HangUp
from actors.node.directory import MOST_TRACES, Directory, UnknownVerb
from actors.node.rows import tree
from actors.services.metrics import Metrics
from config.errors import BadInput
from tests.calls.conftest import until

CALL = "3f2a1b9c-0000-4000-8000-000000000000"


class Company(LoopActor):
    """A call of which one member can be restarted."""

    role, call = "call", CALL

    def __init__(self) -> None:
        self.restarts = 0
        self.heard: list[Any] = []

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:
        match message:
            case "start":
                self.speaker = self.createActor(Speaker)
                self.send(sender, self.speaker)
            case "talk":
                self.send(self.speaker, "words")
            case HangUp():
                self.heard.append(message.reason)

    def inspect(self) -> dict[str, Any]:
        return {"state": "listening", "members": {"speaker": {"restarts": 2}}}


class Speaker(LoopActor):
    role = "speaker"

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:
        if message == "work":
            self.call_later(60, "later")
            self.send(sender, "done")

    def inspect(self) -> dict[str, Any]:
        return {"opened": False}


class Broken(LoopActor):
    def receiveMessage(self, message: Any, sender: ActorAddress) -> None: ...

    def inspect(self) -> dict[str, Any]:
        raise ValueError("not now")


class Stage:
    def __init__(self, system: LoopSystem, directory: Directory) -> None:
        self.system, self.directory = system, directory

    async def play(self) -> tuple[Any, Any]:
        call = self.system.createActor(Company)
        return call, await self.system.ask_async(call, "start", 1)

    async def ask(self, verb: str, **arguments: Any) -> Any:
        return await self.directory.operate(verb, arguments)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    loop = asyncio.get_running_loop()
    system = LoopSystem(loop)
    directory = Directory(system, MediaClock(loop, BatchedVad()), Metrics(), 3)
    yield Stage(system, directory)
    directory.close()
    await system.shutdown_async()


async def test_a_row_is_complete_and_plain(stage: Stage) -> None:
    call, speaker = await stage.play()
    rows = {row["role"]: row for row in await stage.ask("ps")}
    row = rows["speaker"]
    expected = {"address": speaker.name, "class": "Speaker", "worker": 3, "call": CALL, "state": "opening"}
    assert expected.items() <= row.items()
    assert (row["parent"], row["restarts"], row["depth"], row["max_depth"]) == (call.name, 2, 0, 0)
    assert rows["call"]["state"] == "listening" and rows["call"]["max_depth"] == 1
    assert rows["call"]["messages_per_s"] > 0 and 0 <= rows["call"]["busy_share"] <= 1
    assert rows["deadletters"]["call"] is None and rows["deadletters"]["state"] == "running"
    assert all(isinstance(value, str | int | float | None) for row in rows.values() for value in row.values())


async def test_a_window_counts_only_what_passes_in_it(stage: Stage) -> None:
    call, _ = await stage.play()
    for _ in range(100):
        stage.system.tell(call, "talk")
    await asyncio.sleep(0)
    looking = asyncio.create_task(stage.ask("ps", window_s=0.1, call=CALL))
    await asyncio.sleep(0)
    for _ in range(5):
        stage.system.tell(call, "talk")
    rates = {row["role"]: row["messages_per_s"] for row in await looking}
    assert 30 < rates["call"] <= 50 and 30 < rates["speaker"] <= 50
    assert [row["messages_per_s"] for row in await stage.ask("ps", window_s=0.05, call=CALL)] == [0, 0]


async def test_an_actor_that_cannot_be_inspected_is_listed(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    address = stage.system.createActor(Broken)
    (row,) = [row for row in await stage.ask("ps") if row["class"] == "Broken"]
    assert (row["address"], row["role"], row["state"]) == (address.name, "broken", "running")
    assert "cannot be inspected" in caplog.text


async def test_rows_become_a_tree_in_order_of_creation(stage: Stage) -> None:
    await stage.play()
    letters, call = tree(await stage.ask("ps"))
    assert (letters["role"], letters["children"]) == ("deadletters", [])
    assert [child["role"] for child in call["children"]] == ["speaker"]
    (alone,) = tree([call["children"][0]])
    assert alone["role"] == "speaker"


async def test_inspect_tells_timers_and_gives_no_message(stage: Stage) -> None:
    _, speaker = await stage.play()
    await stage.system.ask_async(speaker, "work", 1)
    found = await stage.ask("inspect", address=speaker.name)
    again = await stage.ask("inspect", address=speaker.name)
    assert found["received"] == again["received"] == 1
    assert found["detail"] == {"opened": False}
    ((timer),) = found["timers"]
    assert timer["message"] == "str" and 59 < timer["due_in_s"] <= 60
    assert await stage.ask("inspect", address="loop-1.1:1") is None


async def test_calls_are_found_by_their_beginning(stage: Stage) -> None:
    await stage.play()
    assert await stage.ask("calls") == await stage.ask("calls", prefix="3f2a") == [CALL]
    assert await stage.ask("calls", prefix="2a") == []


async def test_a_call_is_told_to_hang_up(stage: Stage) -> None:
    call, _ = await stage.play()
    assert await stage.ask("hangup", call="other") is None
    assert await stage.ask("hangup", call=CALL) == {"call": CALL}
    await until(lambda: call.receiver.instance.heard == ["operator"])


async def test_only_members_are_restarted(stage: Stage) -> None:
    call, speaker = await stage.play()
    done = await stage.ask("restart", address=speaker.name)
    assert done == {"address": speaker.name, "role": "speaker", "call": CALL, "restarting": True}
    await until(lambda: speaker.receiver is None)
    assert await stage.ask("restart", address=speaker.name) is None
    lone = stage.system.createActor(Speaker)
    for address, role, of in ((call, "call", CALL), (lone, "speaker", None)):
        done = await stage.ask("restart", address=address.name)
        assert done == {"address": address.name, "role": role, "call": of, "restarting": False}
    await until(lambda: not any(cell.queue for cell in stage.system.cells()))
    assert call.receiver is not None and lone.receiver is not None


@pytest.mark.parametrize(
    ("verb", "arguments", "complaint"),
    [
        ("destroy", {}, r"verb 'destroy': legal: ps, calls, inspect"),
        ("inspect", {}, "missing a required argument: 'address'"),
        ("ps", {"all": True}, "unexpected keyword argument 'all'"),
    ],
)
async def test_a_question_that_is_none(verb: str, arguments: dict[str, Any], complaint: str, stage: Stage) -> None:
    with pytest.raises(BadInput, match=complaint) as raised:
        await stage.directory.operate(verb, arguments)
    assert isinstance(raised.value, UnknownVerb) == (verb == "destroy")


async def test_two_look_at_one_call(stage: Stage) -> None:
    call, _ = await stage.play()
    one = await stage.ask("trace_start", call=CALL)
    other = await stage.ask("trace_start", call=CALL, limit=1)
    for _ in range(2):
        stage.system.tell(call, "talk")
    await until(lambda: not call.receiver.queue)
    polled = await stage.ask("trace_poll", **other)
    assert (len(polled["lines"]), polled["over"]) == (1, "count_limit")
    lines = (await stage.ask("trace_poll", **one))["lines"]
    assert [(line["from"], line["to"]) for line in lines][:2] == [("outside", "call"), ("outside", "call")]
    assert ("call", "speaker") in [(line["from"], line["to"]) for line in lines]
    await stage.ask("trace_stop", **one)
    assert stage.system._systemBase.taps == {}


async def test_traces_are_few(stage: Stage) -> None:
    await stage.play()
    assert await stage.ask("trace_start", call="other") is None
    for _ in range(MOST_TRACES):
        await stage.ask("trace_start", call=CALL)
    assert await stage.ask("trace_start", call=CALL) == {"trace": None}


async def test_a_trace_that_nobody_polls_is_taken_off(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.node.trace.FORGOTTEN_S", 0.1)
    monkeypatch.setattr("actors.node.directory.SWEEP_S", 0.02)
    await stage.play()
    started = await stage.ask("trace_start", call=CALL)
    taps = stage.system._systemBase.taps
    assert len(taps) == 2
    await until(lambda: not taps)
    assert await stage.ask("trace_poll", **started) is None


async def test_the_last_dead_letters_are_kept(stage: Stage) -> None:
    _, speaker = await stage.play()
    stage.system.tell(speaker, ActorExitRequest())
    await until(lambda: speaker.receiver is None)
    for _ in range(120):
        stage.system.tell(speaker, "a secret")
    await until(lambda: stage.system.dead_letters == 120)
    await until(lambda: not any(cell.queue for cell in stage.system.cells()))
    found = await stage.ask("deadletters")
    assert (found["count"], len(found["last"])) == (120, 100)
    assert found["last"][0].keys() == {"at", "type", "from", "to"}
    assert found["last"][0]["to"] == speaker.name and "secret" not in str(found)

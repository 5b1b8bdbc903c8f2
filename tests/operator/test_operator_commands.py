"""The operators' commands against a running worker with calls."""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from actors.call.switchboard import Switchboard
from scripts.nodes import data_dir
from store.audit import AuditRepository
from store.conversations import ConversationRepository
from tests.calls.conftest import until
from tests.operator.conftest import Command, Office

COMPANY = {"call", "transport", "transcriber", "responder", "speaker"}


async def test_ps_shows_every_actor_of_a_call(office: Office, command: Command) -> None:
    call = await office.call()
    code, out, err = await command("ps", "--json", "--call", call[:6])
    rows = {row["role"]: row for row in json.loads(out)}
    assert (code, err) == (0, "")
    assert rows.keys() == COMPANY
    assert {row["call"] for row in rows.values()} == {call}
    assert {row["parent"] for role, row in rows.items() if role != "call"} == {rows["call"]["address"]}
    assert rows["transport"]["state"] == "open" and rows["transport"]["class"] == "Transport"
    code, table, _ = await command("ps")
    assert code == 0
    assert {"ledger", "switchboard", *COMPANY} <= set(table.split())
    assert re.match(r"address +role +class +worker +call +state +age s", table)


async def test_ps_sorts_and_cuts(office: Office, command: Command) -> None:
    await office.call()
    rows = json.loads((await command("ps", "--json", "--sort", "messages_per_s", "--window", "300ms"))[1])
    rates = [row["messages_per_s"] for row in rows]
    assert rates == sorted(rates, reverse=True) and rates[0] > 10  # 20 ms of audio, at most 60 in a message
    top = json.loads((await command("ps", "--json", "--sort", "role", "--top", "2"))[1])
    assert [row["role"] for row in top] == ["call", "deadletters"]


async def test_rates_over_a_window_forget_what_was_before(office: Office, command: Command) -> None:
    await office.call()
    await office.hang_up()
    await until(lambda: "Call" not in office.house.company())

    async def switchboard(*options: str) -> dict[str, float]:
        rows = json.loads((await command("ps", "--json", *options))[1])
        return next(row for row in rows if row["role"] == "switchboard")

    assert (await switchboard())["messages_per_s"] > 0
    assert (await switchboard("--window", "100ms"))["messages_per_s"] == 0


async def test_ps_of_a_thousand_actors_answers_at_once(office: Office, tmp_path: Path) -> None:
    system = office.house.worker.system
    for _ in range(1000):
        system.createActor(Switchboard)
    callboard = Path(sys.executable).with_name("callboard")
    least_s = math.inf
    for _ in range(20):  # on a busy machine one of many is undisturbed
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            callboard, "ps", stdout=subprocess.PIPE, env={**os.environ, "DATA_DIR": str(tmp_path)}
        )
        out, _ = await process.communicate()
        least_s = min(least_s, time.perf_counter() - began)
        assert process.returncode == 0 and out.count(b"switchboard") > 1000
        if least_s < 0.3:
            return
    pytest.fail(f"it took {least_s:.2f} s")


async def test_the_tree_is_the_supervisors(office: Office, command: Command) -> None:
    call = await office.call()
    code, out, _ = await command("tree")
    assert code == 0
    shown = re.sub(r" \([^)]*\)", "", out)
    assert shown == TREE.format(call=call[:8])
    only = (await command("tree", call))[1]
    assert "ledger" not in only and f"call {call[:8]}" in only


TREE = """\
node
└─ worker 0
   ├─ ledger
   ├─ switchboard
   │  └─ call {call}
   │     ├─ transport
   │     ├─ transcriber
   │     ├─ responder
   │     └─ speaker
   ├─ pulse
   └─ deadletters
"""


async def test_inspect_shows_states_and_no_words(office: Office, command: Command) -> None:
    call = await office.call()
    row = await office.row(call, "call")
    code, out, _ = await command("inspect", row["address"])
    shown = json.loads(out)
    assert code == 0
    assert shown["detail"]["members"]["speaker"] == {"alive": True, "provider": "steady", "restarts": 0}
    assert len(shown["children"]) == 4
    assert "Hello" not in out and "open from nine" not in out
    speaker = json.loads((await command("inspect", (await office.row(call, "speaker"))["address"]))[1])
    assert speaker["detail"]["provider"] == "steady" and speaker["received"] > 0


async def test_trace_shows_messages_and_counts_audio(office: Office, command: Command) -> None:
    call = await office.call()
    code, out, _ = await command("trace", call[:8], "--json", "--limit", "60")
    *lines, last = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and last == {"over": "count_limit"}
    assert len([line for line in lines if line["count"] == 1]) <= 60
    assert {"from", "to", "type", "size", "count", "t_s"} == lines[0].keys()
    heard = [line for line in lines if line["type"] == "Heard"]
    assert heard and all(line["from"] == "transport" and line["to"] == "transcriber" for line in heard)
    assert sum(line["count"] for line in heard) > len(heard)
    people = (await command("trace", call, "--limit", "3"))[1]
    assert people.endswith("-- over: count_limit\n")


async def test_restart_replaces_a_member_and_is_audited(office: Office, command: Command) -> None:
    call = await office.call()
    before = await office.row(call, "speaker")
    code, out, err = await command("restart", before["address"])
    assert (code, out, err) == (0, f"speaker of call {call} is being replaced\n", "")
    after = await _replaced(office, call, before["address"])
    assert after["restarts"] == 1
    (entry,) = AuditRepository(office.house.worker.database).list()
    assert (entry.verb, entry.arguments, entry.result) == ("restart", {"address": before["address"]}, "ok")
    assert entry.who.endswith("@127.0.0.1")


async def _replaced(office: Office, call: str, old: str) -> dict[str, object]:
    found: list[dict[str, object]] = []
    for _ in range(500):
        found = [r for r in await office.rows(call) if r["role"] == "speaker" and r["address"] != old]
        if found:
            return found[0]
    raise AssertionError("the speaker was not replaced")


@pytest.mark.parametrize("role", ["call", "transport", "ledger"])
async def test_only_members_can_be_restarted(role: str, office: Office, command: Command) -> None:
    await office.call()
    (row,) = [row for row in await office.rows() if row["role"] == role]
    code, out, err = await command("restart", row["address"])
    assert code == 1 and out == ""
    assert err == (
        f"callboard: not_restartable: actor {row['address']} is a {role}: "
        "legal: a call's transcriber, responder, speaker\n"
    )
    assert [entry.result for entry in AuditRepository(office.house.worker.database).list()] == ["not_restartable"]


async def test_hangup_ends_the_call(office: Office, command: Command) -> None:
    call = await office.call()
    code, out, _ = await command("hangup", call[:8], "--json")
    assert code == 0 and json.loads(out) == {"call": call}
    await until(lambda: "Call" not in office.house.company())
    (entry,) = AuditRepository(office.house.worker.database).list()
    assert (entry.verb, entry.arguments) == ("hangup", {"call": call})


async def test_an_operator_may_say_why_and_let_the_assistant_say_goodbye(office: Office, command: Command) -> None:
    call = await office.call()
    code, out, _ = await command("hangup", call, "--goodbye", "--because", "a test of the line")
    assert (code, out) == (0, f"call {call} is being ended\n")
    await until(lambda: "Call" not in office.house.company())
    database = office.house.worker.database
    (entry,) = AuditRepository(database).list()
    assert entry.arguments == {"call": call, "goodbye": True, "because": "a test of the line"}
    repository = ConversationRepository(database)
    await until(lambda: repository.show(call).summary.ended_at is not None)
    found = repository.show(call)
    summary = found.summary
    assert (summary.reason, summary.detail) == ("operator", "a test of the line")
    assert summary.ending == "an operator ended the call"
    said = [message.text for message in found.transcript.messages if message.role == "assistant"]
    assert said[-1] == "I am sorry, we have to end this call now. Goodbye."


async def test_what_an_operator_says_is_short(office: Office, command: Command) -> None:
    call = await office.call()
    code, _, err = await command("hangup", call, "--because", "x" * 201)
    assert code == 2 and "legal: at most 200 printable characters" in err
    assert "Call" in office.house.company()


async def test_a_call_that_is_not_there(office: Office, command: Command) -> None:
    calls = [await office.call(), await office.call()]
    assert set(await office.house.worker.operate("calls", {"prefix": ""})) == set(calls)
    code, _, err = await command("hangup", "nothing-like-it")
    assert code == 1 and err.startswith("callboard: unknown_call: call 'nothing-like-it': no call")


async def test_deadletters_are_counted_and_named(office: Office, command: Command) -> None:
    call = await office.call()
    system = office.house.worker.system
    address = next(c.address for c in system.cells() if c.class_name == "Speaker")
    await command("hangup", call)
    await until(lambda: "Call" not in office.house.company())
    before = system.dead_letters
    system.tell(address, "a word")
    await until(lambda: system.dead_letters == before + 1)
    code, out, _ = await command("deadletters", "--json")
    found = json.loads(out)
    assert code == 0 and found["count"] == before + 1
    assert (found["last"][-1]["type"], found["last"][-1]["to"]) == ("str", address.name)
    assert "a word" not in out
    assert f"{before + 1} dead letters since the start" in (await command("deadletters"))[1]


async def test_a_worker_alone_has_no_exits_and_no_nodes(office: Office, command: Command) -> None:
    for name in ("exits", "nodes"):
        assert await command(name) == (0, "nothing there\n", "")
        assert json.loads((await command(name, "--json"))[1]) == []
    code, _, err = await command("drain")
    assert code == 1 and err.startswith("callboard: no_manager: this worker runs without a node")


async def test_an_actor_that_is_not_there(office: Office, command: Command) -> None:
    for argv in (("inspect", "loop-1.1:1"), ("restart", "loop-1.1:1")):
        code, out, err = await command(*argv)
        assert (code, out) == (1, "")
        assert err == "callboard: unknown_actor: actor 'loop-1.1:1': no living actor has this address\n"


# --- no node -----------------------------------------------------------------------------------------------------


async def test_no_node_runs(command: Command, tmp_path: Path) -> None:
    code, out, err = await command("ps")
    assert (code, out) == (1, "")
    assert err == (
        f"callboard: no_node: no node runs here: {tmp_path}/operator.json is not there; `callboard serve` makes it\n"
    )


async def test_the_node_has_gone(command: Command, tmp_path: Path) -> None:
    (tmp_path / "operator.json").write_text('{"url": "http://127.0.0.1:1", "token": "x"}')
    code, out, err = await command("tree")
    assert (code, out) == (1, "") and err.startswith("callboard: no_node: no node answers at http://127.0.0.1:1: ")
    (tmp_path / "operator.json").write_text("{")
    assert "cannot be used" in (await command("tree"))[2]


async def test_the_token_is_wrong(office: Office, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATOR__TOKEN", "wrong-secret")
    code, out, err = await command("ps")
    assert (code, out) == (1, "") and err.startswith("callboard: invalid_token: ") and "wrong-secret" not in err


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (("ps", "--window", "soon"), "--window 'soon': legal: 0 to 60s"),
        (("ps", "--window", "61s"), "--window '61s': legal: 0 to 60s"),
        (("ps", "--top", "0"), "--top 0: legal: 1 or more"),
        (("ps", "--url", "ftp://x"), "--url 'ftp://x': legal: http://HOST:PORT"),
        (("ps", "--url", "http://x:y"), "--url 'http://x:y': legal: http://HOST:PORT"),
    ],
)
async def test_a_wrong_option(argv: tuple[str, ...], complaint: str, command: Command) -> None:
    code, out, err = await command(*argv)
    assert (code, out) == (2, "") and err.startswith(f"callboard: bad_config: {complaint}")


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"DATA_DIR": "~/x"},
        {"data_dir": "/x"},
        {"DATA_DIR": "", "XDG_DATA_HOME": "/share"},
        {"CALLBOARD_CONFIG": ""},
    ],
    ids=str,
)
def test_the_data_folder_is_the_settings_one(environ: dict[str, str], tmp_path: Path) -> None:
    from config.settings import load_settings

    environ |= {"XDG_STATE_HOME": str(tmp_path)}  # where no node is found
    assert data_dir(environ) == load_settings(environ).data_dir


def test_the_data_folder_of_a_settings_file(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("data_dir: /from/file\n")
    assert data_dir({"CALLBOARD_CONFIG": str(tmp_path / "c.yaml")}) == Path("/from/file")

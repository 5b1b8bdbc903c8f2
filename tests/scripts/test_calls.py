"""`callboard calls`: the history of calls, as a table and as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from config.settings import load_settings
from scripts.callboard import main
from store.assistants import AssistantRepository
from store.contexts import ContextRepository
from store.conversations import ConversationRepository
from store.engine import Database
from store.records import CallContext, ConversationEnd, EventRow, LedgerRow, MessageRow, MetricRow
from tests.store.factories import assistant_config

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    database_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """Run one command line against the test's database: exit code, standard output, standard error."""
    for name in [name for name in os.environ if "__" in name or name.startswith("CALLBOARD")]:
        monkeypatch.delenv(name)
    for name, value in {**database_environ, "COLUMNS": "200"}.items():
        monkeypatch.setenv(name, value)

    def run(*argv: str) -> tuple[int, str, str]:
        code = main(["calls", *argv])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def database(database_environ: dict[str, str]) -> Iterator[Database]:
    opened = Database.from_settings(load_settings(database_environ))
    yield opened
    opened.close()


def place(database: Database, caller: str = "+15550100") -> CallContext:
    """A call whose media connection has come."""
    assistant = AssistantRepository(database).apply(assistant_config())
    contexts = ContextRepository(database)
    context = contexts.open_context(assistant, "twilio", caller)
    return contexts.claim(context.id, "twilio", "callboard/0/one")


def hold(database: Database, context: CallContext) -> None:
    """Two turns, one interrupted, one failing voice, and an end."""
    number = context.conversation_id
    at = ConversationRepository(database).show(number).summary.connected_at
    assert at is not None
    moments = {name: at + timedelta(seconds=name) for name in (0.5, 2.5, 3, 4.5, 5)}
    rows: list[LedgerRow] = [
        EventRow(number, "answered", at, {"provider": "twilio"}),
        MessageRow(number, 0, "assistant", "Hello.", moments[2.5], began_at=moments[0.5]),
        MessageRow(
            number, 1, "user", "when are you open", at + timedelta(seconds=4.5), began_at=at + timedelta(seconds=3)
        ),
        MetricRow(number, 1, "end_of_turn_ms", 410.2, at),
        MetricRow(number, 1, "llm_first_token_ms", 9999.0, at),
        MetricRow(number, 1, "llm_first_token_ms", 201.0, at),
        MetricRow(number, 1, "turn_latency_ms", 812.6, at),
        MessageRow(number, 1, "assistant", "From\x1b[31m nine", moments[5], True),
        EventRow(number, "member_failed", at, {"role": "speaker", "code": "provider_stalled", "then": "Restart"}),
        MetricRow(number, 2, "turn_latency_ms", 400.0, at),
        ConversationEnd(number, "success", "caller_hung_up", "", at + timedelta(seconds=9)),
    ]
    ConversationRepository(database).write(rows)


def test_without_calls_it_says_so(run: Run) -> None:
    assert run() == (0, "no such call\n", "")
    assert run("--json") == (0, "[]\n", "")


def test_calls_are_listed_newest_first(run: Run, database: Database) -> None:
    ended, active = place(database), place(database, "")
    hold(database, ended)
    code, out, _ = run()
    lines = [line.split() for line in out.splitlines()[3:] if line.strip()]
    assert code == 0 and [line[0] for line in lines] == [str(active.conversation_id), str(ended.conversation_id)]
    assert "active" in lines[0] and "anonymous" in lines[0]
    assert lines[1][-6:] == ["606", "ms", "the", "caller", "hung", "up"]
    (found,) = json.loads(run("--json", "--status", "ended")[1])
    assert found["context_id"] == str(ended.id) and found["latency_p50_ms"] == pytest.approx(606.3)
    assert len(json.loads(run("--json", "--limit", "1")[1])) == 1
    assert [call["caller"] for call in json.loads(run("--json", "--caller", "+15550100")[1])] == ["+15550100"]
    assert json.loads(run("--json", "--assistant", "nobody")[1]) == []


def test_a_call_is_told(run: Run, database: Database) -> None:
    context = place(database)
    hold(database, context)
    code, out, _ = run("show", str(context.conversation_id))
    assert code == 0 and f"Call {context.conversation_id}, context {context.id}" in out
    assert "when are you open" in out and "From [31m nine ... (interrupted)" in out and "\x1b" not in out
    latency = out[out.index("end of turn") :].splitlines()
    assert latency[2].split() == ["1", "410", "ms", "201", "ms", "813", "ms"]
    assert latency[3].split() == ["2", "400", "ms"]
    assert "member_failed" in out and "code=provider_stalled" in out
    told = [line.split() for line in out.splitlines()]
    # from the call's start: when a sentence began; an older record knows only by when it had been said
    assert ["+0.5", "s", "assistant", "Hello."] in told and ["+3.0", "s", "user", "when", "are", "you", "open"] in told
    assert any(line[:4] == ["by", "+5.0", "s", "assistant"] for line in told)
    assert any(line[:3] == ["+0.0", "s", "answered"] for line in told)
    assert (
        "the caller hung up (success: caller_hung_up)" in out
        and "callboard/0/one" in out
        and "reception, version 1" in out
    )


def test_programs_get_the_same_times(run: Run, database: Database) -> None:
    context = place(database)
    hold(database, context)
    found = json.loads(run("show", str(context.conversation_id), "--json")[1])
    start = datetime.fromisoformat(found["summary"]["connected_at"])
    began = [message["began_at"] for message in found["transcript"]["messages"]]
    seconds = [at and round((datetime.fromisoformat(at) - start).total_seconds(), 1) for at in began]
    assert seconds == [0.5, 3.0, None]


@pytest.mark.parametrize("characters", [6, 8, 9, 13, 14, 36])
def test_the_beginning_of_its_context_id_names_a_call(run: Run, database: Database, characters: int) -> None:
    context = [place(database) for _ in range(3)][1]
    code, out, _ = run("show", str(context.id)[:characters], "--json")
    found = json.loads(out)
    assert code == 0 and found["summary"]["context_id"] == str(context.id)
    assert json.loads(run("--json", "show", str(context.id).upper())[1]) == found | {
        "summary": found["summary"] | {"duration_s": pytest.approx(found["summary"]["duration_s"], abs=5)}
    }


def test_a_beginning_that_fits_several_calls_is_refused(
    run: Run, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [UUID(f"abc12345-0000-4000-8000-00000000000{n}") for n in range(2)]
    monkeypatch.setattr("store.contexts.uuid4", ids.copy().pop)
    for _ in ids:
        place(database)
    code, out, err = run("show", "abc12345")
    assert (code, out) == (1, "") and err.startswith("callboard: ambiguous_call: ") and err.count("\n") == 1
    assert run("show", str(ids[0]))[0] == 0


@pytest.mark.parametrize(
    "which", ["999", "40325ec2-5efd-4bd3-805f-53576e581d13", "x", "", "-", "4032%", "abcdef", "1" * 60]
)
def test_a_call_that_is_not_there(run: Run, which: str) -> None:
    code, out, err = run("show", "--", which)
    assert (code, out) == (1, "") and err.startswith("callboard: unknown_call: ") and err.count("\n") == 1


def test_calls_are_found_by_how_and_when(run: Run, database: Database) -> None:
    ended, _ = place(database), place(database)
    hold(database, ended)

    def found(*argv: str) -> list[int]:
        return [call["conversation_id"] for call in json.loads(run("--json", *argv)[1])]

    assert found("--ended", "caller_hung_up") == found("--ended", "success") == [ended.conversation_id]
    assert found("--ended", "idle") == found("--ended", "server_error") == []
    assert len(found("--since", "90m")) == len(found("--since", "2026-01-31")) == 2
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert found("--since", "0s") == found("--since", f"{tomorrow:%Y-%m-%dT%H:%M}") == []


@pytest.mark.parametrize(
    "argv",
    [
        *(["--limit", "0"], ["--limit", "1001"], ["--limit", "x"], ["--status", "lost"], ["--since", "soon"]),
        *(["--since", ""], ["--since", "-2h"], ["--since", "999999d"], ["--ended", "caller_hung_upp"], ["--ended", ""]),
    ],
)
def test_wrong_options(run: Run, argv: list[str]) -> None:
    code, out, err = run(*argv)
    assert (code, out) == (2, "") and argv[0] in err


@pytest.mark.parametrize("command", [[], ["show"]])
def test_its_help_has_examples(run: Run, command: list[str]) -> None:
    code, out, _ = run(*command, "--help")
    assert code == 0 and "callboard calls show" in out and "130 interrupted" in out

"""`callboard providers`: the list, and conversations with real sessions, their servers faked or embedded."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from actors.engines.hints import plain
from scripts.callboard import main
from tests.fakes.cartesia import FakeCartesia
from tests.fakes.deepgram import FakeDeepgram
from tests.fakes.openai import FakeOpenAi
from tests.fakes.remote import FakeProvider

KEYS = ("DEEPGRAM_API_KEY", "OPENAI_API_KEY", "CARTESIA_API_KEY")
DESK = """
name: desk
stt: embedded
tts: embedded
llm:
  - {provider: openai, model: first, base_url: "%s"}
  - {provider: openai, model: second, base_url: "%s"}
  - {provider: script, intents: [{name: book, say: book a table, reply: "Done, see you then."}]}
"""

Run = Callable[..., tuple[int, str, str]]
RunBeside = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run one command line without any key: exit code, standard output, standard error."""
    for name in [name for name in os.environ if "__" in name or name.startswith("CALLBOARD") or name in KEYS]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))

    def run(*argv: str) -> tuple[int, str, str]:
        code = main(["providers", *argv])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def beside(run: Run) -> RunBeside:
    """The same, beside the servers of the test's loop."""
    return lambda *argv: asyncio.to_thread(run, *argv)


# --- the list --------------------------------------------------------------------------------------------------------


def test_the_list_says_what_each_can_do_and_never_a_key(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hunter2")
    code, out, _ = run("--json")
    found = {(row["kind"], row["name"]): row for row in json.loads(out)}
    assert code == 0
    assert {("stt", "deepgram"), ("stt", "embedded"), ("llm", "script"), ("tts", "cartesia")} <= found.keys()
    deepgram, cartesia = found["stt", "deepgram"], found["tts", "cartesia"]
    assert {"encoding": "mulaw", "rate": 8000} in deepgram["formats"]
    assert (deepgram["ends_turns"], found["stt", "embedded"]["ends_turns"]) == (True, False)
    assert cartesia["word_times"] and "voice" in cartesia["options"]
    assert (deepgram["key_variable"], deepgram["key_is_set"]) == ("DEEPGRAM_API_KEY", False)
    assert (found["llm", "openai"]["key_is_set"], found["llm", "script"]["key_variable"]) == (True, "")
    code, table, _ = run()
    assert code == 0
    lines = [" ".join(line.split()) for line in table.splitlines()]
    assert "deepgram stt PCM 8-16, MULAW 8 ends turns DEEPGRAM_API_KEY not set" in lines
    assert "openai llm OPENAI_API_KEY set" in lines and "script llm none needed" in lines
    assert max(map(len, table.splitlines())) < 100
    assert "hunter2" not in out + table


def test_providers_of_ones_own_are_listed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXTRA_PROVIDERS", "tests.fakes.providers")
    assert "spells tones" in run()[1]


@pytest.mark.parametrize("command", [[], ["check"]])
def test_help_has_examples_and_exit_codes(command: list[str], run: Run) -> None:
    code, out, _ = run(*command, "--help")
    assert code == 0
    assert "examples:\n  callboard providers" in out and "130 interrupted" in out
    assert ("2 no key" in out) == bool(command)


# --- the check, without an account -----------------------------------------------------------------------------------


def test_the_embedded_voice_speaks_and_hears_itself(run: Run) -> None:
    code, out, _ = run("check", "embedded", "--json")
    heard, spoken = json.loads(out)
    assert code == 0
    assert (heard["kind"], heard["ok"], spoken["kind"], spoken["ok"]) == ("stt", True, "tts", True)
    assert plain(heard["figures"]["transcript"]) == "what are your opening hours"
    assert spoken["figures"]["length_ms"] > 500 and spoken["error"] is None


def test_figures_are_printed_for_people(run: Run) -> None:
    code, out, err = run("check", "script")
    lines = [line.split("  ")[-1] for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert lines[0] == "script llm ok" and lines[-1].endswith(
        "We are open from nine to five. Come in whenever you like."
    )
    assert "question to first clause" in out and out.count(" ms\n") == 4


def test_a_sentence_of_ones_own_is_said_and_understood(run: Run) -> None:
    code, out, _ = run("check", "embedded-grammar", "--say", "Book a table, please!", "--json")
    assert code == 0
    assert json.loads(out)[0]["figures"]["transcript"] == "book a table please"


def test_a_sentence_that_cannot_be_heard_is_a_failure_with_its_reason(run: Run) -> None:
    code, out, _ = run("check", "embedded-grammar", "--say", "xyzzyfoo")
    assert code == 1
    assert "embedded-grammar stt FAILS" in out and "provider_error" in out and "what to do" in out


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["nobody"], "unknown provider 'nobody'; legal are: deepgram, embedded, embedded-"),
        (["deepgram"], "deepgram: no key: the environment variable DEEPGRAM_API_KEY is not set; set it, or name"),
        (["openai", "--option", "api_key=${MINE}"], "openai: no key: the environment variable MINE is not set"),
        (["openai", "--option", "api_key=sk-hunter2"], "llm.api_key: must be ${NAME}"),
        (["deepgram", "--kind", "tts"], "--kind tts: deepgram is stt only"),
        (["embedded", "--option", "pitch=1"], "--option: embedded is stt and tts; name one of them by --kind"),
        (["embedded", "--kind", "tts", "--option", "pitch=101"], "tts.pitch: "),
        (["embedded", "--kind", "tts", "--option", "pich=1"], "tts.pich: unknown field 'pich'; did you mean 'pitch'?"),
        (["openai", "--option", "model"], "--option 'model': legal: KEY=VALUE"),
        (["openai", "--option", "provider=script"], "--option 'provider=script': legal: KEY=VALUE"),
        (["openai", "--option", "model=["], "--option model: its value is not YAML"),
        (["script", "--say", " !"], "--say ' !': must hold at least one word"),
        (["script", "--timeout", "0"], "--timeout 0: legal: more than 0, at most 300 seconds"),
        (["script", "--timeout", "nan"], "--timeout nan: legal"),
        (["script", "--assistant", "no/such.yaml"], "no/such.yaml: No such file"),
    ],
)
def test_what_cannot_be_tried_is_named(argv: list[str], complaint: str, run: Run) -> None:
    code, out, err = run("check", *argv)
    assert (code, out) == (2, "")
    assert err.startswith("callboard: bad_config: ") and complaint in err and err.count("\n") == 1
    assert "hunter2" not in err


# --- the check, with a service ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "make"), [("deepgram", FakeDeepgram), ("openai", FakeOpenAi), ("cartesia", FakeCartesia)]
)
async def test_a_service_answers_or_refuses(
    name: str, make: Callable[[], FakeProvider], beside: RunBeside, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with make() as fake:
        option = f"base_url={fake.url}"  # type: ignore[attr-defined]
        monkeypatch.setenv(f"{name.upper()}_API_KEY", fake.key)
        code, out, _ = await beside("check", name, "--option", option, "--json")
        (answered,) = json.loads(out)
        assert (code, answered["ok"], answered["error"]) == (0, True, None)
        assert answered["figures"]["connect_ms"] > 0 and fake.url in answered["base_url"]  # type: ignore[attr-defined]
        await fake.until(lambda: not fake.open)  # it was left, not dropped

        monkeypatch.setenv(f"{name.upper()}_API_KEY", "a-wrong-key")
        code, out, _ = await beside("check", name, "--option", option)
        assert code == 1
        assert f"{name}: answered 401: the key was refused" in out
        assert f"check the key in {name.upper()}_API_KEY, the model and the other options" in out
        assert "a-wrong-key" not in out and fake.key not in out
        assert not fake.violations


async def test_a_service_that_never_answers_is_given_up(beside: RunBeside, monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeDeepgram() as fake:
        monkeypatch.setenv("DEEPGRAM_API_KEY", fake.key)
        fake.script(never_upgrade=True)
        argv = ("check", "deepgram", "--option", f"base_url={fake.url}", "--timeout", "0.3", "--json")
        code, out, _ = await beside(*argv)
        (silent,) = json.loads(out)
    assert (code, silent["ok"], silent["figures"]) == (1, False, None)
    assert silent["error"]["code"] == "provider_stalled"
    assert silent["error"]["text"] == "deepgram: the connection did not come in 0.3 s"
    assert silent["error"]["what_to_do"].startswith("try again")


async def test_a_service_that_is_not_there(beside: RunBeside) -> None:
    async with FakeOpenAi() as fake:
        url = fake.url
    code, out, _ = await beside("check", "openai", "--option", f"base_url={url}")
    assert code == 1 and "openai: cannot be reached" in out


async def test_an_answer_does_not_steer_the_terminal(beside: RunBeside, monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeOpenAi() as fake:
        fake.reply = lambda messages: "Hi\x1b[31m [red]there[/red]\n"  # type: ignore[method-assign]
        monkeypatch.setenv("OPENAI_API_KEY", fake.key)
        _, out, _ = await beside("check", "openai", "--option", f"base_url={fake.url}")
    assert "Hi [31m [red]there[/red]" in out and "\x1b" not in out


async def test_every_choice_of_an_assistants_chain_is_tried(
    beside: RunBeside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", FakeOpenAi.key)
    file = tmp_path / "desk.yaml"
    async with FakeOpenAi() as first, FakeOpenAi() as second:
        second.script(status=503)
        second.script(status=503)
        file.write_text(DESK % (first.url, second.url))
        code, out, _ = await beside("check", "openai", "--assistant", str(file), "--json")
    answers: list[dict[str, Any]] = json.loads(out)
    assert code == 1
    assert [(answer["model"], answer["ok"]) for answer in answers] == [("first", True), ("second", False)]
    assert answers[0]["figures"]["answer"] == "you said book a table"  # what this assistant understands


def test_an_assistant_without_the_provider(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "desk.yaml"
    file.write_text(DESK % ("http://127.0.0.1:1", "http://127.0.0.1:1"))
    code, _, err = run("check", "cartesia", "--assistant", str(file))
    assert code == 2 and "assistant desk: does not name 'cartesia' as tts" in err


async def test_ctrl_c_ends_a_check_at_once(run: Run) -> None:
    async with FakeDeepgram() as fake:
        fake.script(never_upgrade=True)
        argv = ["providers", "check", "deepgram", "--option", f"base_url={fake.url}", "--timeout", "300"]
        environ = {**os.environ, "DEEPGRAM_API_KEY": fake.key}
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "scripts.callboard", *argv),
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        await fake.until(lambda: bool(fake.requests), timeout_s=30)
        child.send_signal(signal.SIGINT)
        async with asyncio.timeout(30):
            out, err = await child.communicate()
    assert child.returncode == 130
    assert b"Traceback" not in out + err

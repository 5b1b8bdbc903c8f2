"""`callboard demo`: a server, one spoken call to it, and then it keeps serving."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.command import FAILED, OK, add_command
from scripts.output import console
from scripts.storage import load_environment, open_database

if TYPE_CHECKING:
    from scripts.caller.plan import CallReport, Sentence
    from scripts.child_server import ServerPlan
    from scripts.command import Commands

ASSISTANT = Path(__file__).parents[2] / "assistants" / "reception.yaml"
KEY_NAME = "demo"
DATA_DIR = "var/demo"

_EXAMPLES = """
callboard demo
callboard demo --once
"""


def register(commands: Commands) -> None:
    parser = add_command(commands, "demo", "start a server, hold a spoken call with it, keep serving", _EXAMPLES, demo)
    parser.add_argument("--once", action="store_true", help="end after the call; 0 only if every turn was answered")
    parser.add_argument("--record", type=Path, default=Path("demo-call.wav"), metavar="OUT.wav", help="(%(default)s)")


def demo(args: argparse.Namespace) -> int:
    import asyncio

    from config.folders import expanded
    from scripts.child_server import ServerPlan, free_port
    from scripts.commands.call import check_record

    check_record(args.record)
    plan = ServerPlan(ASSISTANT, expanded(getattr(args, "data_dir", DATA_DIR)), free_port(9007), free_port(4573))
    _say_ports(plan)
    return asyncio.run(_demo(plan, args))


def _say_ports(plan: ServerPlan) -> None:
    for wanted, port in ((9007, plan.http_port), (4573, plan.audiosocket_port)):
        if port != wanted:
            console().print(f"Port {wanted} is taken, so the demo uses {port}.")


async def _demo(plan: ServerPlan, args: argparse.Namespace) -> int:
    import asyncio
    import signal

    from scripts.child_server import ChildServer

    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with ChildServer(plan) as server:
        with console().status("Starting the server ..."):
            sentences, _ = await asyncio.gather(_speak(), server.listening())
        with _key(plan) as secret:
            report = await _call(plan, sentences, secret, args.record)
            if args.once:
                return OK if report.answered else FAILED
            _show_what_next(plan, secret)
            try:
                await server.ended()
            except asyncio.CancelledError:
                console().print("\nThe demo ends.")
    return OK if report.answered else FAILED


async def _speak() -> tuple[Sentence, ...]:
    """What the assistant's file says that a caller says; recordings, unless somebody has changed it."""
    from actors.engines.pool import close_engines
    from actors.providers.registry import Registry
    from scripts.assistant_file import read_assistant
    from scripts.caller.sentences import speak_sentences

    try:
        return await speak_sentences(Registry().sample_call(read_assistant(ASSISTANT)))
    finally:
        await close_engines()


async def _call(plan: ServerPlan, sentences: tuple[Sentence, ...], secret: str, record: Path) -> CallReport:
    from scripts.caller.call import place_call
    from scripts.caller.plan import CallPlan
    from scripts.child_server import HOST
    from scripts.narrator import Narrator

    call = CallPlan(
        to=plan.url,
        assistant=ASSISTANT.stem,
        via="audiosocket",
        sentences=sentences,
        turns=len(sentences),
        key=secret,
        audiosocket=(HOST, plan.audiosocket_port),
        record=record,
    )
    narrator = Narrator(call)
    report = await place_call(call, narrator.tell)
    narrator.sum_up(report)
    return report


@contextmanager
def _key(plan: ServerPlan) -> Iterator[str]:
    """An API key for the time of the demo; one that a killed demo left behind is revoked too."""
    from scripts.child_server import ALONE
    from store.keys import KeyRepository

    with open_database(load_environment({**ALONE, "DATA_DIR": str(plan.data_dir)})) as database:
        keys = KeyRepository(database)
        for stale in keys.list():
            if stale.name == KEY_NAME and stale.revoked_at is None:
                keys.revoke(stale.id)
        key, secret = keys.create(KEY_NAME)
        try:
            yield secret
        finally:
            keys.revoke(key.id)


def _show_what_next(plan: ServerPlan, secret: str) -> None:
    """Lines to copy: no box around them, and the terminal wraps them."""
    from scripts.child_server import HOST
    from scripts.commands.call import KEY_VARIABLE
    from scripts.nodes import living, named_data_dir

    # Found by itself, unless there is something else to be found.
    alone = named_data_dir(os.environ) is None and living(os.environ) == [plan.data_dir.absolute()]
    where = "" if alone else f" --data-dir {shlex.quote(str(plan.data_dir.absolute()))}"
    console().rule("What to try next", align="left")
    console().print(
        f"""\
Serving until Ctrl-C at {plan.url} and {HOST}:{plan.audiosocket_port} (AudioSocket). Talk to it yourself, by browser:

  {plan.url}/#key={secret}

or in a second terminal, in this folder:

  source .venv/bin/activate
  export {KEY_VARIABLE}={secret}
  callboard call{where} --assistant {ASSISTANT.stem} --say 'tell me a joke' --say goodbye
  callboard call{where} --assistant {ASSISTANT.stem} --via twilio --say 'what are your opening hours' --barge-in
  callboard calls{where}
  callboard ps{where}

Say it in your own words; its answers stand in assistants/{ASSISTANT.name}. The key holds until the demo ends.""",
        markup=False,
    )

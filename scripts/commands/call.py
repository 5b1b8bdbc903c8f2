"""`callboard call`: a simulated caller who speaks, listens and measures."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from config.errors import ConfigError
from scripts.command import FAILED, OK, add_command
from scripts.output import print_json

if TYPE_CHECKING:
    from scripts.caller.plan import CallPlan, CallReport, Sentence
    from scripts.command import Commands

KEY_VARIABLE = "CALLBOARD_API_KEY"
DEFAULT_SERVER = "http://127.0.0.1:9007"

_EXAMPLES = """
callboard call --assistant reception --say 'what are your opening hours' --say goodbye --key rpd-...
callboard call --assistant reception --via twilio --wav question.wav --record call.wav
callboard call --assistant reception --say 'what are your opening hours' --turns 3 --barge-in --json
"""


def register(commands: Commands) -> None:
    parser = add_command(
        commands,
        "call",
        "call a server as a carrier would, and talk to it",
        _EXAMPLES,
        call,
        ok="every turn was answered",
        failed="refused, or a turn was not",
    )
    parser.add_argument("--to", metavar="URL", help=f"the server (that which runs here, else {DEFAULT_SERVER})")
    parser.add_argument("--assistant", required=True, metavar="NAME", help="who is called: name or number")
    carriers = ("twilio", "audiosocket", "browser")
    parser.add_argument("--via", choices=carriers, default="audiosocket", help="(%(default)s)")
    parser.add_argument(
        "--audiosocket", metavar="HOST:PORT", help="where AudioSocket listens (port 4573 of the server)"
    )
    speech = parser.add_mutually_exclusive_group(required=True)
    speech.add_argument("--say", action="append", metavar="TEXT", help="a sentence; once per turn")
    speech.add_argument("--wav", action="append", type=Path, metavar="FILE", help="a recorded sentence; once per turn")
    parser.add_argument(
        "--voice",
        metavar="NAME",
        help="who says what --say says: recorded/NAME, flite/NAME, or one of espeak-ng's (the best that is at hand)",
    )
    parser.add_argument("--turns", type=int, metavar="N", help="so many turns; the sentences start over")
    parser.add_argument("--barge-in", action="store_true", help="interrupt the second answer after one second")
    parser.add_argument("--dtmf", default="", metavar="DIGITS", help="keys pressed after the greeting")
    parser.add_argument("--record", type=Path, metavar="OUT.wav", help="stereo: caller left, assistant right")
    parser.add_argument("--key", metavar="rpd-...", help=f"API key; else from {KEY_VARIABLE}")
    parser.add_argument("--json", action="store_true", help="print the report as JSON and nothing else")


def call(args: argparse.Namespace) -> int:
    check_arguments(args)
    import asyncio

    report = asyncio.run(_call(args))
    if args.json:
        print_json(report)
    return OK if report.answered else FAILED


def check_arguments(args: argparse.Namespace) -> None:
    """What argparse cannot tell; raises `ConfigError`."""
    if args.turns is not None and not 1 <= args.turns <= 100:
        raise ConfigError(f"--turns {args.turns}: legal: 1 to 100")
    if args.barge_in and args.turns is not None and args.turns < 3:
        raise ConfigError(f"--turns {args.turns}: --barge-in interrupts the second answer with a third sentence")
    if not re.fullmatch(r"[0-9*#A-D]*", args.dtmf):
        raise ConfigError(f"--dtmf {args.dtmf!r}: legal: 0-9, *, #, A-D")
    if args.record:
        check_record(args.record)
    if (args.voice is not None and not args.voice.strip()) or any(not text.strip() for text in args.say or ()):
        raise ConfigError("--say and --voice must not be empty")


def check_record(path: Path) -> None:
    """Before a call is made for nothing. Raises `ConfigError`."""
    if not path.parent.is_dir():
        raise ConfigError(f"--record {path}: there is no folder {path.parent}")
    try:
        if path.is_dir():
            raise ConfigError(f"--record {path}: is a folder")
        if path.is_fifo():
            return  # to open it would wait for its reader
        was_there = path.exists()
        path.open("ab").close()
        if not was_there:
            path.unlink()
    except OSError as error:
        raise ConfigError(f"--record {path}: {error.strerror}") from None


async def _call(args: argparse.Namespace) -> CallReport:
    from actors.engines.pool import close_engines
    from scripts.caller.call import place_call
    from scripts.caller.plan import ignore
    from scripts.narrator import Narrator

    try:
        plan = make_plan(args, await _sentences(args))
        narrator = None if args.json else Narrator(plan)
        report = await place_call(plan, narrator.tell if narrator else ignore)
    finally:
        await close_engines()
    if narrator:
        narrator.sum_up(report)
    return report


async def _sentences(args: argparse.Namespace) -> tuple[Sentence, ...]:
    from scripts.caller.sentences import read_sentence, speak_sentences

    if args.wav:
        return tuple(read_sentence(path) for path in args.wav)
    return await speak_sentences(args.say, args.voice or "")


def make_plan(args: argparse.Namespace, sentences: tuple[Sentence, ...]) -> CallPlan:
    from scripts.caller.plan import CallPlan

    to, audiosocket = _server(args)
    return CallPlan(
        to=to,
        assistant=args.assistant,
        via=args.via,
        sentences=sentences,
        turns=args.turns or max(len(sentences), 3 if args.barge_in else 1),
        key=args.key or os.environ.get(KEY_VARIABLE),
        audiosocket=parse_address(audiosocket) if audiosocket else None,
        barge_in=args.barge_in,
        dtmf=args.dtmf,
        record=args.record,
    )


def _server(args: argparse.Namespace) -> tuple[str, str | None]:
    """Its address and that of its AudioSocket: as they are given, else as the node says that runs here."""
    if args.to:
        return args.to, args.audiosocket
    from scripts.nodes import data_dir, node

    found = node(data_dir(os.environ))
    return found.get("http", DEFAULT_SERVER), args.audiosocket or found.get("audiosocket")


def parse_address(text: str) -> tuple[str, int]:
    """`host:port`."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise ConfigError(f"--audiosocket {text!r}: legal: HOST:PORT")
    return host.strip("[]"), int(port)

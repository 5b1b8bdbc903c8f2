"""`callboard calls`: which calls there were, and what was said, measured and gone wrong in one of them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from config.errors import ConfigError
from scripts.command import OK, add_command, add_json_flag
from scripts.output import console, print_json, print_table, printable
from scripts.storage import load_environment, open_database

if TYPE_CHECKING:
    from datetime import datetime

    from scripts.command import Commands
    from store.records import CallHistory, CallSummary, EventRow, MessageRow, Transcript

_EXAMPLES = """
callboard calls
callboard calls --status active --limit 50
callboard calls --assistant reception --caller +15550100 --json
callboard calls --since 2h --ended connection_lost
callboard calls --since 2026-01-31 --ended server_error --limit 1000
callboard calls show 40325ec2
callboard calls show 17 --json
"""
RESULTS = ("success", "client_error", "server_error", "upstream_error")
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
STATUSES = ("pending", "expired", "active", "ended")
# What a turn's time is made of, in the order in which it passes; `turn_latency_ms` is what the caller waits.
STAGES = {
    "end_of_turn_ms": "end of turn",
    "llm_first_token_ms": "first token",
    "llm_first_clause_ms": "first clause",
    "tts_first_audio_ms": "first audio",
    "turn_latency_ms": "latency",
}


def register(commands: Commands) -> None:
    calls = add_command(
        commands, "calls", "list the calls, the newest first; `show` tells one of them", _EXAMPLES, list_
    )
    calls.add_argument("--limit", type=int, default=20, metavar="N", help="so many, at most 1000 (%(default)s)")
    calls.add_argument(
        "--status", choices=STATUSES, help="only these; pending: no media yet, expired: media never came"
    )
    calls.add_argument("--assistant", metavar="NAME", help="only of this assistant: name or number")
    calls.add_argument("--caller", metavar="NUMBER", help="only of this caller")
    calls.add_argument("--since", metavar="TIME", help="only those that began since: 90m, 2h, 7d, or 2026-01-31 (UTC)")
    calls.add_argument("--ended", metavar="HOW", help="only those that ended so: a result or reason, as --json has it")
    add_json_flag(calls)
    below = calls.add_subparsers(dest="calls_command", metavar="COMMAND")
    show = add_command(below, "show", "tell one call: its words, its latency, its failures, its end", _EXAMPLES, show_)
    show.add_argument("call", metavar="ID", help="the call's number or context id, of which the beginning will do")
    # no default of its own, so that `calls --json show ID` means it too
    show.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON instead of tables")


def list_(args: argparse.Namespace) -> int:
    from store.conversations import ConversationRepository
    from store.history import MAX_CALLS
    from store.records import Wanted

    if not 1 <= args.limit <= MAX_CALLS:
        raise ConfigError(f"--limit {args.limit}: legal: 1 to {MAX_CALLS}")

    since = _since(args.since) if args.since is not None else None
    wanted = Wanted(
        status=args.status, assistant=args.assistant, caller=args.caller, ended=_how(args.ended), since=since
    )
    with open_database(load_environment()) as database:
        found = ConversationRepository(database).list(args.limit, **wanted)
    if args.json:
        print_json(found)
    else:
        columns = ("call", "started, UTC", "lasted", "carrier", "assistant", "caller", "turns", "p50", "ended")
        print_table(columns, map(_line, found), empty="no such call")
    return OK


def _since(text: str) -> datetime:
    """90m, 2h, 7d ago, or a date or time of ISO 8601, in UTC unless it says another zone."""
    import re
    from datetime import UTC, datetime, timedelta

    try:
        if ago := re.fullmatch(r"(\d{1,6})([smhd])", text):
            return datetime.now(UTC) - int(ago[1]) * timedelta(seconds=_UNITS_S[ago[2]])
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ConfigError(f"--since {text[:40]!r}: legal: 90m, 2h, 7d, 2026-01-31 or 2026-01-31T12:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _how(given: str | None) -> str | None:
    from config.problems import unknown
    from store.endings import ENDINGS

    if given is not None and given not in (*RESULTS, *ENDINGS):
        raise ConfigError(f"--ended: {unknown('result or reason', given, (*RESULTS, *ENDINGS))}")
    return given


def show_(args: argparse.Namespace) -> int:
    from store.conversations import ConversationRepository

    with open_database(load_environment()) as database:
        found = ConversationRepository(database).show(args.call)
    if args.json:
        print_json(found)
    else:
        _tell(found)
    return OK


def _line(call: CallSummary) -> tuple[str, ...]:
    return (
        *(str(call.conversation_id), call.started_at.strftime("%m-%d %H:%M"), _seconds(call.duration_s)),
        *(call.provider, call.assistant, call.caller or "anonymous", str(call.turns), _ms(call.latency_p50_ms)),
        call.ending or call.status,
    )


def _tell(found: CallHistory) -> None:
    call, transcript = found.summary, found.transcript
    console().print(f"Call {call.conversation_id}, context {call.context_id}", style="bold", markup=False)
    for name, value in _facts(call, transcript):
        console().print(f"  {name:<10} {value}", markup=False)
    start = call.connected_at or call.started_at
    console().print()
    words = ((_began(start, said), said.role, _words(said.text, said.interrupted)) for said in transcript.messages)
    print_table(("began", "who", "heard"), words, empty="Nothing was said.")
    print_table(("turn", *STAGES.values()), _latency(transcript), empty="No turn was measured.")
    events = ((_offset(start, event.at), event.name, _data(event)) for event in transcript.events)
    print_table(("at", "event", "what"), events, empty="Nothing else happened.")


def _facts(call: CallSummary, transcript: Transcript) -> Iterator[tuple[str, str]]:
    yield "assistant", f"{call.assistant}, version {transcript.context.assistant_version}"
    yield "carrier", f"{call.provider}, {call.direction}"
    yield "caller", f"{call.caller or 'anonymous'} to {call.callee or 'unknown'}"
    yield "started", f"{call.started_at:%Y-%m-%d %H:%M:%S} UTC"
    if call.duration_s is not None:
        yield "lasted", _seconds(call.duration_s)
    yield ("ended" if call.result else "state"), _ending(call)
    if call.owner:
        yield "worker", call.owner


def _latency(transcript: Transcript) -> Iterable[tuple[str, ...]]:
    """A row per turn; a stage that was measured twice (an answer asked again) counts as it was last."""
    turns: dict[int, dict[str, float]] = {}
    for metric in transcript.metrics:
        if metric.name in STAGES:
            turns.setdefault(metric.turn, {})[metric.name] = metric.value
    return ((str(turn), *(_ms(found.get(stage)) for stage in STAGES)) for turn, found in sorted(turns.items()))


def _ending(call: CallSummary) -> str:
    """In words, with the stable ones for programs' sake: the caller hung up (success: caller_hung_up)."""
    detail = f": {printable(call.detail)}" if call.detail else ""
    return f"{call.ending}{detail} ({call.result}: {call.reason})" if call.result else call.status


def _words(text: str, interrupted: bool) -> str:
    return printable(text) + " ... (interrupted)" * interrupted


def _data(event: EventRow) -> str:
    return printable(", ".join(f"{name}={value}" for name, value in event.data.items()))


def _began(start: datetime, said: MessageRow) -> str:
    """When its first sound was heard; of older records it is known by when it had been said."""
    return _offset(start, said.began_at) if said.began_at else f"by {_offset(start, said.at)}"


def _offset(start: datetime, at: datetime) -> str:
    return f"{(at - start).total_seconds():+.1f} s"


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f} s"


def _ms(ms: float | None) -> str:
    return "" if ms is None else f"{ms:.0f} ms"

"""`callboard ps`, `tree`, `inspect`, `trace`, `exits`, `deadletters`, `nodes`: look into a running node."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from config.errors import ConfigError
from scripts.columns import branches, columns
from scripts.command import OK, add_command, add_json_flag
from scripts.operator_client import ANSWER_S, add_node_options, connect, segment

if TYPE_CHECKING:
    from scripts.command import Commands, Run

# Column of the table -> field of a row.
_COLUMNS = {
    "address": "address",
    "role": "role",
    "class": "class",
    "worker": "worker",
    "call": "call",
    "state": "state",
    "age s": "age_s",
    "parent": "parent",
    "restarts": "restarts",
    "depth": "depth",
    "max": "max_depth",
    "msg/s": "messages_per_s",
    "busy": "busy_share",
}
_TITLES = {"at_s": "at", "age_s": "age s"}
_SHORT_ID = 8
MOST_WINDOW_S = 60.0

_EXAMPLES = """
callboard ps
callboard ps --sort busy_share --top 10 --window 5s
callboard ps --call 3f2a --json
callboard tree
callboard inspect loop-4711.1:17
callboard trace 3f2a --limit 200
callboard exits --json
"""


def register(commands: Commands) -> None:
    ps = _add(commands, "ps", "list the living actors of a running node", list_actors)
    fields = tuple(_COLUMNS.values())
    ps.add_argument(
        "--sort", metavar="COLUMN", choices=fields, help=f"{', '.join(fields)}; of numbers the greatest first"
    )
    ps.add_argument("--call", metavar="CALL", default="", help="only this call: its id, or the beginning of it")
    ps.add_argument("--top", type=int, metavar="N", help="only the first N")
    ps.add_argument("--window", default="0", metavar="TIME", help="rates over this time (5s, 500ms); else since birth")
    show = _add(commands, "tree", "show who supervises whom", show_tree)
    show.add_argument("call", metavar="CALL", nargs="?", default="", help="only this call")
    look = _add(commands, "inspect", "show the state of one actor as JSON, without a word of what was said", inspect)
    look.add_argument("actor", metavar="ACTOR", help="its address, as `callboard ps` shows it")
    follow = _add(commands, "trace", "show the messages of a call as they pass; audio is only counted", trace)
    follow.add_argument("call", metavar="CALL", help="the call's id, or the beginning of it")
    follow.add_argument("--limit", type=int, default=1000, metavar="N", help="stop after N lines (%(default)s)")
    _add(commands, "deadletters", "show the last messages that found nobody", show_dead_letters)
    for name, summary in _MANAGER.items():
        _add(commands, name, summary, show_from_manager)


_MANAGER = {
    "exits": "show how processes of the node ended, and what was done",
    "nodes": "list the nodes of the cluster",
}


def _add(commands: Commands, name: str, summary: str, run: Run) -> argparse.ArgumentParser:
    parser = add_command(commands, name, summary, _EXAMPLES, run)
    add_json_flag(parser)
    add_node_options(parser)
    return parser


def list_actors(args: argparse.Namespace) -> int:
    window_s = seconds(args.window)
    if args.top is not None and args.top < 1:
        raise ConfigError(f"--top {args.top}: legal: 1 or more")
    rows = connect(args).get("/v1/actors", ANSWER_S + window_s, window_s=window_s, call=args.call)
    if args.sort:
        rows.sort(key=lambda row: _order(row[args.sort]))
    rows = rows[: args.top]
    if args.json:
        _print_json(rows)
    else:
        _print_columns(tuple(_COLUMNS), [[_shown(name, row[name]) for name in _COLUMNS.values()] for row in rows])
    return OK


def show_tree(args: argparse.Namespace) -> int:
    found = connect(args).get("/v1/tree", call=args.call)
    if args.json:
        _print_json(found)
    else:
        print("\n".join(branches(_node(found["workers"], found["actors"]))))
    return OK


def inspect(args: argparse.Namespace) -> int:
    _print_json(connect(args).get(f"/v1/actors/{segment(args.actor)}"))
    return OK


def trace(args: argparse.Namespace) -> int:
    for line in connect(args).stream(f"/v1/trace/{segment(args.call)}", limit=args.limit):
        if args.json:
            _print_json(line, indent=None)
        elif "over" in line:
            print(f"-- over: {line['over']}", flush=True)
        else:
            print(_passed(line), flush=True)
    return OK


def show_dead_letters(args: argparse.Namespace) -> int:
    found = connect(args).get("/v1/deadletters")
    if args.json:
        _print_json(found)
        return OK
    _print_records(found["last"])
    print(f"{found['count']} dead letters since the start")
    return OK


def show_from_manager(args: argparse.Namespace) -> int:
    found = connect(args).get(f"/v1/{args.command}")
    if args.json:
        _print_json(found)
    else:
        _print_records(found)
    return OK


def seconds(text: str) -> float:
    """A time of the command line: 5s, 500ms, or seconds. Raises `ConfigError`."""
    number, scale = (text[:-2], 1e-3) if text.endswith("ms") else (text.removesuffix("s"), 1.0)
    try:
        value = float(number) * scale
    except ValueError:
        value = -1.0
    if not 0 <= value <= MOST_WINDOW_S:
        raise ConfigError(f"--window {text!r}: legal: 0 to {MOST_WINDOW_S:g}s, as 5s or 500ms")
    return value


def _order(value: Any) -> tuple[bool, Any]:
    return value is None, -value if isinstance(value, int | float) else value or ""


def _shown(name: str, value: Any) -> Any:
    if name == "call" and value:
        return value[:_SHORT_ID]
    return f"{value:.1%}".rjust(5) if name == "busy_share" else value


def _node(processes: list[dict[str, Any]], actors: list[dict[str, Any]]) -> dict[str, Any]:
    """The forest of the actors under their workers, under the node."""
    told = {process["worker"]: process for process in processes}
    by_worker: dict[int, list[dict[str, Any]]] = {}
    for actor in actors:
        by_worker.setdefault(actor["worker"], []).append(_labelled(actor))
    children = [
        {"label": _worker(number, told.get(number)), "children": by_worker[number]} for number in sorted(by_worker)
    ]
    return {"label": "node", "children": children}


def _worker(number: int, process: dict[str, Any] | None) -> str:
    if process is None:
        return f"worker {number}"
    return f"worker {number} ({process['state']}, process {process['pid']}{_restarts(process)})"


def _restarts(row: dict[str, Any]) -> str:
    count = row["restarts"]
    return f", {count} restart{'s' if count > 1 else ''}" if count else ""


def _labelled(actor: dict[str, Any]) -> dict[str, Any]:
    name = f"call {actor['call'][:_SHORT_ID]}" if actor["role"] == "call" and actor["call"] else actor["role"]
    children = [_labelled(child) for child in actor["children"]]
    return {"label": f"{name} ({actor['state']}{_restarts(actor)})", "children": children}


def _passed(line: dict[str, Any]) -> str:
    route = f"{line['from']} -> {line['to']}"
    times = f" x{line['count']}" if line["count"] != 1 else ""
    size = f"  {line['size']} B" if line["size"] else ""
    return f"{line['t_s']:9.3f}  {route:<28} {line['type']}{times}{size}"


def _print_records(records: Sequence[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for record in records for name in record))
    rows = [[_moment(record[name]) if name == "at_s" else record.get(name) for name in names] for record in records]
    _print_columns([_TITLES.get(name, name.replace("_", " ")) for name in names], rows)


def _moment(unix_s: float) -> str:
    from datetime import datetime

    return f"{datetime.fromtimestamp(unix_s):%Y-%m-%d %H:%M:%S}"


def _print_columns(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    print("\n".join(columns(header, rows)) if rows else "nothing there")


def _print_json(value: Any, indent: int | None = 2) -> None:
    import json

    print(json.dumps(value, indent=indent, ensure_ascii=False), flush=True)

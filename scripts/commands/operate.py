"""`callboard restart`, `hangup`, `drain`: change something on a running node; each is written down in the store."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from scripts.command import OK, add_command, add_json_flag
from scripts.operator_client import add_node_options, connect, segment

if TYPE_CHECKING:
    from scripts.command import Commands, Run

_EXAMPLES = """
callboard restart loop-4711.1:17
callboard hangup 3f2a
callboard hangup 3f2a --goodbye --because 'the line is needed for a test'
callboard drain
"""


def register(commands: Commands) -> None:
    restart_ = _add(commands, "restart", "replace a member of a call while the caller is on the line", restart)
    restart_.add_argument("actor", metavar="ACTOR", help="the address of a transcriber, responder or speaker")
    hang_up_ = _add(commands, "hangup", "end a call", hang_up)
    hang_up_.add_argument("call", metavar="CALL", help="the call's id, or the beginning of it")
    hang_up_.add_argument("--goodbye", action="store_true", help="let the assistant say its `goodbye_message` first")
    hang_up_.add_argument("--because", metavar="TEXT", default="", help="shown on the caller's page, kept in the store")
    _add(commands, "drain", "take no more calls, let the running ones finish, then stop the node", drain)


def _add(commands: Commands, name: str, summary: str, run: Run) -> argparse.ArgumentParser:
    parser = add_command(commands, name, summary, _EXAMPLES, run)
    add_json_flag(parser)
    add_node_options(parser)
    return parser


def restart(args: argparse.Namespace) -> int:
    done = connect(args).post(f"/v1/actors/{segment(args.actor)}/restart")
    return _say(args, done, f"{done['role']} of call {done['call']} is being replaced")


def hang_up(args: argparse.Namespace) -> int:
    done = connect(args).post(f"/v1/calls/{segment(args.call)}/hangup", goodbye=int(args.goodbye), because=args.because)
    return _say(args, done, f"call {done['call']} is being ended")


def drain(args: argparse.Namespace) -> int:
    done = connect(args).post("/v1/drain")
    return _say(args, done, "the node takes no more calls and stops when the last one has ended")


def _say(args: argparse.Namespace, done: object, text: str) -> int:
    import json

    print(json.dumps(done) if args.json else text)
    return OK

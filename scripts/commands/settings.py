"""`callboard config`: the effective settings, secrets masked."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from scripts.command import OK, add_command, add_json_flag
from scripts.output import print_json, print_table
from scripts.storage import load_environment

if TYPE_CHECKING:
    from scripts.command import Commands

_EXAMPLES = """
callboard config
callboard config --changed
HTTP__PORT=9100 callboard config --json
"""


def register(commands: Commands) -> None:
    parser = add_command(commands, "config", "show the effective settings, secrets masked", _EXAMPLES, show)
    parser.add_argument("--changed", action="store_true", help="only those that differ from their default")
    add_json_flag(parser)


def show(args: argparse.Namespace) -> int:
    from config.settings import describe

    rows = [row for row in describe(load_environment(own_node=True)) if not (args.changed and row.is_default)]
    if args.json:
        print_json(rows)
    else:
        cells = ((row.name, row.value, "" if row.is_default else "*", row.description) for row in rows)
        print_table(("setting", "value", "set", "what it does"), cells, empty="every setting has its default")
    return OK

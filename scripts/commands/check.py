"""`callboard check`: is this machine ready? One line per part, with a hint where it fails."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from scripts.command import FAILED, OK, add_command, add_json_flag
from scripts.output import print_json, print_table
from scripts.storage import load_environment

if TYPE_CHECKING:
    from scripts.command import Commands

_EXAMPLES = """
callboard check
callboard check --json
POSTGRES__HOST=127.0.0.1 callboard check
"""


def register(commands: Commands) -> None:
    add_json_flag(add_command(commands, "check", "say whether this machine is ready to serve", _EXAMPLES, check))


def check(args: argparse.Namespace) -> int:
    from scripts.readiness import findings

    found = findings(load_environment())
    if args.json:
        print_json(found)
    else:
        rows = ((finding.part, "ok" if finding.ok else "FAILS", finding.detail, finding.hint) for finding in found)
        print_table(("part", "", "found", "what to do"), rows)
    return OK if all(finding.ok for finding in found) else FAILED

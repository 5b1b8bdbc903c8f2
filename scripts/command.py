"""How a sub-command describes itself to argparse: one line of help, examples, exit codes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

Run = Callable[[argparse.Namespace], int]

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
_EXIT_CODES = "exit codes:\n  0 ok    1 failed    2 wrong command line or setting    130 interrupted"


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps line ends, and the longest command beside its help."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28)


def epilog(examples: str) -> str:
    """The end of a `--help`: `examples` is one command line per line."""
    lines = "\n".join(f"  {line.strip()}" for line in examples.strip().splitlines())
    return f"examples:\n{lines}\n\n{_EXIT_CODES}"


def add_command(commands: Commands, name: str, summary: str, examples: str, run: Run) -> argparse.ArgumentParser:
    """A command that does something; `run` gets the parsed arguments and returns the exit code."""
    parser = _add(commands, name, summary, examples)
    parser.set_defaults(run=run)
    return parser


def add_group(commands: Commands, name: str, summary: str, examples: str) -> Commands:
    """A command that only holds others: `callboard key create ...`."""
    parser = _add(commands, name, summary, examples)
    return parser.add_subparsers(dest=f"{name}_command", metavar="COMMAND", required=True)


def add_json_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _add(commands: Commands, name: str, summary: str, examples: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=epilog(examples),
        formatter_class=HelpFormatter,
    )

"""How a sub-command describes itself to argparse: one line of help, examples, exit codes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

Run = Callable[[argparse.Namespace], int]

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
READER_GONE = 141  # as a shell says of who died of SIGPIPE: what reads our output has ended, as `head` does
_EXIT_CODES = "exit codes:\n  0 {ok}    1 {failed}    2 wrong command line or setting    130 interrupted"


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps line ends, and the longest command beside its help."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28)


def epilog(examples: str, ok: str = "ok", failed: str = "failed") -> str:
    """The end of a `--help`: `examples` is one command line per line; what exit codes 0 and 1 mean."""
    lines = "\n".join(f"  {line.strip()}" for line in examples.strip().splitlines())
    return f"examples:\n{lines}\n\n{_EXIT_CODES.format(ok=ok, failed=failed)}"


def add_command(
    commands: Commands, name: str, summary: str, examples: str, run: Run, *, ok: str = "ok", failed: str = "failed"
) -> argparse.ArgumentParser:
    """A command that does something; `run` gets the parsed arguments and returns the exit code."""
    parser = _add(commands, name, summary, epilog(examples, ok, failed))
    parser.set_defaults(run=run)
    return parser


def add_group(commands: Commands, name: str, summary: str, examples: str) -> Commands:
    """A command that only holds others: `callboard key create ...`."""
    parser = _add(commands, name, summary, epilog(examples))
    return parser.add_subparsers(dest=f"{name}_command", metavar="COMMAND", required=True)


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Has no default of its own, so that it may stand before or behind the command."""
    parser.add_argument(
        "--data-dir", metavar="DIR", default=argparse.SUPPRESS, help="in place of DATA_DIR: whose data, which node"
    )


def add_json_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _add(commands: Commands, name: str, summary: str, ending: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=ending,
        formatter_class=HelpFormatter,
    )
    add_data_dir(parser)
    return parser

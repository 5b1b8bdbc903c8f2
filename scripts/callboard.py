"""The `callboard` command: parses the line, runs one sub-command, turns its errors into one line and an exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from config.errors import CallboardError, ConfigError
from scripts.command import FAILED, INTERRUPTED, USAGE, HelpFormatter, epilog
from scripts.commands import assistant, call, calls, check, demo, key, look, operate, providers, serve, settings

# Modules of sub-commands import what they need when they run: `callboard --help` stays fast.
_GROUPS = (demo, serve, call, calls, check, settings, assistant, providers, key, look, operate)

_EXAMPLES = """
callboard demo
callboard serve --assistant assistants/reception.yaml
callboard key create laptop
callboard call --assistant reception --say 'what are your opening hours' --key rpd-...
"""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="callboard",
        description="A telephone voice-AI server built as an actor system.",
        epilog=epilog(_EXAMPLES),
        formatter_class=HelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for group in _GROUPS:
        group.register(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; nothing is raised for what the user can mend."""
    try:
        args = build_parser().parse_args(argv)
        return int(args.run(args))
    except SystemExit as leaving:  # argparse has printed the help or the usage
        return leaving.code if isinstance(leaving.code, int) else USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    except ConfigError as error:
        return _complain(error.code, str(error), USAGE)
    except CallboardError as error:
        return _complain(error.code, str(error), FAILED)
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        sys.stdout = None
        return FAILED
    except OSError as error:  # a file, a port, a disk: its text names what failed
        return _complain("system_error", str(error), FAILED)


def _complain(code: str, text: str, exit_code: int) -> int:
    print(f"callboard: {code}: {text}", file=sys.stderr)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())

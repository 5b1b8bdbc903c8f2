"""The `callboard` command: parses the line, runs one sub-command, turns its errors into one line and an exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from config.errors import BadInput, CallboardError, ConfigError
from scripts.command import FAILED, INTERRUPTED, READER_GONE, USAGE, HelpFormatter, add_data_dir, epilog
from scripts.commands import assistant, call, calls, check, demo, key, look, operate, providers, serve, settings
from scripts.nodes import within
from scripts.output import lose_output, prepare_output

# Modules of sub-commands import what they need when they run: `callboard --help` stays fast.
_GROUPS = (demo, serve, call, calls, check, settings, assistant, providers, key, look, operate)

_EXAMPLES = """
callboard demo
callboard serve --assistant assistants/reception.yaml
callboard key create laptop
callboard call --assistant reception --say 'what are your opening hours' --key rpd-...
"""


_SHOWN_CHARS = 100
_WRONG = (ConfigError.code, BadInput.code)  # what was given cannot be meant, whether we see that or the node does


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="callboard",
        description="A telephone voice-AI server built as an actor system.",
        epilog=epilog(_EXAMPLES),
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--version", action=_Version, help="say the version and stop")
    add_data_dir(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for group in _GROUPS:
        group.register(commands)
    return parser


class _Version(argparse.Action):
    """Looks it up only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, dest=argparse.SUPPRESS, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        import platform
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version("callboard")
        except PackageNotFoundError:
            found = "(not installed)"
        print(f"callboard {found}, Python {platform.python_version()}")
        parser.exit()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; nothing is raised for what the user can mend."""
    try:
        prepare_output()
        code = _run(argv)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        lose_output()
        return READER_GONE
    except OSError as error:  # a disk that is full, under a file that we are printed into
        lose_output()
        return _complain("system_error", str(error), FAILED)


def _run(argv: Sequence[str] | None) -> int:
    try:
        args = build_parser().parse_args(argv)
        _check_text(args)
        with within(getattr(args, "data_dir", None)):
            return int(args.run(args))
    except SystemExit as leaving:  # argparse has printed the help or the usage
        return leaving.code if isinstance(leaving.code, int) else USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    except CallboardError as error:
        return _complain(error.code, str(error), USAGE if error.code in _WRONG else FAILED)
    except BrokenPipeError:
        raise
    except OSError as error:  # a file, a port, a disk: its text names what failed
        return _complain("system_error", str(error), FAILED)
    except UnicodeEncodeError:
        return _complain("bad_config", "the command line holds what is no text in UTF-8", USAGE)
    except Exception as error:  # ours, not the user's
        return _complain("internal_error", _report(error), FAILED)


def _check_text(args: argparse.Namespace) -> None:
    """Bytes that are no UTF-8 become half characters, which no text may have; a path may. Raises `ConfigError`."""
    for name, value in vars(args).items():
        for text in value if isinstance(value, list) else [value]:
            if name == "data_dir" or not isinstance(text, str) or text.isprintable():
                continue
            if any("\ud800" <= character <= "\udfff" for character in text):
                raise ConfigError(f"{name.upper()} {text[:_SHOWN_CHARS]!r}: legal: text in UTF-8")


def _shown(text: str) -> str:
    """What was given is repeated, and must not steer the terminal; an error may have several lines."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def _report(error: Exception) -> str:
    """What happened, and where its traceback is for whoever mends it."""
    import tempfile
    import traceback

    said = f"{type(error).__name__}: {error}".partition("\n")[0]
    try:
        with tempfile.NamedTemporaryFile("w", prefix="callboard-", suffix=".txt", delete=False) as file:
            traceback.print_exception(error, file=file)
    except OSError:
        return said
    return f"{said}; this is a fault of Callboard, told in {file.name}"


def _complain(code: str, text: str, exit_code: int) -> int:
    print(f"callboard: {code}: {_shown(text)}", file=sys.stderr)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())

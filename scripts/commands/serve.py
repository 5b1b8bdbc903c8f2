"""`callboard serve`: one worker that answers calls until it is told to stop."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.command import OK, add_command
from scripts.output import console, print_json
from scripts.storage import load_environment, open_database

if TYPE_CHECKING:
    import asyncio

    from config.settings import Settings
    from scripts.command import Commands
    from transports.worker import Worker

log = logging.getLogger(__name__)

_EXAMPLES = """
callboard serve
callboard serve --assistant assistants/reception.yaml --data-dir var
callboard serve --host 0.0.0.0 --port 9007 --audiosocket-host 10.0.0.5
LOG_FORMAT=json callboard serve --json
"""

# Option of the command line -> setting; `callboard config` explains them.
_OVERRIDES = {
    "host": "HTTP__HOST",
    "port": "HTTP__PORT",
    "audiosocket_host": "AUDIOSOCKET__HOST",
    "audiosocket_port": "AUDIOSOCKET__PORT",
    "data_dir": "DATA_DIR",
    "log_level": "LOG_LEVEL",
}


def register(commands: Commands) -> None:
    parser = add_command(commands, "serve", "answer calls until SIGTERM or Ctrl-C (twice: at once)", _EXAMPLES, serve)
    parser.add_argument(
        "--assistant", action="append", type=Path, default=[], metavar="FILE", help="apply this assistant first"
    )
    for option, setting in _OVERRIDES.items():
        parser.add_argument(f"--{option.replace('_', '-')}", metavar="VALUE", help=f"in place of {setting}")
    parser.add_argument("--until-eof", action="store_true", help="stop too when standard input ends")
    parser.add_argument("--json", action="store_true", help="say where it listens as one line of JSON")


def serve(args: argparse.Namespace) -> int:
    import asyncio

    import uvloop

    from config.logging import configure

    settings = load_environment(**{setting: getattr(args, option) for option, setting in _OVERRIDES.items()})
    configure(settings.log_level, settings.log_format)
    _apply(settings, args.assistant)
    if settings.auth.mode == "open":
        log.warning("AUTH__MODE is open: anybody who reaches the HTTP port may start calls")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(settings, args))
    return OK


def _apply(settings: Settings, files: list[Path]) -> None:
    """Apply the assistants; the worker migrates by itself."""
    if not files:
        return
    from scripts.assistant_file import read_assistant
    from store.assistants import AssistantRepository

    configs = [read_assistant(file, settings.extra_providers) for file in files]
    with open_database(settings) as database:
        for config in configs:
            AssistantRepository(database).apply(config)


async def _work(settings: Settings, args: argparse.Namespace) -> None:
    from transports.worker import Worker

    stop = _stop_event(args.until_eof)
    worker = Worker(settings)
    await worker.start()
    try:
        _announce(worker, args.json)
        await stop.wait()
    finally:
        await worker.stop()


def _stop_event(until_eof: bool) -> asyncio.Event:
    """Set by the first signal, or by the end of standard input; the second signal ends the process at once."""
    import asyncio
    import os
    import signal
    import sys

    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def leave() -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()

    def read_to_the_end() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin.fileno())
            stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, leave)
    if until_eof:
        loop.add_reader(sys.stdin.fileno(), read_to_the_end)
    return stop


def _announce(worker: Worker, as_json: bool) -> None:
    http = f"http://{worker.settings.http.host}:{worker.http_port}"
    audiosocket = f"{worker.settings.audiosocket.host}:{worker.audiosocket_port}"
    if as_json:
        print_json({"event": "listening", "http": http, "audiosocket": audiosocket}, indent=False)
    else:
        console().print(f"Callboard answers at {http} (HTTP, WebSocket) and {audiosocket} (AudioSocket). Ctrl-C stops.")

"""`callboard serve`: a node that answers calls until it is told to stop."""

from __future__ import annotations

import argparse
import logging
import os
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from config.errors import ConfigError
from scripts.command import OK, add_command, epilog
from scripts.output import console, print_json
from scripts.storage import load_environment, open_database

if TYPE_CHECKING:
    from config.settings import Settings
    from scripts.command import Commands
    from scripts.serving import Reloader

log = logging.getLogger(__name__)

_EXAMPLES = """
callboard serve
callboard serve --assistant assistants/reception.yaml --data-dir var
callboard serve --workers 8
callboard serve --host 0.0.0.0 --port 9007 --audiosocket-host 10.0.0.5
LOG_FORMAT=json callboard serve --json
"""

MOST_WORKERS = 64

# Option of the command line -> setting; `callboard config` explains them.
_OVERRIDES = {
    "host": "HTTP__HOST",
    "port": "HTTP__PORT",
    "audiosocket_host": "AUDIOSOCKET__HOST",
    "audiosocket_port": "AUDIOSOCKET__PORT",
    "log_level": "LOG_LEVEL",
}


def register(commands: Commands) -> None:
    parser = add_command(commands, "serve", "answer calls until SIGTERM or Ctrl-C (twice: at once)", _EXAMPLES, serve)
    parser.epilog = epilog(_EXAMPLES, ok="stopped, by a signal too", failed="could not start, or has ended by itself")
    parser.add_argument(
        "--assistant", action="append", type=Path, default=[], metavar="FILE", help="apply this assistant first"
    )
    for option, setting in _OVERRIDES.items():
        parser.add_argument(f"--{option.replace('_', '-')}", metavar="VALUE", help=f"in place of {setting}")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that serve calls (the number of cores)")
    parser.add_argument("--until-eof", action="store_true", help="stop too when standard input ends")
    parser.add_argument("--json", action="store_true", help="say where it listens as one line of JSON")


def serve(args: argparse.Namespace) -> int:
    workers = _workers(args.workers)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # it waits until there is somebody to hear it
    from config.logging import configure

    overrides = {setting: getattr(args, option) for option, setting in _OVERRIDES.items()}
    load = partial(load_environment, overrides, own_node=True)
    settings = loaded = load()
    configure(settings.log_level, settings.log_format)
    if settings.auth.mode == "open":
        log.warning("AUTH__MODE is open: anybody who reaches the HTTP port may start calls")

    from scripts.serving import Reloader, operators_file, settled
    from transports.capacity import Capacity, raise_descriptor_limit

    if not Capacity(raise_descriptor_limit()).calls(1):
        raise ConfigError(f"`ulimit -n` is too low for any call: at least {Capacity.descriptors_for(1)} are needed")

    with settled(settings) as settings:
        _apply(settings, args.assistant)
        with operators_file(settings):
            _run(settings, workers, args, Reloader(settings, loaded, load))
    return OK


def _workers(wanted: int | None) -> int:
    """0: one worker in this process, without a node."""
    cores = len(os.sched_getaffinity(0))
    if wanted is not None and not 0 <= wanted <= MOST_WORKERS:
        raise ConfigError(f"--workers = {wanted}: legal: 0 (in this process, without a node) to {MOST_WORKERS}")
    return cores if wanted is None else wanted


def _run(settings: Settings, workers: int, args: argparse.Namespace, reload: Reloader) -> None:
    from scripts.serving import serve_alone, serve_node

    def announce(ports: dict[str, int]) -> None:
        _announce(settings, ports, workers, args.json)

    if workers:
        serve_node(settings, workers, announce, until_eof=args.until_eof, reload=reload)
        return
    import asyncio

    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve_alone(settings, announce, until_eof=args.until_eof, reload=reload))


def _apply(settings: Settings, files: list[Path]) -> None:
    """Bring the store up to date once, before the workers look at it, and apply the assistants."""
    from scripts.assistant_file import read_assistant
    from store.assistants import AssistantRepository
    from store.errors import StoreUnavailable
    from store.health import damage

    configs = [read_assistant(file, settings.extra_providers, log.warning) for file in files]
    with open_database(settings) as database:
        if found := damage(database):
            raise StoreUnavailable(found)
        for config in configs:
            AssistantRepository(database).apply(config)


def _announce(settings: Settings, ports: dict[str, int], workers: int, as_json: bool) -> None:
    http = f"http://{settings.http.host}:{ports['http']}"
    audiosocket = f"{settings.audiosocket.host}:{ports['audiosocket']}"
    operator = f"http://{settings.operator.host}:{ports['operator']}"
    if as_json:
        said = {"http": http, "audiosocket": audiosocket, "operator": operator, "workers": workers}
        print_json({"event": "listening", **said}, indent=False)
    else:
        console().print(f"Callboard answers at {http} (HTTP, WebSocket) and {audiosocket} (AudioSocket). Ctrl-C stops.")

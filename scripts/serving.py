"""What `callboard serve` runs: a node of several processes, or one worker in this process; both until told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import secrets
import selectors
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from actors.node import process
from actors.node.keeper import SHUTDOWN_S, Keeper, NodeFailed
from actors.node.node import Blueprint
from config.errors import CallboardError, ConfigError
from config.logging import configure
from config.reload import change
from config.settings import CONFIG_FILE, Settings
from scripts.nodes import announced, reach
from scripts.storage import database_name
from store.private import open_data_dir
from transports.worker import Worker

log = logging.getLogger(__name__)

WORKER = "transports.worker:Worker"
Announce = Callable[[dict[str, int]], None]
Reload = Callable[[], Settings | None]  # the settings from now on; None: there are none, or they are wrong
_ENDS = (signal.SIGTERM, signal.SIGINT)
_SIGNALS = (*_ENDS, signal.SIGHUP)


def serve_node(
    settings: Settings, workers: int, announce: Announce, *, until_eof: bool, reload: Reload = lambda: None
) -> None:
    """Run a node; returns when it was drained. The second signal ends everything at once.

    Raises `NodeFailed` if the node cannot start, or has ended by itself.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # what is forked inherits it: only this process hears them
    secret = settings.node.cluster_secret.get_secret_value() or secrets.token_hex(32)
    process.bind_descendants()
    gc.collect()
    gc.freeze()  # the workers share these pages as long as nobody writes to them
    with _Attendant(Blueprint(settings, workers, WORKER, secret.encode()), announce, reload, until_eof) as attendant:
        attendant.wait()


class _Attendant:
    """Waits for whatever happens to the node, for signals, and for the end of standard input."""

    def __init__(self, blueprint: Blueprint, announce: Announce, reload: Reload, until_eof: bool) -> None:
        self._reload = reload
        self._orders = 0  # to end
        self._had_terminal = has_terminal() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN  # nohup
        self._selector = selectors.DefaultSelector()
        self._keeper = Keeper(blueprint, self._selector, announce)
        if until_eof:
            self._selector.register(sys.stdin, selectors.EVENT_READ, self._read_to_the_end)

    def __enter__(self) -> _Attendant:
        self._ours, theirs = socket.socketpair()
        for end in (self._ours, theirs):
            end.setblocking(False)
        self._theirs = theirs
        self._selector.register(self._ours, selectors.EVENT_READ, self._hear)
        signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        for number in (*_SIGNALS, signal.SIGCHLD):
            signal.signal(number, _noted)
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        signal.set_wakeup_fd(-1)
        self._keeper.kill(spare_orphans=kind is NodeFailed)
        self._selector.close()
        self._ours.close()
        self._theirs.close()

    def wait(self) -> None:
        """Until the node has ended. Signals are heard between the steps, not within them."""
        while True:
            self._keeper.look()
            if self._keeper.over:
                return
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            ready = self._selector.select(self._keeper.interval_s)
            signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
            for key, _ in ready:
                key.data()

    def _hear(self) -> None:
        for number in self._ours.recv(64):
            if number in _ENDS or (number == signal.SIGHUP and self._had_terminal and not has_terminal()):
                self._end()
            elif number == signal.SIGHUP and (settings := self._reload()):
                self._keeper.reload(settings)

    def _end(self) -> None:
        """The first order drains, the second ends the calls, the third waits for nothing."""
        self._orders += 1
        if self._orders == 1:
            self._keeper.drain(self._keeper.settings.node.drain_s)
        elif self._orders == 2:
            self._keeper.shutdown()
        else:
            self._keeper.over = True

    def _read_to_the_end(self) -> None:
        """Whoever started us has gone: nobody waits for our calls."""
        if not os.read(sys.stdin.fileno(), 4096):
            self._selector.unregister(sys.stdin)
            self._orders += 1
            self._keeper.drain(0.0)


def _noted(number: int, frame: object) -> None:
    """The number is in the socket pair already."""


async def serve_alone(
    settings: Settings, announce: Announce, *, until_eof: bool, reload: Reload = lambda: None
) -> None:
    """Run one worker in this process, without a node: for benchmarks and debuggers."""
    loop, stop, at_once = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    drain_s = settings.node.drain_s
    worker = Worker(settings)

    def leave() -> None:
        if at_once.is_set():
            os._exit(0)
        (at_once if stop.is_set() else stop).set()

    def read_to_the_end() -> None:
        nonlocal drain_s
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin.fileno())
            drain_s = 0.0
            stop.set()

    def hang_up() -> None:
        if other := reload():
            worker.reload(other)

    for number in _ENDS:
        loop.add_signal_handler(number, leave)
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    if until_eof:
        loop.add_reader(sys.stdin.fileno(), read_to_the_end)
    await worker.start()
    try:
        await _close_lost(worker)
        announce(worker.ports)
        await stop.wait()
        await _first(worker.drain(drain_s, "drained", refuse=True), at_once.wait())
    finally:
        with suppress(TimeoutError):
            await asyncio.wait_for(worker.stop(), SHUTDOWN_S)


async def _close_lost(worker: Worker) -> None:
    """Calls that one before us has left open, as a node's manager has them closed."""
    node, us = worker.settings.node.name, worker.link.incarnation
    try:
        await worker.operate("close_lost_of_node", {"node": f"{node}/", "alive": [us]})
    except CallboardError as error:
        log.warning("calls that were left open could not be closed: %s", error)


async def _first(*several: Coroutine[Any, Any, Any]) -> None:
    """Until one of them is done."""
    tasks = [asyncio.create_task(one) for one in several]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    await asyncio.gather(*done)


# --- other settings --------------------------------------------------------------------------------------------------


class Reloader:
    """At SIGHUP the settings are read again: what is right and can change does, and the log says what."""

    def __init__(self, running: Settings, loaded: Settings, load: Callable[[], Settings]) -> None:
        """`running` came from `loaded` (`settled`); `load` raises `CallboardError`."""
        self._running, self._loaded, self._load = running, loaded, load

    def __call__(self) -> Settings | None:
        try:
            _check_rereadable(os.environ.get(CONFIG_FILE, ""))
            wanted = self._load()
        except CallboardError as error:
            log.error("SIGHUP: %s: the settings stay as they are: %s", error.code, "; ".join(str(error).splitlines()))
            return None
        done = change(self._running, self._loaded, wanted)
        self._running, self._loaded = done.settings, change(self._loaded, self._loaded, wanted).settings
        configure(self._running.log_level, self._running.log_format)
        for line in done.taken or ("no setting that can change has changed",):
            log.warning("SIGHUP: %s", line)
        for line in done.refused:
            log.error("SIGHUP: %s", line)
        return self._running


def _check_rereadable(path: str) -> None:
    """A pipe has given at the start what it had, and to wait for more would keep the main process from its node."""
    if path and Path(path).exists() and not Path(path).is_file():
        raise ConfigError(f"{CONFIG_FILE} = {path!r}: is no file, and cannot be read a second time")


def has_terminal() -> bool:
    """Whether this process has a terminal; when it is closed, SIGHUP means that whoever started us has gone."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


# --- what is settled before anything starts ------------------------------------------------------------------------


@contextmanager
def settled(settings: Settings) -> Iterator[Settings]:
    """`settings` with the ports that all workers share, instead of 0, and a token for operators.

    The ports are kept, so that nobody else gets them while a worker is replaced. Raises `OSError` for one that is
    taken: SO_REUSEPORT alone would let two nodes share it.
    """
    given: dict[str, Any] = {}
    with ExitStack() as kept:
        for name in ("http", "audiosocket", "operator"):
            group = getattr(settings, name)
            reserved = kept.enter_context(_reserve(name.upper(), group.host, group.port))
            given[name] = group.model_copy(update={"port": reserved.getsockname()[1]})
        if not settings.operator.token.get_secret_value():
            token = type(settings.operator.token)(secrets.token_urlsafe(32))
            given["operator"] = given["operator"].model_copy(update={"token": token})
        yield settings.model_copy(update=given)


def _reserve(group: str, host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host or None, port, 0, socket.SOCK_STREAM, 0, socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            address = probe.getsockname()
        kept = socket.socket(family)
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        kept.bind(address)
    except OSError as error:
        raise OSError(error.errno, f"{group}__PORT = {port} at {group}__HOST = {host!r}: {error.strerror}") from None
    return kept


@contextmanager
def operators_file(settings: Settings) -> Iterator[None]:
    """Tell the operators of this machine, and nobody else, how to reach the node."""
    operator, http, audiosocket = settings.operator, settings.http, settings.audiosocket
    content = {
        "url": f"http://{reach(operator.host, operator.port)}",
        "token": operator.token.get_secret_value(),
        "http": f"http://{reach(http.host, http.port)}",
        "audiosocket": reach(audiosocket.host, audiosocket.port),
        "database": database_name(settings),
    }
    with announced(open_data_dir(settings.data_dir), content):
        yield

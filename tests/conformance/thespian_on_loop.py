"""A pytest plugin that runs Thespian's own test suite on the loop base; no file of Thespian is edited.

The suite's `asys` fixture is parametrised with the names of system bases, and its modules take it by `from
thespian.test import *`: so it is replaced, before they are collected, by one that knows a single name. A base is found
by importing `thespian.system.<name>`; that module is registered here. `scripts/conformance` is the command for it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from types import ModuleType
from typing import Any

import pytest
import thespian.test
from thespian.actors import ActorSystem

from actors.loop.base import LoopBase
from actors.loop.system import LoopThread

BASE = "loopBase"
CAPABILITIES = {"Foo Allowed": True, "Cows Allowed": True, "Dogs Allowed": True, "dog": "food"}
ONE_PROCESS = {"simpleSystemBase", "multiprocQueueBase"}  # a test that Thespian skips for both needs a convention


class HostedBase(LoopBase):
    """The loop base as Thespian constructs one by name: it ends together with the thread that it lives on."""

    host: LoopThread

    def shutdown(self) -> None:
        asyncio.run_coroutine_threadsafe(self.close(), self.loop).result()
        self.host.stop()


def _construct(system: ActorSystem, logDefs: Any = None) -> HostedBase:
    host = LoopThread()
    message_copy = os.environ.get("LOOP_MESSAGE_COPY", "reference")
    base: HostedBase = host.call(HostedBase, host.loop, system.capabilities, message_copy)
    base.host = host
    system.systemAddress = base.system_address
    return base


@pytest.fixture(params=[BASE])
def asys(request: pytest.FixtureRequest) -> Any:
    system = ActorSystem(systemBase=BASE, capabilities=dict(CAPABILITIES), logDefs=False, transientUnique=True)
    system.base_name, system.port_num, system.txonly = BASE, None, False
    request.addfinalizer(system.shutdown)
    return system


def _unsupported(system: Any, *bases: str) -> None:
    if system.base_name in bases or (system.base_name == BASE and set(bases) >= ONE_PROCESS):
        pytest.skip("needs a convention of several processes")


def pytest_configure() -> None:
    module = ModuleType("thespian.system." + BASE)
    module.ActorSystemBase = _construct  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    thespian.test.asys = asys
    thespian.test.actor_system_unsupported = _unsupported


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A few tests start other bases, with sockets on all interfaces: only where that is harmless."""
    if os.environ.get("LOOP_OTHER_BASES"):
        return
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {}).values()
        if any(str(value).startswith(("multiproc", "simpleSystemBase")) for value in parameters):
            item.add_marker(pytest.mark.skip(reason="names another system base"))

"""`LoopSystem`: Thespian's ActorSystem on an event loop, the media plane of Callboard."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from thespian.actors import ActorSystem, ActorSystemFailure

from actors.loop.base import EXIT_TIMEOUT_S, LoopBase, MessageCopy
from actors.loop.cell import Cell
from actors.loop.errors import WrongThread
from actors.loop.status import ActorInfo, actor_info

SHUTDOWN_TIMEOUT_S = 3 * EXIT_TIMEOUT_S


class LoopSystem(ActorSystem):  # type: ignore[misc]
    """Actors on one loop.

    With `loop` the system is attached to it: construct it on that loop's thread and end it by `await
    shutdown_async()`. Without, it hosts a loop in a daemon thread of its own (tests, scripts), which its end stops.
    Messages pass by reference, so treat them as immutable; "pickle" and "deepcopy" copy each one when it is sent.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop | None = None,
        *,
        capabilities: dict[str, Any] | None = None,
        message_copy: MessageCopy = "reference",
    ) -> None:
        self._host: LoopThread | None = None
        if loop is None:
            self._host = LoopThread()
            self._base: LoopBase = self._host.call(LoopBase, self._host.loop, capabilities, message_copy)
        else:
            _require_thread_of(loop)
            self._base = LoopBase(loop, capabilities, message_copy)
        super().__init__(self._base, self._base.capabilities, transientUnique=True)
        self.systemAddress = self._base.system_address

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._base.loop

    @property
    def dead_letters(self) -> int:
        """Messages so far that found nobody at their address."""
        return self._base.dead_letters

    def actors(self) -> list[ActorInfo]:
        """All living actors, the oldest first."""
        if self._systemBase is None:
            return []
        return self._base.call(lambda: [actor_info(cell) for cell in self._base.cells()])

    def cells(self) -> list[Cell]:
        """The living actors' own cells, the oldest first: for tools on the loop's thread."""
        return [] if self._systemBase is None else list(self._base.cells())

    async def ask_async(self, address: Any, message: Any, timeout_s: float) -> Any:
        """The answer to this very question, through an address of its own. Raises TimeoutError.

        As with Thespian's `ask`, a receiver that failed on the message answers with a PoisonMessage.
        """
        if self._systemBase is None:
            raise ActorSystemFailure("the actor system is shut down")
        return await self._on_loop(self._base.ask_async(address, message, timeout_s))

    async def shutdown_async(self) -> None:
        """Every actor gets ActorExitRequest, children end before parents, and nothing is left. Idempotent."""
        if self._systemBase is None:
            return
        await self._on_loop(self._base.close())
        self._end()

    def shutdown(self) -> None:
        """As `shutdown_async`, from another thread than the loop's."""
        if self._systemBase is None:
            return
        self._base.forbid_blocking("shutdown")
        asyncio.run_coroutine_threadsafe(self._base.close(), self.loop).result(SHUTDOWN_TIMEOUT_S)
        self._end()

    async def _on_loop(self, coro: Any) -> Any:
        if asyncio.get_running_loop() is self.loop:
            return await coro
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coro, self.loop))

    def _end(self) -> None:
        self._systemBase = None
        host, self._host = self._host, None
        if host is not None:
            host.stop()


class LoopThread:
    """A daemon thread that runs an event loop."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="loop-system", daemon=True)
        self._thread.start()

    def call(self, function: Any, *args: Any) -> Any:
        async def run() -> Any:
            return function(*args)

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result()

    def stop(self) -> None:
        """Stop the loop and, unless it is this very thread, wait until it has ended."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()


def _require_thread_of(loop: asyncio.AbstractEventLoop) -> None:
    """A loop that does not run yet will run on this thread: the caller's promise."""
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        running = None
    if loop.is_running() and running is not loop:
        raise WrongThread("construct LoopSystem(loop) on the thread that runs the loop")

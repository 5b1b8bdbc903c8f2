"""Those outside of the system who talk to its actors: other threads by `ask`/`listen`, coroutines by `ask_async`."""

from __future__ import annotations

import asyncio
import queue
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from thespian.system import isInternalActorSystemMessage
from thespian.system.timing import timePeriodSeconds

if TYPE_CHECKING:
    from actors.loop.address import LoopAddress
    from actors.loop.base import LoopBase


class Endpoint:
    """An address outside of the system for blocking threads; also what Thespian's `private()` works on."""

    def __init__(self, base: LoopBase) -> None:
        self._base = base
        self._replies: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.address = base.addresses.issue(self)

    def accept(self, message: Any, sender: Any) -> None:
        if not isInternalActorSystemMessage(message):
            self._replies.put(message)

    def tell(self, target: Any, message: Any) -> None:
        self._base.send_from(self.address, target, message)

    def ask(self, target: Any, message: Any, timeout: timedelta | float | None) -> Any:
        self._base.forbid_blocking("ask")
        self.tell(target, message)
        return self.listen(timeout)

    def listen(self, timeout: timedelta | float | None) -> Any:
        """The next message from any actor, or None after `timeout` seconds."""
        self._base.forbid_blocking("listen")
        try:
            return self._replies.get(timeout=None if timeout is None else max(0.0, timePeriodSeconds(timeout)))
        except queue.Empty:
            return None

    def newPrimaryActor(self, *args: Any) -> LoopAddress:
        return self._base.newPrimaryActor(*args)

    def exit_context(self) -> None:
        self._base.addresses.retire(self.address)


class Question:
    """The endpoint of one question: only its own answer can reach it. Loop thread only."""

    def __init__(self, base: LoopBase) -> None:
        self._base = base
        self._answer: asyncio.Future[Any] = base.loop.create_future()
        self.address = base.addresses.issue(self)

    def accept(self, message: Any, sender: Any) -> None:
        base = self._base
        if not base.on_loop_thread():
            base.post(base.deliver, self.address, message, sender)
        elif not self._answer.done() and not isInternalActorSystemMessage(message):
            self._answer.set_result(message)

    async def ask(self, target: Any, message: Any, timeout_s: float) -> Any:
        try:
            self._base.send_from(self.address, target, message)
            async with asyncio.timeout(timeout_s):
                return await self._answer
        except TimeoutError:
            raise TimeoutError(f"no answer to {type(message).__name__} from {target} in {timeout_s:g} s") from None
        finally:
            self._base.addresses.retire(self.address)

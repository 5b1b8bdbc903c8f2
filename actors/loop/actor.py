"""The actor class for the loop base: Thespian's Actor plus timers and tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from thespian.actors import Actor

from actors.loop.mailbox import MAILBOX_LIMIT
from actors.loop.timers import Timer


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """a task -> its own actor: I have ended with this exception."""

    name: str
    error: BaseException


class LoopActor(Actor):  # type: ignore[misc]
    """An actor that lives on an event loop; mixes in: `class X(LoopActor, ActorTypeDispatcher)`.

    `send` works outside of a handler too: from a callback or a task on the loop, and from another thread.
    """

    mailbox_limit: int = MAILBOX_LIMIT

    def send(self, targetAddr: Any, msg: Any) -> None:
        """As Thespian's, which first asks what kind of an object the address is: `actor_send` finds out anyway."""
        self._myRef.actor_send(targetAddr, msg)

    def call_later(self, delay_s: float, message: Any) -> Timer:
        """Deliver `message` to this actor in `delay_s` seconds, sender itself. Cancelled when the actor exits."""
        timer: Timer = self._myRef.call_later(delay_s, message)
        return timer

    def start_task(self, coro: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run `coro` until it ends or the actor exits. An exception in it reaches the actor as `TaskFailed`."""
        task: asyncio.Task[Any] = self._myRef.start_task(coro, name)
        return task

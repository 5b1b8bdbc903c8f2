"""The bridge between a worker's two threads, and the node as the loop's side sees it over that bridge.

The main thread belongs to Thespian and waits in its transport; the second one runs the event loop with everything that
serves calls. To the main thread: a queue and a pipe that Thespian watches (one byte for a whole burst). To the loop:
`call_soon_threadsafe`. Both cost nothing while nothing is said.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from actors.node.messages import MANAGER, Answer, AnswerError, Asked, AskManager, AskWorkers
from config.errors import BadInput, CallboardError


class Bridge:
    """From the loop's thread to the main thread: items in order, in batches."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._items: deque[Any] = deque()
        self._rung = False

    def fileno(self) -> int:
        """Readable when there is something to `collect`."""
        return self._read

    def post(self, item: Any) -> None:
        """Any thread: hand this to the main thread."""
        self._items.append(item)
        if not self._rung:
            self._rung = True
            os.write(self._write, b"\0")

    def collect(self) -> list[Any]:
        """The main thread: everything that has come since."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 64)
        self._rung = False  # before the queue is emptied: who posts from now on rings again
        items = []
        while self._items:
            items.append(self._items.popleft())
        return items

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)


class AnswerFailed(BadInput):
    """Another process of the node refused the question; code and text are its own."""

    def __init__(self, error: AnswerError) -> None:
        super().__init__(error.text)
        self.code, self.http_status = error.code, error.http_status


@dataclass(slots=True)
class _Gathering:
    """The answers to one question, while they come."""

    done: asyncio.Future[None]
    expected: set[int] | None = None
    answers: dict[int, Answer] = field(default_factory=dict)

    def settle(self) -> None:
        if self.expected is not None and self.expected <= self.answers.keys() and not self.done.done():
            self.done.set_result(None)


class BridgeLink:
    """The `NodeLink` of a worker in a node. All of it runs on the loop's thread."""

    def __init__(self, worker: int, incarnation: str, bridge: Bridge) -> None:
        self.worker, self.incarnation = worker, incarnation
        self._bridge = bridge
        self._requests = itertools.count(1)
        self._gatherings: dict[int, _Gathering] = {}
        self._is_orphan = False

    def orphaned(self) -> None:
        """The manager is gone: from now on there is nobody to ask."""
        self._is_orphan = True

    async def ask_workers(self, verb: str, arguments: dict[str, Any], timeout_s: float = 2.0) -> dict[int, Any]:
        """What the workers answer in time; raises `AnswerFailed` if there is no answer but refusals."""
        number = next(self._requests)
        question = AskWorkers(number, self.incarnation, verb, arguments)
        answers = await self._gather(number, question, None, timeout_s)
        values = {worker: answer.value for worker, answer in sorted(answers.items()) if answer.error is None}
        if not values:
            _raise_first(answers)
        return values

    async def ask_manager(self, verb: str, arguments: dict[str, Any], timeout_s: float = 2.0) -> Any:
        """Raises `TimeoutError`, and `AnswerFailed` if the manager refuses."""
        number = next(self._requests)
        question = AskManager(number, self.incarnation, verb, arguments)
        answers = await self._gather(number, question, {MANAGER}, timeout_s)
        if MANAGER not in answers:
            raise TimeoutError(f"the node's manager has not answered {verb} within {timeout_s:g} s")
        _raise_first(answers)
        return answers[MANAGER].value

    def deliver(self, message: Asked | Answer) -> None:
        """Something came for a question of ours; too late for one that was given up."""
        gathering = self._gatherings.get(message.request)
        if gathering is None:
            return
        if isinstance(message, Asked):
            gathering.expected = set(message.workers)
        elif message.incarnation == self.incarnation:
            gathering.answers[message.worker] = message
        gathering.settle()

    async def _gather(
        self, number: int, question: object, expected: set[int] | None, timeout_s: float
    ) -> dict[int, Answer]:
        if self._is_orphan:
            raise AnswerFailed(AnswerError("node_silent", "the node's manager is gone; another is being started", 503))
        gathering = _Gathering(asyncio.get_running_loop().create_future(), expected)
        self._gatherings[number] = gathering
        self._bridge.post(question)
        try:
            await asyncio.wait_for(gathering.done, timeout_s)
        except TimeoutError:
            pass
        finally:
            del self._gatherings[number]
        return gathering.answers


def _raise_first(answers: dict[int, Answer]) -> None:
    for answer in answers.values():
        if answer.error is not None:
            raise AnswerFailed(answer.error)


def error_of(error: CallboardError) -> AnswerError:
    return AnswerError(error.code, str(error), getattr(error, "http_status", 500))

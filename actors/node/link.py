"""What a worker's loop and its node see of each other; the bridge between the two threads implements it.

Questions are small dictionaries of plain values, so that they cross processes: {"verb": "ps", ...}. Every worker
answers for its own actors (`Answering.operate`); a node's question to all of them gathers the answers by number.
"""

from __future__ import annotations

from typing import Any, Protocol

Answer = Any  # plain values: dict, list, str, int, float, bool, None


class Answering(Protocol):
    """A worker's loop side (`transports.worker.Worker`)."""

    async def operate(self, verb: str, arguments: dict[str, Any]) -> Answer:
        """Answer for this worker. Raises `BadInput` for an unknown verb or arguments."""


class NodeLink(Protocol):
    """The worker's way to its node; all methods run on the worker's loop."""

    worker: int  # this worker's number, from 0
    incarnation: str  # of this worker's process, unique for ever: who owns the calls that it has taken

    async def ask_workers(self, verb: str, arguments: dict[str, Any], timeout_s: float = 2.0) -> dict[int, Answer]:
        """Ask every worker of the node, this one included; those that do not answer in time are left out."""

    async def ask_manager(self, verb: str, arguments: dict[str, Any], timeout_s: float = 2.0) -> Answer:
        """Ask the node's manager: exits, workers, nodes, drain. Raises `TimeoutError`, `BadInput`."""


class Alone:
    """The link of a worker without a node: tests, benchmarks, `serve --workers 0`."""

    worker = 0

    def __init__(self, incarnation: str) -> None:
        self.incarnation = incarnation
        self.answering: Answering | None = None

    async def ask_workers(self, verb: str, arguments: dict[str, Any], timeout_s: float = 2.0) -> dict[int, Answer]:
        return {0: await self.answering.operate(verb, arguments)} if self.answering else {}

    async def ask_manager(self, verb: str, arguments: dict[str, Any], timeout_s: float = 2.0) -> Answer:
        """There is no manager: nothing has exited, and there is one worker."""
        return {"exits": [], "workers": [], "nodes": []}.get(verb)

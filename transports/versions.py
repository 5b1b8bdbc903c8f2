"""The assistants' versions that calls of this worker need: read and checked once, then at hand.

A version never changes. Whoever claims a context has its assistant read on the same trip to the database, so that a
call starts without another one, and the options of its providers are not parsed on the loop.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from config.assistant import AssistantConfig
from store.assistants import AssistantRepository
from store.engine import Database
from store.records import CallContext

MOST = 64  # versions: one of 1,000 sentences takes about a megabyte


class Versions:
    """`prepare` does what must be done once for each version, in a thread of the store; it may raise `ConfigError`."""

    def __init__(self, database: Database, prepare: Callable[[AssistantConfig], object], most: int = MOST) -> None:
        self._repository, self._prepare, self._most = AssistantRepository(database), prepare, most
        self._known: OrderedDict[tuple[int, int], AssistantConfig] = OrderedDict()
        self._lock = threading.Lock()

    def known(self, context: CallContext) -> AssistantConfig | None:
        """The assistant of this context, if it is at hand; waits for nothing."""
        key = (context.assistant_id, context.assistant_version)
        with self._lock:
            if (found := self._known.get(key)) is not None:
                self._known.move_to_end(key)
            return found

    def load(self, context: CallContext) -> AssistantConfig:
        """The assistant of this context. Blocks. Raises `CallboardError`."""
        if (found := self.known(context)) is not None:
            return found
        config = self._repository.get_version(context.assistant_id, context.assistant_version).config
        self._prepare(config)
        with self._lock:
            # Two who have read it at the same moment go on with the same object: what was made of it belongs to it.
            config = self._known.setdefault((context.assistant_id, context.assistant_version), config)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return config

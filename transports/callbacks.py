"""How many status callbacks this worker passes on to the ledger: a bound that holds also while nobody can ask the
database, and before the ledger has written what came a moment ago."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from uuid import UUID

from store.callbacks import MOST_CALLBACKS
from store.errors import StoreUnavailable, TooManyCallbacks

MOST_CALLS = 4096
UNASKED_PER_S = 20.0  # of calls that the database could not be asked about


class CallbackBound:
    """Counts them by context; `now` is a monotonic clock in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._counts: OrderedDict[UUID, int] = OrderedDict()
        self._unasked, self._at = UNASKED_PER_S, now()  # tokens

    def admit(self, context_id: UUID, *, asked: bool) -> None:
        """`asked`: the database knows the call. Raises `TooManyCallbacks`, `StoreUnavailable`."""
        count = self._counts.get(context_id, 0)
        if count >= MOST_CALLBACKS:
            raise TooManyCallbacks(f"context {context_id}: {count} status callbacks have come, and no more are kept")
        if not asked:
            self._take_token()
        self._counts[context_id] = count + 1
        self._counts.move_to_end(context_id)
        if len(self._counts) > MOST_CALLS:
            self._counts.popitem(last=False)

    def _take_token(self) -> None:
        now = self._now()
        self._unasked = min(UNASKED_PER_S, self._unasked + (now - self._at) * UNASKED_PER_S)
        self._at = now
        if self._unasked < 1.0:
            raise StoreUnavailable("the database cannot be asked whose callbacks these are, and they are many")
        self._unasked -= 1.0

"""The silence in which it is the caller's turn, and what is said into it."""

from __future__ import annotations

from collections.abc import Callable

from actors.call.effects import CancelTimer, Effect, SetTimer
from config.assistant import Idle


class Idleness:
    """The timer `idle` fires when it has lasted; each prompt is said once until the caller shows that he is there."""

    def __init__(self, do: Callable[[Effect], None], config: Idle) -> None:
        self._do, self._config = do, config
        self._prompts = 0

    def begin(self) -> None:
        self._do(SetTimer("idle", self._config.timeout_s))

    def end(self) -> None:
        self._do(CancelTimer("idle"))

    def caller_is_there(self) -> None:
        self._prompts = 0

    def next_prompt(self) -> str | None:
        """None: there is none left, and nobody either."""
        self._prompts += 1
        return self._config.prompts[self._prompts - 1] if self._prompts <= len(self._config.prompts) else None

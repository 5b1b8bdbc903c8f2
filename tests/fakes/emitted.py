"""What a session has emitted, and waiting for more of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from actors.errors import ProviderError
from actors.providers.spec import Alive, EndOfTurn, Final, SegmentAudio, SegmentDone, SessionEvent, SessionFailed, Token


class Emitted:
    """The `emit` of a session under test; `react` may do something with each event, as a call does."""

    def __init__(self, react: Callable[[SessionEvent], None] = lambda event: None) -> None:
        self.events: list[SessionEvent] = []  # but for signs of life
        self.alive: list[Alive] = []
        self._react = react
        self._more = asyncio.Event()

    def __call__(self, event: SessionEvent) -> None:
        if isinstance(event, Alive):
            self.alive.append(event)
            return
        self.events.append(event)
        self._more.set()
        self._react(event)

    def of(self, *kinds: type | tuple[type, ...]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kinds)]

    async def until(self, kind: type | tuple[type, ...], count: int = 1, within_s: float = 5.0) -> Any:
        """The `count`th event of this kind (or of these), as soon as there is one."""
        async with asyncio.timeout(within_s):
            while len(self.of(kind)) < count:
                self._more.clear()
                await self._more.wait()
        return self.of(kind)[count - 1]

    async def failure(self, within_s: float = 5.0) -> ProviderError:
        return (await self.until(SessionFailed, within_s=within_s)).error

    @property
    def heard(self) -> list[str]:
        """Finals and ends of turn: ["hello there", "|"]."""
        return [e.text if isinstance(e, Final) else "|" for e in self.of(Final, EndOfTurn)]

    @property
    def answer(self) -> str:
        return "".join(token.text for token in self.of(Token))

    def audio(self, segment: int) -> bytes:
        return b"".join(event.payload for event in self.of(SegmentAudio) if event.segment == segment)

    @property
    def segments_done(self) -> list[int]:
        return [event.segment for event in self.of(SegmentDone)]

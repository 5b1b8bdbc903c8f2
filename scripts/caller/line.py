"""The seam between the caller and the carrier that it calls through."""

from __future__ import annotations

import asyncio
from typing import Protocol

from config.errors import CallboardError
from scripts.caller.plan import AudioReport

LEAVE_S = 1.0  # for the server to notice that we have hung up


class Line(Protocol):
    """One open call; audio is PCM s16le mono at 8 kHz, one frame of 20 ms (320 bytes) a call, and nothing blocks."""

    context_id: str
    over: asyncio.Event  # the media connection is gone
    failure: CallboardError | None  # the server broke the protocol; the line is over then

    def speak(self, pcm: bytes) -> None:
        """Send the caller's next 20 ms, silence included."""

    def listen(self) -> bytes:
        """What the caller's ear hears in the next 20 ms."""

    def press(self, digit: str) -> None:
        """Press a key: 0-9, *, #, A-D."""

    async def hang_up(self) -> None:
        """End the call as this carrier does and let go of the connection."""

    def audio(self) -> AudioReport:
        """How the assistant's audio came so far."""


async def wait_over(line: Line) -> None:
    """Wait until the connection is gone, for a bounded time."""
    try:
        await asyncio.wait_for(line.over.wait(), LEAVE_S)
    except TimeoutError:
        pass

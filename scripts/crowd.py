"""Many callers at little cost, to load a server: AudioSocket calls that all speak from one 20 ms clock.

Each caller waits until the other side is silent, says its sentence, waits for the answer, and so on until it is told to
hang up. What comes is put on a playout clock with a jitter buffer, as a telephone has it: a slot of 20 ms that had
nothing to play is a late frame.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import cast

from scripts.caller.audiosocket import HANG_UP, UUID_KIND, frame, parse_uuid
from scripts.caller.errors import CallRefused, ServerUnreachable
from scripts.caller.server import Server

FRAME_S, FRAME_BYTES, HEADER_BYTES = 0.02, 320, 3
JITTER_BUFFER_S = 0.06
PAUSE_S = 0.8  # of silence before a caller speaks
UNANSWERED_S = 15.0  # then it says its sentence again
AUDIO_KIND = 0x10
_SILENCE = bytes(FRAME_BYTES)


def audio_frame(pcm: bytes) -> bytes:
    """20 ms of audio as a caller sends it."""
    return frame(AUDIO_KIND, pcm)


class Phase(Enum):
    """What a caller does."""

    LISTENING = "listening"
    SPEAKING = "speaking"
    WAITING = "waiting"


@dataclass
class Heard:
    """What one caller has got so far. Times in seconds of the loop's clock."""

    slots: int = 0  # of 20 ms that were due
    late: int = 0  # of these with nothing to play
    late_at: list[float] = field(default_factory=list)
    latencies_s: list[float] = field(default_factory=list)
    unanswered: int = 0


class Caller(asyncio.Protocol):
    """One call. `outcome` is "" while it lasts, then refused, lost or done."""

    def __init__(self, context_id: bytes, sentence: Sequence[bytes], quiet: Sequence[bytes], began: float) -> None:
        """`sentence` and `quiet` are frames (`audio_frame`) of 20 ms; `quiet` is repeated."""
        self.began, self.outcome, self.heard = began, "", Heard()
        self._context_id, self._sentence, self._quiet = context_id, sentence, quiet
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._due: float | None = None  # when the next frame is to be played
        self._phase, self._next = Phase.LISTENING, 0
        self._spoken_at = math.inf
        self._audible_at = -math.inf  # the last time
        self.greeted = False

    # --- the clock ---------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Send the frame that is due."""
        if self._transport is None or self.outcome:
            return
        self._transport.write(self._frame(now))

    def _frame(self, now: float) -> bytes:
        if self._phase is Phase.LISTENING and self.greeted and now - self._audible_at > PAUSE_S:
            self._phase, self._next = Phase.SPEAKING, 0
        elif self._phase is Phase.WAITING and now - self._spoken_at > UNANSWERED_S:
            self.heard.unanswered += 1
            self._phase, self._next = Phase.SPEAKING, 0
        if self._phase is not Phase.SPEAKING:
            self._next += 1
            return self._quiet[self._next % len(self._quiet)]
        spoken = self._sentence[self._next]
        self._next += 1
        if self._next == len(self._sentence):
            self._phase, self._spoken_at = Phase.WAITING, now
        return spoken

    # --- asyncio.Protocol --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._transport.write(frame(UUID_KIND, self._context_id))

    def data_received(self, data: bytes) -> None:
        now = self._loop.time()
        if not self._buffer and len(data) == HEADER_BYTES + FRAME_BYTES and data[0] == AUDIO_KIND:  # nearly always
            return self._play(now, data[HEADER_BYTES:])
        self._buffer += data
        at, size = 0, len(self._buffer)
        while size - at >= HEADER_BYTES:
            end = at + HEADER_BYTES + (self._buffer[at + 1] << 8 | self._buffer[at + 2])
            if end > size:
                break
            if self._buffer[at] == HANG_UP:
                return self._ended()
            self._play(now, self._buffer[at + HEADER_BYTES : end])
            at = end
        self._buffer = self._buffer[at:]

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended()

    def hang_up(self) -> None:
        """The caller has had enough."""
        if not self.outcome and self._transport is not None:
            if self._phase is Phase.WAITING and self._loop.time() - self._spoken_at > UNANSWERED_S / 2:
                self.heard.unanswered += 1
            self.outcome = "done"
            self._transport.write(frame(HANG_UP))
            self._transport.close()

    def _ended(self) -> None:
        """By the server: before the greeting it is a refusal."""
        if not self.outcome:
            self.outcome = "lost" if self.greeted else "refused"
        if self._transport is not None:
            self._transport.close()

    def _play(self, now: float, payload: bytes) -> None:
        if self._due is None:
            self._due = now + JITTER_BUFFER_S
        if now > self._due:
            missing = math.ceil((now - self._due) / FRAME_S)
            self.heard.late += missing
            self.heard.slots += missing
            self.heard.late_at.append(now)
            self._due = now + JITTER_BUFFER_S
        self.heard.slots += 1
        self._due = min(self._due + FRAME_S, now + 2 * JITTER_BUFFER_S)  # who sends ahead is played at once
        if payload != _SILENCE:
            self._sound(now)

    def _sound(self, now: float) -> None:
        if self._phase is Phase.WAITING:
            self.heard.latencies_s.append(now - self._spoken_at)
            self._phase = Phase.LISTENING
        self._audible_at, self.greeted = now, True


class Crowd:
    """Callers of one server, from `dial` to `hang_up`; `async with` runs their clock."""

    def __init__(self, url: str, audiosocket: tuple[str, int], assistant: str) -> None:
        self.callers: list[Caller] = []
        self.refused_at: list[float] = []  # webhooks
        self.late_s = 0.0  # the most that our own clock was late: figures of a crowd that lags say little
        self._server, self._audiosocket, self._assistant = Server(url), audiosocket, assistant
        self._loop = asyncio.get_running_loop()
        self._clock: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Crowd:
        self._clock = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._clock is not None
        self._clock.cancel()
        await asyncio.gather(self._clock, return_exceptions=True)
        for caller in self.callers:
            caller.hang_up()
        self._server.close()

    async def dial(self, sentence: Sequence[bytes], quiet: Sequence[bytes]) -> Caller | None:
        """One more caller; None if the webhook refused it."""
        began = self._loop.time()
        try:
            answer = await self._server.get(f"/v1/talk/asterisk/call/{self._assistant}?from=")
        except (CallRefused, ServerUnreachable):
            self.refused_at.append(began)
            return None
        caller = Caller(parse_uuid(answer).bytes, sentence, quiet, began)
        await self._loop.create_connection(lambda: caller, *self._audiosocket)
        self.callers.append(caller)
        return caller

    def hang_up(self, callers: Iterable[Caller]) -> None:
        for caller in callers:
            caller.hang_up()

    async def _run(self) -> None:
        """Every caller has its own place in the 20 ms."""
        due = self._loop.time()
        parts = 4
        part = 0
        while True:
            due = max(due + FRAME_S / parts, self._loop.time() - FRAME_S)
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            self.late_s = max(self.late_s, self._loop.time() - due)
            now, part = self._loop.time(), (part + 1) % parts
            for caller in self.callers[part::parts]:
                caller.tick(now)

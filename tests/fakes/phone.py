"""A caller who speaks and understands tones, on a wire in memory, in real time on the clock of the call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np

from actors.call.wire import PlayoutMode
from actors.errors import Result, Termination
from actors.media.audio import PCM_8K
from actors.media.clock import MediaClock
from actors.media.resample import Converter
from tests.fakes import tones
from tests.fakes.wire import FakeWire

SILENCE = PCM_8K.silence(20)
LOOK_EVERY = 4  # ticks: to read all that was heard costs milliseconds


class Phone:
    """`wire` is for the call. Every tick of the clock a frame is spoken and what has come is heard."""

    def __init__(self, clock: MediaClock, playout: PlayoutMode = PlayoutMode.LOCALLY_PACED) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self.wire = FakeWire(self._loop.time, playout)
        self._speech = bytearray()
        self._to_wire = Converter(PCM_8K, self.wire.format)
        self._held = bytearray()
        self._stalled_until_s = 0.0
        self._ticks = 0
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        clock.add_ticker(self._tick)

    def say(self, text: str) -> None:
        """Speak, as soon as what was said before is out."""
        self._speech += tones.spell(text)

    def hum(self, seconds: float) -> None:
        """A sound that is no word."""
        self._speech += (np.sin(np.arange(int(8000 * seconds)) * 2 * np.pi * 120 / 8000) * 8000).astype("<i2").tobytes()

    def stall(self, seconds: float) -> None:
        """For so long nothing arrives of what is spoken; then all of it."""
        self._stalled_until_s = self._loop.time() + seconds

    def hang_up(self) -> None:
        if self.wire.ears is not None and not self.wire.hung_up:
            self.wire.hung_up = True
            self.wire.ears.on_closed(Termination(Result.SUCCESS, "caller_hung_up"))

    def leave(self) -> None:
        """Hang up, and let go of the clock."""
        self.hang_up()
        self._clock.remove_ticker(self._tick)

    @property
    def words(self) -> list[str]:
        """What the caller has heard so far."""
        return tones.read(self.pcm)

    @property
    def pcm(self) -> bytes:
        return Converter(self.wire.format, PCM_8K).convert(bytes(self.wire.played))

    async def hears(self, text: str, within_s: float = 5.0) -> None:
        """Until the caller has heard these words, one after the other, and they were the last so far."""
        expected = tones.normalise(text)
        await self.until(lambda: self.words[-len(expected) :] == expected, within_s, f"to hear {expected}")

    async def hears_word(self, word: str, within_s: float = 5.0) -> None:
        await self.until(lambda: word in self.words, within_s, f"to hear {word!r}")

    async def until(self, holds: Callable[[], bool], within_s: float, what: str) -> None:
        """Looks at every tick of the clock."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append((holds, future))
        try:
            await asyncio.wait_for(future, within_s)
        except TimeoutError:
            raise AssertionError(f"waited {within_s} s {what}; heard {self.words}") from None

    def longest_gap_ms(self, first: str, last: str) -> float:
        """The longest silence between hearing the word `first` and the end of the word `last`."""
        frames = [self.pcm[i : i + 160] for i in range(0, len(self.pcm), 160)]  # 10 ms each
        loud = [
            max(abs(int.from_bytes(f[j : j + 2], "little", signed=True)) for j in range(0, len(f), 2)) > 800
            for f in frames
        ]
        sounds = _runs(loud)
        start, end = self.words.index(first), len(self.words) - 1 - self.words[::-1].index(last)
        return max((sounds[i + 1][0] - sounds[i][1]) * 10.0 for i in range(start, end))

    def _tick(self) -> None:
        if self.wire.ears is not None and not self.wire.hung_up:
            frame, self._speech = bytes(self._speech[:320]), self._speech[320:]
            self._held += self._to_wire.convert(frame.ljust(320, b"\0") if frame else SILENCE)
            if self._loop.time() >= self._stalled_until_s:
                self.wire.ears.on_audio(bytes(self._held))
                self._held.clear()
            self.wire.run()
        self._ticks += 1
        for entry in list(self._waiting) if self._ticks % LOOK_EVERY == 0 else ():
            if entry[1].done():
                self._waiting.remove(entry)
            elif entry[0]():
                entry[1].set_result(None)


def _runs(loud: list[bool]) -> list[tuple[int, int]]:
    """Runs of at least 60 ms of sound, as `tones.read` counts them."""
    runs, start = [], None
    for i, is_loud in enumerate([*loud, False]):
        if is_loud and start is None:
            start = i
        elif not is_loud and start is not None:
            if i - start >= 6:
                runs.append((start, i))
            start = None
    return runs

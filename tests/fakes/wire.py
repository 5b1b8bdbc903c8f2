"""A wire in memory for both playout modes, in virtual time: it records what it gets and plays it as a carrier would."""

from __future__ import annotations

from collections.abc import Callable

from actors.call.wire import PlayoutMode, WireEars
from actors.errors import Result, Termination
from actors.media.audio import MULAW_8K, AudioFormat


class FakeWire:
    """`now` gives seconds. A remote-buffered wire plays in real time: call `run` to get the echoes that are due."""

    def __init__(
        self,
        now: Callable[[], float],
        playout: PlayoutMode = PlayoutMode.LOCALLY_PACED,
        audio_format: AudioFormat = MULAW_8K,
        provider: str = "fake",
    ) -> None:
        self.provider, self.format, self.playout = provider, audio_format, playout
        self.stall_ms: float | None = 0.0
        self.echoes = True  # False: a carrier that never answers a mark
        self.sent: list[tuple[float, bytes]] = []  # (seconds, payload)
        self.marks: list[tuple[float, str]] = []
        self.clears: list[float] = []
        self.played = bytearray()  # what the caller has heard
        self.hung_up = False
        self.ears: WireEars | None = None
        self._now = now
        self._buffer: list[bytes | str] = []  # audio and marks, in order
        self._plays_from = 0.0  # seconds: when the buffer's first audio began

    def open(self, ears: WireEars) -> None:
        self.ears = ears

    def send_audio(self, payload: bytes) -> None:
        self.sent.append((self._now(), payload))
        if self.playout is PlayoutMode.LOCALLY_PACED:
            assert len(payload) == self.format.frame_bytes, "a locally paced wire takes exactly one frame"
            self.played += payload
            return
        self.run()
        if not any(isinstance(item, bytes) for item in self._buffer):
            self._plays_from = self._now()
        self._buffer.append(payload)

    def send_mark(self, name: str) -> None:
        self.marks.append((self._now(), name))
        self._buffer.append(name)

    def send_clear(self) -> None:
        """The audio is dropped, a message that is half played is cut, the pending marks come back at once."""
        self.run()
        self.clears.append(self._now())
        waiting, self._buffer = self._buffer, []
        if waiting and isinstance(waiting[0], bytes):
            self.played += waiting[0][: self._due_bytes(waiting[0])]
        for item in waiting:
            self._echo(item)

    def hang_up(self) -> None:
        if not self.hung_up:
            self.hung_up = True
            if self.ears is not None:
                self.ears.on_closed(Termination(Result.SUCCESS, "agent_hung_up"))

    def run(self) -> None:
        """Play what has had its time, echo the marks behind it."""
        while self._buffer:
            item = self._buffer[0]
            if isinstance(item, bytes):
                if self._due_bytes(item) < len(item):
                    return
                self._plays_from += self.format.duration_ms(len(item)) / 1000
                self.played += item
            self._buffer.pop(0)
            self._echo(item)

    def audio(self) -> bytes:
        """All audio it was ever given."""
        return b"".join(payload for _, payload in self.sent)

    def _due_bytes(self, audio: bytes) -> int:
        passed_s = self._now() - self._plays_from + 1e-9
        return min(len(audio), int(passed_s * self.format.rate) * self.format.sample_bytes)

    def _echo(self, item: bytes | str) -> None:
        if isinstance(item, str) and self.echoes and self.ears is not None:
            self.ears.on_mark(item)

"""A call beside an attack: how long is it without audio, and whose fault is that?

The probe is a call of AudioSocket, to which the worker sends a frame each 20 ms. It reads in a thread of its own. What
counts is what the worker does: frames that lie ready together were sent in time and read late, and a gap in which the
worker had no CPU is the machine's.
"""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from transports.audiosocket import audio_header

FRAME_S = 0.02
_FRAME_BYTES = 323
_SILENCE = audio_header(0x10, 320) + bytes(320)


@dataclass(frozen=True, slots=True)
class Gap:
    """Between two frames: how long, of which so much was waited for frames that were there, or for a CPU."""

    at_s: float
    length_s: float
    worked_s: float  # CPU time of the worker meanwhile

    @property
    def blamed_s(self) -> float:
        """How long the worker itself kept the call waiting."""
        return min(self.length_s, self.worked_s + FRAME_S)


class Probe:
    """Holds the call from `start` to `stop`."""

    def __init__(self, address: tuple[str, int], context: UUID, worker: int) -> None:
        self.gaps: list[Gap] = []
        self.frames = 0
        self._worker = Path(f"/proc/{worker}/task")
        self._sock = socket.create_connection(address, 5)
        self._sock.sendall(b"\x01\x00\x10" + context.bytes + _SILENCE)
        self._sock.settimeout(2)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="probe")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        self._sock.close()

    def worst(self, since_s: float, until_s: float) -> Gap:
        """The longest gap that the worker is to blame for."""
        within = [gap for gap in self.gaps if since_s <= gap.at_s <= until_s]
        return max(within, key=lambda gap: gap.blamed_s, default=Gap(since_s, until_s - since_s, until_s - since_s))

    def _run(self) -> None:
        rest, last_s, worked_s = 0, time.monotonic(), self._cpu_s()
        while not self._stopped.is_set():
            try:
                data = self._sock.recv(1 << 20)
            except OSError:
                return
            if not data:
                return
            frames, rest = divmod(rest + len(data), _FRAME_BYTES)
            if not frames:
                continue
            self.frames += frames
            now_s, cpu_s = time.monotonic(), self._cpu_s()
            # after a stall of its own the worker sends two at once; more were sent one after the other and read late
            worked = (cpu_s - worked_s) / max(1, frames // 2)
            self.gaps.append(Gap(now_s, now_s - last_s - (frames - 1) * FRAME_S, worked))
            last_s, worked_s = now_s, cpu_s
            try:
                self._sock.send(_SILENCE * frames)
            except OSError:
                return

    def _cpu_s(self) -> float:
        """CPU time of all threads of the worker."""
        total_ns = 0
        for task in self._worker.iterdir():
            try:
                total_ns += int((task / "schedstat").read_text().split()[0])
            except OSError:
                continue
        return total_ns / 1e9

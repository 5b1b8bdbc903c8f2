"""The buffer that a carrier plays to the caller's ear, one 20 ms frame per call, and what ran late in it."""

from __future__ import annotations

from collections import deque

from actors.media.audio import MULAW_8K, PCM_8K

_FRAME_BYTES = MULAW_8K.frame_bytes


class RemotePlayout:
    """Behaves as Twilio does: plays at real time what was sent ahead, echoes a mark when the audio before it has
    played, and on `clear` discards the audio and echoes every pending mark.
    """

    def __init__(self) -> None:
        self._items: deque[bytes | str] = deque()  # mu-law audio, and marks by name
        self._expecting = False  # audio was played and no mark has ended it
        self._starved = 0
        self.frames = 0  # of audio played
        self.late_frames = 0  # silence that was played between two pieces of what no mark had ended

    def media(self, payload: bytes) -> None:
        """Append mu-law audio of any length."""
        self._items.append(payload)
        self.late_frames += self._starved
        self._starved = 0
        self._expecting = True

    def mark(self, name: str) -> None:
        self._items.append(name)

    def clear(self) -> list[str]:
        """Discard the audio; returns the marks to echo."""
        marks = [item for item in self._items if isinstance(item, str)]
        self._items.clear()
        self._rest()
        return marks

    def play_frame(self) -> tuple[bytes, list[str]]:
        """The next 20 ms (160 bytes of mu-law, padded with silence) and the marks reached by its end."""
        frame, marks = bytearray(), []
        while self._items and (len(frame) < _FRAME_BYTES or isinstance(self._items[0], str)):
            item = self._items.popleft()
            if isinstance(item, str):
                marks.append(item)
                continue
            room = _FRAME_BYTES - len(frame)
            frame += item[:room]
            if len(item) > room:
                self._items.appendleft(item[room:])
        self.frames += bool(frame)
        self._starved += self._expecting and not frame
        if marks and not self._items:
            self._rest()
        return bytes(frame).ljust(_FRAME_BYTES, b"\xff"), marks

    def _rest(self) -> None:
        self._expecting, self._starved = False, 0


class PacedPlayout:
    """The ear of a wire whose frames come at real time: a buffer of a few frames against jitter."""

    MAX_LEAD_FRAMES = 5

    def __init__(self) -> None:
        self._audio = bytearray()
        self._arrived_s: float | None = None
        self.frames = 0
        self.late_frames = 0  # frames that came more than 40 ms after the one before
        self.max_gap_ms: float | None = None

    def frame_arrived(self, pcm: bytes, now_s: float) -> None:
        """PCM s16le at 8 kHz; when too much has gathered, the oldest goes."""
        self.frames += 1
        if self._arrived_s is not None:
            gap_ms = (now_s - self._arrived_s) * 1000
            self.max_gap_ms = max(gap_ms, self.max_gap_ms or 0.0)
            self.late_frames += gap_ms > 40
        self._arrived_s = now_s
        self._audio += pcm
        del self._audio[: max(0, len(self._audio) - self.MAX_LEAD_FRAMES * PCM_8K.frame_bytes)]

    def pause(self) -> None:
        """The server has said that it is silent: what follows comes when it likes."""
        self._arrived_s = None

    def play_frame(self) -> bytes:
        """The next 20 ms (320 bytes of PCM, padded with silence)."""
        frame = bytes(self._audio[: PCM_8K.frame_bytes])
        del self._audio[: len(frame)]
        return frame.ljust(PCM_8K.frame_bytes, b"\0")

"""What has arrived on a wire and waits to be heard: taken tick by tick, in real time.

Audio comes late and in bursts, and at times it does not come at all: a stall of the network is waited for, and a pause
of a wire that may pause is the caller's silence. What comes faster than a caller speaks waits, and is lost in the end.
"""

from __future__ import annotations

from actors.media.audio import FRAME_MS, AudioFormat

QUIET_MS = 100  # so long after its last audio has ended, a wire stalls, or a carrier's silence becomes ours
STALL_MS = 1000  # a wire that is not known to pause may stall for so long
LEARNT_MS, BURST_MS = 300, 100  # a gap as long as this was a stall if so much comes at its end, else a pause
REAL_TIME = 1.1  # a caller speaks in real time: so much is heard in the long run, and BACKLOG_MS at once
TAKE_MS = 200  # at most so much is heard in one tick: one leg's burst must not delay the others
BACKLOG_MS = 10_000  # what waits beyond this is lost, oldest first


class Arrivals:
    """Of one leg, in the wire's format. A gap of up to `stall_ms` is a stall of the network, a longer one the caller's
    silence; None: that is learnt from what comes at the end of the gaps."""

    def __init__(self, wire_format: AudioFormat, stall_ms: float | None) -> None:
        self.stalls = False
        self.lost_ms = 0.0  # of audio that came faster than it could be heard
        self.format, self._silence = wire_format, wire_format.silence(FRAME_MS)
        self._frame_bytes = wire_format.frame_bytes
        self._limit_bytes = wire_format.frame_bytes * (TAKE_MS // FRAME_MS)
        self._backlog_bytes = wire_format.frame_bytes * (BACKLOG_MS // FRAME_MS)
        self._waiting = bytearray()
        self._allowance = float(self._backlog_bytes)  # bytes that may be heard, at `_allowed_at_ms`
        self._allowed_at_ms = 0.0
        self._heard_since = 0  # bytes
        self._earned = REAL_TIME * wire_format.frame_bytes / FRAME_MS  # bytes a millisecond
        self._audio_until_ms: float | None = None
        self._learns, self._stall_ms = stall_ms is None, STALL_MS if stall_ms is None else stall_ms
        self._begun = False
        self._gap_since_ms: float | None = None

    def receive(self, payload: bytes) -> None:
        """Audio from the wire; it is heard at the next tick."""
        self._waiting += payload
        excess = len(self._waiting) - self._backlog_bytes
        if excess > 0:
            excess += -excess % self.format.sample_bytes
            del self._waiting[:excess]
            self.lost_ms += self.format.duration_ms(excess)

    @property
    def waiting_ms(self) -> float:
        return self.format.duration_ms(len(self._waiting))

    def take(self, now_ms: float, late_ms: float) -> bytes:
        """This tick's audio, whole samples: what has arrived, or silence in its place.

        `late_ms`: the loop stood still for so long; what arrived meanwhile may not have been read yet.
        """
        waiting = self._waiting
        if len(waiting) != self._frame_bytes or not self._begun or self._gap_since_ms is not None:
            return self._take_some(now_ms, late_ms)
        audio = bytes(waiting)  # nearly always: it came as it should
        waiting.clear()
        self._heard_since += self._frame_bytes
        self._audio_until_ms = now_ms + FRAME_MS
        return audio

    def _take_some(self, now_ms: float, late_ms: float) -> bytes:
        if self._audio_until_ms is None:
            self._audio_until_ms = self._allowed_at_ms = now_ms
        self._audio_until_ms += late_ms
        size = len(self._waiting)
        if size > self._frame_bytes:
            size = min(size, self._limit_bytes, self._allowed(now_ms))
        size -= size % self.format.sample_bytes
        if not size:
            return self._nothing(now_ms, self._audio_until_ms)
        if self._gap_since_ms is not None or not self._begun:
            self._gap_ends(now_ms)
        self._heard_since += size
        self._audio_until_ms = now_ms + self.format.duration_ms(size)
        taken = bytes(self._waiting[:size])
        del self._waiting[:size]
        return taken

    def _nothing(self, now_ms: float, until_ms: float) -> bytes:
        """What is heard where nothing came since `until_ms`. Before its first audio a wire has promised none."""
        if now_ms - until_ms <= QUIET_MS:
            return b""
        if self._gap_since_ms is None:
            self._gap_since_ms = until_ms
        if not self._begun or now_ms - self._gap_since_ms > self._stall_ms:
            self.stalls = False
            return self._silence
        self.stalls = True
        return b""

    def _gap_ends(self, now_ms: float) -> None:
        gap_ms = now_ms - self._gap_since_ms if self._begun and self._gap_since_ms is not None else 0.0
        if self._learns and gap_ms >= LEARNT_MS and self.waiting_ms < BURST_MS:
            self._stall_ms = 0.0  # it pauses: the next time it is believed at once
        self._begun, self._gap_since_ms, self.stalls = True, None, False

    def _allowed(self, now_ms: float) -> int:
        """The bytes that may be heard now. One frame a tick is real time: only who brings more is asked to count."""
        earned = self._earned * (now_ms - self._allowed_at_ms) - self._heard_since
        self._allowance = min(self._backlog_bytes, self._allowance + earned)
        self._allowed_at_ms, self._heard_since = now_ms, 0
        return max(0, int(self._allowance))

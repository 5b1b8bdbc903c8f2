"""What one leg hears, and the batch that resamples and judges the audio of all legs in one go.

Each call of `hear` takes the caller's audio in, lets the VAD judge every full window of it, and leaves what happened in
each leg's `events`, in order. Mu-law is kept as it came, and decoded where somebody wants samples: by the window for
the VAD, by the piece for who hears it. All else is brought to `hearing` as it is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from actors.media import g711
from actors.media.audio import FRAME_MS, MULAW_8K, PCM_8K, PCM_16K, AudioFormat
from actors.media.echo import EchoGuard, level_db
from actors.media.resample import HALVE_HISTORY, Converter, Samples, halve, to_float, to_pcm
from actors.media.speech import SpeechDetector, SpeechEnded, SpeechStarted
from actors.media.vad import WINDOW_MS, WINDOW_SAMPLES, BatchedVad, VadStream
from config.assistant import Echo, Endpointing

WIDEBAND_RATE = 12000  # from here on a wire is heard at 16 kHz
QUIET_MS = 100  # so long after its last audio has ended, a wire stalls, or a carrier's silence becomes ours
STALL_MS = 1000  # a wire that is not known to pause may stall for so long
LEARNT_MS, BURST_MS = 300, 100  # a gap as long as this was a stall if so much comes at its end, else a pause
REAL_TIME = 1.1  # a caller speaks in real time: so much is heard in the long run, and BACKLOG_MS at once
TAKE_MS = 200  # at most so much is heard in one tick: one leg's burst must not delay the others
BACKLOG_MS = 10_000  # what waits beyond this is lost, oldest first
LONG_MS, SHORT_MS = 60, 20  # one piece of audio while nobody waits for it, and while somebody does
BRISK_MS = 500  # so long after the beginning of the call, and after speech, whoever hears it may be about to say so


@dataclass(frozen=True, slots=True)
class Heard:
    """The caller's next audio, PCM s16le at the leg's hearing rate."""

    payload: bytes
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class Stalled:
    """Nothing comes: not silence, but the network. What is said meanwhile comes later."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """The stall is over: audio comes again, or the silence is taken for the caller's."""


InboundEvent = Heard | SpeechStarted | SpeechEnded | Stalled | Resumed


def hearing_format(wire_format: AudioFormat) -> AudioFormat:
    """What is heard of a wire with this format."""
    return PCM_16K if wire_format.rate >= WIDEBAND_RATE else PCM_8K


class Inbound:
    """The hearing half of one leg. A gap of up to `stall_ms` is a stall of the network, a longer one the caller's
    silence; None: that is learnt from what comes at the end of the gaps."""

    def __init__(
        self,
        wire_format: AudioFormat,
        endpointing: Endpointing,
        stall_ms: float | None = 0.0,
        echo: Echo | None = None,
    ) -> None:
        self.echo = EchoGuard(wire_format, echo or Echo())
        self.hearing = hearing_format(wire_format)
        self.events: list[InboundEvent] = []
        self.lost_ms = 0.0  # of audio that came faster than it could be heard
        self.is_mulaw = wire_format == MULAW_8K
        self.is_wide = self.hearing is PCM_16K
        self.stream = VadStream()
        self.history = np.zeros(HALVE_HISTORY, np.float32)  # of the halving to 8 kHz
        self.wire_format = wire_format
        self._kept = MULAW_8K if self.is_mulaw else self.hearing  # the format of what was taken
        self._converter = None if wire_format == self._kept else Converter(wire_format, self._kept)
        self.untold = bytearray()  # taken, and in no event yet
        self.unjudged = bytearray()  # 8 kHz that waits for a full window
        self.window_bytes = WINDOW_SAMPLES * (1 if self.is_mulaw else 2)
        self._window_bytes_ms = self.window_bytes / WINDOW_MS
        self._wide = bytearray()  # 16 kHz that waits to be halved
        self._for_vad = self._wide if self.is_wide else self.unjudged
        self._short_bytes, self._long_bytes = (self._kept.frame_bytes * ms // FRAME_MS for ms in (SHORT_MS, LONG_MS))
        self.piece_bytes = self._short_bytes
        self._silence = wire_format.silence(FRAME_MS)
        self._frame_bytes = wire_format.frame_bytes
        self._limit_bytes = wire_format.frame_bytes * (TAKE_MS // FRAME_MS)
        self._backlog_bytes = wire_format.frame_bytes * (BACKLOG_MS // FRAME_MS)
        self._arrived = bytearray()  # in the wire's format
        self._allowance = float(self._backlog_bytes)  # bytes that may be heard, at `_allowed_at_ms`
        self._allowed_at_ms = 0.0
        self._heard_since = 0  # bytes
        self._earned = REAL_TIME * wire_format.frame_bytes / FRAME_MS  # bytes a millisecond
        self._told_ms = 0.0
        self._audio_until_ms: float | None = None
        self._learns = stall_ms is None
        self._stall_ms = STALL_MS if stall_ms is None else stall_ms
        self._begun = self._stalls = False
        self._gap_since_ms: float | None = None
        self._detector = SpeechDetector(endpointing)
        self._brisk_until_ms = float(BRISK_MS)

    def receive(self, payload: bytes) -> None:
        """Audio from the wire; it is heard at the next tick."""
        self._arrived += payload
        excess = len(self._arrived) - self._backlog_bytes
        if excess > 0:
            excess += -excess % self.wire_format.sample_bytes
            del self._arrived[:excess]
            self.lost_ms += self.wire_format.duration_ms(excess)

    def take(self, now_ms: float, late_ms: float) -> None:
        """This tick's audio: what has arrived, or silence in its place.

        `late_ms`: the loop stood still for so long; what arrived meanwhile may not have been read yet.
        """
        arrived = self._arrived
        size = len(arrived)
        if size == self._frame_bytes and self._begun and self._gap_since_ms is None:  # nearly always
            audio = bytes(arrived)
            arrived.clear()
            self._heard_since += size
            self._audio_until_ms = now_ms + FRAME_MS
        else:
            audio = self._take_some(now_ms, late_ms)
            if not audio:
                return
        if self._converter is not None:
            audio = self._converter.convert(audio)
        self.untold += audio
        self._for_vad += audio

    def _take_some(self, now_ms: float, late_ms: float) -> bytes:
        """Whole samples in the wire's format."""
        if self._audio_until_ms is None:
            self._audio_until_ms = self._allowed_at_ms = now_ms
        self._audio_until_ms += late_ms
        size = len(self._arrived)
        if size > self._frame_bytes:
            size = min(size, self._limit_bytes, self._allowed(now_ms))
        size -= size % self.wire_format.sample_bytes
        if not size:
            return self._nothing(now_ms, self._audio_until_ms)
        if self._gap_since_ms is not None or not self._begun:
            self._gap_ends(now_ms)
        self._heard_since += size
        self._audio_until_ms = now_ms + self.wire_format.duration_ms(size)
        taken = bytes(self._arrived[:size])
        del self._arrived[:size]
        return taken

    def _nothing(self, now_ms: float, until_ms: float) -> bytes:
        """What is heard where nothing came since `until_ms`. Before its first audio a wire has promised none."""
        if now_ms - until_ms <= QUIET_MS:
            return b""
        if self._gap_since_ms is None:
            self._gap_since_ms = until_ms
        if not self._begun or now_ms - self._gap_since_ms > self._stall_ms:
            self._end_stall()
            return self._silence
        if not self._stalls:
            self._stalls = True
            self.events.append(Stalled())
        return b""

    def _gap_ends(self, now_ms: float) -> None:
        if self._learns and self._begun and self._gap_since_ms is not None:
            came_ms = self.wire_format.duration_ms(len(self._arrived))
            if now_ms - self._gap_since_ms >= LEARNT_MS and came_ms < BURST_MS:
                self._stall_ms = 0.0  # it pauses: the next time it is believed at once
        self._begun, self._gap_since_ms = True, None
        self._end_stall()

    def _end_stall(self) -> None:
        if self._stalls:
            self._stalls = False
            self.events.append(Resumed())

    def _allowed(self, now_ms: float) -> int:
        """The bytes that may be heard now. One frame a tick is real time: only who brings more is asked to count."""
        earned = self._earned * (now_ms - self._allowed_at_ms) - self._heard_since
        self._allowance = min(self._backlog_bytes, self._allowance + earned)
        self._allowed_at_ms, self._heard_since = now_ms, 0
        return max(0, int(self._allowance))

    def take_pairs(self) -> bytes:
        """16 kHz audio to be halved: an even number of samples."""
        whole = len(self._wide) & ~3
        pairs = bytes(self._wide[:whole])
        del self._wide[:whole]
        return pairs

    def take_window(self) -> bytes:
        """The next of 256 samples: mu-law of a mu-law leg, else PCM s16le."""
        window = bytes(self.unjudged[: self.window_bytes])
        del self.unjudged[: self.window_bytes]
        return window

    def heard_until_ms(self, now_ms: float) -> float:
        """When the end of the window taken last has arrived: what came after it waits here."""
        return now_ms - len(self.unjudged) / self._window_bytes_ms - self.wire_format.duration_ms(len(self._arrived))

    def judge(self, probability: float) -> None:
        """The VAD's word on the window taken last; all audio so far is told before speech begins or ends."""
        event = self._detector.process(probability, WINDOW_MS)
        if event is not None:
            self.tell(everything=True)
            self.events.append(event)
        if self._detector.speaking:
            self._brisk_until_ms = self._told_ms + BRISK_MS
            self.piece_bytes = self._short_bytes

    def tell(self, everything: bool = False) -> None:
        """Move audio into `events`: pieces of 60 ms, of 20 ms when it matters, or all there is."""
        untold = self.untold
        while untold and (everything or len(untold) >= self.piece_bytes):
            piece = bytes(untold[: self.piece_bytes])
            del untold[: self.piece_bytes]
            end_ms = self._told_ms + self._kept.duration_ms(len(piece))
            self.events.append(Heard(g711.decode(piece) if self.is_mulaw else piece, self._told_ms, end_ms))
            self._told_ms = end_ms
            self.piece_bytes = self._short_bytes if end_ms < self._brisk_until_ms else self._long_bytes


def hear(inbounds: Sequence[Inbound], vad: BatchedVad, now_ms: float, late_ms: float = 0.0) -> None:
    """One tick of all legs: take, resample, judge, tell."""
    for inbound in inbounds:
        inbound.take(now_ms, late_ms)
    _narrow([inbound for inbound in inbounds if inbound.is_wide])
    while ready := [inbound for inbound in inbounds if len(inbound.unjudged) >= inbound.window_bytes]:
        _judge(ready, vad, now_ms)
    for inbound in inbounds:
        if len(inbound.untold) >= inbound.piece_bytes:
            inbound.tell()


def _judge(inbounds: Sequence[Inbound], vad: BatchedVad, now_ms: float) -> None:
    """The next window of each of them."""
    mulaw = [inbound for inbound in inbounds if inbound.is_mulaw]
    linear = [inbound for inbound in inbounds if not inbound.is_mulaw]
    inbounds = mulaw + linear
    windows = np.concatenate((_windows(mulaw, g711.to_float), _windows(linear, to_float)))
    probabilities = vad.process([inbound.stream for inbound in inbounds], windows)
    for row, inbound in enumerate(inbounds):
        probability = probabilities[row]
        if inbound.echo.wants(probability, now_ms):
            probability = inbound.echo.judge(probability, level_db(windows[row]), inbound.heard_until_ms(now_ms))
        inbound.judge(probability)


def _windows(inbounds: Sequence[Inbound], to_samples: Callable[[bytes], Samples]) -> Samples:
    """[N, 256], within +-1."""
    return to_samples(b"".join([inbound.take_window() for inbound in inbounds])).reshape(-1, WINDOW_SAMPLES)


def _narrow(inbounds: Sequence[Inbound]) -> None:
    """16 to 8 kHz for the VAD: legs with the same amount of audio, nearly always all of them, in one filter."""
    batches: dict[int, list[tuple[Inbound, bytes]]] = {}
    for inbound in inbounds:
        pairs = inbound.take_pairs()
        if pairs:
            batches.setdefault(len(pairs), []).append((inbound, pairs))
    for size, batch in batches.items():
        samples = to_float(b"".join([pairs for _, pairs in batch])).reshape(len(batch), size // 2)
        histories, halved = halve(np.stack([inbound.history for inbound, _ in batch]), samples)
        pcm = to_pcm(halved)
        for row, (inbound, _) in enumerate(batch):
            inbound.history = histories[row]
            inbound.unjudged += pcm[row * size // 2 : (row + 1) * size // 2]

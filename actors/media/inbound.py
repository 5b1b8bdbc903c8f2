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
from actors.media.arrivals import Arrivals
from actors.media.audio import FRAME_MS, MULAW_8K, PCM_8K, PCM_16K, AudioFormat
from actors.media.echo import EchoGuard, level_db, measure
from actors.media.resample import HALVE_HISTORY, Converter, Samples, halve, to_float, to_pcm
from actors.media.speech import SpeechDetector, SpeechEnded, SpeechStarted
from actors.media.vad import WINDOW_MS, WINDOW_SAMPLES, BatchedVad, VadStream
from config.assistant import Echo, Endpointing

WIDEBAND_RATE = 12000  # from here on a wire is heard at 16 kHz
LONG_MS, SHORT_MS = 200, 20  # one piece of audio while nobody waits for it, and while somebody does
BRISK_MS = 300  # so long after the beginning of the call, and after speech, whoever hears it may be about to say so


@dataclass(slots=True)  # frozen costs 0.4 us more for each
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
    """The hearing half of one leg; `stall_ms` is that of `Arrivals`."""

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
        self.arrivals = Arrivals(wire_format, stall_ms)
        self.is_mulaw = wire_format == MULAW_8K
        self.is_wide = self.hearing is PCM_16K
        self.stream = VadStream()
        self.history = np.zeros(HALVE_HISTORY, np.float32)  # of the halving to 8 kHz
        self._kept = MULAW_8K if self.is_mulaw else self.hearing  # the format of what was taken
        self._converter = None if wire_format == self._kept else Converter(wire_format, self._kept)
        self._stalls = False
        self.untold = bytearray()  # taken, and in no event yet
        self.unjudged = bytearray()  # 8 kHz that waits for a full window
        self.window_bytes = WINDOW_SAMPLES * (1 if self.is_mulaw else 2)
        self._window_bytes_ms = self.window_bytes / WINDOW_MS
        self._wide = bytearray()  # 16 kHz that waits to be halved
        self._for_vad = self._wide if self.is_wide else self.unjudged
        self._short_bytes, self._long_bytes = (self._kept.frame_bytes * ms // FRAME_MS for ms in (SHORT_MS, LONG_MS))
        self.piece_bytes = self._short_bytes
        self._told_ms = 0.0
        self._detector = SpeechDetector(endpointing)
        self._brisk_until_ms = float(BRISK_MS)

    def take(self, now_ms: float, late_ms: float) -> None:
        """This tick's audio (see `Arrivals.take`)."""
        audio = self.arrivals.take(now_ms, late_ms)
        if self.arrivals.stalls != self._stalls:
            self._stalls = not self._stalls
            self.events.append(Stalled() if self._stalls else Resumed())
        if self._converter is not None:
            audio = self._converter.convert(audio)
        self.untold += audio
        self._for_vad += audio

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
        return now_ms - len(self.unjudged) / self._window_bytes_ms - self.arrivals.waiting_ms

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
        """Move audio into `events`: pieces of 200 ms, of 20 ms when it matters, or all there is."""
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
    measure([inbound.echo.played for inbound in inbounds if inbound.echo.played.has_piece])
    _narrow([inbound for inbound in inbounds if inbound.is_wide])
    ready = inbounds
    while ready := [inbound for inbound in ready if len(inbound.unjudged) >= inbound.window_bytes]:
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

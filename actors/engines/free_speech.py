"""Engine: hears what a caller says freely, in English; several callers share the model.

The model hears whole utterances, so the caller's audio is cut into *stretches*: from a voice to a pause. A stretch is
decoded

- while it grows, for an interim, if it is cheap: at most 2 % of the time is spent on that, after the first;
- as soon as the caller pauses for `PAUSE_MS`: when the call decides that he has finished, the text is there;
- when it is closed: by `finalize`, by a longer pause, or because it gets too long. Then somebody waits for it, and it
  goes before all others.

A text that the model is unsure of is none, and one that is nearly a sentence that the assistant expects is that
sentence, if it explains the sound about as well.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from actors.engines.child import Reply, Work
from actors.engines.hints import Hints
from actors.engines.moonshine import RATE, Moonshine, Result
from actors.media.resample import Samples
from actors.media.vad import VAD_RATE, WINDOW_MS, WINDOW_SAMPLES, BatchedVad, VadStream

VOICE, STILL_VOICE = 0.3, 0.2  # probability: a soft beginning must not be missed, and noise costs only time
PREROLL_MS = 400.0  # kept although it came before the voice
PAUSE_MS = 200.0
MARGIN_MS = 100.0  # of silence after the voice that is decoded with it; more, or none, costs a fifth more errors
INTERIM_MS = 500.0  # of voice before the first
INTERIM_SHARE = 0.02
SIGN_OF_LIFE_MS = 500.0  # the interim is repeated so often, also an empty one: silence would be taken for a stall
EXPECTED = 2.0  # times as unsure it may be of a sentence that the assistant expects
STANDS_OUT, QUIETEST = 2.0, 0.001  # times the level of the quietest 20 ms, which is at least this (full: 1)
LEAD_FRAMES = 4
LONG_MS, LONGEST_MS = 8000.0, 14_000.0  # a stretch ends at its next pause, or wherever it is
LONG_PAUSE_MS = 1500.0
HINT_ODDS = 3.0  # so much less probable, in nats, an expected sentence may be than what was heard


class Stretch:
    """A part of the caller's audio that is decoded as one, and what is known of it."""

    def __init__(self, begin_ms: float, sound: bytes = b"") -> None:
        self.begin_ms = begin_ms  # on the session's clock
        self.sound = bytearray(sound)  # 8 or 16 kHz, s16le
        self.onset_ms = -1.0  # where the first voice in it began, as the detector tells
        self.voice_ms = -1.0  # where the last voice in it ended; -1: there is none
        self.end_ms = 0.0  # once it is closed
        self.ends_turn = False
        self.result: Result | None = None
        self.result_ms = -1.0  # the voice that it knows of


class FreeRecognition(Work):
    """One caller. Opening: rate (8000 or 16000), confidence (the least mean log probability), hints (sentences).

    Says {opened}, {interim, end_ms}, {final, end_ms}, {end_of_turn, end_ms}; takes audio and {do: finalize}.
    """

    def __init__(self, reply: Reply, opening: dict[str, Any]) -> None:
        self._reply = reply
        self._rate, self._least = int(opening["rate"]), float(opening["confidence"])
        self._hints = Hints(opening["hints"])
        self._stream, self._windows = VadStream(), np.empty(0, np.float32)
        self._heard_ms = self._judged_ms = self._told_ms = 0.0
        self._voiced = False
        self._open = Stretch(0.0)
        self._closed: deque[Stretch] = deque()
        self._decoding: Iterator[Result | None] | None = None
        self._decoded: Stretch | None = None  # what is being decoded
        self._decoded_ms = 0.0  # and the voice in it
        self._cost_s = 0.0
        self._next_interim_ms = INTERIM_MS
        self._interim, self._interim_ms = "", 0.0
        self._loading: Iterator[None] | None = _loading()
        self.has_more = True

    # --- what it is given --------------------------------------------------------------------------------------------

    def on_audio(self, payload: bytes) -> None:
        self._open.sound += payload
        self._heard_ms += len(payload) * 500 / self._rate
        self._judge(np.frombuffer(payload, "<i2"))
        self._cut()
        if self._heard_ms - self._told_ms >= SIGN_OF_LIFE_MS:
            self._tell_interim()
        self._want()

    def on_event(self, event: dict[str, Any]) -> None:
        if event.get("do") == "finalize":
            self._close(ends_turn=True)
            self._want()

    def _judge(self, samples: np.ndarray[Any, np.dtype[np.int16]]) -> None:
        """Where there is a voice."""
        step = self._rate // VAD_RATE
        sound = samples[: len(samples) - len(samples) % step].reshape(-1, step).mean(axis=1, dtype=np.float32) / 32768
        self._windows = np.concatenate((self._windows, sound))
        while len(self._windows) >= WINDOW_SAMPLES:
            (probability,) = _detector().process([self._stream], self._windows[None, :WINDOW_SAMPLES])
            self._windows = self._windows[WINDOW_SAMPLES:]
            self._judged_ms += WINDOW_MS
            self._voiced = probability >= (STILL_VOICE if self._voiced else VOICE)
            if self._voiced:
                if self._open.voice_ms < 0:
                    self._open.onset_ms = max(self._open.begin_ms, self._judged_ms - WINDOW_MS)
                self._open.voice_ms = self._judged_ms

    def _cut(self) -> None:
        stretch = self._open
        length_ms, pause_ms = self._heard_ms - stretch.begin_ms, self._heard_ms - stretch.voice_ms
        if stretch.voice_ms < 0:
            if length_ms > PREROLL_MS:
                kept_bytes = self._bytes(PREROLL_MS)
                stretch.begin_ms = self._heard_ms - PREROLL_MS
                del stretch.sound[:-kept_bytes]
        elif length_ms >= LONGEST_MS or pause_ms >= (PAUSE_MS if length_ms >= LONG_MS else LONG_PAUSE_MS):
            self._close(ends_turn=False)

    def _close(self, ends_turn: bool) -> None:
        """What comes now belongs to the next."""
        self._open.end_ms, self._open.ends_turn = self._heard_ms, ends_turn
        self._closed.append(self._open)
        self._open = Stretch(self._heard_ms)
        self._next_interim_ms = INTERIM_MS

    def _bytes(self, ms: float) -> int:
        return 2 * round(ms * self._rate / 1000)

    # --- what it does ------------------------------------------------------------------------------------------------

    def step(self) -> bool:
        if self._loading is not None:
            self._load(self._loading)
        elif self._decoding is not None:
            began_s = time.thread_time()
            result = next(self._decoding)
            self._cost_s += time.thread_time() - began_s
            if result is not None:
                self._finish(result)
        self._want()
        return self.has_more

    def _load(self, loading: Iterator[None]) -> None:
        if next(loading, "done") == "done":
            self._loading = None
            self._reply.event(opened=True)

    def _want(self) -> None:
        """Begin what is worth it, after having answered what can be answered."""
        while self._closed and self._loading is None and not self._is_missing(self._closed[0]):
            self._answer(self._closed.popleft())
        if self._loading is None:
            self._choose()
        self.has_more = self._loading is not None or self._decoding is not None
        if not (self._closed and self.has_more):
            self.owed_since = None
        elif self.owed_since is None:
            self.owed_since = time.monotonic()

    def _choose(self) -> None:
        wanted = self._closed[0] if self._closed else self._open
        if self._decoded is wanted and self._decoded_ms == wanted.voice_ms:
            return
        if self._closed or (self._is_missing(wanted) and self._is_due(wanted)):
            if self._decoding is not None and not self._closed and self._heard_ms - wanted.voice_ms < PAUSE_MS:
                return  # one interim after the other
            self._decoded, self._decoded_ms, self._cost_s = wanted, wanted.voice_ms, 0.0
            self._decoding = self._decode(wanted)

    @staticmethod
    def _is_missing(stretch: Stretch) -> bool:
        """Whether there is a voice in it that its result does not know."""
        return stretch.voice_ms > stretch.result_ms

    def _is_due(self, stretch: Stretch) -> bool:
        if self._heard_ms - stretch.voice_ms >= PAUSE_MS:
            return True
        return stretch.voice_ms - stretch.begin_ms - PREROLL_MS >= self._next_interim_ms

    def _decode(self, stretch: Stretch) -> Iterator[Result | None]:
        sound = self._sound(stretch)
        heard = _model().hear(sound)
        yield None
        result = Result("", 0.0)
        for made in _model().say(heard, len(sound) / RATE):
            if made is None:
                yield None
            else:
                result = made
        yield self._hinted(heard, result)

    def _sound(self, stretch: Stretch) -> Samples:
        end_bytes = self._bytes(stretch.voice_ms + MARGIN_MS - stretch.begin_ms)
        sound = np.frombuffer(bytes(stretch.sound[:end_bytes]), "<i2").astype(np.float32) / np.float32(32768)
        sound = sound[onset(sound[: self._bytes(stretch.onset_ms - stretch.begin_ms) // 2], self._rate) :]
        return doubled(sound) if self._rate * 2 == RATE else sound

    def _hinted(self, heard: Any, result: Result) -> Result:
        expected, is_same = self._hints.nearest(result.text)
        if not expected:
            return result
        if is_same:
            return result._replace(text=expected)
        (total, mean), (heard_total, _) = (_model().score(heard, text) for text in (expected, result.text))
        return Result(expected, mean) if total >= heard_total - HINT_ODDS else result

    def _finish(self, result: Result) -> None:
        stretch, self._decoding, self._decoded = self._decoded, None, None
        assert stretch is not None
        least = self._least * (EXPECTED if self._hints.knows(result.text) else 1.0)
        stretch.result = result if result.confidence >= least else Result("", result.confidence)
        stretch.result_ms = self._decoded_ms
        if stretch is self._open:
            self._interim, self._interim_ms = stretch.result.text, stretch.result_ms
            length_ms = stretch.result_ms - stretch.begin_ms - PREROLL_MS
            self._next_interim_ms = length_ms + max(INTERIM_MS, 1000 * self._cost_s / INTERIM_SHARE)
            self._tell_interim()

    # --- what it says ------------------------------------------------------------------------------------------------

    def _answer(self, stretch: Stretch) -> None:
        text = stretch.result.text if stretch.result else ""
        if text:
            self._reply.event(final=text, end_ms=stretch.end_ms)
        elif self._interim:
            self._reply.event(interim="", end_ms=stretch.end_ms)  # it was none after all
        self._interim = ""
        if stretch.ends_turn:
            self._reply.event(end_of_turn=True, end_ms=stretch.end_ms)

    def _tell_interim(self) -> None:
        if self._loading is None:
            self._told_ms = self._heard_ms
            self._reply.event(interim=self._interim, end_ms=self._interim_ms)


def onset(lead: Samples, rate: int) -> int:
    """Where to begin: shortly before the first sound that stands out of what is heard before a voice, or before that.
    The model hears short words worse behind a silence, and worse still without their first, soft sounds."""
    frame = rate // 50
    levels = np.sqrt((lead[: len(lead) // frame * frame].reshape(-1, frame) ** 2).mean(axis=1))
    if not len(levels):
        return 0
    (louder,) = np.nonzero(levels > STANDS_OUT * max(levels.min(), QUIETEST))
    first = int(louder[0]) if len(louder) else len(levels)
    return max(0, first - LEAD_FRAMES) * frame


def doubled(sound: np.ndarray[Any, np.dtype[Any]]) -> Samples:
    """At twice the rate, band-limited: nothing is added above the old one's half."""
    spectrum = np.fft.rfft(sound)
    return (2 * np.fft.irfft(spectrum, 2 * len(sound))).astype(np.float32)


@cache
def _model() -> Moonshine:
    return Moonshine()


@cache
def _detector() -> BatchedVad:
    return BatchedVad()


_load: Iterator[None] | None = None


def _loading() -> Iterator[None]:
    """Until the model is there; whoever comes meanwhile takes part in it."""
    global _load
    while not _model().ready:
        if _load is None:
            _load = _model().load()
        try:
            next(_load, None)
        except Exception:
            _load = None
            raise
        yield

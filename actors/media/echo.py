"""Whether a voice on a leg is the caller's, or what we play come back: from a hands-free telephone, a hybrid, a room.

Theory of operation. What we play is known, and when the caller hears it. For each window in which the VAD hears a voice
its level is held against the loudest that was played in the time from which an echo may come (`delay_ms`, less once it
was learnt): an echo is weaker by a loss that hardly changes in a call, a caller who interrupts is not. The margin over
that loss is for what rooms, codecs and small loudspeakers do to an envelope.

The loss is learnt, once or twice a second while there are voices, from the envelopes of the last 1.5 s: where what
came rises and falls as what was played did, some time before, it is its echo, and says how loud and how late echoes are
on this line. What is not alike can only show that echoes are weaker than believed. A caller who speaks is like nothing
that was played, and teaches nothing. The task is that of an echo suppressor's double-talk detector (ITU-T G.164).

Levels are dB of full scale, times milliseconds of the media clock.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from actors.media import g711
from actors.media.audio import FRAME_MS, AudioFormat, Encoding
from actors.media.playout import LEAD_MS
from actors.media.resample import Samples, to_float
from actors.media.speech import DOUBT, START, STAY
from actors.media.vad import WINDOW_MS
from config.assistant import Echo

SILENT_DB = -90.0
PLAYING_DB = -50.0  # what is played below this has no echo that is a voice
FIRST_GAIN_DB = -16.0  # of an echo, as long as nothing is known about it
LEAST_GAIN_DB = -26.0  # nobody who talks to us is weaker; a louder echo may come any time, when a loudspeaker is put on
MOST_GAIN_DB = -12.0  # no caller who speaks as loudly as we do is taken for a louder one, however alike they seem
MEMORY_WINDOWS = 48  # 1.5 s
# between two lessons: while voices are held back, while there are voices, and else
LEARN_WINDOWS, REST_WINDOWS, QUIET_WINDOWS = 16, 32, 64
ALIKE = 0.6  # correlation of two envelopes: of independent speech rarely above 0.4
DELAY_STEP_MS = 40
HOLD_MS = 500  # the VAD goes on for a while after an echo, over a noise that is no louder
SPREAD_MS = 200  # an echo lasts so much longer than it was learnt: reverberation, jitter, a delay that grows
PIECE_FRAMES = 5  # of what is played are measured together
_JITTER_MS = FRAME_MS / 2  # of frames that are sent one by one, and played without a gap
_FALL_DB, _QUIET_FALL_DB = 2.0, 6.0  # a lesson
_BREAK_MS = 500
_ATTENTION_MS = MEMORY_WINDOWS * WINDOW_MS  # after a voice
_LEAST_POWER = 10 ** (SILENT_DB / 10)

Levels = NDArray[np.float64]


def level_db(row: Samples) -> float:
    """The level of samples within +-1 as dB of full scale, not below `SILENT_DB`."""
    return 10 * math.log10(float(row @ row) / len(row) + _LEAST_POWER)


def levels_db(rows: Samples) -> array[float]:
    """The same of each row, quicker for many."""
    power = np.einsum("ij,ij->i", rows, rows) / np.float32(rows.shape[1])
    return array("f", (10 * np.log10(power + np.float32(_LEAST_POWER))).tobytes())


class Played:
    """The level of what the caller hears of us, by frames of 20 ms.

    What was added is measured by the piece (`measure`), of many legs at once, or when it is asked for: audio that waits
    for longer is in memory that is cold.
    """

    def __init__(self, wire_format: AudioFormat, memory_ms: float) -> None:
        self.until_ms = 0.0  # played or, with a carrier that buffers, to be played
        self.wire_format, self.is_mulaw = wire_format, wire_format.encoding is Encoding.MULAW
        self.fresh, self.fresh_ms = bytearray(), 0.0  # whole frames, not measured yet; when they begin to be heard
        self._frame_bytes, self._piece_bytes = wire_format.frame_bytes, wire_format.frame_bytes * PIECE_FRAMES
        self._memory_frames = int(memory_ms / FRAME_MS)
        self._first, self._levels = 0, array("f")  # the number of the first frame, and all levels from there on

    def add(self, payload: bytes, at_ms: float) -> None:
        """Audio in the wire's format, which begins to be heard at this time."""
        fresh, until_ms = self.fresh, self.until_ms
        follows = fresh and -_JITTER_MS < at_ms - until_ms < _JITTER_MS
        if follows and len(payload) == self._frame_bytes:  # nearly always, where we keep time
            fresh += payload
            end_ms = at_ms + FRAME_MS
            self.until_ms = until_ms if until_ms > end_ms else end_ms
            return
        if not follows:
            self._measure_all()
        if not fresh:
            self.fresh_ms = at_ms
        fresh += payload
        end_ms = at_ms + self.wire_format.duration_ms(len(payload))
        self.until_ms = until_ms if until_ms > end_ms else end_ms
        if missing := -len(payload) % self.wire_format.frame_bytes:
            fresh += self.wire_format.silence(FRAME_MS)[:missing]
            self._measure_all()  # what follows begins with a frame of its own

    @property
    def has_piece(self) -> bool:
        return len(self.fresh) >= self._piece_bytes

    def _measure_all(self) -> None:
        if self.fresh:
            measure([self])

    def put(self, found: array[float], at_ms: float) -> None:
        """The levels of what is heard from then on."""
        levels = self._levels
        start = round(at_ms / FRAME_MS) - self._first
        if start != len(levels) or not levels:
            start = self._make_room(start)
        levels[max(0, start) : max(0, start + len(found))] = found[max(0, -start) :]
        if len(levels) > 2 * self._memory_frames:
            old = len(levels) - self._memory_frames
            del levels[:old]
            self._first += old

    def _make_room(self, start: int) -> int:
        """There was a pause before, or what was to be heard is cut. Where in `_levels` it begins then."""
        levels = self._levels
        if start - len(levels) > self._memory_frames:
            del levels[:]
        if not levels:
            self._first, start = self._first + start, 0
        levels.extend([SILENT_DB] * (start - len(levels)))
        return start

    def cut(self, now_ms: float) -> None:
        """What was to be heard later is not."""
        self._measure_all()
        del self._levels[max(0, int(now_ms / FRAME_MS) + 1 - self._first) :]
        self.until_ms = min(self.until_ms, now_ms)

    def loudest_db(self, from_ms: float, to_ms: float) -> float:
        self._measure_all()
        first = max(0, int(from_ms / FRAME_MS) - self._first)
        return max(self._levels[first : max(0, int(to_ms / FRAME_MS) + 1 - self._first)], default=SILENT_DB)

    def levels(self, from_ms: float, to_ms: float) -> Levels:
        """Frame by frame."""
        self._measure_all()
        first, end = int(from_ms / FRAME_MS) - self._first, int(to_ms / FRAME_MS) + 1 - self._first
        found = np.full(end - first, SILENT_DB)
        known = self._levels[max(0, first) : max(0, end)]
        found[max(0, -first) :][: len(known)] = known
        return found


def measure(played: Iterable[Played]) -> None:
    """What was played on these legs since the last time, in one go for all with the same format."""
    batches: dict[tuple[int, bool], list[Played]] = {}
    for leg in played:
        if leg.fresh:
            batches.setdefault((leg.wire_format.frame_bytes, leg.is_mulaw), []).append(leg)
    for (frame_bytes, is_mulaw), legs in batches.items():
        audio = b"".join([leg.fresh for leg in legs])
        samples = g711.to_float(audio) if is_mulaw else to_float(audio)
        levels, at = levels_db(samples.reshape(len(audio) // frame_bytes, -1)), 0
        for leg in legs:
            end = at + len(leg.fresh) // frame_bytes
            leg.put(levels[at:end], leg.fresh_ms)
            leg.fresh.clear()
            at = end


class EchoGuard:
    """Of one leg: takes the voice out of windows that are an echo."""

    def __init__(self, wire_format: AudioFormat, options: Echo) -> None:
        self.gain_db = FIRST_GAIN_DB  # of the loudest echoes, against the loudest that was played before
        self.echo_delay_ms: float | None = None  # None: not known yet
        self.held_back = 0  # windows with a voice that was taken for ours
        self._until_ms = 0.0  # from here on nothing is an echo
        self._learns_until_ms = math.inf  # from here on it is enough to know the windows with a voice
        self._enabled, self._margin_db, self._longest_ms = options.enabled, options.margin_db, float(options.delay_ms)
        self._delays_frames = np.arange(0, self._longest_ms, DELAY_STEP_MS) / FRAME_MS
        memory_ms = MEMORY_WINDOWS * WINDOW_MS + self._longest_ms + SPREAD_MS + LEAD_MS
        self.played = Played(wire_format, memory_ms)
        self._came: deque[tuple[float, float]] = deque(maxlen=MEMORY_WINDOWS)  # (end ms, level) of the windows
        self._voices = self._unlearnt = 0  # windows with a voice, and all, since the last lesson
        self._hold_ms, self._hold_db = 0.0, SILENT_DB  # an echo was so loud until then
        self._caller = False  # one of them was the caller's
        self._doubt = False  # one of them was held back

    def play(self, payload: bytes, at_ms: float) -> None:
        """The caller begins to hear this at `at_ms`."""
        if self._enabled:
            self.played.add(payload, at_ms)
            self._until_ms = self.played.until_ms + self._longest_ms

    def cut(self, now_ms: float) -> None:
        """The caller hears nothing more of what was played ahead."""
        if self._enabled:
            self.played.cut(now_ms)
            self._until_ms = self.played.until_ms + self._longest_ms

    def wants(self, probability: float, now_ms: float) -> bool:
        """Whether the window judged now could be an echo, or teach something, and is to be given to `judge`."""
        return now_ms < self._until_ms and (probability >= STAY or now_ms < self._learns_until_ms)

    def judge(self, probability: float, level_db: float, end_ms: float) -> float:
        """The probability that a window which has arrived until `end_ms` holds the caller's voice: 0 for an echo, DOUBT
        where it may be a voice that begins."""
        came = self._came
        if came and end_ms - came[-1][0] > _BREAK_MS:
            came.clear()  # what was before says nothing about how what came now rises and falls
        came.append((end_ms, level_db))
        self._unlearnt += 1
        if probability >= STAY:
            self._voices += 1
            self._learns_until_ms = max(self._learns_until_ms, end_ms + _ATTENTION_MS)
            if self._is_echo(level_db, end_ms):
                self.held_back += 1
                self._doubt = True
                is_onset = probability >= START and self.echo_delay_ms is None  # perhaps: no echo was found here so far
                probability = DOUBT if is_onset else 0.0
            else:
                self._caller = True
        if self._unlearnt >= LEARN_WINDOWS and self._unlearnt >= self._lesson_windows:
            self._learn(end_ms)
        return probability

    @property
    def _lesson_windows(self) -> int:
        if self._doubt:
            return LEARN_WINDOWS
        return REST_WINDOWS if self._voices else QUIET_WINDOWS

    def _is_echo(self, level_db: float, end_ms: float) -> bool:
        played_db = self.played.loudest_db(end_ms - WINDOW_MS - self._latest_ms, end_ms)
        held = end_ms < self._hold_ms and level_db <= self._hold_db
        if played_db > PLAYING_DB and level_db < played_db + self.gain_db + self._margin_db:
            self._hold_db = max(level_db, self._hold_db if held else SILENT_DB)
            self._hold_ms = end_ms + HOLD_MS
            return True
        return held

    @property
    def _latest_ms(self) -> float:
        """The longest that an echo takes to come back."""
        if self.echo_delay_ms is None:
            return self._longest_ms
        return min(self._longest_ms, self.echo_delay_ms + SPREAD_MS)

    def _learn(self, now_ms: float) -> None:
        voices, self._voices, self._unlearnt, self._doubt = self._voices, 0, 0, False
        caller, self._caller = self._caller, False
        if len(self._came) < LEARN_WINDOWS or not (voices or self.gain_db > LEAST_GAIN_DB):
            return  # that echoes are as weak as can be is known
        ends_ms, came = np.array(self._came).T
        since_ms = ends_ms[0] - WINDOW_MS - self._longest_ms - FRAME_MS
        played = self.played.levels(since_ms, now_ms)
        played = np.maximum(played[1:], played[:-1])  # a window lies over two frames
        peak_db = np.max(played)
        if peak_db < PLAYING_DB:
            return
        frames = (ends_ms - (WINDOW_MS / 2 + since_ms))[:, None] / FRAME_MS - self._delays_frames
        before = played.take(frames.astype(np.intp) - 1, mode="clip")  # [windows, delays]
        if voices and self._learn_delay(came, before, peak_db, now_ms):
            return
        loudest = before.max(axis=1)
        above = loudest > peak_db - 12
        if not caller and above.any():
            fall_db = _FALL_DB if voices else _QUIET_FALL_DB
            self._believe(min(self.gain_db, _most((came - loudest)[above])), fall_db, now_ms)

    def _learn_delay(self, came: Levels, before: Levels, peak_db: float, now_ms: float) -> bool:
        """Whether what came is like what was played before, and then how long before, and how much louder."""
        counts = (before > SILENT_DB + 1).astype(np.float64)  # that both begin to speak makes them not alike
        alike = _correlations(np.maximum(came, np.max(came) - 30), np.maximum(before, peak_db - 30), counts)
        best = int(np.argmax(alike))
        loud = before[:, best] > peak_db - 12
        if alike[best] < ALIKE or not loud.any():
            return False
        self.echo_delay_ms = float(best * DELAY_STEP_MS)
        self._believe(_most((came - before[:, best])[loud]), _FALL_DB, now_ms)
        return True

    def _believe(self, gain_db: float, fall_db: float, now_ms: float) -> None:
        self.gain_db = min(MOST_GAIN_DB, max(gain_db, self.gain_db - fall_db, LEAST_GAIN_DB))
        self._learns_until_ms = now_ms + _ATTENTION_MS if self.gain_db == LEAST_GAIN_DB else math.inf


def _most(levels: Levels) -> float:
    """Nine of ten are not above it."""
    return float(np.sort(levels)[int(0.9 * (len(levels) - 1))])  # np.percentile takes 40 us for it


def _correlations(came: Levels, before: Levels, counts: Levels) -> Levels:
    """Of [windows] with each column of [windows, delays], over the windows that count; 0 where these are few."""
    counted = before * counts
    powers = np.stack((np.ones_like(came), came, came * came))
    number, came_sum, came_squares = powers @ counts
    before_sum, products = powers[:2] @ counted
    number = np.maximum(number, 1)
    came_spread = came_squares - came_sum * came_sum / number
    before_spread = np.einsum("ij,ij->j", before, counted) - before_sum * before_sum / number
    size = np.sqrt(np.maximum(came_spread * before_spread, 1e-9))
    found: Levels = (products - came_sum * before_sum / number) / size * (number >= LEARN_WINDOWS)
    return found

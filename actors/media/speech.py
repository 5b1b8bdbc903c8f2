"""From the probability of speech, window by window, to the beginning and the end of what the caller says.

Three states. QUIET: a window of at least START begins a candidate. CANDIDATE: it becomes speech once it has lasted
`min_speech_ms` without falling below STAY; else it was a click. SPEAKING: a window below STAY opens a pause, which only
a window of START closes again (hysteresis: noise between the two keeps neither state alive); a pause of `silence_ms`
is the end.

A window may be in DOUBT: it holds a voice that is no louder than our own echo may be. It begins nothing, but a
candidate that follows began with it: the first sounds of a voice are soft.
"""

from __future__ import annotations

from dataclasses import dataclass

from config.assistant import Endpointing

START = 0.5  # Silero's own threshold
STAY = 0.35  # Silero's own lower one: START - 0.15
DOUBT = -1.0  # in place of a probability


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """A voice is heard since `at_ms` (the start of its first window)."""

    at_ms: float


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The voice ended at `at_ms` (the end of its last window); `silence_ms` have passed since."""

    at_ms: float


class SpeechDetector:
    """The machine of one call; its clock is the sum of the windows' lengths."""

    def __init__(self, endpointing: Endpointing) -> None:
        self._min_speech_ms = endpointing.min_speech_ms
        self._silence_ms = endpointing.silence_ms
        self._now_ms = 0.0
        self._began_ms: float | None = None  # of the candidate or of the speech
        self._doubt_ms: float | None = None  # where the last window began, if it was in doubt
        self._voice_ms = 0.0  # where the last window with a voice ended
        self.speaking = False

    def process(self, probability: float, window_ms: float) -> SpeechStarted | SpeechEnded | None:
        """The next window."""
        began_ms = self._now_ms
        self._now_ms += window_ms
        return (
            self._while_speaking(probability, began_ms) if self.speaking else self._while_quiet(probability, began_ms)
        )

    def _while_quiet(self, probability: float, began_ms: float) -> SpeechStarted | None:
        doubt_ms, self._doubt_ms = self._doubt_ms, None
        if probability < (START if self._began_ms is None else STAY):
            self._began_ms = None
            if probability == DOUBT:
                self._doubt_ms = began_ms
            return None
        if self._began_ms is None:
            self._began_ms = began_ms if doubt_ms is None else doubt_ms
        if self._now_ms - self._began_ms < self._min_speech_ms:
            return None
        self.speaking, self._voice_ms = True, self._now_ms
        return SpeechStarted(self._began_ms)

    def _while_speaking(self, probability: float, began_ms: float) -> SpeechEnded | None:
        pausing = self._voice_ms < began_ms
        if probability >= (START if pausing else STAY):
            self._voice_ms = self._now_ms
        if self._now_ms - self._voice_ms < self._silence_ms:
            return None
        self.speaking, self._began_ms = False, None
        return SpeechEnded(self._voice_ms)

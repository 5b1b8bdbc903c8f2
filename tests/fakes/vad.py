"""A voice detector for callers who speak in tones: loud is voice."""

from __future__ import annotations

from collections.abc import Sequence

from actors.media.resample import Samples
from actors.media.vad import VadStream


class LoudnessVad:
    """Stands in for `BatchedVad`."""

    def process(self, streams: Sequence[VadStream], windows: Samples) -> list[float]:
        assert len(windows) == len(streams)
        return [0.95 if abs(row).max() > 800 / 32768 else 0.02 for row in windows]

"""What the callers of tests and campaigns say: sentences that were spoken ahead (scripts/render-sentences)."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from scripts.caller.plan import Sentence
from scripts.caller.sentences import recorded_sentences
from transports.recordings import SHIPPED, Recordings

FOLDER = Path(__file__).parents[1] / "recordings"


@cache
def recordings() -> Recordings:
    """Those of the tests, and those that Callboard comes with."""
    return Recordings(FOLDER, SHIPPED)


def recorded(*texts: str, voice: str = "") -> tuple[Sentence, ...]:
    """The sentences as a caller says them. Raises `NotRecorded`, which says how to record one."""
    return recorded_sentences(texts, voice, recordings())


def pcm_of(text: str, voice: str = "") -> bytes:
    """The recording as it is, for a recognizer: PCM s16le at 8 kHz, some ms of silence around it."""
    return recordings().pcm(text, voice)

"""The Silero model in batches."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from actors.media.resample import Samples, to_float
from actors.media.vad import WINDOW_SAMPLES, BatchedVad, VadStream
from tests.fakes.voice import voice

WINDOW_BYTES = 512
# fmt: off
PUBLISHED = [  # what onnxruntime says with the published model (silero-vad 6.2.3)
    0.0174, 0.0175, 0.0224, 0.0149, 0.7869, 0.9254, 0.9453, 0.9749, 0.9914, 0.9961,
    0.9968, 0.9979, 0.9987, 0.9937, 0.9911, 0.9877, 0.9958, 0.9985, 0.9951, 0.9965,
    0.9880, 0.9880, 0.9840, 0.9961, 0.7344, 0.6689, 0.3399, 0.1329, 0.0546, 0.0249,
    0.0137, 0.0095, 0.0075, 0.0063, 0.0053, 0.0045, 0.0039, 0.0034, 0.0029, 0.0026,
]
# fmt: on


@pytest.fixture(scope="module")
def vad() -> BatchedVad:
    return BatchedVad()


def windows(pcm: bytes) -> Samples:
    return to_float(pcm).reshape(-1, WINDOW_SAMPLES)


def judged(vad: BatchedVad, pcm: bytes) -> list[float]:
    stream = VadStream()
    whole = len(pcm) - len(pcm) % WINDOW_BYTES
    return [vad.process([stream], window[None, :])[0] for window in windows(pcm[:whole])]


def test_its_word_is_that_of_the_published_model(vad):
    """`scripts/test --referees` compares tens of thousands of windows."""
    found = judged(vad, bytes(4 * WINDOW_BYTES) + voice(640) + bytes(16 * WINDOW_BYTES))
    assert found == pytest.approx(PUBLISHED, abs=1e-3)


def test_it_tells_a_voice_from_silence(vad):
    found = judged(vad, bytes(8192) + voice(1024) + bytes(16384))
    quiet, spoken, after = found[:16], found[20:46], found[56:]
    assert max(quiet) < 0.3 and max(after) < 0.3
    assert min(spoken) > 0.7


def test_a_batch_gives_what_single_runs_give(vad):
    calls = [voice(640, pitch_hz) for pitch_hz in (90, 130, 180, 230)]
    alone = [judged(vad, pcm) for pcm in calls]
    streams = [VadStream() for _ in calls]
    for window in range(20):
        part = slice(window * WINDOW_BYTES, (window + 1) * WINDOW_BYTES)
        together = vad.process(streams, windows(b"".join(pcm[part] for pcm in calls)))
        assert together == pytest.approx([found[window] for found in alone], abs=1e-5)


def test_any_part_of_the_streams_can_be_a_batch(vad):
    """A stream that sits out a batch goes on where it was."""
    pcm = voice(320)
    alone = judged(vad, pcm)
    steady, other = VadStream(), VadStream()
    for window, expected in enumerate(alone):
        part = pcm[window * WINDOW_BYTES : (window + 1) * WINDOW_BYTES]
        batch = [other, steady] if window % 2 else [steady]
        heard = windows(bytes(WINDOW_BYTES) * (len(batch) - 1) + part)
        assert vad.process(batch, heard)[-1] == pytest.approx(expected, abs=1e-5)


def test_the_products_start_no_thread():
    """Another thread would work on a core that belongs to another worker."""
    code = f"""
import os
from actors.media.vad import BatchedVad, VadStream
import numpy as np
BatchedVad().process([VadStream() for _ in range(200)], np.zeros((200, {WINDOW_SAMPLES}), np.float32))
print(len(os.listdir("/proc/self/task")))
"""
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "1"

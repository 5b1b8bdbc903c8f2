"""The Silero model in batches."""

from __future__ import annotations

import subprocess
import sys

import pytest

from actors.media import vad as vad_module
from actors.media.vad import BatchedVad, VadStream, VoicePartMissing, find_model
from tests.fakes.voice import voice

WINDOW_BYTES = 512


@pytest.fixture(scope="module")
def vad() -> BatchedVad:
    return BatchedVad()


def judged(vad: BatchedVad, pcm: bytes) -> list[float]:
    stream = VadStream()
    starts = range(0, len(pcm) - WINDOW_BYTES + 1, WINDOW_BYTES)
    return [vad.process([stream], pcm[start : start + WINDOW_BYTES])[0] for start in starts]


def test_it_tells_a_voice_from_silence(vad):
    found = judged(vad, bytes(8192) + voice(1024) + bytes(16384))
    quiet, spoken, after = found[:16], found[20:46], found[56:]
    assert max(quiet) < 0.3 and max(after) < 0.3
    assert min(spoken) > 0.7


def test_a_batch_gives_exactly_what_single_runs_give(vad):
    calls = [voice(640, pitch_hz) for pitch_hz in (90, 130, 180, 230)]
    alone = [judged(vad, pcm) for pcm in calls]
    streams = [VadStream() for _ in calls]
    for window in range(20):
        part = slice(window * WINDOW_BYTES, (window + 1) * WINDOW_BYTES)
        together = vad.process(streams, b"".join(pcm[part] for pcm in calls))
        assert together == pytest.approx([found[window] for found in alone], abs=1e-5)


def test_any_part_of_the_streams_can_be_a_batch(vad):
    """A stream that sits out a batch goes on where it was."""
    pcm = voice(320)
    alone = judged(vad, pcm)
    steady, other = VadStream(), VadStream()
    for window, expected in enumerate(alone):
        part = pcm[window * WINDOW_BYTES : (window + 1) * WINDOW_BYTES]
        batch = [other, steady] if window % 2 else [steady]
        assert vad.process(batch, bytes(WINDOW_BYTES) * (len(batch) - 1) + part)[-1] == pytest.approx(
            expected, abs=1e-5
        )


def test_a_missing_model_names_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(vad_module, "find_spec", lambda name: None)
    with pytest.raises(VoicePartMissing, match="pip install --no-deps silero-vad") as caught:
        BatchedVad()
    assert caught.value.code == "voice_part_missing"


def test_the_package_of_the_model_is_never_imported():
    """It would import torch."""
    code = "import sys; from actors.media.vad import BatchedVad; BatchedVad(); print('silero_vad' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert find_model().name == "silero_vad.onnx"

"""Voice activity: the Silero model (v5, MIT) on onnxruntime, one inference for the windows of many calls.

The model hears 8 kHz in windows of 256 samples, each with the 32 samples before it, and carries a recurrent state
[2, N, 128]; a batch gives exactly what N single runs give. Its package demands torch, which is not needed: the model
file is found without importing it.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from actors.media.resample import to_float
from config.errors import CallboardError

VAD_RATE = 8000
WINDOW_SAMPLES = 256
WINDOW_MS = WINDOW_SAMPLES * 1000 / VAD_RATE
_CONTEXT_SAMPLES = 32
_STATE_UNITS = 128


class VoicePartMissing(CallboardError):
    """A part of the embedded voice is not installed; the text holds the command that installs it."""

    code = "voice_part_missing"


class VadStream:
    """What the model remembers of one call."""

    __slots__ = ("context", "state")

    def __init__(self) -> None:
        self.context: NDArray[np.float32] = np.zeros(_CONTEXT_SAMPLES, np.float32)
        self.state: NDArray[np.float32] = np.zeros((2, _STATE_UNITS), np.float32)


def find_model() -> Path:
    """The model file of the installed silero-vad package, or `VoicePartMissing`."""
    spec = find_spec("silero_vad")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, "data", "silero_vad.onnx")
        if path.is_file():
            return path
    raise VoicePartMissing("the Silero voice detector is not installed: run pip install --no-deps silero-vad")


class BatchedVad:
    """The model, shared by all calls of a process. Not thread-safe."""

    def __init__(self, model: Path | None = None) -> None:
        import onnxruntime  # not above: it starts a thread, and the processes that fork workers import this module

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.enable_mem_pattern = False  # one plan would be kept for every size of batch
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = str(model or find_model())
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._rate = np.array(VAD_RATE, np.int64)

    def process(self, streams: Sequence[VadStream], windows: bytes) -> list[float]:
        """The probability of speech in each stream's next window; `windows` is N x 256 samples PCM s16le at 8 kHz."""
        heard = to_float(windows).reshape(len(streams), WINDOW_SAMPLES)
        rows = np.concatenate((np.stack([stream.context for stream in streams]), heard), axis=1)
        states = np.stack([stream.state for stream in streams], axis=1)
        found, next_states = self._session.run(None, {"input": rows, "state": states, "sr": self._rate})
        for row, stream in enumerate(streams):
            stream.context = rows[row, -_CONTEXT_SAMPLES:]
            stream.state = next_states[:, row]
        probabilities: list[float] = found[:, 0].tolist()
        return probabilities

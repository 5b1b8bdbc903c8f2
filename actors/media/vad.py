"""Voice activity: the Silero model (MIT, see NOTICE) as matrix products over the windows of many calls at once.

The model hears 8 kHz in windows of 256 samples, each with the 32 samples before it:

    spectrum   4 frames of 128 samples, 64 apart, the end of the window mirrored; the magnitudes of 65 bins
    encoder    4 convolutions over 3 frames: 4 frames of 128 channels, 2 of 64, 1 of 64, 1 of 128
    memory     an LSTM cell of 128 units
    judgement  one weight a unit

All frames of a window lie in one row, side by side, so that what a convolution reads is a slice of columns and nothing
is copied. A batch of 128 costs 7-8 us a window and one alone 65, where onnxruntime takes 24 and 95: its kernels are
made for more than four frames. What the encoder makes of digital silence (a muted telephone, a wire that sends
nothing) is known beforehand: such a window only moves the memory, as it would have anyway, for a third of the cost.
`scripts/convert-vad` took the weights out of the published model, and `scripts/test --referees` compares every window
with onnxruntime's word.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from actors.media.resample import Samples

VAD_RATE = 8000
WINDOW_SAMPLES = 256
WINDOW_MS = WINDOW_SAMPLES * 1000 / VAD_RATE
_CONTEXT_SAMPLES = 32
_UNITS = 128
_MEMORY_FLOATS = 2 * _UNITS + _CONTEXT_SAMPLES  # hidden state, cell state, the last samples
_MEMORY_BYTES = 4 * _MEMORY_FLOATS
_FRAMES, _FRAME_SAMPLES, _HOP_SAMPLES, _BINS = 4, 128, 64, 65
_WEIGHTS = Path(__file__).with_name("silero_8k.npz")


class VadStream:
    """What the model remembers of one call."""

    __slots__ = ("memory",)

    def __init__(self) -> None:
        self.memory = bytes(_MEMORY_BYTES)


class BatchedVad:
    """The model, shared by all calls of a process."""

    def __init__(self) -> None:
        with np.load(_WEIGHTS) as archive:
            weights: dict[str, Samples] = dict(archive)
        self._basis = np.ascontiguousarray(weights["stft.forward_basis_buffer"][:, 0].T)
        self._encoder = [
            _Convolution(weights, f"encoder.{layer}.reparam_conv", frames, stride)
            for layer, (frames, stride) in enumerate(((4, 1), (4, 2), (2, 2), (1, 1)))
        ]
        self._cell = _LstmCell(weights, "decoder.rnn")
        self._judgement = weights["decoder.decoder.2.weight"].ravel()
        self._judgement_bias = weights["decoder.decoder.2.bias"]
        self._silence = self._encode(np.zeros((1, _CONTEXT_SAMPLES + WINDOW_SAMPLES), np.float32))

    def process(self, streams: Sequence[VadStream], windows: Samples) -> list[float]:
        """The probability of speech in each stream's next window; `windows` is [N, 256] at 8 kHz, within +-1."""
        memory = np.frombuffer(b"".join([stream.memory for stream in streams]), np.float32).reshape(-1, _MEMORY_FLOATS)
        hidden, cell, context = memory[:, :_UNITS], memory[:, _UNITS : 2 * _UNITS], memory[:, 2 * _UNITS :]
        samples = np.concatenate((context, windows), axis=1)
        hidden, cell = self._cell(self._encode_sounds(samples), hidden, cell)
        remembered = np.concatenate((hidden, cell, samples[:, -_CONTEXT_SAMPLES:]), axis=1).tobytes()
        for number, stream in enumerate(streams):
            stream.memory = remembered[number * _MEMORY_BYTES : (number + 1) * _MEMORY_BYTES]
        logits = np.maximum(hidden, 0) @ self._judgement + self._judgement_bias
        probabilities: list[float] = (1 / (1 + np.exp(-logits))).tolist()
        return probabilities

    def _encode_sounds(self, samples: Samples) -> Samples:
        """[N, 288 samples] -> [N, 512], without work for those that are nothing but zeros."""
        sounds = samples.any(axis=1)
        if sounds.all():
            return self._encode(samples)
        rows = np.repeat(self._silence, len(samples), axis=0)
        if sounds.any():
            rows[sounds] = self._encode(samples[sounds])
        return rows

    def _encode(self, samples: Samples) -> Samples:
        """What the memory's gates are told of each window."""
        rows = self._magnitudes(samples)
        for convolution in self._encoder:
            rows = convolution(rows)
        return self._cell.hear(rows)

    def _magnitudes(self, samples: Samples) -> Samples:
        """[N, 288 samples] -> [N, 4 frames x 65 bins]."""
        mirrored = np.concatenate((samples, samples[:, -2 : -2 - _CONTEXT_SAMPLES : -1]), axis=1)
        spectrum = np.empty((len(samples), _FRAMES, 2 * _BINS), np.float32)  # the real parts, then the imaginary ones
        for frame in range(_FRAMES):
            start = frame * _HOP_SAMPLES
            np.matmul(mirrored[:, start : start + _FRAME_SAMPLES], self._basis, out=spectrum[:, frame])
        spectrum *= spectrum
        power = spectrum[:, :, :_BINS] + spectrum[:, :, _BINS:]
        np.sqrt(power, out=power)
        return power.reshape(-1, _FRAMES * _BINS)


class _Convolution:
    """Each `stride`-th frame with its neighbours (zeros beyond the ends), then ReLU.

    [N, frames x channels] -> [N, frames/stride x channels]. One product a frame, without the taps beyond the ends.
    """

    def __init__(self, weights: dict[str, Samples], name: str, frames: int, stride: int) -> None:
        weight = weights[f"{name}.weight"]  # [channels out, channels in, 3 taps]
        outputs, inputs, _ = weight.shape
        self._products = []
        for number, centre in enumerate(range(0, frames, stride)):
            first, end = max(centre - 1, 0), min(centre + 2, frames)
            matrix = weight[:, :, first - centre + 1 : end - centre + 1].transpose(2, 1, 0).reshape(-1, outputs)
            source, target = slice(first * inputs, end * inputs), slice(number * outputs, (number + 1) * outputs)
            self._products.append((source, matrix, target))
        self._bias = np.tile(weights[f"{name}.bias"], len(self._products))

    def __call__(self, rows: Samples) -> Samples:
        out = np.empty((len(rows), len(self._bias)), np.float32)
        for source, matrix, target in self._products:
            np.matmul(rows[:, source], matrix, out=out[:, target])
        out += self._bias
        return np.maximum(out, 0, out=out)


class _LstmCell:
    """PyTorch's LSTMCell. A sigmoid is tanh of the half, moved: the weights are halved, and one tanh does all gates."""

    def __init__(self, weights: dict[str, Samples], name: str) -> None:
        scale = np.repeat(np.array((0.5, 0.5, 1, 0.5), np.float32), _UNITS)  # input, forget, new, output
        order = np.arange(4 * _UNITS).reshape(4, _UNITS)[[0, 1, 3, 2]].ravel()  # the sigmoids side by side
        self._from_input, self._from_hidden = (
            np.ascontiguousarray((weights[f"{name}.weight_{source}"].T * scale)[:, order]) for source in ("ih", "hh")
        )
        self._bias = ((weights[f"{name}.bias_ih"] + weights[f"{name}.bias_hh"]) * scale)[order]

    def hear(self, rows: Samples) -> Samples:
        """The part of its gates that comes of the input: [N, 128] -> [N, 512]."""
        gates = rows @ self._from_input
        gates += self._bias
        return gates

    def __call__(self, heard: Samples, hidden: Samples, cell: Samples) -> tuple[Samples, Samples]:
        """The next hidden state and cell state, [N, 128]."""
        gates = hidden @ self._from_hidden
        gates += heard
        np.tanh(gates, out=gates)
        sigmoids = gates[:, : 3 * _UNITS]
        sigmoids += 1
        sigmoids *= 0.5
        take, keep, show, new = (gates[:, start : start + _UNITS] for start in range(0, 4 * _UNITS, _UNITS))
        cell = keep * cell + take * new
        return show * np.tanh(cell), cell

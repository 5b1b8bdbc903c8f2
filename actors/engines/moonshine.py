"""The free recognizer's model (Moonshine base, English): audio in, text and how sure it is of it out.

The encoder hears all of an utterance at once; the decoder says one token after the other. Both are cut into steps of
some tens of milliseconds, so that an engine can turn to others between them. See `weights` for the graphs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from actors.engines.child import WorkFailed
from actors.engines.weights import DECODER, ENCODER, TOKENS, WeightsUnusable, prepared, shipped
from actors.errors import Remedy
from actors.media.resample import Samples

RATE = 16000
SPACE = "\u2581".encode()  # how the tokens write it
BEGIN, END = 1, 2  # tokens
TOKENS_PER_S = 8.5  # more are a loop, not speech
GOES_ON = "use_cache_branch"  # an input of the decoder as it is shipped
HEADS, HEAD_FLOATS = 8, 52

State = dict[str, Any]  # what the decoder looks back at, as onnxruntime's values


class Result(NamedTuple):
    """What an utterance seems to say; `confidence` is the mean log probability of its tokens, 0 at best."""

    text: str
    confidence: float


class Moonshine:
    """The model, once in a process."""

    def __init__(self) -> None:
        self.ready = False

    def load(self) -> Iterator[None]:
        """In steps, each short enough for an engine that has to answer. Raises `WorkFailed`."""
        folder, names = _graphs()
        yield
        self._vocabulary = Vocabulary((folder / TOKENS).read_bytes())
        self._encoder = _session(folder / names[0])
        yield
        self._decoder = _session(folder / names[1])
        self._is_merged = any(given.name == GOES_ON for given in self._decoder.get_inputs())
        self._heard_names = [made.name for made in self._encoder.get_outputs()]
        self._said_names = [made.name for made in self._decoder.get_outputs()]
        self.ready = True

    def hear(self, sound: Samples) -> State:
        """What the decoder starts from. `sound`: 16 kHz, within +-1, at least 0.1 s."""
        heard = self._encoder.run_with_ort_values(self._heard_names, {"input_values": _value(sound[None])})
        made = zip(self._heard_names, heard, strict=True)
        nothing = _value(np.zeros((1, HEADS, 0, HEAD_FLOATS), np.float32))
        past = {_past(name): nothing for name in self._said_names[1:]}
        if self._is_merged:
            return {**past, "encoder_hidden_states": heard[0], GOES_ON: _value(np.array([False]))}
        return {**past, **{_past(name): value for name, value in made}}

    def say(self, heard: State, seconds: float) -> Iterator[Result | None]:
        """A token a step (None), at last the result."""
        tokens, logs, state = [BEGIN], [], heard
        for _ in range(round(seconds * TOKENS_PER_S) + 6):
            logits, state = self._next(state, tokens[-1:])
            best = int(logits[-1].argmax())
            logs.append(float(logits[-1][best] - _log_sum(logits[-1])))
            if best == END:
                break
            tokens.append(best)
            yield None
        yield Result(self._vocabulary.text(tokens[1:]), float(np.mean(logs)))

    def score(self, heard: State, text: str) -> tuple[float, float]:
        """How well this text explains what was heard, in one step: the sum of its log probabilities, and the mean."""
        tokens = [BEGIN, *self._vocabulary.tokens(text), END]
        logits, _ = self._next(heard, tokens[:-1])
        logs = [float(row[token] - _log_sum(row)) for row, token in zip(logits, tokens[1:], strict=True)]
        return sum(logs), sum(logs) / len(logs)

    def _next(self, state: State, tokens: list[int]) -> tuple[Samples, State]:
        given = {**state, "input_ids": _value(np.array([tokens], np.int64))}
        logits, *made = self._decoder.run_with_ort_values(self._said_names, given)
        is_first = self._is_merged and not state[GOES_ON].numpy()[0]
        longer = dict(state)
        for name, value in zip(self._said_names[1:], made, strict=True):
            if is_first or ".decoder." in name:
                longer[_past(name)] = value
        if self._is_merged:
            longer[GOES_ON] = _value(np.array([True]))
        return logits.numpy()[0], longer


def _graphs() -> tuple[Path, tuple[str, str]]:
    try:
        return prepared(), (ENCODER, DECODER)
    except WeightsUnusable as error:
        unprepared = error
    try:
        folder = shipped()
    except WeightsUnusable as error:
        raise WorkFailed(str(error), Remedy.CONFIG) from None
    print(f"hears with the weights as they are shipped, which takes five times as long: {unprepared}", file=sys.stderr)
    return folder, ("encoder_model.ort", "decoder_model_merged.ort")


def _session(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise WorkFailed(f"onnxruntime: {error}; pip install onnxruntime", Remedy.CONFIG) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _value(array: np.ndarray[Any, np.dtype[Any]]) -> Any:
    import onnxruntime

    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


def _past(name: str) -> str:
    return name.replace("present", "past_key_values")


def _log_sum(row: Samples) -> float:
    most = float(np.max(row))
    return float(most + np.log(np.exp(row - most).sum()))


class Vocabulary:
    """Tokens and text. The file: each token's length (one byte, or two from 128 on) and bytes, in the tokens' order."""

    def __init__(self, raw: bytes) -> None:
        self._tokens: list[bytes] = []
        at = 0
        while at < len(raw):
            length, at = raw[at], at + 1
            if length >= 128:
                length, at = (length & 127) + 128 * raw[at], at + 1
            self._tokens.append(raw[at : at + length])
            at += length
        # the first 256 are single bytes, and never used for what has a token of its own
        self._numbers = {token: number for number, token in enumerate(self._tokens) if token}

    def text(self, tokens: list[int]) -> str:
        return b"".join(self._tokens[token] for token in tokens).replace(SPACE, b" ").decode(errors="replace").strip()

    def tokens(self, text: str) -> list[int]:
        """As the model was taught: the two neighbours whose union has the lowest number are joined first."""
        parts = [letter.encode() for letter in f" {text}".replace(" ", SPACE.decode())]
        while joined := [
            (self._numbers[a + b], at) for at, (a, b) in enumerate(pairwise(parts)) if a + b in self._numbers
        ]:
            _, at = min(joined)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        return [self._numbers.get(part, 0) for part in parts]

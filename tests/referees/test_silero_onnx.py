"""onnxruntime with the published model against our products: the same word on every window, the same speech."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from actors.engines.pool import close_engines
from actors.engines.voice_client import synthesize
from actors.media import g711, vad
from actors.media.resample import to_float
from actors.media.speech import SpeechDetector
from actors.media.vad import VAD_RATE, WINDOW_MS, WINDOW_SAMPLES, BatchedVad, VadStream
from config.assistant import Endpointing
from tests.fakes.voice import voice

MODEL = Path(find_spec("silero_vad").origin).parent / "data" / "silero_vad.onnx"
WINDOW_BYTES = 2 * WINDOW_SAMPLES
NEAR = 1e-4
SENTENCES = ("Good morning, I would like to book a table for two.", "Yes. No! Seventeen, eighteen, nineteen.", "Mhm.")
rng = np.random.default_rng(20)


class Published:
    """The published model; a stream's state is [2, 128], its context the last 32 samples."""

    def __init__(self) -> None:
        self._session = onnxruntime.InferenceSession(str(MODEL), providers=["CPUExecutionProvider"])

    def process(self, states: Sequence[dict[str, np.ndarray]], windows: bytes) -> list[float]:
        heard = (np.frombuffer(windows, "<i2") / np.float32(32768)).reshape(len(states), WINDOW_SAMPLES)
        rows = np.concatenate((np.stack([state["context"] for state in states]), heard), axis=1).astype(np.float32)
        before = np.stack([state["state"] for state in states], axis=1)
        inputs = {"input": rows, "state": before, "sr": np.array(VAD_RATE, np.int64)}
        found, after = self._session.run(None, inputs)
        for row, state in enumerate(states):
            state["context"], state["state"] = rows[row, -32:], after[:, row]
        return found[:, 0].tolist()


class Pair:
    """One call, heard by both from the same state on."""

    def __init__(self, sound: bytes, remembers: bool) -> None:
        self.stream, self.published = VadStream(), {"context": np.zeros(32), "state": np.zeros((2, 128), np.float32)}
        self.left = sound
        self.detectors = SpeechDetector(Endpointing()), SpeechDetector(Endpointing())
        self.said = 0
        if remembers:
            state, context = np.tanh(rng.normal(0, 1, (2, 128))).astype(np.float32), rng.normal(0, 0.1, 32)
            self.published = {"context": context.astype(np.float32), "state": state}
            self.stream.memory = state.tobytes() + self.published["context"].tobytes()

    def window(self) -> bytes:
        taken, self.left = self.left[:WINDOW_BYTES], self.left[WINDOW_BYTES:]
        return taken

    def judge(self, ours: float, theirs: float) -> None:
        events = [
            machine.process(word, WINDOW_MS) for machine, word in zip(self.detectors, (ours, theirs), strict=True)
        ]
        assert events[0] == events[1]
        self.said += events[0] is not None


def pcm(samples: np.ndarray) -> bytes:
    return np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes()


def noises(samples: int) -> list[bytes]:
    time_s = np.arange(samples) / VAD_RATE
    white = rng.normal(0, 1, samples)
    loudness = (1, 30, 300, 3000, 30000)
    return [
        bytes(2 * samples),
        *(pcm(white * level) for level in loudness),
        *(pcm(np.cumsum(white) % 4000 - 2000) for _ in range(2)),
        *(pcm(8000 * np.sin(2 * np.pi * hz * time_s)) for hz in (50, 425, 1000, 3900)),
        pcm(9000 * (np.sin(2 * np.pi * 770 * time_s) + np.sin(2 * np.pi * 1336 * time_s))),
        pcm(np.where(np.arange(samples) % 400 < 200, 32767, -32768)),
        pcm(np.where(np.arange(samples) % 1600 == 0, 32767, 0)),
    ]


@pytest.fixture
async def sounds() -> list[bytes]:
    """About a minute each of voices, of voices in noise and over mu-law, and of what is no voice."""
    spoken = [voice(6000, pitch_hz) for pitch_hz in (80, 120, 200, 280)]
    try:
        for name in ("en-us", "en-gb", "de-de", "en-us+f3"):
            parts = [await synthesize(sentence, voice=name) + bytes(8000) for sentence in SENTENCES]
            spoken.append(bytes(4000) + b"".join(parts))
    finally:
        await close_engines()
    noisy = [
        pcm(np.frombuffer(sound, "<i2") * level + rng.normal(0, 400, len(sound) // 2))
        for sound, level in zip(spoken, (1, 0.3, 0.1, 2) * 2, strict=True)
    ]
    wired = [g711.decode(g711.encode(sound)) for sound in (*spoken, *noisy)]
    return [*spoken, *noisy, *wired, *noises(10 * VAD_RATE)]


def test_every_window_of_every_sound_in_batches_of_calls_that_come_and_go(sounds):
    assert sum(map(len, sounds)) / 2 / VAD_RATE > 300
    ours, theirs = BatchedVad(), Published()
    calls: list[Pair] = []
    worst, windows, events, sizes = 0.0, 0, 0, set()
    for tick in range(700):
        most = (1, 3, 40, 128, 300)[tick // 140]
        calls = [call for call in calls if len(call.left) >= WINDOW_BYTES][:most]
        while len(calls) < most:
            start = 2 * int(rng.integers(0, 40000))
            calls.append(Pair(sounds[rng.integers(len(sounds))][start:], bool(rng.integers(2))))
            calls = [call for call in calls if len(call.left) >= WINDOW_BYTES]
        batch = [call for call in calls if rng.random() < 0.7] or calls[:1]
        heard = b"".join([call.window() for call in batch])
        found = ours.process([call.stream for call in batch], to_float(heard).reshape(-1, WINDOW_SAMPLES))
        expected = theirs.process([call.published for call in batch], heard)
        worst = max(worst, float(np.abs(np.subtract(found, expected)).max()))
        for call, *words in zip(batch, found, expected, strict=True):
            call.judge(*words)
        windows, sizes = windows + len(batch), sizes | {len(batch)}
        events += sum(call.said for call in calls if len(call.left) < WINDOW_BYTES)
    print(f"{windows} windows, {events} beginnings and ends of speech, largest difference {worst:.1e}")
    assert worst < NEAR
    assert windows > 40_000 and events > 100 and min(sizes) == 1 and max(sizes) > 200


def test_the_weights_are_those_of_this_model():
    with np.load(Path(vad.__file__).with_name("silero_8k.npz")) as archive:
        assert str(archive["sha256"]) == hashlib.sha256(MODEL.read_bytes()).hexdigest()

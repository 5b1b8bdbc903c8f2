"""When a caller's audio is decoded, and what is said of it: the real machine with a model that needs no CPU."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from actors.engines import free_speech
from actors.engines.child import Desk, Reply
from actors.engines.frames import Frame, FrameKind, FrameReader
from actors.engines.free_speech import FreeRecognition, doubled, onset
from actors.engines.moonshine import RATE, Result
from actors.media.audio import PCM_8K, PCM_16K, AudioFormat

CHUNK_MS = 60
OPENING = {"rate": 8000, "confidence": -0.35, "hints": []}


class Model:
    """Says how much voice it was given, in tenths of a second, one token a word."""

    def __init__(self) -> None:
        self.ready = False
        self.sounds: list[float] = []  # seconds
        self.confidence = -0.1
        self.text = ""
        self.scores: dict[str, float] = {}

    def load(self) -> Iterator[None]:
        yield
        yield
        self.ready = True

    def hear(self, sound: Any) -> Any:
        self.sounds.append(len(sound) / RATE)
        return int(np.count_nonzero(abs(sound) > 0.1) / RATE * 10)

    def say(self, heard: int, seconds: float) -> Iterator[Result | None]:
        yield None
        yield None
        yield Result(self.text or f"voice {heard}", self.confidence)

    def score(self, heard: int, text: str) -> tuple[float, float]:
        return self.scores[text], self.scores[text] / 4


class Detector:
    def process(self, streams: Any, windows: Any) -> list[float]:
        return [float(abs(windows).max() > 0.1)]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    model, detector = Model(), Detector()
    monkeypatch.setattr(free_speech, "_model", lambda: model)
    monkeypatch.setattr(free_speech, "_detector", lambda: detector)
    monkeypatch.setattr(free_speech, "_load", None)
    return model


class Said(Reply):
    """Keeps what a channel says."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def event(self, **event: Any) -> None:
        self.events.append(event)

    def words(self) -> list[str]:
        """Finals, and where turns end."""
        return [event.get("final", "end") for event in self.events if "final" in event or "end_of_turn" in event]

    def interims(self) -> list[str]:
        return [text for text, _ in itertools.groupby(event["interim"] for event in self.events if "interim" in event)]


class Caller:
    """One caller, heard as fast as he speaks."""

    def __init__(self, audio: AudioFormat = PCM_8K, **changes: Any) -> None:
        self.said, self.audio = Said(), audio
        self.work = FreeRecognition(self.said, {**OPENING, "rate": audio.rate, **changes})

    def speak(self, ms: int, works: bool = True) -> None:
        self._hear(np.full(self.audio.rate * ms // 1000, 8000, "<i2").tobytes(), works)

    def pause(self, ms: int, works: bool = True) -> None:
        self._hear(self.audio.silence(ms), works)

    def finalize(self, works: bool = True) -> None:
        self.work.on_event({"do": "finalize"})
        self.run(works)

    def run(self, works: bool = True) -> None:
        while works and self.work.has_more:
            self.work.step()

    def _hear(self, sound: bytes, works: bool) -> None:
        step = 2 * self.audio.rate * CHUNK_MS // 1000
        for start in range(0, len(sound), step):
            self.work.on_audio(sound[start : start + step])
            self.run(works)


@pytest.mark.parametrize("audio", [PCM_8K, PCM_16K])
def test_the_text_is_there_before_the_turn_is_over(model: Model, audio: AudioFormat) -> None:
    caller = Caller(audio)
    caller.pause(600)
    caller.speak(1200)
    caller.pause(300)
    decoded = len(model.sounds)
    assert caller.said.interims()[-1] in {"voice 11", "voice 12"} and caller.said.words() == []
    caller.finalize(works=False)
    assert caller.said.words() in (["voice 11", "end"], ["voice 12", "end"]), "at once"
    assert len(model.sounds) == decoded
    assert caller.said.events[-1]["end_ms"] == caller.said.events[-2]["end_ms"] == 2100


def test_a_voice_behind_what_was_decoded_is_decoded(model: Model) -> None:
    caller = Caller()
    caller.speak(1000)
    caller.pause(300)
    caller.speak(240, works=False)
    caller.finalize(works=False)
    assert caller.said.words() == [] and caller.work.owed_since is not None
    caller.run()
    assert caller.said.words() == ["voice 12", "end"] and caller.work.owed_since is None


def test_interims_come_more_seldom_the_more_they_cost(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0, 0.02)  # two times a step: 20 ms each
    monkeypatch.setattr(free_speech.time, "thread_time", lambda: next(clock))
    caller = Caller()
    caller.speak(7800)
    assert 2 <= len(model.sounds) <= 3, "80 ms each, of which 2 % of the time have room for one in 4 s"


def test_a_sign_of_life_comes_twice_a_second(model: Model) -> None:
    caller = Caller()
    caller.run()
    caller.pause(5000)
    assert len([event for event in caller.said.events if event.get("interim") == ""]) >= 8


def test_what_was_said_before_the_model_is_there_is_kept(model: Model) -> None:
    caller = Caller()
    caller.speak(900, works=False)
    caller.finalize(works=False)
    assert caller.said.events == []
    caller.run()
    assert caller.said.events[0] == {"opened": True} and caller.said.words() in (["voice 8", "end"], ["voice 9", "end"])


def test_a_long_speech_is_cut_at_a_pause_and_a_longer_one_anywhere(model: Model) -> None:
    caller = Caller()
    caller.speak(8400)
    assert caller.said.words() == []
    caller.pause(240)
    assert len(caller.said.words()) == 1
    caller.speak(30_000)
    assert len(caller.said.words()) == 3
    assert max(model.sounds) <= 14.1
    caller.pause(3000)
    finals = len(caller.said.words())
    assert finals == 4, "a long pause"
    caller.finalize()
    assert caller.said.words()[finals:] == ["end"]


def test_silence_is_not_decoded_and_not_kept(model: Model) -> None:
    caller = Caller()
    caller.pause(60_000)
    caller.finalize()
    assert model.sounds == [] and caller.said.words() == ["end"]
    assert len(caller.work._open.sound) <= 2 * 8000


def test_an_unsure_text_is_none_and_takes_its_interim_back(model: Model) -> None:
    caller = Caller()
    caller.speak(900)
    caller.pause(240)
    assert caller.said.interims()[-1].startswith("voice")
    caller.speak(300, works=False)
    model.confidence = -0.9
    caller.finalize()
    assert caller.said.words() == ["end"] and caller.said.interims()[-1] == ""


@pytest.mark.parametrize(
    ("scores", "heard"),
    [
        ({"Buck a table.": -2.0, "Book a table.": -4.5}, "Book a table."),
        ({"Buck a table.": -2.0, "Book a table.": -5.5}, "Buck a table."),
    ],
)
def test_what_sounds_like_an_expected_sentence_is_that_one(model: Model, scores: dict[str, float], heard: str) -> None:
    model.text, model.scores = "Buck a table.", scores
    caller = Caller(hints=["book a table", "what time is it"], confidence=-2.0)
    caller.speak(900)
    caller.finalize()
    assert caller.said.words() == [heard, "end"]


@pytest.mark.parametrize(("confidence", "heard"), [(-0.5, ["Goodbye.", "end"]), (-0.8, ["end"])])
def test_of_an_expected_sentence_it_need_not_be_as_sure(model: Model, confidence: float, heard: list[str]) -> None:
    model.text, model.confidence = "Goodbye.", confidence
    caller = Caller(hints=["goodbye"])
    caller.speak(900)
    caller.finalize()
    assert caller.said.words() == heard


def test_it_begins_where_a_sound_stands_out_before_the_voice() -> None:
    quiet, soft = np.full(1600, 0.002, np.float32), np.full(800, 0.01, np.float32)
    assert onset(np.concatenate((quiet, soft)), 8000) == 1600 - 4 * 160
    assert onset(quiet, 8000) == 1600 - 4 * 160, "nothing does"
    assert onset(quiet[:0], 8000) == onset(quiet[:100], 8000) == 0


def test_two_turns_in_a_row_are_answered_in_their_order(model: Model) -> None:
    caller = Caller()
    for ms in (600, 900):
        caller.speak(ms, works=False)
        caller.finalize(works=False)
    caller.run()
    first, second = (event["end_ms"] for event in caller.said.events if "end_of_turn" in event)
    assert (first, second) == (600, 1500)
    assert [word == "end" for word in caller.said.words()] == [False, True, False, True]


def test_a_doubled_sound_is_the_same_sound() -> None:
    times = np.arange(1600) / 8000
    sound = doubled(np.sin(2 * np.pi * 1000 * times))
    assert np.allclose(sound, np.sin(2 * np.pi * 1000 * np.arange(3200) / 16000), atol=1e-3)


# --- several callers -------------------------------------------------------------------------------------------------


def test_who_is_waited_for_goes_first_and_the_wait_is_told(model: Model) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        desk = Desk(theirs, FreeRecognition)
        for channel in (1, 2, 3):
            desk.handle(Frame(FrameKind.OPEN, channel, b'{"rate": 8000, "confidence": -1, "hints": []}'))
        while desk.busy:
            desk.step()
        voice = np.full(8000, 8000, "<i2").tobytes()
        for channel in (1, 2, 3):
            desk.handle(Frame(FrameKind.AUDIO, channel, voice))  # which are worth an interim each
        assert desk.busy == [1, 2, 3]
        desk.handle(Frame(FrameKind.EVENT, 3, b'{"do": "finalize"}'))
        desk._work[3].owed_since -= 4.0  # type: ignore[operator]
        desk.handle(Frame(FrameKind.PING, 0, b""))
        for _ in range(4):  # hear, two tokens and the result
            desk.step()
        assert 3 not in desk.busy and {1, 2} == set(desk.busy)
        desk.handle(Frame(FrameKind.PING, 0, b""))
        frames = FrameReader().receive(ours.recv(100_000))
        late = [frame.json["late_s"] for frame in frames if frame.kind is FrameKind.PING]
        assert 4.0 <= late[0] < 60 and late[1] == 0.0
        assert [frame.channel for frame in frames if b"final" in frame.payload] == [3]

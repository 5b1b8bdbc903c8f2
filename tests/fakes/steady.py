"""Fake providers with known delays and next to no cost of their own: what remains in a measurement is Callboard's.

The STT hears nothing and always understands the same, the LLM answers one sentence at a usual pace, the TTS delivers
a tone four times as fast as it is heard.
"""

from __future__ import annotations

import asyncio
from functools import cache

import numpy as np

from actors.media.audio import PCM_8K, AudioFormat
from actors.media.resample import Converter
from actors.providers.spec import (
    Answered,
    EndOfTurn,
    Final,
    Interim,
    LlmSession,
    Options,
    ProviderSpec,
    Question,
    SegmentAudio,
    SegmentDone,
    SttSession,
    Token,
    TtsSession,
)

INTERIM_MS = 300
FIRST_TOKEN_S, TOKENS_PER_S = 0.2, 50
FIRST_AUDIO_S, SPEED, CHUNK_MS = 0.1, 4.0, 100
WORD_MS = 300
ANSWER = "Certainly. We are open from nine to five on every day of the week."


class SteadyStt(SttSession):
    _fed_ms = _told_ms = 0.0

    def hear(self, payload: bytes) -> None:
        self._fed_ms += self.audio.duration_ms(len(payload))
        if self._fed_ms - self._told_ms >= INTERIM_MS:
            self._told_ms = self._fed_ms
            self.emit(Interim(""))

    def finalize(self) -> None:
        self.emit(Final("when are you open", self._fed_ms))
        self.emit(EndOfTurn())

    def close(self) -> None: ...


class SteadyLlm(LlmSession):
    _timer: asyncio.TimerHandle | None = None

    def ask(self, question: Question) -> None:
        self.cancel()
        rest = ANSWER.removeprefix(question.said).split()
        self._timer = asyncio.get_running_loop().call_later(FIRST_TOKEN_S, self._next, question.turn, rest)

    def _next(self, turn: int, rest: list[str]) -> None:
        if not rest:
            self.emit(Answered(turn))
            return
        self.emit(Token(turn, rest[0] + " "))
        self._timer = asyncio.get_running_loop().call_later(1 / TOKENS_PER_S, self._next, turn, rest[1:])

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def close(self) -> None:
        self.cancel()


class SteadyTts(TtsSession):
    _timer: asyncio.TimerHandle | None = None

    def __init__(self, options: Options, emit, audio: AudioFormat, language: str) -> None:
        super().__init__(options, emit, audio, language)
        self._queue: list[tuple[int, int]] = []  # (segment, chunks left)

    def speak(self, segment: int, text: str) -> None:
        self._queue.append((segment, len(text.split()) * WORD_MS // CHUNK_MS))
        if len(self._queue) == 1:
            self._timer = asyncio.get_running_loop().call_later(FIRST_AUDIO_S, self._next)

    def _next(self) -> None:
        segment, left = self._queue[0]
        if left:
            self._queue[0] = (segment, left - 1)
            self.emit(SegmentAudio(segment, _tone(self.audio)))
        else:
            self._queue.pop(0)
            self.emit(SegmentDone(segment))
        if self._queue:
            self._timer = asyncio.get_running_loop().call_later(CHUNK_MS / 1000 / SPEED, self._next)

    def cancel(self) -> None:
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()

    def close(self) -> None:
        self.cancel()


@cache
def _tone(audio: AudioFormat) -> bytes:
    """100 ms of 400 Hz: whole periods, so that chunks join without a click."""
    pcm = (8000 * np.sin(2 * np.pi * 400 * np.arange(800) / 8000)).astype("<i2").tobytes()
    convert = Converter(PCM_8K, audio)
    return convert.convert(pcm) + convert.flush()


SPECS = tuple(
    ProviderSpec(name="steady", kind=kind, summary="known delays", options=Options, session=f"{__name__}:{session}")
    for kind, session in (("stt", "SteadyStt"), ("llm", "SteadyLlm"), ("tts", "SteadyTts"))
)

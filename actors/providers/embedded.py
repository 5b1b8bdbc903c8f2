"""The `embedded` voice: hears with pocketsphinx and speaks with espeak-ng, without account, key or network.

It hears English, and only the sentences that the assistant's language model knows (its grammar); it speaks what
espeak-ng speaks. Both engines run in processes of their own, see `actors.engines`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from pydantic import Field

from actors.engines.pool import engine_pool
from actors.engines.process import Channel
from actors.engines.voice_client import speech_opening, synthesize
from actors.errors import ProviderError, Remedy
from actors.media.audio import MULAW_8K, PCM_8K, PCM_16K, AudioFormat, Encoding
from actors.providers.grammar import jsgf, vocabulary
from actors.providers.spec import (
    Emit,
    EndOfTurn,
    Final,
    Interim,
    Options,
    ProviderSpec,
    SegmentAudio,
    SegmentDone,
    SessionFailed,
    SttSession,
    TtsSession,
    Word,
)


class SttOptions(Options):
    """What the assistant's YAML says beside `provider: embedded` under `stt`."""

    threshold: float = Field(-8.0, ge=-30, le=0, description="how badly a sentence may fit; lower accepts more")

    def check_phrases(self, phrases: tuple[str, ...]) -> None:
        """Raises `ValueError` for sentences that could never be heard."""
        from actors.engines.child import WorkFailed
        from actors.engines.recognizer import unknown_words

        if not phrases:
            raise ValueError("embedded hears listed sentences only, and no llm of this assistant lists any")
        try:
            unknown = set(unknown_words(vocabulary(phrases)))
        except WorkFailed as error:
            raise ValueError(error.detail) from error
        for phrase in phrases:
            if lacking := unknown.intersection(phrase.split()):
                raise ValueError(f"cannot hear the word {min(lacking)!r} in {phrase!r}: it is not in the dictionary")


class TtsOptions(Options):
    """What the assistant's YAML says beside `provider: embedded` under `tts`."""

    voice: str = Field("", max_length=60, description="espeak-ng's name, such as en-us+f3; empty: by the language")
    words_per_minute: int = Field(165, ge=80, le=450)
    pitch: int = Field(50, ge=0, le=99)


SPECS = (
    ProviderSpec(
        name="embedded",
        kind="stt",
        summary="pocketsphinx: English, hears only the sentences that the language model lists",
        options=SttOptions,
        session="actors.providers.embedded:EmbeddedStt",
        formats=(PCM_8K, PCM_16K),
    ),
    ProviderSpec(
        name="embedded",
        kind="tts",
        summary="espeak-ng: robotic but clear, many languages",
        options=TtsOptions,
        session="actors.providers.embedded:EmbeddedTts",
        formats=(AudioFormat(Encoding.PCM, 22050), PCM_16K, PCM_8K, MULAW_8K),
        word_times=True,
    ),
)


class EmbeddedStt(SttSession):
    """One caller, heard in a recognizer process."""

    def __init__(self, options: Any, emit: Emit, audio: AudioFormat, language: str, phrases: tuple[str, ...]) -> None:
        super().__init__(options, emit, audio, language, phrases)
        self._channel: Channel | None = None
        self._early: list[Callable[[Channel], None]] = []  # work given before `open`
        self._opened: asyncio.Future[None] | None = None
        self._closed = False

    async def open(self) -> None:
        if self._closed:
            return
        self._channel = engine_pool("recognizer").open(self, self._opening())
        self._opened = asyncio.get_running_loop().create_future()
        early, self._early = self._early, []
        for work in early:
            work(self._channel)
        await self._opened

    def hear(self, payload: bytes) -> None:
        self._give(lambda channel: channel.send_audio(payload))

    def finalize(self) -> None:
        self._give(lambda channel: channel.send({"do": "finalize"}))

    def close(self) -> None:
        self._closed = True
        self._early = []
        if self._channel:
            self._channel.close()
        if self._opened and not self._opened.done():
            self._opened.set_result(None)

    def on_audio(self, payload: bytes) -> None:
        """Never comes."""

    def on_event(self, event: dict[str, Any]) -> None:
        if "interim" in event:
            self.emit(Interim(event["interim"]))
        elif "final" in event:
            self.emit(Final(event["final"], event["end_ms"]))
        elif "end_of_turn" in event:
            self.emit(EndOfTurn())
        elif self._opened and not self._opened.done():
            self._opened.set_result(None)

    def on_failed(self, error: ProviderError) -> None:
        if self._opened and not self._opened.done():
            self._opened.set_exception(error)
        else:
            self.emit(SessionFailed(error))

    def _give(self, work: Callable[[Channel], None]) -> None:
        if self._channel:
            work(self._channel)
        elif not self._closed:
            self._early.append(work)

    def _opening(self) -> dict[str, Any]:
        if not self.language.lower().startswith("en"):
            raise ProviderError("embedded", f"hears English only, not {self.language}", Remedy.CONFIG)
        if self.audio not in (PCM_8K, PCM_16K):
            raise ProviderError("embedded", f"hears 8 or 16 kHz PCM, not {self.audio}", Remedy.CONFIG)
        words = vocabulary(self.phrases)
        if not words:
            raise ProviderError("embedded", "hears listed sentences only, and was given none", Remedy.CONFIG)
        settings = {"rate": self.audio.rate, "threshold": self.options.threshold}
        return {"grammar": jsgf(self.phrases), "words": words, **settings}


class EmbeddedTts(TtsSession):
    """One caller's segments, spoken one after the other in the voice process."""

    def __init__(self, options: Any, emit: Emit, audio: AudioFormat, language: str) -> None:
        super().__init__(options, emit, audio, language)
        self._waiting: deque[tuple[int, str]] = deque()
        self._segment = 0
        self._channel: Channel | None = None  # of the segment that is being spoken
        self._words: tuple[Word, ...] = ()  # begin in the audio that comes next
        self._closed = False

    async def open(self) -> None:
        await synthesize("", *self._sound())  # starts the engine, and proves the voice

    def speak(self, segment: int, text: str) -> None:
        if not self._closed:
            self._waiting.append((segment, text))
            self._speak_next()

    def cancel(self) -> None:
        self._waiting.clear()
        self._words = ()
        if self._channel:
            self._channel.close()
            self._channel = None

    def close(self) -> None:
        self._closed = True
        self.cancel()

    def on_audio(self, payload: bytes) -> None:
        words, self._words = self._words, ()
        self.emit(SegmentAudio(self._segment, payload, words))

    def on_event(self, event: dict[str, Any]) -> None:
        if "words" in event:
            self._words += tuple(Word(*word) for word in event["words"])
        elif "done" in event and self._channel:
            self._channel.close()
            self._channel = None
            self.emit(SegmentDone(self._segment))
            self._speak_next()

    def on_failed(self, error: ProviderError) -> None:
        self.cancel()
        self._closed = True
        self.emit(SessionFailed(error))

    def _speak_next(self) -> None:
        if self._channel or not self._waiting:
            return
        self._segment, text = self._waiting.popleft()
        try:
            self._channel = engine_pool("voice").open(self, speech_opening(text, *self._sound(), self.audio))
        except ProviderError as error:
            self.on_failed(error)

    def _sound(self) -> tuple[str, int, int]:
        return self.options.voice or self.language.lower(), self.options.words_per_minute, self.options.pitch

"""Fake STT, LLM and TTS that fail on script. They speak and understand the language of `tones`.

`Faults` is the script: a test plants a fault for a kind of provider ("the second sentence raises", "the third token
stalls") and the sessions ask whether it is their turn. Faults outlive a session, as a broken provider does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from actors.errors import ProviderError, Remedy
from actors.media.audio import PCM_8K, AudioFormat, Encoding
from actors.media.resample import Converter
from actors.providers.spec import (
    Alive,
    Answered,
    EagerEndOfTurn,
    EndOfTurn,
    Final,
    Interim,
    LlmSession,
    Options,
    ProviderSpec,
    Question,
    SegmentAudio,
    SegmentDone,
    SessionFailed,
    SttSession,
    Token,
    TtsSession,
    Word,
)
from tests.fakes import tones

How = Literal[
    "raise", "exit", "stall", "fail", "config", "refuse", "busy", "pause", "empty", "unknown", "say", "think", "work"
]


@dataclass
class Fault:
    """`how` it fails at `where` ("open", "hear", "finalize", "ask", "token", "speak", "audio"), from the `nth` time on,
    `times` times; `only`: just for work that contains this text. "refuse": it does not take this work; "busy": it asks
    not to be asked again for `seconds`; "pause": it goes on after `seconds`, with all that it was given meanwhile;
    "empty" and "unknown": it says an event without content, and one that nobody knows; and at "answer" only, "say":
    its answer is `says`, with this `flaw`; "think": for `seconds` there are only signs of life, "work": only one."""

    where: str
    how: How
    nth: int = 1
    times: int = 1
    only: str = ""
    seconds: float = 0.0
    says: str = ""
    flaw: str = ""


class Faults:
    """What goes wrong in this test."""

    def __init__(self) -> None:
        self.planted: list[Fault] = []
        self.struck: list[str] = []

    def plant(self, where: str, how: How, **more: Any) -> None:
        self.planted.append(Fault(where, how, **more))

    def clear(self) -> None:
        self.planted.clear()
        self.struck.clear()

    def strike(self, where: str, work: Callable[[], str]) -> Fault | None:
        for fault in self.planted:
            if fault.where == where and fault.times and (not fault.only or fault.only in work()):
                fault.nth -= 1
                if fault.nth <= 0:
                    fault.times -= 1
                    self.struck.append(f"{where}:{fault.how}")
                    return fault
        return None


FAULTS = Faults()
QUESTIONS: list[Question] = []  # what language models were asked


class _Fallible:
    """Carries out what the script says."""

    stalled = False
    emit: Callable[..., None]
    options: FakeOptions
    closed = False
    _opened = False
    _free_s = 0.0  # of the loop's clock: nothing is done before
    _early: list[Callable[[], None]]

    async def open_late(self) -> None:
        if self.strikes("open", lambda: self.options.base_url):
            await asyncio.Event().wait()
        await asyncio.sleep(self.options.open_s)
        await self.pause_over()
        self._opened = True
        self._do_early()

    async def pause_over(self) -> None:
        await asyncio.sleep(self._free_s - asyncio.get_running_loop().time())

    def when_open(self, work: Callable[[], None]) -> None:
        """Work given before, or in a pause, is done then, in its order."""
        self._early.append(work)
        self._do_early()

    def _do_early(self) -> None:
        while self._early and self._opened and not self.closed:
            loop = asyncio.get_running_loop()
            if loop.time() < self._free_s:
                loop.call_at(self._free_s, self._do_early)
                return
            self._early.pop(0)()

    def strikes(self, where: str, work: Callable[[], str] = str) -> bool:
        """Whether the session has stalled, now or before; other faults raise or are emitted."""
        fault = FAULTS.strike(where, work)
        how = fault.how if fault else None
        if fault and how == "pause":
            self._free_s = asyncio.get_running_loop().time() + fault.seconds
        if how == "empty":
            self.emit_empty()
        if how == "unknown":
            self.emit(object())
        if how == "raise":
            raise RuntimeError(f"scripted failure at {where}")
        if how == "exit":
            raise SystemExit(1)
        if how == "config":
            raise ProviderError("fake", "wrong key", Remedy.CONFIG)
        if how == "fail":
            self.emit(SessionFailed(ProviderError("fake", f"scripted failure at {where}: {work()}")))
        if how == "refuse":
            self.emit(SessionFailed(ProviderError("fake", "answered 400: not this", Remedy.REFUSED)))
        if fault and how == "busy":
            self.emit(SessionFailed(ProviderError("fake", "answered 429", Remedy.THROTTLED, fault.seconds)))
        self.stalled = self.stalled or how in ("stall", "fail", "refuse", "busy")
        return self.stalled


class FakeOptions(Options):
    """Options of all fakes; `tag` tells chains apart, `base_url` servers. A session, also a successor, opens after
    `open_s`."""

    tag: str = ""
    base_url: str = ""
    open_s: float = 0.0


class FakeSttOptions(FakeOptions):
    eager: bool = False  # takes words that have not changed for 200 ms for the end of the turn


class FakeTtsOptions(FakeOptions):
    speed: float = 4.0  # audio seconds made per second
    word_times: bool = True


class FakeLlmOptions(FakeOptions):
    reply: str = ""  # empty: repeat the question
    tokens_per_s: float = 0.0  # 0: at once
    hang_up_on: str = "goodbye"


class FakeStt(_Fallible, SttSession):
    """Reads the tones that it hears; interims every 200 ms of sound, finals when asked."""

    def __init__(
        self, options: FakeSttOptions, emit, audio: AudioFormat, language: str, phrases: tuple[str, ...]
    ) -> None:
        super().__init__(options, emit, audio, language, phrases)
        self._text = ""
        self._pcm = bytearray()
        self._convert = Converter(audio, PCM_8K)
        self._fed_ms = self._told_ms = 0.0
        self._early = []

    def emit_empty(self) -> None:
        self.emit(Final("", self._fed_ms))

    async def open(self) -> None:
        await self.open_late()

    def hear(self, payload: bytes) -> None:
        self.when_open(lambda: self._hear(payload))

    def finalize(self) -> None:
        self.when_open(self._finalize)

    def _hear(self, payload: bytes) -> None:
        self._fed_ms += self.audio.duration_ms(len(payload))
        if self.strikes("hear", lambda: " ".join(tones.read(bytes(self._pcm)))):
            return
        self._pcm += self._convert.convert(payload)
        if self._fed_ms - self._told_ms >= 200:
            self._told_ms = self._fed_ms
            before, self._text = self._text, " ".join(tones.read(bytes(self._pcm)))
            is_over = self.options.eager and self._text and self._text == before
            self.emit(EagerEndOfTurn(self._text) if is_over else Interim(self._text))

    def _finalize(self) -> None:
        if self.strikes("finalize"):
            return
        text = " ".join(tones.read(bytes(self._pcm)))
        self._pcm.clear()
        self._text = ""
        if text:
            self.emit(Final(text, self._fed_ms))
        self.emit(EndOfTurn())

    def close(self) -> None:
        self.closed = True


class FakeLlm(_Fallible, LlmSession):
    """Answers `reply` (or the question itself), token by token."""

    def __init__(self, options: FakeLlmOptions, emit) -> None:
        super().__init__(options, emit)
        self._early = []
        self._turn = 0
        self._task: asyncio.Task[None] | None = None

    def emit_empty(self) -> None:
        self.emit(Token(self._turn, ""))

    async def open(self) -> None:
        await self.open_late()

    def ask(self, question: Question) -> None:
        self.cancel()
        self._turn = question.turn
        QUESTIONS.append(question)
        text = question.history[-1].text
        if self.strikes("ask", lambda: text):
            return
        answer = self.options.reply or f"you said {text}"
        rest = answer.removeprefix(question.said) if question.said else answer
        hang_up = bool(self.options.hang_up_on) and self.options.hang_up_on in text
        begin = self.when_open if self.options.open_s else lambda work: work()  # most models need no connection to ask
        begin(lambda: self._begin(question.turn, rest, hang_up))

    def _begin(self, turn: int, text: str, hang_up: bool) -> None:
        self._task = asyncio.get_running_loop().create_task(self._answer(turn, text, hang_up))

    async def _answer(self, turn: int, text: str, hang_up: bool) -> None:
        fault, flaw = FAULTS.strike("answer", lambda: text), ""
        if fault and fault.how == "say":
            text, flaw = fault.says, fault.flaw
        elif fault:
            await self._think(fault)
        for word in text.split(" "):
            if self.options.tokens_per_s:
                await asyncio.sleep(1 / self.options.tokens_per_s)
            try:
                if self.strikes("token", lambda word=word: word):
                    return
            except (RuntimeError, SystemExit) as error:
                self.emit(SessionFailed(ProviderError("fake", str(error))))
                return
            await self.pause_over()
            self.emit(Token(turn, word + " "))
        self.emit(Answered(turn, hang_up, flaw))

    async def _think(self, fault: Fault) -> None:
        self.emit(Alive(busy=fault.how == "work"))
        if fault.how == "work":
            await asyncio.sleep(fault.seconds)
            return
        for _ in range(int(fault.seconds / 0.1)):
            await asyncio.sleep(0.1)
            self.emit(Alive())

    def cancel(self) -> None:
        self._early.clear()
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def close(self) -> None:
        self.cancel()


class FakeTts(_Fallible, TtsSession):
    """Spells its segments in chunks of 100 ms, `speed` times as fast as they are heard."""

    def __init__(self, options: FakeTtsOptions, emit, audio: AudioFormat, language: str) -> None:
        super().__init__(options, emit, audio, language)
        self._early = []
        self._segment = 0
        self._queue: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        await self.open_late()

    def emit_empty(self) -> None:
        self.emit(SegmentAudio(self._segment, b""))

    def speak(self, segment: int, text: str) -> None:
        self._segment = segment
        if self.strikes("speak", lambda: text):
            return
        self._queue.put_nowait((segment, text))
        self.when_open(self._begin)

    def _begin(self) -> None:
        if self._task is None and not self._queue.empty():
            self._task = asyncio.get_running_loop().create_task(self._speak_all())

    async def _speak_all(self) -> None:
        while True:
            segment, text = await self._queue.get()
            convert = Converter(PCM_8K, self.audio)
            pcm, at_ms = tones.spell(text), 0
            words = [Word(word, i * 200.0, i * 200.0 + 160) for i, word in enumerate(text.split())]
            for start in range(0, len(pcm), 1600):
                try:
                    if self.strikes("audio", lambda text=text: text):
                        return
                except (RuntimeError, SystemExit) as error:
                    self.emit(SessionFailed(ProviderError("fake", str(error))))
                    return
                await self.pause_over()
                here = tuple(w for w in words if at_ms <= w.start_ms < at_ms + 100) if self.options.word_times else ()
                self.emit(SegmentAudio(segment, convert.convert(pcm[start : start + 1600]), here))
                at_ms += 100
                await asyncio.sleep(0.1 / self.options.speed)
            if tail := convert.flush():
                self.emit(SegmentAudio(segment, tail))
            self.emit(SegmentDone(segment))

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._task, self._queue = None, asyncio.Queue()

    def close(self) -> None:
        self.cancel()


_FORMATS = tuple(AudioFormat(e, r) for e in (Encoding.MULAW, Encoding.PCM) for r in (8000, 16000))
SPECS = (
    ProviderSpec(
        name="fake",
        kind="stt",
        summary="reads tones",
        options=FakeSttOptions,
        session="tests.fakes.providers:FakeStt",
        formats=_FORMATS,
    ),
    ProviderSpec(
        name="fake",
        kind="llm",
        summary="repeats",
        options=FakeLlmOptions,
        session="tests.fakes.providers:FakeLlm",
    ),
    ProviderSpec(
        name="fake",
        kind="tts",
        summary="spells tones",
        options=FakeTtsOptions,
        session="tests.fakes.providers:FakeTts",
        word_times=True,
    ),
)

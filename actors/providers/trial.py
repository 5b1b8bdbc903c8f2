"""A conversation of one sentence with a provider: does it answer, and how fast?

It is held over the session classes that calls use, in a telephone's formats, with audio at the pace of a call.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from actors.call.phrasing import Phrasing
from actors.engines.voice_client import synthesize
from actors.errors import ProviderError, ProviderStalled, Remedy
from actors.media.audio import FRAME_MS, MULAW_8K, PCM_8K
from actors.providers.registry import Registry
from actors.providers.spec import (
    Answered,
    ChatMessage,
    Emit,
    EndOfTurn,
    Final,
    Kind,
    Question,
    SegmentAudio,
    SegmentDone,
    SessionEvent,
    SessionFailed,
    Token,
)
from config.assistant import ProviderChoice, Speech
from config.errors import CallboardError

HEARING, SPEAKING = PCM_8K, MULAW_8K  # what a call over a telephone line gives to stt, and wants from tts
LIMIT_S = 15.0
WORDS_PER_MINUTE = 150
_AUDIBLE = 300  # of 32768: the tail of the speech below it is silence


@dataclass(frozen=True, slots=True)
class SttFigures:
    """What was heard. Times count from the end of the speech, where the session is told to finalize."""

    connect_ms: float
    speech_ms: float
    final_ms: float
    end_of_turn_ms: float
    transcript: str


@dataclass(frozen=True, slots=True)
class LlmFigures:
    """What was answered. Times count from the question; a clause is what the voice could begin with."""

    connect_ms: float
    first_token_ms: float
    first_clause_ms: float
    answer_ms: float
    answer: str


@dataclass(frozen=True, slots=True)
class TtsFigures:
    """What was spoken. Times count from the text; `realtime_factor` is time to make / length, below 1 is in time."""

    connect_ms: float
    first_audio_ms: float
    all_audio_ms: float
    length_ms: float
    realtime_factor: float


Figures = SttFigures | LlmFigures | TtsFigures


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPlan:
    """Whom to try, and with what. `speech` is `sentence` spoken, in the `HEARING` format (stt only)."""

    kind: Kind
    choice: ProviderChoice
    sentence: str
    language: str = "en-US"
    system_prompt: str = ""
    phrases: tuple[str, ...] = ()
    speech: bytes = b""


class Trial(ABC):
    """One session: made, opened, given one sentence, measured, closed.

    `limit_s` bounds each wait; `on_wait(what)` is told what is waited for.
    """

    def __init__(self, registry: Registry, plan: TrialPlan, limit_s: float, on_wait: Callable[[str], None]) -> None:
        self._registry, self._plan = registry, plan
        self._limit_s, self._on_wait = limit_s, on_wait
        self._provider = plan.choice.provider
        self._session: Any = None
        self._events: list[tuple[float, SessionEvent]] = []  # with the time when each came
        self._news = asyncio.Event()
        self._awaited = ""
        self._deadline = asyncio.timeout(None)  # which a failure of the session moves to now
        self._failure: ProviderError | None = None
        self._over = False

    async def hold(self) -> Figures:
        """Raises `ProviderError` if it fails, `ProviderStalled` if it is silent for too long."""
        try:
            async with self._deadline:
                self._expect("the connection")
                began_s = _now()
                self._session = self._make(self._take)
                await self._session.open()
                return await self._converse(_ms(began_s, _now()))
        except CallboardError:
            raise
        except (Exception, SystemExit) as error:  # TimeoutError, or a crash of the session
            raise self._failure or self._reason(error) from None
        finally:
            self._over = True
            if self._session is not None:
                self._session.close()
                await self._session.wait_closed()

    @abstractmethod
    def _make(self, emit: Emit) -> Any:
        """The session, not yet opened."""

    @abstractmethod
    async def _converse(self, connect_ms: float) -> Figures:
        """Over the open session."""

    def _expect(self, what: str, after_s: float = 0.0) -> None:
        """The limit starts anew, `after_s` from now."""
        self._awaited = what
        self._on_wait(what)
        self._end_after(after_s + self._limit_s)

    def _end_after(self, delay_s: float) -> None:
        if not self._deadline.expired() and self._failure is None:
            self._deadline.reschedule(asyncio.get_running_loop().time() + delay_s)

    def _take(self, event: SessionEvent) -> None:
        if self._over:
            return
        self._events.append((_now(), event))
        self._news.set()
        if isinstance(event, SessionFailed):
            self._end_after(0.0)
            self._failure = event.error

    def _came(self, *kinds: type[SessionEvent], since_s: float = 0.0) -> float | None:
        """When the first of these events came."""
        return next((at_s for at_s, event in self._events if isinstance(event, kinds) and at_s >= since_s), None)

    async def _wait_for(self, *kinds: type[SessionEvent]) -> float:
        while (at_s := self._came(*kinds)) is None:
            self._news.clear()
            await self._news.wait()
        return at_s

    def _reason(self, error: BaseException) -> ProviderError:
        if self._deadline.expired():
            return ProviderStalled(self._provider, f"{self._awaited} did not come in {self._limit_s:g} s")
        return ProviderError(self._provider, f"{type(error).__name__}: {error}")

    def _wrong(self, detail: str) -> ProviderError:
        return ProviderError(self._provider, detail, Remedy.CONFIG)


class SttTrial(Trial):
    """Speaks the sentence as a caller would, finalizes at its end, and stays silent until the turn is over."""

    def _make(self, emit: Emit) -> Any:
        plan = self._plan
        return self._registry.open_stt(plan.choice, emit, HEARING, plan.language, plan.phrases)

    async def _converse(self, connect_ms: float) -> Figures:
        speech_ms = HEARING.duration_ms(len(self._plan.speech))
        self._expect("the transcript", speech_ms / 1000)
        ended_s = await self._speak()
        finals = [(at_s, event.text) for at_s, event in self._events if isinstance(event, Final) and event.text]
        if not finals:
            raise self._wrong(f"heard no words in {speech_ms / 1000:.1f} s of speech")
        end_of_turn_s = self._came(EndOfTurn, since_s=ended_s) or ended_s
        return SttFigures(
            connect_ms,
            round(speech_ms, 1),
            max(0.0, _ms(ended_s, finals[-1][0])),  # all may have been final before the end
            _ms(ended_s, end_of_turn_s),
            " ".join(text for _, text in finals),
        )

    async def _speak(self) -> float:
        """Until the turn is over; returns when the speech ended."""
        speech, size = self._plan.speech, HEARING.frame_bytes
        began_s, count, ended_s = _now(), 0, None
        while ended_s is None or self._came(EndOfTurn, since_s=ended_s) is None:
            frame = speech[count * size :][:size].ljust(size, b"\0")
            count += 1
            await asyncio.sleep(began_s + count * FRAME_MS / 1000 - _now())  # until it has been spoken
            self._session.hear(frame)
            if ended_s is None and count * size >= len(speech):
                ended_s = _now()
                self._session.finalize()
        return ended_s


class LlmTrial(Trial):
    """Asks the sentence and reads the answer to its end."""

    def _make(self, emit: Emit) -> Any:
        return self._registry.open_llm(self._plan.choice, emit)

    async def _converse(self, connect_ms: float) -> Figures:
        self._expect("the first word of the answer")
        asked_s = _now()
        self._session.ask(Question(1, self._history()))
        first_s = await self._wait_for(Token, Answered)
        self._expect("the rest of the answer")
        done_s = await self._wait_for(Answered)
        tokens = [(at_s, event.text) for at_s, event in self._events if isinstance(event, Token)]
        answer = "".join(text for _, text in tokens).strip()
        if not answer:
            raise self._wrong("answered without a word")
        clause_s = _first_clause_s(tokens, self._plan.language, done_s)
        return LlmFigures(connect_ms, _ms(asked_s, first_s), _ms(asked_s, clause_s), _ms(asked_s, done_s), answer)

    def _history(self) -> tuple[ChatMessage, ...]:
        prompt = self._plan.system_prompt or "You are on the telephone. Answer in one short sentence."
        return ChatMessage("system", prompt), ChatMessage("user", self._plan.sentence)


class TtsTrial(Trial):
    """Has the sentence spoken."""

    def _make(self, emit: Emit) -> Any:
        return self._registry.open_tts(self._plan.choice, emit, SPEAKING, self._plan.language)

    async def _converse(self, connect_ms: float) -> Figures:
        self._expect("the first audio")
        asked_s = _now()
        self._session.speak(1, self._plan.sentence)
        self._session.end()
        first_s = await self._wait_for(SegmentAudio, SegmentDone)
        self._expect("the rest of the audio")
        done_s = await self._wait_for(SegmentDone)
        payloads = (event.payload for _, event in self._events if isinstance(event, SegmentAudio))
        length_ms = SPEAKING.duration_ms(sum(map(len, payloads)))
        if not length_ms:
            raise self._wrong("made no audio")
        made_ms = _ms(asked_s, done_s)
        return TtsFigures(
            connect_ms, _ms(asked_s, first_s), made_ms, round(length_ms, 1), round(made_ms / length_ms, 3)
        )


_TRIALS: dict[Kind, type[Trial]] = {"stt": SttTrial, "llm": LlmTrial, "tts": TtsTrial}


async def try_provider(
    registry: Registry,
    plan: TrialPlan,
    limit_s: float = LIMIT_S,
    on_wait: Callable[[str], None] = lambda what: None,
) -> Figures:
    """Hold the conversation; see `Trial`. An stt plan without speech has the embedded voice say the sentence."""
    if plan.kind == "stt" and not plan.speech:
        plan = replace(plan, speech=await _speech(plan.sentence, plan.language))
    return await _TRIALS[plan.kind](registry, plan, limit_s, on_wait).hold()


async def _speech(text: str, language: str) -> bytes:
    """The sentence in `HEARING` format, without the silence after it."""
    pcm = await synthesize(text, language.lower(), WORDS_PER_MINUTE, audio=HEARING)
    loud = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2").astype(np.int32)) > _AUDIBLE)
    return pcm[: 2 * (int(loud[-1]) + 1)] if loud.size else b""


def _first_clause_s(tokens: Sequence[tuple[float, str]], language: str, done_s: float) -> float:
    phrasing = Phrasing(Speech(), language)
    return next((at_s for at_s, text in tokens if phrasing.feed(text)), done_s)


def _now() -> float:
    """Not the loop's time, which uvloop counts in whole milliseconds and only once per turn."""
    return time.monotonic()


def _ms(from_s: float, to_s: float) -> float:
    return round((to_s - from_s) * 1000, 1)

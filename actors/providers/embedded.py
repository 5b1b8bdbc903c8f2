"""The `embedded` voice: hears English and speaks with espeak-ng, without account, key or network.

`embedded` hears freely (Moonshine); where that cannot run, or by the name `embedded-grammar`, pocketsphinx hears only
the sentences that the assistant's language model knows (its grammar). All engines run in processes of their own, see
`actors.engines`.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator

from actors.engines import weights
from actors.engines.pool import engine_pool
from actors.engines.process import Channel
from actors.engines.voice_client import speech_opening, synthesize
from actors.errors import ProviderError, Remedy
from actors.media.audio import MULAW_8K, PCM_8K, PCM_16K, AudioFormat, Encoding
from actors.providers.grammar import jsgf, normalise, vocabulary
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
    Use,
    Word,
)
from config.options import OneOrMany
from config.problems import Problem, unknown

log = logging.getLogger(__name__)

# The sounds of the acoustic model, without the stress (AA1) that a dictionary may show.
ARPABET = "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH"
SOUNDS = frozenset(ARPABET.split())
MOST_NAMED = 20  # unknown words in one complaint


def hears(language: str) -> bool:
    """Whether the recognizer's model is of this language."""
    return re.split("[-_]", language.lower())[0] == "en"


def _sounds(ways: tuple[str, ...]) -> tuple[str, ...]:
    checked = tuple(" ".join(re.sub("[0-2]$", "", sound) for sound in way.upper().split()) for way in ways)
    for way in checked:
        if wrong := [sound for sound in way.split() if sound not in SOUNDS]:
            raise ValueError(f"{wrong[0]!r:.20} is no sound of ARPAbet; legal are: {ARPABET}")
        if not way:
            raise ValueError("must hold at least one sound of ARPAbet")
    return checked


def _not_english(language: str) -> Problem:
    return Problem((), f"embedded hears English only, and the assistant's language is {language!r}: name another stt")


Way = Annotated[str, Field(max_length=200)]
Sounds = Annotated[tuple[Way, ...], Field(min_length=1, max_length=20), OneOrMany(), AfterValidator(_sounds)]


class GrammarOptions(Options):
    """What the assistant's YAML says beside `provider: embedded-grammar` under `stt`."""

    threshold: float = Field(-8.0, ge=-30, le=0, description="how badly a sentence may fit; lower accepts more")
    pronunciations: dict[str, Sounds] = Field(
        {},
        description="how words sound, in ARPAbet, several ways in a list: for words that the dictionary lacks, or has "
        "otherwise",
        examples=['{callboard: "K AO L B AO R D"}'],
        max_length=1000,
    )

    @field_validator("pronunciations")
    @classmethod
    def _by_words(cls, given: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        """Words as the sentences have them, in lower case."""
        for word in given:
            if not normalise(word) or " " in normalise(word):
                raise ValueError(f"{word!r:.60}: must be one word, as it stands in the sentences")
        return {normalise(word): sounds for word, sounds in given.items()}

    def problems(self, use: Use) -> Iterator[Problem]:
        """Not English, or sentences that could never be heard."""
        if not hears(use.language):
            yield _not_english(use.language)
        if use.phrases is None:
            return
        if not use.phrases:
            yield Problem((), "embedded-grammar hears listed sentences only, and no llm of this assistant lists any")
            return
        words = vocabulary(use.phrases)
        for word in sorted(self.pronunciations.keys() - set(words)):
            yield Problem(("pronunciations", word), "no sentence has this word", fatal=False)
        yield from self._unheard(use.phrases, words)

    def _unheard(self, phrases: tuple[str, ...], words: list[str]) -> Iterator[Problem]:
        from actors.engines.child import WorkFailed
        from actors.engines.recognizer import unknown_words

        try:
            lacking = set(unknown_words(words)) - self.pronunciations.keys()
        except WorkFailed as error:
            yield Problem((), f"cannot be checked on this machine: {error.detail}", fatal=False)
            return
        if lacking:
            found = ", ".join(f"{word!r} in {_first_with(word, phrases)!r}" for word in sorted(lacking)[:MOST_NAMED])
            more = f" and {len(lacking) - MOST_NAMED} more" if len(lacking) > MOST_NAMED else ""
            yield Problem(
                (),
                f"the recognizer does not know {found}{more}: write numbers and abbreviations as words, or say under "
                f'`pronunciations` how a word sounds, such as {min(lacking)}: "HH AH L OW" (docs/assistant.md)',
            )


class SttOptions(GrammarOptions):
    """What the assistant's YAML says beside `provider: embedded` under `stt`. `threshold` and `pronunciations` are for
    machines that cannot hear freely."""

    confidence: float = Field(
        -0.35, ge=-5, le=0, description="how sure it must be of a text: its mean log probability; lower accepts more"
    )
    hints: bool = Field(True, description="take what sounds like a sentence of the language model for it")

    def problems(self, use: Use) -> Iterator[Problem]:
        """Not English; what its stand-in cannot hear where that has to hear."""
        if free_speech.why_not():
            yield from super().problems(use)
        elif not hears(use.language):
            yield _not_english(use.language)


class TtsOptions(Options):
    """What the assistant's YAML says beside `provider: embedded` under `tts`."""

    voice: str = Field(
        "", max_length=60, description="espeak-ng's name; empty: by the assistant's language", examples=["en-us+f3"]
    )
    words_per_minute: int = Field(165, ge=80, le=450, description="how fast it speaks")
    pitch: int = Field(50, ge=0, le=99, description="how high it speaks")

    def sound(self, language: str) -> tuple[str, int, int]:
        """The voice, its speed and its pitch, as `actors.engines.voice` takes them."""
        return self.voice or language.lower(), self.words_per_minute, self.pitch

    def problems(self, use: Use) -> Iterator[Problem]:
        """A voice that espeak-ng does not have."""
        from actors.engines.voices import find_voice

        name = self.sound(use.language)[0]
        try:
            found = find_voice(name)
        except ProviderError as error:
            yield Problem((), f"cannot be checked on this machine: {error.detail}", fatal=False)
            return
        if not found.is_there:
            whose = "voice" if self.voice else "voice for the assistant's language"
            yield Problem(("voice",), f"espeak-ng has no such {whose}: {unknown('voice', name, found.legal)}")
        elif found.variant_is_missing:
            text = f"espeak-ng has no such variant: {unknown('variant', name.partition('+')[2], found.legal)}"
            yield Problem(("voice",), f"{text}; the voice will sound plain", fatal=False)


SPECS = (
    ProviderSpec(
        name="embedded",
        kind="stt",
        summary="Moonshine: English, in the caller's own words",
        options=SttOptions,
        session="actors.providers.embedded:EmbeddedStt",
        local=True,
        formats=(PCM_8K, PCM_16K),
    ),
    ProviderSpec(
        name="embedded-grammar",
        kind="stt",
        summary="pocketsphinx: English, hears only the sentences that the language model lists",
        options=GrammarOptions,
        session="actors.providers.embedded:GrammarStt",
        local=True,
        formats=(PCM_8K, PCM_16K),
    ),
    ProviderSpec(
        name="embedded",
        kind="tts",
        summary="espeak-ng: robotic but clear, many languages",
        options=TtsOptions,
        session="actors.providers.embedded:EmbeddedTts",
        local=True,
        formats=(AudioFormat(Encoding.PCM, 22050), PCM_16K, PCM_8K, MULAW_8K),
        word_times=True,
    ),
)


def _first_with(word: str, phrases: tuple[str, ...]) -> str:
    return next(phrase for phrase in phrases if word in phrase.split())


class FreeSpeech:
    """Whether this process's machine hears freely: looked at once, and said once."""

    def __init__(self) -> None:
        self._why_not: str | None = None

    def why_not(self) -> str:
        """In one line; "" if it does."""
        if self._why_not is None:
            self.give_up(weights.why_not())
        return self._why_not or ""

    def give_up(self, why_not: str) -> None:
        self._why_not = why_not
        if why_not:
            log.warning("embedded-grammar hears in place of embedded, listed sentences only: %s", why_not)


free_speech = FreeSpeech()


class GrammarStt(SttSession):
    """One caller, heard in a recognizer process against the sentences that the language model lists."""

    def __init__(self, options: Any, emit: Emit, audio: AudioFormat, language: str, phrases: tuple[str, ...]) -> None:
        super().__init__(options, emit, audio, language, phrases)
        self._channel: Channel | None = None
        self._early: list[Callable[[Channel], None]] = []  # work given before `open`
        self._opened: asyncio.Future[None] | None = None
        self._closed = False

    async def open(self) -> None:
        if not self._closed:
            await self._open(self._opening())

    async def _open(self, opening: dict[str, Any]) -> None:
        self._channel = engine_pool("recognizer").open(self, opening)
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

    @property
    def lag_s(self) -> float:
        return self._channel.lag_s if self._channel else 0.0

    @property
    def busy(self) -> bool:
        return self._channel is not None and self._channel.busy

    def on_audio(self, payload: bytes) -> None:
        """Never comes."""

    def on_event(self, event: dict[str, Any]) -> None:
        if "interim" in event:
            self.emit(Interim(event["interim"], event["end_ms"]))
        elif "final" in event:
            self.emit(Final(event["final"], event["end_ms"]))
        elif "end_of_turn" in event:
            self.emit(EndOfTurn(event["end_ms"]))
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
        self._check()
        words = vocabulary(self.phrases)
        if not words:
            raise ProviderError("embedded", "hears listed sentences only, and was given none", Remedy.CONFIG)
        settings = {"rate": self.audio.rate, "threshold": self.options.threshold}
        sounds = {word: self.options.pronunciations[word] for word in words if word in self.options.pronunciations}
        return {"grammar": jsgf(self.phrases), "words": words, "pronunciations": sounds, **settings}

    def _check(self) -> None:
        if not hears(self.language):
            raise ProviderError("embedded", f"hears English only, not {self.language}", Remedy.CONFIG)
        if self.audio not in (PCM_8K, PCM_16K):
            raise ProviderError("embedded", f"hears 8 or 16 kHz PCM, not {self.audio}", Remedy.CONFIG)


class EmbeddedStt(GrammarStt):
    """One caller, heard freely in a recognizer process; where that cannot be, as `GrammarStt` does."""

    def _opening(self) -> dict[str, Any]:
        if free_speech.why_not():
            return super()._opening()
        self._check()
        hints = self.phrases if self.options.hints else ()
        return {"rate": self.audio.rate, "confidence": self.options.confidence, "hints": hints}

    async def open(self) -> None:
        try:
            await super().open()
        except ProviderError as error:
            if error.remedy is not Remedy.CONFIG or free_speech.why_not() or not hears(self.language):
                raise
            free_speech.give_up(error.detail)  # its weights are not what they were
            await super().open()


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
        await synthesize("", *self.options.sound(self.language))  # starts the engine, and proves the voice

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

    @property
    def lag_s(self) -> float:
        return self._channel.lag_s if self._channel else 0.0

    @property
    def busy(self) -> bool:
        return self._channel.busy if self._channel else engine_pool("voice").busy  # which then opens

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
        sound: tuple[str, int, int] = self.options.sound(self.language)
        self._channel = engine_pool("voice").open(self, speech_opening(text, *sound, self.audio))

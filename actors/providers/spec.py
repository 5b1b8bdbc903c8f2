"""The seam that every provider stands on: a spec, an options model and a session class in one file.

A provider is a module in `actors/providers/` with a tuple `SPECS`; discovery imports each module (so heavy imports
belong inside the session), and `EXTRA_PROVIDERS` in the settings names further modules. A session lives inside one
member actor. Its methods return at once; what it has to say it says by `emit`, on the loop thread. It reports its
own failure by `emit(SessionFailed(error))` once, after which only `close` is called; `open` may raise `ProviderError`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from actors.errors import ProviderError
from actors.media.audio import AudioFormat
from actors.wording import Wording
from config.assistant import Model
from config.problems import Problem

Kind = Literal["stt", "llm", "tts"]


@dataclass(frozen=True, slots=True)
class Use:
    """What an assistant wants of a provider."""

    language: str
    phrases: tuple[str, ...] | None  # all that its language models understand; None: they are wrong themselves


class Options(Model):
    """Base of all options models: what an assistant's YAML may say beside the provider's name."""

    def prepare(self, language: str) -> None:
        """What its sessions share and need not wait for, made once, in a thread, for an assistant of this language."""

    def problems(self, use: Use) -> Iterable[Problem]:
        """What could only fail on the line, found when the file is applied, with paths below the options; nothing is
        asked of a network. It may take a second."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSpec:
    """What there is to know about a provider without importing its session."""

    name: str
    kind: Kind
    summary: str
    options: type[Options]
    session: str  # "module:Class" (or a function that makes one), imported when the first call needs it
    formats: tuple[AudioFormat, ...] = ()  # audio it takes (stt) or can make (tts), best first
    word_times: bool = False  # tts: tells when each word is heard
    ends_turns: bool = False  # stt: says by itself that the caller has finished; else only our VAD does
    local: bool = False  # runs on this machine, for nobody else: its slowness is ours, and no breaker is for it


# --- what sessions emit ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Interim:
    """stt: what the caller seems to be saying in this utterance so far (replaces the interim before). While a voice is
    heard one comes at least each second, also an unchanged or empty one: who is silent for longer has stalled.
    `end_ms`: how far it has heard in the audio given to this session; None: it does not say, so all of it."""

    text: str
    end_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Final:
    """stt: a segment that will not change; `end_ms` is where it ends in the audio given to this session. An empty one
    confirms the interim before it."""

    text: str
    end_ms: float


@dataclass(frozen=True, slots=True)
class EndOfTurn:
    """stt: the caller has finished; all finals of the turn were emitted before (none if nothing was understood).
    `end_ms`: up to where it has heard in the audio given to this session, which tells a late answer to a `finalize`
    from one to the next; None: it does not say."""

    end_ms: float | None = None


@dataclass(frozen=True, slots=True)
class EagerEndOfTurn:
    """stt: the caller has probably finished, with `text` since the last final; an answer may be prepared. `EndOfTurn`
    follows, or `TurnResumed`."""

    text: str


@dataclass(frozen=True, slots=True)
class TurnResumed:
    """stt: the caller goes on after an `EagerEndOfTurn`."""


@dataclass(frozen=True, slots=True)
class Token:
    """llm: the next piece of the answer to question `turn`."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class Answered:
    """llm: no more comes of the answer to question `turn`; `hang_up` when the conversation is over once it was spoken.
    `flaw`: why it is not whole, such as "length" or "content_filter"; empty: it is."""

    turn: int
    hang_up: bool = False
    flaw: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """llm: an answer has cost so many tokens, those of the question included; may come after its `Answered`."""

    tokens: int


MOST_WORDS = 1000  # of a segment; of what a vendor tells more the rest is passed over


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a segment and when it is spoken, in ms from the segment's first audio."""

    text: str
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class SegmentAudio:
    """tts: the next audio of `segment` in the session's format, with the words that begin in it, if known."""

    segment: int
    payload: bytes
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class SegmentDone:
    """tts: all audio of `segment` was emitted."""

    segment: int


@dataclass(frozen=True, slots=True)
class Alive:
    """Any session: something has come that carries nothing for the call, but shows that its provider lives. `busy`: it
    is at work that may take a while before there is anything to say."""

    busy: bool = False


@dataclass(frozen=True, slots=True)
class SessionFailed:
    """Any session: it is of no use any more."""

    error: ProviderError


SessionEvent = (
    Interim
    | Final
    | EndOfTurn
    | EagerEndOfTurn
    | TurnResumed
    | Token
    | Answered
    | Usage
    | SegmentAudio
    | SegmentDone
    | Alive
    | SessionFailed
)
Emit = Callable[[SessionEvent], None]


# --- what sessions are given -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One line of the history as it was heard."""

    role: Literal["system", "user", "assistant"]
    line: str | Wording

    @property
    def text(self) -> str:
        """What the model is told. Keys that the caller has pressed are in it: it goes into the request, and is neither
        logged nor kept."""
        return self.line.told if isinstance(self.line, Wording) else self.line


@dataclass(frozen=True, slots=True)
class Question:
    """One question to a language model.

    `history` ends with the caller's words. `said` is the part of the answer that an earlier, failed attempt has
    already delivered: the session emits what follows it, or all of it again, and the responder drops the beginning.
    """

    turn: int
    history: tuple[ChatMessage, ...]
    said: str = ""


class Session(ABC):
    """One connection to a provider, for one member of one call."""

    def __init__(self, options: Any, emit: Emit) -> None:
        self.options, self.emit = options, emit

    async def open(self) -> None:  # noqa: B027 - not every session has something to connect
        """Connect. Work given before it is done is queued by the session. Raises `ProviderError`."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything at once; emits nothing from now on. May be called twice, and before `open`."""

    @property
    def lag_s(self) -> float:
        """How late its engine does what it is told, in seconds, for want of CPU: who waits for it adds this. What runs
        elsewhere does not say."""
        return 0.0

    @property
    def busy(self) -> bool:
        """Whether its engine on this machine has its hands full, so that what it owes will come."""
        return False

    async def wait_closed(self) -> None:  # noqa: B027 - most goodbyes need no time
        """After `close`: until the provider has taken our goodbye. A call need not wait; who ends the loop must."""


class SttSession(Session):
    """Hears one caller. `phrases` are sentences to expect: a grammar for some, hints for others."""

    def __init__(self, options: Any, emit: Emit, audio: AudioFormat, language: str, phrases: tuple[str, ...]) -> None:
        super().__init__(options, emit)
        self.audio, self.language, self.phrases = audio, language, phrases

    @abstractmethod
    def hear(self, payload: bytes) -> None:
        """The caller's next audio, 20-100 ms, in the session's format; silence is not left out."""

    @property
    def unsent_ms(self) -> float:
        """Of the audio given so far, what its provider does not take yet: work that is not handed over."""
        return 0.0

    @abstractmethod
    def finalize(self) -> None:
        """Our VAD hears the end of speech: say what is final now. Answered by `EndOfTurn`, after any finals."""


class LlmSession(Session):
    """Answers one caller's questions, one at a time."""

    language = "en"  # the assistant's; set before it is opened

    @abstractmethod
    def ask(self, question: Question) -> None:
        """Answer with `Token`s and one `Answered`; a question still under way is cancelled."""

    @abstractmethod
    def cancel(self) -> None:
        """Stop the answer under way, so that it costs nothing more; nothing of it is emitted afterwards."""


class TtsSession(Session):
    """Speaks to one caller, segments in the order in which they are given."""

    def __init__(self, options: Any, emit: Emit, audio: AudioFormat, language: str) -> None:
        super().__init__(options, emit)
        self.audio, self.language = audio, language

    @abstractmethod
    def speak(self, segment: int, text: str) -> None:
        """Answer with `SegmentAudio` and one `SegmentDone`."""

    def end(self) -> None:
        """No further segment of this utterance: what is given next belongs to another. Most voices need not know."""

    @abstractmethod
    def cancel(self) -> None:
        """Forget every segment given so far; nothing of them is emitted afterwards."""

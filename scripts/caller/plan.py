"""What a simulated call shall do, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Via = Literal["twilio", "audiosocket", "browser"]


@dataclass(frozen=True, slots=True)
class Sentence:
    """One thing that the caller says: PCM s16le mono at 8 kHz, without silence around it."""

    text: str
    pcm: bytes
    voice: str = ""  # who says it, where that was chosen for him: `flite/rms`


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlan:
    """One call. `turns` sentences are said, the list starting over when it is shorter."""

    to: str  # "http://127.0.0.1:9007"
    assistant: str  # id or name
    via: Via
    sentences: tuple[Sentence, ...]
    turns: int
    key: str | None = None
    caller: str = "+15550100"
    callee: str = "+15550199"
    audiosocket: tuple[str, int] | None = None  # None: the host of `to`, port 4573
    barge_in: bool = False  # interrupt the second answer after one second of it
    dtmf: str = ""  # keys pressed after the greeting
    record: Path | None = None
    answer_wait_s: float = 8.0  # a turn without an answer for so long is unanswered
    silence_s: float = 0.7  # an assistant that was silent for so long has finished
    follow: bool = True  # read the conversation from the server while it happens; needs the key


@dataclass(frozen=True, slots=True)
class TurnReport:
    """One turn of the caller: from the end of the own sentence to the first audible answer, to within 20 ms."""

    number: int
    said: str
    latency_ms: float | None  # None: unanswered


@dataclass(frozen=True, slots=True)
class AudioReport:
    """How the assistant's audio came: `late_frames` of 20 ms were missing when the caller's ear needed them."""

    frames: int
    late_frames: int
    max_gap_ms: float | None  # between two arriving frames; only where the server keeps the pace


@dataclass(frozen=True, slots=True)
class CallReport:
    """How the call went. `conversation` is the server's own record of it, if it was followed."""

    context_id: str
    via: Via
    greeting_ms: float | None  # from connected to the first audible word
    turns: tuple[TurnReport, ...]
    barge_in_ms: float | None  # the assistant went on for so long after it was interrupted
    voice: str  # of the caller, where it was chosen for him
    ended_by: Literal["caller", "assistant"]
    duration_s: float
    audio: AudioReport
    conversation: dict[str, Any] | None

    @property
    def answered(self) -> bool:
        """Every turn was answered."""
        return all(turn.latency_ms is not None for turn in self.turns)


# --- what happens while it happens -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Connected:
    """The media connection stands."""

    context_id: str


@dataclass(frozen=True, slots=True)
class CallerSays:
    """The caller begins a sentence."""

    turn: int
    text: str
    interrupting: bool


@dataclass(frozen=True, slots=True)
class TurnOver:
    """The turn was answered, or nothing came."""

    report: TurnReport


@dataclass(frozen=True, slots=True)
class MessageSeen:
    """The server has written down a line of the conversation: what it heard, or what it let the caller hear."""

    role: str
    text: str
    interrupted: bool


@dataclass(frozen=True, slots=True)
class NotFollowed:
    """The conversation's record cannot be read; the call goes on without it."""

    reason: str


CallEvent = Connected | CallerSays | TurnOver | MessageSeen | NotFollowed
Observer = Callable[[CallEvent], None]


def ignore(event: CallEvent) -> None:
    """The observer who looks away."""

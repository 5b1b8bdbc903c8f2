"""What happens in a call, for a wire whose other end wants to see it: a browser's page, not a telephone.

A wire that has a method `observe(event: CallEvent) -> None` is told, on the loop thread; it must not raise. The caller
sees no more than the caller could hear: the own words, the assistant's, and how long they took.
"""

from __future__ import annotations

from dataclasses import dataclass

from actors.call.effects import End, Measured, Said, To, Unasked
from actors.errors import Termination
from actors.messages import PlayoutDone, PlayoutStarted, PlayoutStopped, Speak, SpeechEnded, SpeechStarted, Transcript


@dataclass(frozen=True, slots=True)
class VoiceStarted:
    """The VAD hears the caller's voice."""


@dataclass(frozen=True, slots=True)
class VoiceEnded:
    """The caller's voice has paused."""


@dataclass(frozen=True, slots=True)
class CallerWords:
    """What the caller says; an interim is replaced by what follows, a final is not."""

    text: str
    final: bool


@dataclass(frozen=True, slots=True)
class AssistantStarted:
    """The first audio of the utterance went out."""

    utterance: int


@dataclass(frozen=True, slots=True)
class AssistantSays:
    """The next clause of the utterance was given to the voice: not heard yet, and perhaps never."""

    utterance: int
    text: str


@dataclass(frozen=True, slots=True)
class AssistantStopped:
    """The utterance is over: heard to its end, or interrupted."""

    utterance: int
    interrupted: bool


@dataclass(frozen=True, slots=True)
class AssistantWords:
    """What the caller has heard of an utterance, once it is over."""

    text: str
    interrupted: bool


@dataclass(frozen=True, slots=True)
class TurnMeasured:
    """A figure of a turn; the name ends in its unit."""

    turn: int
    name: str
    value: float


@dataclass(frozen=True, slots=True)
class NotAnswered:
    """What the caller said gets no answer, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class CallEnding:
    """We hang up, and why."""

    termination: Termination


CallEvent = (
    VoiceStarted
    | VoiceEnded
    | CallerWords
    | AssistantStarted
    | AssistantSays
    | AssistantStopped
    | AssistantWords
    | TurnMeasured
    | NotAnswered
    | CallEnding
)


def event_of(happening: object) -> CallEvent | None:
    """What a member's message, or an effect of the conversation, is to an onlooker; None: nothing."""
    match happening:
        case SpeechStarted():
            return VoiceStarted()
        case SpeechEnded():
            return VoiceEnded()
        case Transcript(text=text, final=final) if text:
            return CallerWords(text, final)
        case PlayoutStarted(utterance=utterance):
            return AssistantStarted(utterance)
        case PlayoutDone(utterance=utterance):
            return AssistantStopped(utterance, interrupted=False)
        case PlayoutStopped(utterance=utterance, flushed=True):
            return AssistantStopped(utterance, interrupted=True)
        case To(message=Speak(utterance=utterance, text=text)):
            return AssistantSays(utterance, text)
        case Said(role="assistant", text=text, interrupted=interrupted):
            return AssistantWords(text, interrupted)
        case Measured(name=name, turn=turn, value=value):
            return TurnMeasured(turn, name, value)
        case Unasked(reason=reason):
            return NotAnswered(reason)
        case End(termination=termination):
            return CallEnding(termination)
    return None

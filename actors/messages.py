"""Everything that crosses a mailbox in a call: frozen, slotted, one line each: from -> to, meaning.

`utterance` numbers what the assistant says (greeting, answers, prompts) and `turn` the questions to the responder, both
from 1 and never used twice in a call; `segment` numbers the clauses of an utterance. Times `*_ms` are on the caller's
audio clock: milliseconds of audio since the media began. Objects that live in one process (a wire, the clock) travel in
a `Local`, which survives the copying mode of the tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from actors.errors import ProviderError, Termination
from actors.loop.local import Local
from actors.media.audio import AudioFormat
from actors.providers.spec import Question, Word
from actors.wording import Digits
from config.assistant import AssistantConfig, Echo, Endpointing, ProviderChoice, Speech, Stalls
from store.records import CallContext

# --- the life of a call ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartCall:
    """listener -> Call: take this wire and answer it; `services` is a `Services` (actors.services)."""

    context: CallContext
    assistant: AssistantConfig
    wire: Local
    services: Local


@dataclass(frozen=True, slots=True)
class CallEnded:
    """Call -> Switchboard: the call is over and its actors are about to exit."""

    context_id: UUID
    termination: Termination


@dataclass(frozen=True, slots=True)
class HangUpAll:
    """worker -> Switchboard: end every call, with this reason; `AllEnded` answers when the last one is gone."""

    reason: str
    last_words: bool = False  # say the assistant's goodbye first


@dataclass(frozen=True, slots=True)
class AllEnded:
    """Switchboard -> worker: there is no call left."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """operator, Switchboard -> Call: end now, with this reason."""

    reason: str
    last_words: bool = False  # say the assistant's goodbye first
    detail: str = ""  # what an operator says about it


@dataclass(frozen=True, slots=True)
class ChildFailed:
    """any member -> Call: I am of no use any more and have exited; `work`: the text that did it, where it is known."""

    role: str
    error: ProviderError
    work: str = ""


@dataclass(frozen=True, slots=True)
class MemberReady:
    """any member -> Call: my provider's session is open."""

    role: str


# --- what a member is told when it starts ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenTransport:
    """Call -> Transport: own this wire."""

    wire: Local
    clock: Local
    endpointing: Endpointing
    echo: Echo


@dataclass(frozen=True, slots=True)
class OpenTranscriber:
    """Call -> Transcriber: hear with this provider; a `Finalize` is to be answered within `transcript_ms`."""

    choice: ProviderChoice
    audio: AudioFormat
    language: str
    phrases: tuple[str, ...]
    transcript_ms: int
    stalls: Stalls
    services: Local


@dataclass(frozen=True, slots=True)
class OpenResponder:
    """Call -> Responder: think with this provider; in `language`, with what is written said as `speech` has it."""

    choice: ProviderChoice
    language: str
    speech: Speech
    stalls: Stalls
    services: Local


@dataclass(frozen=True, slots=True)
class OpenSpeaker:
    """Call -> Speaker: speak with this provider; `transport` (an address) takes the audio, in the wire's format."""

    choice: ProviderChoice
    audio: AudioFormat
    language: str
    speech: Speech
    transport: object
    stalls: Stalls
    services: Local


# --- hearing -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RouteAudio:
    """Call -> Transport: this transcriber (an address or None) hears from now on, unacknowledged audio first."""

    transcriber: object


@dataclass(frozen=True, slots=True)
class Heard:
    """Transport -> Transcriber: the caller's next 20-100 ms of audio, in the transcriber's format. Late audio is of no
    use: a mailbox that is full drops the oldest."""

    droppable: ClassVar[bool] = True
    payload: bytes
    start_ms: float
    end_ms: float
    voiced: bool = False  # the VAD hears a voice in it


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Transport -> Call: the VAD hears a voice since `at_ms`."""

    at_ms: float


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """Transport -> Call: the voice ended at `at_ms`; the silence after it has lasted the assistant's `silence_ms`."""

    at_ms: float


@dataclass(frozen=True, slots=True)
class HearingStalled:
    """Transport -> Call: the caller's audio does not come: nothing is known of voice or silence."""


@dataclass(frozen=True, slots=True)
class HearingResumed:
    """Transport -> Call: it comes again."""


@dataclass(frozen=True, slots=True)
class Finalize:
    """Call -> Transcriber: the caller has paused; say what is final of the audio before `until_ms`, once the session is
    open and has been given all of it. Answered by `TurnEnded`, or by the transcriber's failure."""

    until_ms: float


@dataclass(frozen=True, slots=True)
class Transcript:
    """Transcriber -> Call: the caller's words; an interim is replaced by what follows, a final is not."""

    text: str
    final: bool
    end_ms: float


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """Transcriber -> Call: the provider says that the caller has finished."""


@dataclass(frozen=True, slots=True)
class TurnEnding:
    """Transcriber -> Call: the caller has probably finished, with the words so far. `TurnEnded` or `TurnResumed`
    follows."""


@dataclass(frozen=True, slots=True)
class TurnResumed:
    """Transcriber -> Call: the caller goes on after all."""


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Call -> Transport: the audio before `end_ms` has become a transcript and need not be replayed."""

    end_ms: float


# --- thinking ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ask:
    """Call -> Responder: answer this; an answer under way is cancelled."""

    question: Question


@dataclass(frozen=True, slots=True)
class CancelAnswer:
    """Call -> Responder: nobody waits for the answer any more."""


@dataclass(frozen=True, slots=True)
class Clause:
    """Responder -> Call: the next piece of the answer that can be spoken by itself."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class AnswerStarted:
    """Responder -> Call: the first word of the answer is here."""

    turn: int


@dataclass(frozen=True, slots=True)
class AnswerDone:
    """Responder -> Call: no more comes of the answer; with `hang_up` the call ends once it was heard. `flaw`: why it is
    not whole, or has no words, also when it was asked once more; such as "length", "content_filter" or "empty"."""

    turn: int
    hang_up: bool
    flaw: str = ""


@dataclass(frozen=True, slots=True)
class TokensUsed:
    """Responder -> Call: an answer has cost so many tokens, as the provider says."""

    count: int


Answer = AnswerStarted | Clause | AnswerDone


# --- speaking ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Speak:
    """Call -> Speaker: say this next."""

    utterance: int
    segment: int
    text: str


@dataclass(frozen=True, slots=True)
class EndUtterance:
    """Call -> Speaker: no further segment of this utterance will come."""

    utterance: int


@dataclass(frozen=True, slots=True)
class CancelSpeech:
    """Call -> Speaker: forget what was given so far."""


@dataclass(frozen=True, slots=True)
class Audio:
    """Speaker -> Transport: the next audio of the utterance, in the wire's format."""

    utterance: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class AudioEnd:
    """Speaker -> Transport: all audio of the utterance was sent."""

    utterance: int


@dataclass(frozen=True, slots=True)
class SegmentSpoken:
    """Speaker -> Call: `ms` more of the segment was sent, with the words that begin in it; `done`: all of it."""

    utterance: int
    segment: int
    ms: float
    words: tuple[Word, ...] = ()
    done: bool = False


@dataclass(frozen=True, slots=True)
class TakeAudioFrom:
    """Call -> Transport: audio of this speaker (an address) is played, of any other it is not."""

    speaker: object


# --- playout -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PausePlayout:
    """Call -> Transport: fall silent at once, keep what is unheard; answered by `PlayoutStopped`."""


@dataclass(frozen=True, slots=True)
class ResumePlayout:
    """Call -> Transport: go on where the caller last heard us."""


@dataclass(frozen=True, slots=True)
class FlushPlayout:
    """Call -> Transport: fall silent, forget the utterance and all that is to come of it; `PlayoutStopped` answers."""

    utterance: int


@dataclass(frozen=True, slots=True)
class PlayoutStarted:
    """Transport -> Call: the first audio of the utterance went out."""

    utterance: int


@dataclass(frozen=True, slots=True)
class PlayoutStopped:
    """Transport -> Call: paused or flushed; the caller has heard `heard_ms` of the utterance."""

    utterance: int
    heard_ms: float
    flushed: bool


@dataclass(frozen=True, slots=True)
class PlayoutDry:
    """Transport -> Call: everything that came was heard, and the utterance is not over: the caller hears a gap."""

    utterance: int


@dataclass(frozen=True, slots=True)
class PlayoutDone:
    """Transport -> Call: the caller has heard the whole utterance."""

    utterance: int


@dataclass(frozen=True, slots=True)
class CloseWire:
    """Call -> Transport: hang up; `WireClosed` follows."""


@dataclass(frozen=True, slots=True)
class Dtmf:
    """Transport -> Call: the caller pressed a key."""

    digit: Digits


@dataclass(frozen=True, slots=True)
class Typed:
    """Transport -> Call: the caller typed this instead of saying it."""

    text: str


@dataclass(frozen=True, slots=True)
class WireClosed:
    """Transport -> Call: the media connection is gone."""

    termination: Termination

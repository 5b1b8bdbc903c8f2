from __future__ import annotations

import pytest

from actors.call.effects import CancelTimer, End, Measured, Said, To
from actors.call.events import (
    AssistantSays,
    AssistantStarted,
    AssistantStopped,
    AssistantWords,
    CallEnding,
    CallerWords,
    CallEvent,
    TurnMeasured,
    VoiceEnded,
    VoiceStarted,
    event_of,
)
from actors.errors import Result, Termination
from actors.messages import (
    CancelSpeech,
    Dtmf,
    PlayoutDone,
    PlayoutStarted,
    PlayoutStopped,
    Speak,
    SpeechEnded,
    SpeechStarted,
    Transcript,
)

OVER = Termination(Result.SUCCESS, "idle")


@pytest.mark.parametrize(
    ("happening", "event"),
    [
        (SpeechStarted(100.0), VoiceStarted()),
        (SpeechEnded(900.0), VoiceEnded()),
        (Transcript("when are", False, 400.0), CallerWords("when are", False)),
        (Transcript("when are you open", True, 900.0), CallerWords("when are you open", True)),
        (To("speaker", Speak(2, 5, "From nine.")), AssistantSays(2, "From nine.")),
        (PlayoutStarted(2), AssistantStarted(2)),
        (PlayoutDone(2), AssistantStopped(2, interrupted=False)),
        (PlayoutStopped(2, 300.0, flushed=True), AssistantStopped(2, interrupted=True)),
        (Said("assistant", 1, "From", 0.0, True), AssistantWords("From", True)),
        (Measured("turn_latency_ms", 1, 412.0), TurnMeasured(1, "turn_latency_ms", 412.0)),
        (End(OVER), CallEnding(OVER)),
    ],
)
def test_what_an_onlooker_sees(happening: object, event: CallEvent) -> None:
    assert event_of(happening) == event


@pytest.mark.parametrize(
    "happening",
    [
        Transcript("", False, 400.0),  # a sign of life
        PlayoutStopped(2, 300.0, flushed=False),  # paused: it may go on
        Said("user", 1, "when are you open", 0.0),  # seen already, word by word
        To("speaker", CancelSpeech()),
        Dtmf("5"),  # may be part of a PIN
        CancelTimer("idle"),
        "anything else",
    ],
)
def test_what_an_onlooker_does_not_see(happening: object) -> None:
    assert event_of(happening) is None

"""Who has the floor: the table behind turn-taking.

Theory of operation. The caller and the assistant share one floor. The VAD reports a voice within 100 ms of its start
and end; the transcriber reports words and may say itself that the turn is over. From these:

- LISTENING   nobody speaks; a timer runs towards an idle prompt.
- HEARING     the caller speaks.
- SETTLING    the caller has paused. When the silence has lasted the assistant's `silence_ms`, the transcriber is asked
              for what it has; when it answers (or says so by itself), the turn is over. A voice goes back to HEARING.
              Here, and while the voice is still heard, a transcriber that knows of turns may say that this one is
              probably ending: then the question is asked ahead (`questions.py`), and nothing else changes.
- THINKING    a question was asked, or a text given to the voice; nothing is audible yet.
- SPEAKING    the caller hears the assistant.
- DECIDING    the caller makes a sound while we think or speak: playout is paused at once. Words that count, or a voice
              that lasts `decide_ms`, take the floor (what was not heard is thrown away); anything else (a cough, "mhm")
              gives it back, and playout goes on where it stopped.
- ENDING      the assistant's last words; nothing interrupts them.
- ENDED       the call is over.

Every pair of floor and input is listed; `pass_by` means that the input changes nothing there.
"""

from __future__ import annotations

from enum import Enum, auto


class Floor(Enum):
    LISTENING = auto()
    HEARING = auto()
    SETTLING = auto()
    THINKING = auto()
    SPEAKING = auto()
    DECIDING = auto()
    ENDING = auto()
    ENDED = auto()


class Input(Enum):
    VOICE_STARTED = auto()  # VAD
    VOICE_ENDED = auto()  # VAD, 100 ms after the fact
    WORDS = auto()  # the transcriber has words that count as the caller's
    TURN_ENDING = auto()  # the transcriber thinks that the caller has finished
    TURN_OVER = auto()  # the transcriber says that the caller has finished
    ENDPOINT = auto()  # timer: the silence has lasted long enough
    DECISION_DUE = auto()  # timer: the sound has lasted `decide_ms`, or is over
    IDLE = auto()  # timer: nobody has said anything
    PLAYOUT_STARTED = auto()  # the caller begins to hear the utterance
    PLAYOUT_DONE = auto()  # the caller has heard it all


#: name of a timer -> the input that it is
TIMERS: dict[str, Input] = {
    "endpoint": Input.ENDPOINT,
    "decision": Input.DECISION_DUE,
    "idle": Input.IDLE,
}

_I, _F = Input, Floor

#: floor -> input -> name of the conversation's method
TABLE: dict[Floor, dict[Input, str]] = {
    _F.LISTENING: {
        _I.VOICE_STARTED: "begin_turn",
        _I.VOICE_ENDED: "pass_by",
        _I.WORDS: "begin_turn",
        _I.TURN_ENDING: "pass_by",
        _I.TURN_OVER: "pass_by",
        _I.ENDPOINT: "pass_by",
        _I.DECISION_DUE: "pass_by",
        _I.IDLE: "prompt_idle",
        _I.PLAYOUT_STARTED: "pass_by",
        _I.PLAYOUT_DONE: "pass_by",
    },
    _F.HEARING: {
        _I.VOICE_STARTED: "pass_by",
        _I.VOICE_ENDED: "settle",
        _I.WORDS: "pass_by",
        _I.TURN_ENDING: "think_ahead",
        _I.TURN_OVER: "end_turn",
        _I.ENDPOINT: "pass_by",
        _I.DECISION_DUE: "pass_by",
        _I.IDLE: "pass_by",
        _I.PLAYOUT_STARTED: "pass_by",
        _I.PLAYOUT_DONE: "pass_by",
    },
    _F.SETTLING: {
        _I.VOICE_STARTED: "go_on_hearing",
        _I.VOICE_ENDED: "pass_by",
        _I.WORDS: "pass_by",
        _I.TURN_ENDING: "think_ahead",
        _I.TURN_OVER: "end_turn",
        _I.ENDPOINT: "ask_for_transcript",
        _I.DECISION_DUE: "pass_by",
        _I.IDLE: "pass_by",
        _I.PLAYOUT_STARTED: "pass_by",
        _I.PLAYOUT_DONE: "pass_by",
    },
    _F.THINKING: {
        _I.VOICE_STARTED: "pause_for_voice",
        _I.VOICE_ENDED: "pass_by",
        _I.WORDS: "take_floor",
        _I.TURN_ENDING: "pass_by",
        _I.TURN_OVER: "pass_by",
        _I.ENDPOINT: "pass_by",
        _I.DECISION_DUE: "pass_by",
        _I.IDLE: "pass_by",
        _I.PLAYOUT_STARTED: "become_audible",
        _I.PLAYOUT_DONE: "finish_utterance",
    },
    _F.SPEAKING: {
        _I.VOICE_STARTED: "pause_for_voice",
        _I.VOICE_ENDED: "pass_by",
        _I.WORDS: "take_floor",
        _I.TURN_ENDING: "pass_by",
        _I.TURN_OVER: "forget_words",
        _I.ENDPOINT: "pass_by",
        _I.DECISION_DUE: "pass_by",
        _I.IDLE: "pass_by",
        _I.PLAYOUT_STARTED: "pass_by",
        _I.PLAYOUT_DONE: "finish_utterance",
    },
    _F.DECIDING: {
        _I.VOICE_STARTED: "pass_by",
        _I.VOICE_ENDED: "ask_for_words",
        _I.WORDS: "take_floor",
        _I.TURN_ENDING: "pass_by",
        _I.TURN_OVER: "give_floor_back",
        _I.ENDPOINT: "pass_by",
        _I.DECISION_DUE: "decide_by_voice",
        _I.IDLE: "pass_by",
        _I.PLAYOUT_STARTED: "become_audible",
        _I.PLAYOUT_DONE: "finish_utterance",
    },
    _F.ENDING: {
        **dict.fromkeys(Input, "pass_by"),
        _I.PLAYOUT_STARTED: "become_audible",
        _I.PLAYOUT_DONE: "finish_utterance",
    },
    _F.ENDED: dict.fromkeys(Input, "pass_by"),
}

"""Who has the floor: the table behind turn-taking.

Theory of operation. The caller and the assistant share one floor. The VAD reports a voice within 100 ms of its start
and end; the transcriber reports words and may say itself that the turn is over. From these:

- LISTENING   nobody speaks; a timer runs towards an idle prompt.
- HEARING     the caller speaks.
- SETTLING    the caller has paused. When the silence has lasted the assistant's `silence_ms`, the transcriber is asked
              for what it has; when it answers (or says so by itself), the turn is over. A voice goes back to HEARING.
              Here, and while the voice is still heard, a transcriber that knows of turns may say that this one is
              probably ending: then the question is asked ahead (`questions.py`), and nothing else changes.
- KEYING      the caller presses keys; more may follow. Whoever has the floor, keys that are pressed in one go are one
              question, with the words of the same turn: a turn that is over before they are waits for them here.
- THINKING    a question was asked, or a text given to the voice; nothing is audible yet.
- SPEAKING    the caller hears the assistant.
- DECIDING    the caller makes a sound while we think or speak: playout is paused at once. Words that are meant to be
              heard take the floor (what was not heard is thrown away); anything else (a cough, "mhm", a voice that
              says nothing) gives it back, and playout goes on where it stopped.
- ENDING      the assistant's last words; nothing interrupts them.
- ENDED       the call is over.

An input is a *fact* from outside, or an *outcome*: what an action has found. A cell holds the action and the floor that
follows; the floor changes first, then the action runs, and it may end in an outcome, which goes through the table as
well. So every change of the floor is a cell. A pair that is not listed cannot happen: it is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum, auto
from typing import NamedTuple

from actors.errors import UnlistedPair


class Floor(Enum):
    LISTENING = auto()
    HEARING = auto()
    SETTLING = auto()
    KEYING = auto()
    THINKING = auto()
    SPEAKING = auto()
    DECIDING = auto()
    ENDING = auto()
    ENDED = auto()


class Input(Enum):
    # facts
    VOICE_STARTED = auto()  # VAD
    VOICE_ENDED = auto()  # VAD, 100 ms after the fact
    HEARING_STALLED = auto()  # the caller's audio does not come
    HEARING_RESUMED = auto()
    WORDS = auto()  # the transcriber has words
    TURN_ENDING = auto()  # the transcriber thinks that the caller has finished
    TURN_OVER = auto()  # the transcriber says that the caller has finished
    KEY = auto()  # the caller has pressed a key
    KEYS_OVER = auto()  # timer, or the end key: no further key is to be expected
    TYPED = auto()  # the caller has typed something
    ENDPOINT = auto()  # timer: the silence has lasted long enough
    DECISION_DUE = auto()  # timer: the sound has lasted `decide_ms` or `hold_ms`, or is over
    FILLER_DUE = auto()  # timer: the caller has waited for us in silence
    IDLE = auto()  # timer: nobody has said anything
    LAST_WORDS_DUE = auto()  # timer: the last words should have been heard
    PLAYOUT_STARTED = auto()  # the caller begins to hear the utterance
    PLAYOUT_DONE = auto()  # the caller has heard it all
    MEMBER_BACK = auto()  # a provider that was away answers
    CLOSE = auto()  # we want to end the call, perhaps with some last words
    GONE = auto()  # the wire is closed
    # outcomes
    HEAR = auto()  # the floor is the caller's, whose voice is heard
    SETTLE = auto()  # the floor is the caller's, who is silent just now
    ASK = auto()  # a question goes to the responder
    SAY = auto()  # a text goes to the voice
    AWAIT_KEYS = auto()  # the floor is the caller's, who presses keys
    REST = auto()  # nobody has anything to say
    PAUSE = auto()  # the caller's sound may become an interruption
    RESUME_SPEECH = auto()  # the assistant goes on to speak
    RESUME_THOUGHT = auto()  # the assistant goes on to think
    NOBODY = auto()  # the caller has said nothing to any idle prompt
    LAST_WORDS = auto()  # the call ends when this text was heard
    END = auto()  # the call ends


#: what may come at any time, whoever has the floor: all that stands before the first outcome
FACTS = frozenset(event for event in Input if event.value < Input.HEAR.value)

#: name of a timer -> the input that it is
TIMERS: dict[str, Input] = {
    "endpoint": Input.ENDPOINT,
    "decision": Input.DECISION_DUE,
    "idle": Input.IDLE,
    "keys": Input.KEYS_OVER,
    "filler": Input.FILLER_DUE,
    "last_words": Input.LAST_WORDS_DUE,
}


class Cell(NamedTuple):
    """`action` is `<machine>.<method>` of the conversation, or empty."""

    action: str
    next: Floor


Table = Mapping[Floor, Mapping[Input, Cell]]
_I, _F = Input, Floor
_OPEN = (_F.LISTENING, _F.HEARING, _F.SETTLING, _F.KEYING, _F.THINKING, _F.SPEAKING, _F.DECIDING)

#: floor, input, action, next floor
_CELLS: tuple[tuple[Floor, Input, str, Floor], ...] = (
    (_F.LISTENING, _I.VOICE_STARTED, "endpointing.begin_with_voice", _F.HEARING),
    (_F.LISTENING, _I.WORDS, "endpointing.begin_without_voice", _F.SETTLING),
    (_F.LISTENING, _I.KEY, "", _F.KEYING),
    (_F.LISTENING, _I.TYPED, "endpointing.end_turn", _F.LISTENING),
    (_F.LISTENING, _I.IDLE, "speaking.prompt", _F.LISTENING),
    (_F.LISTENING, _I.MEMBER_BACK, "speaking.listen", _F.LISTENING),
    (_F.LISTENING, _I.ASK, "", _F.THINKING),
    (_F.LISTENING, _I.SAY, "", _F.THINKING),
    (_F.LISTENING, _I.NOBODY, "closing.nobody", _F.LISTENING),
    (_F.LISTENING, _I.REST, "speaking.listen", _F.LISTENING),
    (_F.HEARING, _I.VOICE_ENDED, "endpointing.settle", _F.SETTLING),
    (_F.HEARING, _I.WORDS, "endpointing.hear_words", _F.HEARING),
    (_F.HEARING, _I.TURN_ENDING, "endpointing.think_ahead", _F.HEARING),
    (_F.HEARING, _I.TURN_OVER, "endpointing.end_turn", _F.HEARING),
    (_F.HEARING, _I.KEYS_OVER, "endpointing.end_keys_in_noise", _F.HEARING),
    (_F.HEARING, _I.TYPED, "endpointing.end_turn", _F.HEARING),
    (_F.HEARING, _I.AWAIT_KEYS, "", _F.KEYING),
    (_F.HEARING, _I.ASK, "", _F.THINKING),
    (_F.SETTLING, _I.VOICE_STARTED, "endpointing.go_on", _F.HEARING),
    (_F.SETTLING, _I.HEARING_STALLED, "endpointing.wait_for_audio", _F.SETTLING),
    (_F.SETTLING, _I.HEARING_RESUMED, "endpointing.settle_again", _F.SETTLING),
    (_F.SETTLING, _I.WORDS, "endpointing.hear_words", _F.SETTLING),
    (_F.SETTLING, _I.TURN_ENDING, "endpointing.think_ahead", _F.SETTLING),
    (_F.SETTLING, _I.TURN_OVER, "endpointing.end_turn", _F.SETTLING),
    (_F.SETTLING, _I.ENDPOINT, "endpointing.ask_for_transcript", _F.SETTLING),
    (_F.SETTLING, _I.FILLER_DUE, "speaking.fill_silence", _F.SETTLING),
    (_F.SETTLING, _I.TYPED, "endpointing.end_turn", _F.SETTLING),
    (_F.SETTLING, _I.AWAIT_KEYS, "", _F.KEYING),
    (_F.SETTLING, _I.ASK, "", _F.THINKING),
    (_F.SETTLING, _I.SAY, "", _F.THINKING),
    (_F.SETTLING, _I.REST, "speaking.listen", _F.LISTENING),
    (_F.KEYING, _I.VOICE_STARTED, "", _F.HEARING),
    (_F.KEYING, _I.WORDS, "endpointing.hear_words_after_keys", _F.KEYING),
    (_F.KEYING, _I.KEYS_OVER, "endpointing.end_turn", _F.KEYING),
    (_F.KEYING, _I.TYPED, "endpointing.end_turn", _F.KEYING),
    (_F.KEYING, _I.HEAR, "", _F.HEARING),
    (_F.KEYING, _I.SETTLE, "endpointing.settle", _F.SETTLING),
    (_F.KEYING, _I.AWAIT_KEYS, "", _F.KEYING),
    (_F.KEYING, _I.ASK, "", _F.THINKING),
    (_F.THINKING, _I.VOICE_STARTED, "interruption.consider", _F.THINKING),
    (_F.THINKING, _I.VOICE_ENDED, "interruption.ask_for_words", _F.THINKING),
    (_F.THINKING, _I.WORDS, "interruption.weigh_words", _F.THINKING),
    (_F.THINKING, _I.KEY, "interruption.take_floor_for_keys", _F.THINKING),
    (_F.THINKING, _I.TYPED, "interruption.take_floor_for_text", _F.THINKING),
    (_F.THINKING, _I.AWAIT_KEYS, "", _F.KEYING),
    (_F.THINKING, _I.FILLER_DUE, "speaking.fill_silence", _F.THINKING),
    (_F.THINKING, _I.PLAYOUT_STARTED, "speaking.become_audible", _F.SPEAKING),
    (_F.THINKING, _I.PLAYOUT_DONE, "interruption.finish", _F.THINKING),
    (_F.THINKING, _I.PAUSE, "interruption.pause", _F.DECIDING),
    (_F.THINKING, _I.HEAR, "", _F.HEARING),
    (_F.THINKING, _I.SETTLE, "endpointing.settle", _F.SETTLING),
    (_F.THINKING, _I.REST, "speaking.listen", _F.LISTENING),
    (_F.SPEAKING, _I.VOICE_STARTED, "interruption.consider", _F.SPEAKING),
    (_F.SPEAKING, _I.VOICE_ENDED, "interruption.ask_for_words", _F.SPEAKING),
    (_F.SPEAKING, _I.WORDS, "interruption.weigh_words", _F.SPEAKING),
    (_F.SPEAKING, _I.TURN_OVER, "interruption.forget_words", _F.SPEAKING),
    (_F.SPEAKING, _I.KEY, "interruption.take_floor_for_keys", _F.SPEAKING),
    (_F.SPEAKING, _I.TYPED, "interruption.take_floor_for_text", _F.SPEAKING),
    (_F.SPEAKING, _I.AWAIT_KEYS, "", _F.KEYING),
    (_F.SPEAKING, _I.FILLER_DUE, "speaking.fill_gap", _F.SPEAKING),
    (_F.SPEAKING, _I.PLAYOUT_DONE, "interruption.finish", _F.SPEAKING),
    (_F.SPEAKING, _I.PAUSE, "interruption.pause", _F.DECIDING),
    (_F.SPEAKING, _I.HEAR, "", _F.HEARING),
    (_F.SPEAKING, _I.SETTLE, "endpointing.settle", _F.SETTLING),
    (_F.SPEAKING, _I.REST, "speaking.listen", _F.LISTENING),
    (_F.DECIDING, _I.VOICE_ENDED, "interruption.ask_for_words", _F.DECIDING),
    (_F.DECIDING, _I.WORDS, "interruption.weigh_words", _F.DECIDING),
    (_F.DECIDING, _I.TURN_OVER, "interruption.give_back", _F.DECIDING),
    (_F.DECIDING, _I.KEY, "interruption.take_floor_for_keys", _F.DECIDING),
    (_F.DECIDING, _I.TYPED, "interruption.take_floor_for_text", _F.DECIDING),
    (_F.DECIDING, _I.AWAIT_KEYS, "", _F.KEYING),
    (_F.DECIDING, _I.DECISION_DUE, "interruption.decide", _F.DECIDING),
    (_F.DECIDING, _I.PLAYOUT_STARTED, "speaking.become_audible", _F.DECIDING),
    (_F.DECIDING, _I.PLAYOUT_DONE, "interruption.finish_undecided", _F.DECIDING),
    (_F.DECIDING, _I.HEAR, "", _F.HEARING),
    (_F.DECIDING, _I.SETTLE, "endpointing.settle", _F.SETTLING),
    (_F.DECIDING, _I.RESUME_SPEECH, "", _F.SPEAKING),
    (_F.DECIDING, _I.RESUME_THOUGHT, "", _F.THINKING),
    *((floor, _I.CLOSE, "closing.close", floor) for floor in _OPEN),
    *((floor, _I.LAST_WORDS, "closing.say", _F.ENDING) for floor in _OPEN),
    *((floor, _I.END, "closing.end", _F.ENDED) for floor in (*_OPEN, _F.ENDING)),
    (_F.LISTENING, _I.GONE, "", _F.ENDED),
    *((floor, _I.GONE, "closing.gone", _F.ENDED) for floor in (*_OPEN[1:], _F.ENDING)),
    (_F.ENDING, _I.LAST_WORDS_DUE, "closing.end", _F.ENDED),
    (_F.ENDING, _I.PLAYOUT_STARTED, "speaking.become_audible", _F.ENDING),
    (_F.ENDING, _I.PLAYOUT_DONE, "speaking.finish", _F.ENDING),
)

#: floor, the facts that change nothing there
_PASSED: tuple[tuple[Floor, tuple[Input, ...]], ...] = (
    (_F.LISTENING, (_I.VOICE_ENDED, _I.TURN_ENDING, _I.TURN_OVER, _I.KEYS_OVER, _I.ENDPOINT, _I.DECISION_DUE)),
    (_F.LISTENING, (_I.FILLER_DUE, _I.LAST_WORDS_DUE, _I.PLAYOUT_STARTED, _I.PLAYOUT_DONE)),
    (_F.HEARING, (_I.VOICE_STARTED, _I.KEY, _I.ENDPOINT, _I.DECISION_DUE)),
    (_F.HEARING, (_I.FILLER_DUE, _I.IDLE, _I.LAST_WORDS_DUE, _I.PLAYOUT_STARTED, _I.PLAYOUT_DONE, _I.MEMBER_BACK)),
    (_F.SETTLING, (_I.VOICE_ENDED, _I.KEY, _I.KEYS_OVER, _I.DECISION_DUE, _I.IDLE)),
    (_F.SETTLING, (_I.LAST_WORDS_DUE, _I.PLAYOUT_STARTED, _I.PLAYOUT_DONE, _I.MEMBER_BACK)),
    (_F.KEYING, (_I.VOICE_ENDED, _I.TURN_ENDING, _I.TURN_OVER, _I.KEY, _I.ENDPOINT, _I.DECISION_DUE, _I.FILLER_DUE)),
    (_F.KEYING, (_I.IDLE, _I.LAST_WORDS_DUE, _I.PLAYOUT_STARTED, _I.PLAYOUT_DONE, _I.MEMBER_BACK)),
    (_F.THINKING, (_I.TURN_ENDING, _I.TURN_OVER, _I.KEYS_OVER, _I.ENDPOINT, _I.DECISION_DUE)),
    (_F.THINKING, (_I.IDLE, _I.LAST_WORDS_DUE, _I.MEMBER_BACK)),
    (_F.SPEAKING, (_I.TURN_ENDING, _I.KEYS_OVER, _I.ENDPOINT, _I.DECISION_DUE)),
    (_F.SPEAKING, (_I.IDLE, _I.LAST_WORDS_DUE, _I.PLAYOUT_STARTED, _I.MEMBER_BACK)),
    (_F.DECIDING, (_I.VOICE_STARTED, _I.TURN_ENDING, _I.KEYS_OVER, _I.ENDPOINT, _I.FILLER_DUE)),
    (_F.DECIDING, (_I.IDLE, _I.LAST_WORDS_DUE, _I.MEMBER_BACK)),
    (_F.ENDING, (_I.VOICE_STARTED, _I.VOICE_ENDED, _I.WORDS, _I.TURN_ENDING, _I.TURN_OVER, _I.KEY, _I.TYPED)),
    (_F.ENDING, (_I.KEYS_OVER, _I.ENDPOINT, _I.DECISION_DUE, _I.FILLER_DUE, _I.IDLE, _I.MEMBER_BACK, _I.CLOSE)),
    *((floor, (_I.HEARING_STALLED, _I.HEARING_RESUMED)) for floor in Floor if floor is not _F.SETTLING),
    (_F.ENDED, tuple(FACTS)),
)


def table_of(cells: Iterable[tuple[Floor, Input, str, Floor]]) -> dict[Floor, dict[Input, Cell]]:
    """The cells and what is passed by, by floor and input."""
    table: dict[Floor, dict[Input, Cell]] = {floor: {} for floor in Floor}
    for floor, facts in _PASSED:
        table[floor] |= {fact: Cell("", floor) for fact in facts}
    for floor, event, action, following in cells:
        table[floor][event] = Cell(action, following)
    return table


TABLE = table_of(_CELLS)


class FloorMachine:
    """Takes inputs; `act` is told the action that follows, once the floor has changed."""

    def __init__(self, act: Callable[[str], None], table: Table = TABLE) -> None:
        self._act, self._table = act, table
        self.state = Floor.LISTENING

    def feed(self, event: Input) -> None:
        """Raises `UnlistedPair` if this cannot happen here."""
        cell = self._table[self.state].get(event)
        if cell is None:
            raise UnlistedPair(f"{event.name} while {self.state.name}")
        self.state = cell.next
        if cell.action:
            self._act(cell.action)

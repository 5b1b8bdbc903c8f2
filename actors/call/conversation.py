"""The conversation of one call as pure machines: events go in with their time, effects come out.

`floor.py` says who may speak when, and which machine acts on it: `endpointing.py` (the caller's turn), `speaking.py`
(the assistant's), `interruption.py` (a sound of the caller's in the assistant's turn), `keys.py`, `closing.py` (the
end). This class holds them together. Nothing in here knows actors, sockets or a clock (`now` is seconds on any
monotonic clock), so a whole call runs in a test in virtual time. What a dead member owed is found in here, and
`replaced` hands it to the member's successor.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from actors.call.closing import Closing
from actors.call.delivery import Delivery
from actors.call.effects import Effect, Role
from actors.call.endpointing import Endpointing
from actors.call.floor import TIMERS, Floor, Input
from actors.call.forms import own_texts_said
from actors.call.hearing import VAD_HANGOVER_MS, Hearing
from actors.call.history import History
from actors.call.interruption import Interruption
from actors.call.keys import Keys
from actors.call.listening import listening
from actors.call.outage import Outage
from actors.call.own_words import OwnWords
from actors.call.questions import Questions
from actors.call.scene import Scene
from actors.call.speaking import Speaking
from actors.call.spending import DEFAULT_LIMITS, CallLimits, Spending
from actors.errors import Result, Termination
from actors.messages import Answer, SegmentSpoken, Transcript
from actors.wording import Digits
from config.assistant import AssistantConfig


class Conversation:
    """Who said what, who may speak, and what every member owes."""

    def __init__(self, assistant: AssistantConfig, limits: CallLimits = DEFAULT_LIMITS) -> None:
        self.assistant = assistant = own_texts_said(assistant)
        self._scene = scene = Scene(self._act)
        self.history = History(
            scene.do,
            assistant.system_prompt,
            Spending(limits, lambda: scene.now),
            assistant.language,
        )
        self.questions = Questions(scene.do, self.history)
        self.hearing = Hearing(scene.do, listening(assistant.language, assistant.barge_in.ignored_words))
        self.own_words = OwnWords(scene, assistant.echo, self.hearing)
        self.keys = Keys(scene, assistant.keypad)
        self.speaking = Speaking(scene, assistant, self.hearing, self.history, self.questions)
        self.endpointing = Endpointing(
            scene, assistant, self.hearing, self.keys, self.history, self.questions, self.speaking
        )
        self.interruption = Interruption(scene, assistant, self.hearing, self.speaking)
        self.closing = Closing(scene, assistant, self.endpointing, self.speaking)

    @property
    def floor(self) -> Floor:
        return self._scene.floor.state

    @property
    def turn(self) -> int:
        """The number of the last question."""
        return self._scene.turn

    @property
    def delivery(self) -> Delivery:
        return self.speaking.delivery

    @property
    def outage(self) -> Outage:
        return self.speaking.outage

    def _act(self, action: str) -> None:
        """An action of the floor's: `<machine>.<method>`."""
        machine, method = action.split(".")
        getattr(getattr(self, machine), method)()

    def _at(self, now: float) -> None:
        self._scene.now = now

    # --- inputs: each takes the time, and `take_effects` gives what follows ---------------------------------------

    def take_effects(self) -> list[Effect]:
        """The effects of the inputs since the last time, in order."""
        return self._scene.take_effects()

    def started(self, now: float) -> None:
        """The media has begun: greet."""
        self._at(now)
        self._scene.set_timer("max_duration", self.assistant.max_duration_s)
        self.speaking.greet()

    def voice_started(self, now: float, at_ms: float) -> None:
        self._at(now)
        self.hearing.voice_started(now, at_ms)
        self.outage.caller_waits_no_more()
        self.delivery.hush()
        self._scene.feed(Input.VOICE_STARTED)

    def voice_ended(self, now: float, at_ms: float) -> None:
        self._at(now)
        self.hearing.voice_ended(at_ms)
        self.speaking.latency.caller_done(now - VAD_HANGOVER_MS / 1000)
        self._scene.feed(Input.VOICE_ENDED)

    def hearing_stalled(self, now: float) -> None:
        """The caller's audio does not come: what seems to be silence may be a voice."""
        self._at(now)
        self._scene.feed(Input.HEARING_STALLED)

    def hearing_resumed(self, now: float) -> None:
        self._at(now)
        self._scene.feed(Input.HEARING_RESUMED)

    def heard(self, now: float, transcript: Transcript) -> None:
        """The transcriber has words, or (with an empty text) shows that it lives."""
        self._at(now)
        if self.own_words.are(transcript.text):
            transcript = replace(transcript, text="")
        self.hearing.heard(now, transcript)
        self.questions.words_are(self.hearing.text)
        if self.hearing.text:
            self._scene.feed(Input.WORDS)

    def turn_ended(self, now: float) -> None:
        """The transcriber says that the caller has finished."""
        self._at(now)
        self.hearing.answered()
        self._scene.feed(Input.TURN_OVER)

    def turn_ending(self, now: float) -> None:
        """The transcriber thinks that the caller has finished, with the words so far."""
        self._at(now)
        self._scene.feed(Input.TURN_ENDING)

    def turn_resumed(self, now: float) -> None:
        """The caller goes on: what was asked ahead is out of date."""
        self._at(now)
        self.questions.drop_ahead()

    def answered(self, now: float, answer: Answer) -> None:
        """The responder has the next piece of an answer."""
        self._at(now)
        self.speaking.answered(answer)

    def spoken(self, now: float, message: SegmentSpoken) -> None:
        """The speaker has sent audio to the transport."""
        self._at(now)
        self.speaking.spoken(message)

    def playout_started(self, now: float, utterance: int) -> None:
        self._at(now)
        if self.delivery.utterance is not None and self.delivery.is_current(utterance):
            self.own_words.heard(self.delivery.utterance)
            self._scene.feed(Input.PLAYOUT_STARTED)

    def playout_dry(self, now: float, utterance: int) -> None:
        """The caller has heard all that there is of it: a gap begins."""
        self._at(now)
        self.speaking.dry(utterance)

    def playout_done(self, now: float, utterance: int) -> None:
        self._at(now)
        self.own_words.ended(utterance)
        self.delivery.heard_out(utterance)
        if self.delivery.is_current(utterance):
            self._scene.feed(Input.PLAYOUT_DONE)

    def playout_stopped(self, now: float, utterance: int, heard_ms: float, flushed: bool) -> None:
        """What was heard of an utterance that is thrown away; one that is only paused goes on, or is flushed later."""
        self._at(now)
        if flushed:
            self.own_words.ended(utterance)
            self.speaking.stopped(utterance, heard_ms)
            self.endpointing.settled()
        elif self.delivery.is_current(utterance):
            self.speaking.position.correct(heard_ms)

    def dtmf(self, now: float, key: str | Digits) -> None:
        """A key: like a word, it takes the floor."""
        self._at(now)
        pressed = Digits(key)
        if self.keys.is_end(pressed) and not self.keys and self.history.question.ends_with_keys:
            return  # it ends those that were asked about without it
        if self._is_addressed():
            self.delivery.hush()
            self._scene.feed(Input.KEY)
            self.keys.press(pressed)

    def typed(self, now: float, text: str) -> None:
        """A turn by itself, which also interrupts."""
        self._at(now)
        if self._is_addressed():
            self.hearing.typed(now, text)
            self.keys.close()
            self._scene.feed(Input.TYPED)

    def _is_addressed(self) -> bool:
        """The caller does something on purpose. False if nobody listens any more."""
        if self.floor in (Floor.ENDING, Floor.ENDED):
            return False
        self.speaking.caller_acts()
        return True

    def timer(self, now: float, name: str) -> None:
        self._at(now)
        if name == "max_duration":
            self.closing.request(Termination(Result.SUCCESS, "max_duration"), self.assistant.max_duration_message)
            return
        if name == "keys":
            self.keys.close()
        if name == "filler":
            self.outage.timer_fired()
        self._scene.feed(TIMERS[name])

    def hang_up(self, now: float, termination: Termination, last_words: str = "") -> None:
        """End the call now, or after its last words."""
        self._at(now)
        self.closing.request(termination, last_words)

    def wire_closed(self, now: float) -> None:
        """The caller is gone."""
        self._at(now)
        self._scene.feed(Input.GONE)

    def inspect(self) -> dict[str, Any]:
        """The state for operators; what was said is only counted."""
        return {
            "state": self.floor.name.lower(),
            "turn": self.turn,
            "voice": self.hearing.voice,
            "history_lines": len(self.history.lines),
            "keys_pending": len(self.keys),
            "answer_pending": self.questions.open,
            "answer_ahead": self.questions.pending_ahead,
            "utterance": self.delivery.inspect(),
            "own_words_dropped": self.own_words.dropped,
        }

    # --- supervision ----------------------------------------------------------------------------------------------

    def work(self, role: Role) -> str:
        """What the member is doing, so that work which kills it again is recognised; empty when it is idle."""
        if role == "responder":
            return self.questions.work(self.turn)
        if role == "speaker":
            return self.delivery.work
        return self.hearing.work

    def needs(self, role: Role) -> bool:
        """Whether a member that has ended is of any further use."""
        return self.floor is not Floor.ENDED and (self.floor is not Floor.ENDING or role == "speaker")

    def lost(self, now: float, role: Role, refused: bool = False) -> None:
        """The member has failed; a successor is on its way. `refused`: it has refused some of its work."""
        self._at(now)
        if refused and role == "speaker":
            self.delivery.doubt()
        self.outage.lost(role)

    def ready(self, now: float, role: Role) -> None:
        """The member's provider answers: a silence so far was not the caller's."""
        self._at(now)
        if self.outage.back(role):
            self._scene.feed(Input.MEMBER_BACK)

    def replaced(self, now: float, role: Role, without: str = "") -> None:
        """The member has a successor: give it what its predecessor owed, but for `without` (one of its `work`s)."""
        self._at(now)
        if role == "responder":
            self.speaking.ask_once_more(with_work=not without)
        elif role == "speaker":
            self.delivery.speak_once_more(skip=without)
        elif role == "transcriber":
            self.hearing.hear_again()  # the transport replays what has no transcript yet
            self.questions.words_are(self.hearing.text)

    def exhausted(self, now: float, role: Role, detail: str, voice: bool = True) -> None:
        """Neither patience nor providers are left: say so, if there is a `voice`, and end."""
        self._at(now)
        if role == "speaker" and self.floor is Floor.ENDING:
            self._scene.feed(Input.END)
        else:
            self.closing.exhausted(role, detail, voice)

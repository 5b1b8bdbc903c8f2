"""The conversation of one call as a pure machine: events go in with their time, effects come out.

`floor.py` says who may speak when; this class holds what is said. It knows no actors, no sockets and no clock (`now` is
seconds on any monotonic clock), so a whole call runs in a test in virtual time. What a dead member owed is found in
here, and `replaced` hands it to the member's successor.
"""

from __future__ import annotations

from typing import Any

from actors.call.delivery import Delivery
from actors.call.effects import CancelTimer, Effect, End, Role, SetTimer, To
from actors.call.floor import TABLE, TIMERS, Floor, Input
from actors.call.hearing import VAD_HANGOVER_MS, Hearing
from actors.call.history import History
from actors.call.idle import Idleness
from actors.call.keys import Keys
from actors.call.latency import TurnLatency
from actors.call.outage import Outage
from actors.call.questions import Questions
from actors.call.spending import DEFAULT_LIMITS, CallLimits, Spending
from actors.call.utterance import Purpose
from actors.errors import Result, Termination
from actors.messages import (
    Answer,
    AnswerDone,
    AnswerStarted,
    Clause,
    PausePlayout,
    ResumePlayout,
    SegmentSpoken,
    Transcript,
)
from config.assistant import AssistantConfig

NOISE_MS = 300  # a shorter sound without words is not worth a question back
LAST_WORDS_S = 20.0  # the longest that a call waits for its last words to be heard


class Conversation:
    """Who said what, who may speak, and what every member owes."""

    def __init__(self, assistant: AssistantConfig, limits: CallLimits = DEFAULT_LIMITS) -> None:
        self.assistant = assistant
        self._effects: list[Effect] = []
        self.floor = Floor.LISTENING
        self.turn = 0
        self.history = History(self._do, assistant.system_prompt, Spending(limits, lambda: self._now))
        self.questions = Questions(self._do, self.history)
        self.delivery = Delivery(self._do)
        self.outage = Outage(self._do, self.delivery, assistant)
        self._latency = TurnLatency(self._do)
        self.hearing = Hearing(self._do)
        self._turn_waits = False  # over, but the history does not yet know what was heard
        self._keys = Keys(self._do)
        self._idleness = Idleness(self._do, assistant.idle)
        self._termination: Termination | None = None
        self._now = 0.0

    # --- inputs: each takes the time, and `take_effects` gives what follows ---------------------------------------

    def take_effects(self) -> list[Effect]:
        """The effects of the inputs since the last time, in order."""
        effects, self._effects = self._effects, []
        return effects

    def started(self, now: float) -> None:
        """The media has begun: greet."""
        self._now = now
        self._do(SetTimer("max_duration", self.assistant.max_duration_s))
        if self.assistant.greeting:
            self._say(self.assistant.greeting, Purpose.GREETING)
        else:
            self._listen()

    def voice_started(self, now: float, at_ms: float) -> None:
        self._now = now
        self.hearing.voice_started(now, at_ms)
        self.outage.caller_waits_no_more()
        self.delivery.hush()
        self._floor_input(Input.VOICE_STARTED)

    def voice_ended(self, now: float, at_ms: float) -> None:
        self._now = now
        self.hearing.voice_ended(at_ms)
        self._latency.voice_ended(now - VAD_HANGOVER_MS / 1000)
        self._floor_input(Input.VOICE_ENDED)

    def heard(self, now: float, transcript: Transcript) -> None:
        """The transcriber has words, or (with an empty text) shows that it lives."""
        self._now = now
        self.hearing.heard(now, transcript)
        self.questions.words_are(self.hearing.text)
        is_answer = self.floor in (Floor.THINKING, Floor.SPEAKING, Floor.DECIDING)
        if self.hearing.interrupts(self.assistant.barge_in) if is_answer else self.hearing.text:
            self._idleness.caller_is_there()
            self._floor_input(Input.WORDS)

    def turn_ended(self, now: float) -> None:
        """The transcriber says that the caller has finished."""
        self._now = now
        self.hearing.answered()
        self._floor_input(Input.TURN_OVER)

    def turn_ending(self, now: float) -> None:
        """The transcriber thinks that the caller has finished, with the words so far."""
        self._now = now
        self._floor_input(Input.TURN_ENDING)

    def turn_resumed(self, now: float) -> None:
        """The caller goes on: what was asked ahead is out of date."""
        self._now = now
        self.questions.drop_ahead()

    def answered(self, now: float, answer: Answer) -> None:
        """The responder has the next piece of an answer."""
        self._now = now
        if self.questions.take(answer):
            self._take_answer(answer)

    def spoken(self, now: float, message: SegmentSpoken) -> None:
        """The speaker has sent audio to the transport."""
        self._now = now
        if self.delivery.utterance is not None and self.delivery.is_current(message.utterance):
            self.delivery.utterance.delivered(message.segment, message.ms, message.words, message.done)

    def playout_started(self, now: float, utterance: int) -> None:
        self._now = now
        if self.delivery.is_current(utterance):
            self._floor_input(Input.PLAYOUT_STARTED)

    def playout_dry(self, now: float, utterance: int) -> None:
        """The caller has heard all that there is of it: a gap begins."""
        self._now = now
        if self.delivery.is_current(utterance) and self.delivery.starves:
            self.outage.caller_waits(0.0)

    def playout_done(self, now: float, utterance: int) -> None:
        self._now = now
        self.delivery.heard_out(utterance)
        if self.delivery.is_current(utterance):
            self._floor_input(Input.PLAYOUT_DONE)

    def playout_stopped(self, now: float, utterance: int, heard_ms: float, flushed: bool) -> None:
        """What was heard of an utterance that is thrown away; one that is only paused goes on, or is flushed later."""
        self._now = now
        if not flushed:
            return
        if (stopped := self.delivery.stopped(utterance)) is not None:
            self.history.remember_heard(stopped, stopped.heard_text(heard_ms), interrupted=True)
        if self._turn_waits and self.delivery.settled:
            self.end_turn()

    def dtmf(self, now: float, digit: str) -> None:
        """A key: like a word, it takes the floor."""
        if self._is_addressed(now):
            self._keys.press(digit, now)

    def typed(self, now: float, text: str) -> None:
        """A turn by itself, which also interrupts."""
        if self._is_addressed(now):
            self._latency.voice_ended(now)
            self.hearing.typed(now, text)
            self.end_turn()

    def _is_addressed(self, now: float) -> bool:
        """The caller does something on purpose: fall silent. False if nobody listens any more."""
        self._now = now
        self._idleness.caller_is_there()
        self.questions.drop_ahead()
        self._idleness.end()
        if self.floor in (Floor.THINKING, Floor.SPEAKING, Floor.DECIDING):
            self.take_floor()
        return self.floor not in (Floor.ENDING, Floor.ENDED)

    def timer(self, now: float, name: str) -> None:
        self._now = now
        if name in TIMERS:
            self._floor_input(TIMERS[name])
        elif name == "filler":
            waits = self.floor in (Floor.SETTLING, Floor.THINKING) and not self.delivery.owed
            self.outage.due(waits or (self.floor is Floor.SPEAKING and self.delivery.starves), self.turn)
        elif name == "keys":
            self._end_keys()
        elif name == "max_duration":
            self._close(self.assistant.max_duration_message, Termination(Result.SUCCESS, "max_duration"))
        elif name == "last_words":
            self._end()

    def hang_up(self, now: float, termination: Termination, last_words: str = "") -> None:
        """End the call now, or after its last words."""
        self._now = now
        self._close(last_words, termination)

    def wire_closed(self, now: float) -> None:
        """The caller is gone: what was heard is history, nothing else matters any more."""
        self._now = now
        self.questions.cancel()
        self._turn_waits = False
        self.outage.caller_waits_no_more()
        self.history.remember_caller(self.turn)
        self.floor, self.delivery.utterance = Floor.ENDED, None

    def inspect(self) -> dict[str, Any]:
        """The state for operators; what was said is only counted."""
        return {
            "state": self.floor.name.lower(),
            "turn": self.turn,
            "voice": self.hearing.voice,
            "history_lines": len(self.history.lines),
            "answer_pending": self.questions.open,
            "answer_ahead": self.questions.pending_ahead,
            "utterance": self.delivery.inspect(),
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

    def lost(self, now: float, role: Role) -> None:
        """The member has failed; a successor is on its way."""
        self._now = now
        self.outage.lost(role)

    def ready(self, now: float, role: Role) -> None:
        """The member's provider answers."""
        self._now = now
        if self.outage.back(role) and self.floor is Floor.LISTENING:
            self._listen()  # the silence so far was not the caller's

    def replaced(self, now: float, role: Role, without: str = "") -> None:
        """The member has a successor: give it what its predecessor owed, but for `without` (one of its `work`s)."""
        self._now = now
        if role == "responder":
            self._ask_once_more(with_work=not without)
        elif role == "speaker":
            self.delivery.speak_once_more(skip=without)
        elif role == "transcriber":
            self._hear_once_more()

    def exhausted(self, now: float, role: Role, detail: str) -> None:
        """Neither patience nor providers are left: say so and end."""
        self._now = now
        if self.floor is Floor.ENDING:
            if role == "speaker":
                self._end()
        else:
            reason = Termination(Result.UPSTREAM_ERROR, "provider_exhausted", f"{role}: {detail}")
            self._close(self.assistant.error_message, reason)

    # --- the floor's actions (named in floor.TABLE) ---------------------------------------------------------------

    def pass_by(self) -> None: ...

    def begin_turn(self) -> None:
        self._idleness.end()
        if self.hearing.voice:
            self.floor = Floor.HEARING
        else:  # words without a voice: the VAD has missed it, so wait for the rest as after a pause
            self.settle()

    def settle(self) -> None:
        self.floor = Floor.SETTLING
        silence_ms = max(0, self.assistant.endpointing.silence_ms - VAD_HANGOVER_MS)
        self._do(SetTimer("endpoint", silence_ms / 1000))

    def go_on_hearing(self) -> None:
        self._do(CancelTimer("endpoint"))
        self.questions.drop_ahead()
        self.floor = Floor.HEARING

    def ask_for_transcript(self) -> None:
        """Answered in any case: the transcriber has its own deadline, and a successor is asked again."""
        self.hearing.ask()
        self.outage.caller_waits(self.assistant.endpointing.silence_ms / 1000)

    def think_ahead(self) -> None:
        """Ask what would be asked if the turn were over, if nothing else belongs to it."""
        if self.delivery.settled and not self._keys:
            self.questions.ask_ahead(self.hearing.text)

    def end_turn(self) -> None:
        self._do(CancelTimer("endpoint"))
        self._turn_waits = not self.delivery.settled
        if self._turn_waits:
            return
        if self.hearing.voice and not self.hearing.text and not self._keys:
            self.floor = Floor.HEARING  # an answer that was late: the caller has begun anew
            return
        words, began_s, voice_ms = self.hearing.take(self._now)
        if words and self._keys:
            self._ask_keys(words)
        elif words:
            self._ask(self.history.question_with(words), began_s)
        elif self._keys:
            self._ask_keys()
        elif self.history.question:  # only a sound while we were thinking: the question stands
            self._ask(self.history.question, began_s)
        elif voice_ms >= NOISE_MS and self.assistant.not_understood:
            self._say(self.assistant.not_understood, Purpose.PROMPT)
        else:
            self._listen()

    def pause_for_voice(self) -> None:
        if self.assistant.barge_in.enabled:
            self.floor = Floor.DECIDING
            self._do(To("transport", PausePlayout()))
            self._do(SetTimer("decision", self.assistant.barge_in.decide_ms / 1000))

    def ask_for_words(self) -> None:
        self.hearing.ask()

    def decide_by_voice(self) -> None:
        if self.hearing.voice:
            self.take_floor()
        else:
            self.give_floor_back()

    def give_floor_back(self) -> None:
        if self.hearing.voice:
            return  # not decided yet
        self._do(CancelTimer("decision"))
        self._do(To("transport", ResumePlayout()))
        self.hearing.take(self._now)
        self.floor = Floor.SPEAKING if self.delivery.started else Floor.THINKING
        if not self.delivery.started or self.delivery.starves:
            self.outage.caller_waits(0.0)

    def take_floor(self) -> None:
        """The caller interrupts: fall silent, forget what was not heard, listen."""
        self._do(CancelTimer("decision"))
        self._termination = None  # an answer that would have ended the call is not heard
        self._drop_utterance()
        if self.hearing.voice:
            self.floor = Floor.HEARING
        else:
            self.settle()

    def forget_words(self) -> None:
        """What was said did not interrupt ("mhm"), so it is not part of the next turn either."""
        self.hearing.forget_words()

    def become_audible(self) -> None:
        if (utterance := self.delivery.utterance) and not utterance.started:
            utterance.started, utterance.started_s = True, self._now
            self.outage.answered()
            if utterance.purpose is Purpose.ANSWER:
                self._latency.audible(self._now, utterance.turn)
            self.history.remember_caller(self.turn)
        if self.floor is Floor.THINKING:
            self.floor = Floor.SPEAKING

    def finish_utterance(self) -> None:
        if self.floor is Floor.DECIDING:  # about nothing any more; what is said next must be heard
            self._do(CancelTimer("decision"))
            self._do(To("transport", ResumePlayout()))
        finished = self.delivery.finish()
        self.history.remember_heard(finished, finished.text)
        if self._termination is not None:
            self._end()
        elif self.hearing.voice:
            self.floor = Floor.HEARING
        elif self.floor is Floor.DECIDING:
            self.settle()
        else:
            self._listen()

    def prompt_idle(self) -> None:
        if self.outage.any_away:  # who is not heard is not silent
            self._listen()
        elif (prompt := self._idleness.next_prompt()) is not None:
            self._say(prompt, Purpose.PROMPT)
        else:
            self._close(self.assistant.idle.goodbye, Termination(Result.SUCCESS, "idle"))

    # --- asking and speaking --------------------------------------------------------------------------------------

    def _ask(self, text: str, began_s: float, shown: str = "") -> None:
        self.turn += 1
        self.delivery.begin(Purpose.ANSWER, self.turn)
        self.floor = Floor.THINKING
        if self.hearing.voice:  # the transcriber has heard the end of it before the VAD
            self._latency.voice_ended(self._now)
        self._latency.asked(self._now, self.turn)
        self.outage.caller_waits(0.0)
        for answer in self.questions.ask(text, shown or text, began_s):
            self._take_answer(answer)

    def _take_answer(self, answer: Answer) -> None:
        match answer:
            case AnswerStarted():
                self._latency.first_token(self._now, self.turn)
            case Clause(text=text):
                self.outage.caller_waits_no_more()
                if self.delivery.utterance and not self.delivery.utterance.segments:
                    self._latency.first_clause(self._now, self.turn)
                self.delivery.speak(text)
            case AnswerDone(hang_up=hang_up):
                self.questions.open = False
                if hang_up:
                    self._termination = Termination(Result.SUCCESS, "assistant_hung_up")
                self._complete_utterance()

    def _ask_once_more(self, with_work: bool) -> None:
        self.questions.responder_lost()
        if not self.questions.open or (utterance := self.delivery.utterance) is None:
            return
        if with_work:
            self.questions.ask_again(utterance.text)
            return
        self.questions.open = False
        if not utterance.segments:
            self.delivery.speak(self.assistant.ask_again)
        self._complete_utterance()

    def _say(self, text: str, purpose: Purpose) -> None:
        self.delivery.begin(purpose, self.turn)
        self.floor = Floor.ENDING if purpose is Purpose.CLOSING else Floor.THINKING
        self.delivery.speak(text)
        self.delivery.complete()

    def _complete_utterance(self) -> None:
        if self.delivery.utterance and self.delivery.utterance.segments:
            self.delivery.complete()
        else:  # an answer without words
            self.history.remember_caller(self.turn)
            self.finish_utterance()

    def _drop_utterance(self) -> None:
        self.questions.cancel()
        self.delivery.throw_away()

    def _hear_once_more(self) -> None:
        """The transport replays what has no transcript yet; ask again where we had asked before."""
        self.hearing.hear_again()
        self.questions.words_are(self.hearing.text)

    # --- ending ---------------------------------------------------------------------------------------------------

    def _close(self, last_words: str, termination: Termination) -> None:
        if self.floor in (Floor.ENDING, Floor.ENDED):
            return
        self._termination, self._turn_waits = termination, False
        for name in (*TIMERS, "keys", "max_duration"):
            self._do(CancelTimer(name))
        self.outage.caller_waits_no_more()
        self._drop_utterance()
        self.history.remember_caller(self.turn)
        if last_words:
            self._do(SetTimer("last_words", LAST_WORDS_S))
            self._say(last_words, Purpose.CLOSING)
        else:
            self._end()

    def _end(self) -> None:
        assert self._termination is not None
        self._do(CancelTimer("last_words"))
        self.floor = Floor.ENDED
        self._do(End(self._termination))

    # --- keys -----------------------------------------------------------------------------------------------------

    def _end_keys(self) -> None:
        """No further key: they are a turn by themselves, or part of what the caller is saying."""
        if self.floor is Floor.LISTENING:
            self._latency.voice_ended(self._now)
            self._ask_keys()

    def _ask_keys(self, words: str = "") -> None:
        self.history.remember_caller(self.turn)
        question, shown = self._keys.take(words)
        if question:
            self._ask(question, self._keys.began_s, shown)
        else:
            self._listen()

    # --- small helpers --------------------------------------------------------------------------------------------

    def _floor_input(self, event: Input) -> None:
        getattr(self, TABLE[self.floor][event])()

    def _listen(self) -> None:
        self.floor = Floor.LISTENING
        self.outage.answered()
        self._idleness.begin()

    def _do(self, effect: Effect) -> None:
        self._effects.append(effect)

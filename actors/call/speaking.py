"""The assistant's side of the floor: from a question to the end of its answer, and whatever else is said."""

from __future__ import annotations

from dataclasses import dataclass, replace

from actors.call.delivery import Delivery
from actors.call.effects import Flawed
from actors.call.floor import Input
from actors.call.heard import joined
from actors.call.hearing import Hearing
from actors.call.history import History
from actors.call.idle import Idleness
from actors.call.latency import TurnLatency
from actors.call.outage import Outage
from actors.call.position import Position, from_the_clause_at
from actors.call.questions import Questions
from actors.call.scene import Scene
from actors.call.utterance import Purpose, Utterance
from actors.errors import Result, Termination
from actors.messages import Answer, AnswerDone, AnswerStarted, Clause, SegmentSpoken
from actors.wording import Wording
from config.assistant import AssistantConfig


@dataclass(frozen=True, slots=True)
class Cut:
    """An utterance that was interrupted, perhaps for nothing. Its clauses are known once it is known what was heard:
    those that were, and those from the one that was cut."""

    into_the_end: bool  # what was said into the end of it is an answer, also a listener's words
    then_end: Termination | None  # an answer that would have ended the call was not heard
    heard: str = ""
    unheard: tuple[str, ...] = ()
    complete: bool = False


class Speaking:
    """Asks the responder, hands what it says to the voice, and follows what the caller hears of it."""

    def __init__(
        self, scene: Scene, assistant: AssistantConfig, hearing: Hearing, history: History, questions: Questions
    ) -> None:
        self._scene, self._assistant = scene, assistant
        self._hearing, self._history, self._questions = hearing, history, questions
        self.delivery = Delivery(scene.do)
        self.outage = Outage(scene.do, self.delivery, assistant)
        self.latency = TurnLatency(scene.do)
        self.idleness = Idleness(scene.do, assistant.idle)
        self.position = Position()
        self.then_end: Termination | None = None  # the call ends once this utterance was heard
        self._cut: Cut | None = None  # what the caller has interrupted, and has said nothing since

    # --- what begins it -------------------------------------------------------------------------------------------

    def ask(self, question: Wording, began_s: float) -> None:
        """A question, which the caller began at `began_s`."""
        self._cut = None
        self._scene.turn += 1
        self.delivery.begin(Purpose.ANSWER, self._scene.turn)
        self._scene.feed(Input.ASK)
        self.latency.asked(self._scene.now, self._scene.turn)
        self.outage.caller_waits(0.0)
        for answer in self._questions.ask(question, began_s):
            self._take(answer)

    def say(self, text: str, purpose: Purpose) -> None:
        """A text of the assistant's own."""
        self._scene.feed(Input.SAY)
        self.utter(text, purpose)

    def utter(self, text: str, purpose: Purpose) -> None:
        """A text as an utterance by itself, whoever has the floor."""
        self._cut = None
        self.delivery.begin(purpose, self._scene.turn)
        self.delivery.speak(text)
        self.delivery.complete()

    def greet(self) -> None:
        if self._assistant.greeting:
            self.say(self._assistant.greeting, Purpose.GREETING)
        else:
            self._scene.feed(Input.REST)

    def was_cut_for(self, words: str) -> bool:
        """The caller has interrupted us, and all that he has said were these words, which do not interrupt."""
        if self._cut is None or not self._cut.unheard:
            return False
        return not (words if self._cut.into_the_end else self._hearing.listening.count(words))

    def repeat(self) -> None:
        """It came to nothing: go on with the clause that was cut."""
        assert self._cut is not None
        cut, self._cut = self._cut, None
        self.delivery.begin(Purpose.REPEAT, self._scene.turn).before = cut.heard
        self._scene.feed(Input.SAY)
        for text in cut.unheard:
            self.delivery.speak(text)
        if cut.complete:
            self.then_end = cut.then_end
            self.delivery.complete()
        else:
            self._questions.go_on(joined([cut.heard, *cut.unheard]))

    def prompt(self) -> None:
        """Nobody has said anything for a while."""
        if self.outage.any_away:  # who is not heard is not silent
            self.listen()
        elif (prompt := self.idleness.next_prompt()) is not None:
            self.say(prompt, Purpose.PROMPT)
        else:
            self._scene.feed(Input.NOBODY)

    @property
    def left_ms(self) -> float:
        """How much of what is said is still to be heard; infinite if that is not known."""
        return self.position.left_ms(self.delivery.utterance, self._scene.now)

    # --- what the members tell ------------------------------------------------------------------------------------

    def answered(self, answer: Answer) -> None:
        """The responder has the next piece of an answer."""
        if self._questions.take(answer):
            self._take(answer)

    def _take(self, answer: Answer) -> None:
        match answer:
            case AnswerStarted():
                self.latency.first_token(self._scene.now, self._scene.turn)
            case Clause(text=text):
                self.outage.caller_waits_no_more()
                if self.delivery.utterance and not self.delivery.utterance.segments:
                    self.latency.first_clause(self._scene.now, self._scene.turn)
                self.delivery.speak(text)
            case AnswerDone(hang_up=hang_up, flaw=flaw):
                self._questions.open = False
                if hang_up:
                    self.then_end = Termination(Result.SUCCESS, "assistant_hung_up")
                if flaw:
                    self._own_up(flaw)
                self._complete()

    def _own_up(self, flaw: str) -> None:
        """There is no answer, or not all of it. Who hears nothing of one is asked to say it again, if he does not
        speak already."""
        self._scene.do(Flawed(self._scene.turn, flaw))
        if not self.delivery.owed and not self._hearing.voice:
            self._ask_again()

    def _ask_again(self) -> None:
        if self._assistant.ask_again:
            self.delivery.speak(self._assistant.ask_again)

    def _complete(self) -> None:
        if self.delivery.utterance and self.delivery.utterance.segments:
            self.delivery.complete()
        else:  # an answer without words
            self._history.remember_caller(self._scene.turn)
            self._scene.feed(Input.PLAYOUT_DONE)

    def spoken(self, message: SegmentSpoken) -> None:
        """The speaker has sent audio to the transport."""
        if self.delivery.utterance is not None and self.delivery.is_current(message.utterance):
            self.delivery.utterance.delivered(message.segment, message.ms, message.words, message.done)
            if message.done:
                self.delivery.give_waiting()

    def dry(self, utterance: int) -> None:
        """The caller has heard all that there is of it: a gap begins."""
        if self.delivery.is_current(utterance) and self.delivery.starves:
            self.outage.caller_waits(0.0)

    def stopped(self, utterance: int, heard_ms: float) -> None:
        """It is known what was heard of an utterance that was thrown away."""
        if (stopped := self.delivery.stopped(utterance)) is not None:
            self._history.remember_heard(stopped, stopped.heard_text(heard_ms), interrupted=True)
            if self._cut is not None:
                self._cut = _where_cut(self._cut, stopped, heard_ms)

    def ask_once_more(self, with_work: bool) -> None:
        """The responder has a successor, who gets the question again, unless it is what kills them."""
        self._questions.responder_lost()
        if not self._questions.open or (utterance := self.delivery.utterance) is None:
            return
        if with_work:
            self._questions.ask_again(joined([utterance.before, utterance.text]))
            return
        self._questions.open = False
        self._history.withhold()
        if not utterance.segments:
            self._ask_again()
        self._complete()

    def caller_acts(self) -> None:
        """He presses a key, or types: that is as good as his voice, and the end of what he says for now."""
        self.latency.caller_done(self._scene.now)
        self.idleness.caller_is_there()
        self.idleness.end()
        self.outage.caller_waits_no_more()
        self._questions.drop_ahead()

    # --- the floor's actions --------------------------------------------------------------------------------------

    def listen(self) -> None:
        """Nobody speaks: from now on the silence is the caller's."""
        self.outage.answered()
        self.idleness.begin()

    def become_audible(self) -> None:
        if (utterance := self.delivery.utterance) and not utterance.started:
            utterance.started, utterance.started_s = True, self._scene.now
            self.outage.answered()
            self.position.begin(self._scene.now)
            if utterance.purpose is Purpose.ANSWER:
                self.latency.audible(self._scene.now, utterance.turn)
            self._history.remember_caller(self._scene.turn)

    def finish(self) -> None:
        """The caller has heard all of it."""
        self.remember()
        self._scene.feed(self.following(Input.REST))

    def remember(self) -> None:
        """The utterance was heard to its end: it is history."""
        finished = self.delivery.finish()
        self._history.remember_heard(finished, finished.text)

    def following(self, silent: Input) -> Input:
        """What follows an utterance: the end, the caller's voice, or else this."""
        if self.then_end is not None:
            return Input.END
        return Input.HEAR if self._hearing.voice else silent

    def fill_silence(self) -> None:
        if not self.delivery.owed:
            self.outage.due(self._scene.turn)

    def fill_gap(self) -> None:
        if self.delivery.starves:
            self.outage.due(self._scene.turn)

    def interrupt(self, may_repeat: bool, into_the_end: bool = False) -> None:
        """The caller takes the floor; `may_repeat`: it may turn out that he has said nothing. Said into the end of what
        is said, a listener's words are an answer."""
        self._cut = Cut(into_the_end, self.then_end) if may_repeat else None
        self.then_end = None
        self.drop()

    def drop(self) -> None:
        """Fall silent, and forget what was not heard."""
        self._questions.cancel()
        self.delivery.throw_away()

    def break_off(self, then_end: Termination) -> None:
        """The call is to end: what comes next are its last words."""
        self.outage.caller_waits_no_more()
        self.drop()
        self.then_end = then_end
        self._history.remember_caller(self._scene.turn)

    def leave(self) -> None:
        """The caller is gone: what was heard is history, nothing else matters any more."""
        self._questions.cancel()
        self.outage.caller_waits_no_more()
        self._history.remember_caller(self._scene.turn)
        self.delivery.utterance = None


def _where_cut(cut: Cut, stopped: Utterance, heard_ms: float) -> Cut:
    texts = [segment.text for segment in stopped.segments if not segment.aside]
    unheard = from_the_clause_at(stopped, heard_ms)
    heard = joined([stopped.before, *texts[: len(texts) - len(unheard)]])
    return replace(cut, heard=heard, unheard=unheard, complete=stopped.complete)

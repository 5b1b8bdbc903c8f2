"""What the assistant is saying: the utterance under way, and those that were thrown away before they were heard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.call.effects import Effect, To
from actors.call.utterance import Purpose, Utterance
from actors.messages import CancelSpeech, EndUtterance, FlushPlayout, Speak


class Delivery:
    """Hands utterances to the speaker clause by clause; one at a time."""

    def __init__(self, do: Callable[[Effect], None]) -> None:
        self._do = do
        self.utterance: Utterance | None = None
        self._aside = 0  # number of what is said while the caller waits for the utterance; no part of the conversation
        self._thrown: dict[int, Utterance] = {}  # what was heard of them is not known yet
        self._doubts = False  # whether what is refused is the first of what is owed
        self._careful = False  # the voice is given a sentence when it has spoken the one before
        self._numbers = 0  # of utterances and segments: never the same twice in a call

    @property
    def started(self) -> bool:
        """The caller hears it."""
        return self.utterance is not None and self.utterance.started

    @property
    def owed(self) -> bool:
        """The speaker has been given something to say."""
        return self.utterance is not None and bool(self.utterance.segments)

    @property
    def starves(self) -> bool:
        """The caller is in the middle of it, and the speaker has nothing more of it to say."""
        utterance = self.utterance
        return utterance is not None and self.started and not utterance.complete and utterance.pending is None

    @property
    def work(self) -> str:
        """What the speaker is saying; empty when it has nothing to say."""
        pending = self.utterance.pending if self.utterance else None
        return pending.text if pending else ""

    @property
    def settled(self) -> bool:
        """It is known of everything thrown away what was heard of it."""
        return not self._thrown

    def begin(self, purpose: Purpose, turn: int) -> Utterance:
        self.utterance = Utterance(self._number(), purpose, turn)
        self._careful = False
        return self.utterance

    def speak(self, text: str) -> None:
        assert self.utterance is not None
        is_owed = self.utterance.pending is not None
        segment = self.utterance.add(self._number(), text)
        segment.waits = self._careful and is_owed
        if not segment.waits:
            self._do(To("speaker", Speak(self.utterance.number, segment.number, text)))

    def complete(self) -> None:
        """No further text will come."""
        assert self.utterance is not None
        self.utterance.complete = True
        self._end_utterance()

    def give_waiting(self) -> None:
        """The voice has spoken a segment: the next one, if it waits for that."""
        if self._careful and self.utterance is not None and (segment := self.utterance.pending) and segment.waits:
            segment.waits = False
            self._do(To("speaker", Speak(self.utterance.number, segment.number, segment.text)))
            self._end_utterance()

    def _end_utterance(self) -> None:
        utterance = self.utterance
        if utterance and utterance.complete and not any(segment.waits for segment in utterance.segments):
            self._do(To("speaker", EndUtterance(utterance.number)))

    def interject(self, text: str) -> None:
        """Say something while the rest of the utterance is waited for, before it begins, or before there is one."""
        if self.utterance is not None and self.utterance.segments:
            segment = self.utterance.add(self._number(), text, aside=True)
            self._do(To("speaker", Speak(self.utterance.number, segment.number, text)))
            return
        self._aside = self._number()
        self._do(To("speaker", Speak(self._aside, self._number(), text)))
        self._do(To("speaker", EndUtterance(self._aside)))
        if self.utterance is not None:
            self.utterance.number = self._number()  # utterances are played by their numbers

    def hush(self) -> None:
        """The caller speaks: what was said to pass the time is not worth a pause."""
        if self._aside and not self.owed:
            self._do(To("speaker", CancelSpeech()))
            self._drop_aside()

    def heard_out(self, number: int) -> None:
        """The caller has heard the whole utterance."""
        if number == self._aside:
            self._aside = 0

    def doubt(self) -> None:
        """The voice has refused a segment, and does not say which of those that it was given."""
        self._doubts = True

    def speak_once_more(self, skip: str = "") -> None:
        """A new speaker takes over: give it what its predecessor owed, but for the segment with the text `skip`. If it
        may be any of several, all are given, but one by one from now on: then it is known."""
        doubts, self._doubts = self._doubts, False
        if self._aside:
            self._drop_aside()
        if self.utterance is None:
            return
        if skip and doubts and sum(not (segment.done or segment.waits) for segment in self.utterance.segments) > 1:
            self._careful, skip = True, ""
        for text in self.utterance.cut(skip):
            self.speak(text)
        self._end_utterance()

    def throw_away(self) -> None:
        """Fall silent, and forget what was not heard."""
        if self.utterance is not None:
            self._thrown[self.utterance.number] = self.utterance
            self._do(To("speaker", CancelSpeech()))
            self._do(To("transport", FlushPlayout(self.utterance.number)))
            self.utterance = None
            self._aside = 0

    def stopped(self, number: int) -> Utterance | None:
        """It is known now what was heard of the utterance that we threw away, or that the end of the call cut off."""
        return self.finish() if self.is_current(number) else self._thrown.pop(number, None)

    def is_current(self, number: int) -> bool:
        return self.utterance is not None and self.utterance.number == number

    def finish(self) -> Utterance:
        """It was heard to its end."""
        assert self.utterance is not None
        finished, self.utterance = self.utterance, None
        return finished

    def inspect(self) -> dict[str, Any] | None:
        """The utterance under way, for operators: what is said in it is only counted."""
        if (utterance := self.utterance) is None:
            return None
        return {
            "number": utterance.number,
            "purpose": utterance.purpose.value,
            "segments": len(utterance.segments),
            "complete": utterance.complete,
            "audible": utterance.started,
        }

    def _drop_aside(self) -> None:
        self._do(To("transport", FlushPlayout(self._aside)))
        self._aside = 0

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

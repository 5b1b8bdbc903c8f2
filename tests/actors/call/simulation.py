"""Whole calls in virtual time, drawn from a seed: a caller, a late recognizer, a model, a voice and a playout.

The recognizer says interims and finals up to 1.5 s late, some finals empty; it leaves some questions unanswered, and
may say no times. With `ends_first` it says the end of a turn that it is asked for before its final; with `loses`, half
of these finals never come. The caller speaks, presses keys, types, interrupts and coughs whenever he likes.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Any

from actors.call.dictation import Dictation
from actors.call.effects import End, To
from actors.messages import (
    AnswerDone,
    AnswerStarted,
    Ask,
    CancelAnswer,
    CancelSpeech,
    Clause,
    EndUtterance,
    Finalize,
    FlushPlayout,
    Heard,
    PausePlayout,
    ResumePlayout,
    SegmentSpoken,
    Speak,
    Transcript,
    TurnEnded,
)
from actors.providers.spec import Interim, Word
from tests.actors.call.stage import Stage

TICK_S = 0.02
DEADLINE_S = 0.7  # of an answer to a `Finalize`
MOST_EXTENDED = 5
CLAUSES = ("Sure thing.", "I will look that up for you now.", "Would you like anything else today?")


def named(kind: str, number: int) -> str:
    """A word of letters, which is said once in a call."""
    return f"{kind}{chr(97 + number // 26)}{chr(97 + number % 26)}x"


class Recognizer:
    """Hears the words of the caller in order, and tells the conversation late."""

    def __init__(self, call: Simulation, draw: random.Random, ends_first: bool, loses: bool) -> None:
        self._call, self._draw, self._dictation = call, draw, Dictation()
        self._dictation.open = True
        self._ends_first, self._loses = ends_first, loses
        self._late_s, self._jitter_s = draw.choice([0.05, 0.2, 0.6, 1.0]), draw.choice([0.0, 0.1, 0.4])
        self._pause_s = draw.choice([0.2, 0.5, 1.0, 99.0])  # after so long it says a final by itself
        self._says_when, self._ends_turns = draw.random() < 0.6, draw.random() < 0.3
        self._unanswered, self._empty = draw.choice([0.0, 0.1]), draw.choice([0.0, 0.3])
        self.words: list[str] = []
        self._final = self._ticks = 0  # words that are final
        self._silent_s = self._last_s = 0.0
        self._due_s: float | None = None
        self._extended = 0

    def ask(self, until_ms: float) -> None:
        self._dictation.ask(until_ms)
        self._hand_over()

    def hear(self, voice: bool) -> None:
        end_ms = self._call.now * 1000
        self._dictation.feed(Heard(b"", end_ms - 1000 * TICK_S, end_ms, voice))
        self._hand_over()
        self._ticks += 1
        self._silent_s = 0.0 if voice else self._silent_s + TICK_S
        fed_ms, open_words = self._dictation.fed_ms, self.words[self._final :]
        if self._ticks % 15 == 0 and (voice or open_words):
            interim = Interim(" ".join(open_words), fed_ms if self._says_when else None)
            self._tell(lambda: self._dictation.interim(interim))
        if open_words and self._silent_s >= self._pause_s:
            self._say_final()
            if self._ends_turns:
                self._tell(lambda: self._dictation.end_of_turn(fed_ms if self._says_when else None))
        self._look_at_deadline()

    def _hand_over(self) -> None:
        if not self._dictation.take_question():
            return
        self._due_s, self._extended, fed_ms = self._call.now + DEADLINE_S, 0, self._dictation.fed_ms
        if self._ends_first:
            self._tell_interim(fed_ms)
            self._tell(lambda: self._dictation.end_of_turn(fed_ms if self._says_when else None))
        if self._loses and self._draw.random() < 0.5:
            self._final = len(self.words)
        else:
            self._say_final()
        if not self._ends_first and self._draw.random() >= self._unanswered:
            self._tell(lambda: self._dictation.end_of_turn(fed_ms if self._says_when else None))

    def _say_final(self) -> None:
        text, fed_ms = " ".join(self.words[self._final :]), self._dictation.fed_ms
        if text and self._draw.random() < self._empty:
            self._tell_interim(fed_ms)
            self._tell(lambda: self._dictation.final("", fed_ms))
        elif text:
            self._tell(lambda: self._dictation.final(text, fed_ms))
        self._final = len(self.words)

    def _tell_interim(self, fed_ms: float) -> None:
        if text := " ".join(self.words[self._final :]):
            interim = Interim(text, fed_ms if self._says_when else None)
            self._tell(lambda: self._dictation.interim(interim))

    def _tell(self, event: Callable[[], list[Any]]) -> None:
        at = self._call.now + self._late_s + self._draw.uniform(0, self._jitter_s)
        self._last_s = max(self._last_s + 1e-6, at)
        self._call.at(self._last_s, lambda: self._told(event()))

    def _told(self, messages: list[Any]) -> None:
        for message in messages:
            if isinstance(message, Transcript):
                self._call.do("heard", message)
            else:
                self._call.do("turn_ended")
        if not self._dictation.owes:
            self._due_s = None

    def _look_at_deadline(self) -> None:
        if self._due_s is None or self._call.now < self._due_s:
            return
        told: list[Any] = list(self._dictation.settle())
        if self._dictation.owes and self._extended == MOST_EXTENDED:
            self._dictation.owes, told = False, [TurnEnded()]  # as a successor answers, who hears nothing either
        if self._dictation.owes:
            self._extended += 1
            self._due_s = self._call.now + DEADLINE_S
        else:
            self._told(told)


class Simulation(Stage):
    """One call. `keys`, `words` and `typed` are what the caller has said, in order."""

    def __init__(self, seed: int, ends_first: bool = False, loses: bool = False) -> None:
        self._draw = random.Random(seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = self._answer = self._speech = 0
        self._spoken_s = 0.0
        self._paused = self._voice = self.over = False
        self._playing: dict[int, dict[str, Any]] = {}
        self.words: list[str] = []
        self.typed: list[str] = []
        self.keys = ""
        self._recognizer = Recognizer(self, self._draw, ends_first or loses, loses)
        super().__init__()

    def at(self, at_s: float, event: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (at_s, self._number, event))

    def do(self, name: str, *args: Any, **kwargs: Any) -> list[Any]:
        if self.over:
            return []
        new = super().do(name, *args, **kwargs)
        for effect in new:
            if isinstance(effect, To):
                self._take(effect.message)
        self.over = self.over or any(isinstance(effect, End) for effect in new)
        return new

    # --- the members and the transport ----------------------------------------------------------------------------

    def _take(self, message: Any) -> None:
        match message:
            case Ask():
                self._answer += 1
                number, turn = self._answer, message.question.turn
                clauses = list(self._draw.choices(CLAUSES, k=self._draw.choice([1, 1, 2, 3, 0])))
                self.at(self.now + self._draw.uniform(0.1, 1.2), lambda: self._give(number, turn, clauses, True))
            case CancelAnswer():
                self._answer += 1
            case Speak():
                speech = self._speech
                self._spoken_s = max(self._spoken_s, self.now) + self._draw.uniform(0.05, 0.4)
                self.at(self._spoken_s, lambda: self._speak(speech, message))
            case EndUtterance():
                speech = self._speech
                self.at(max(self._spoken_s, self.now) + 0.001, lambda: self._finish(speech, message.utterance))
            case CancelSpeech():
                self._speech += 1
                self._spoken_s = self.now
            case PausePlayout():
                self._paused = True
            case ResumePlayout():
                self._paused = False
            case FlushPlayout():
                self._paused = False
                heard_ms = self._playing.pop(message.utterance, {"heard": 0.0})["heard"]
                late_s = self._draw.choice([0.01, 0.05, 0.3])  # of a carrier
                self.at(self.now + late_s, lambda: self._stop(message.utterance, heard_ms))
            case Finalize():
                self._recognizer.ask(message.until_ms)

    def _stop(self, utterance: int, heard_ms: float) -> None:
        self.do("playout_stopped", utterance, heard_ms, True)

    def _give(self, number: int, turn: int, clauses: list[str], first: bool) -> None:
        if number != self._answer:
            return
        if first:
            self.do("answered", AnswerStarted(turn))
        if not clauses:
            self.do("answered", AnswerDone(turn, False, "empty" if first else ""))
            return
        self.do("answered", Clause(turn, clauses[0]))
        self.at(self.now + self._draw.uniform(0, 0.3), lambda: self._give(number, turn, clauses[1:], False))

    def _speak(self, speech: int, message: Speak) -> None:
        if speech != self._speech:
            return
        words, ms = message.text.split(), 60.0 * len(message.text)
        playing = self._playing.setdefault(message.utterance, {"ms": 0.0, "heard": 0.0, "end": False, "began": False})
        playing["ms"] += ms
        each = ms / len(words)
        times = tuple(Word(word, i * each, (i + 1) * each) for i, word in enumerate(words))
        self.do("spoken", SegmentSpoken(message.utterance, message.segment, ms, times))
        self.do("spoken", SegmentSpoken(message.utterance, message.segment, 0.0, done=True))

    def _finish(self, speech: int, utterance: int) -> None:
        if speech == self._speech and utterance in self._playing:
            self._playing[utterance]["end"] = True

    def _play(self) -> None:
        if self._paused or not self._playing:
            return
        number, playing = min(self._playing.items())
        if not playing["began"]:
            playing["began"] = True
            self.do("playout_started", number)
        playing["heard"] = min(playing["ms"], playing["heard"] + 1000 * TICK_S)
        if playing["end"] and playing["heard"] >= playing["ms"] and self._playing.pop(number, None):
            self.do("playout_done", number)

    # --- time, and the caller -------------------------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end and not self.over:
            self.now += TICK_S
            while self._events and self._events[0][0] <= self.now:
                heapq.heappop(self._events)[2]()
            for name in [name for name, at in self.timers.items() if at <= self.now]:
                if self.timers.pop(name, None) is not None:
                    self.do("timer", name)
            self._play()
            self._recognizer.hear(self._voice)

    def act(self) -> None:
        """The caller does something, and waits for a moment."""
        draw = self._draw
        kind = draw.random()
        if kind < 0.55:
            self._say([named("w", len(self.words) + n) for n in range(draw.randint(1, 6))])
        elif kind < 0.65:
            self._say([], draw.uniform(0.1, 2.5))  # coughs
        elif kind < 0.85:
            for key in draw.choices("123456789", k=draw.randint(1, 4)):
                self.keys += "" if self.over else key
                self.do("dtmf", key)
                self.run(draw.choice([0.05, 0.3, 1.0, 1.8]))
        else:
            text = named("t", len(self.typed))
            self.typed += [] if self.over else [text]
            self.do("typed", text)
        self.run(draw.choice([0.05, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0]))

    def _say(self, words: list[str], seconds: float = 0.0) -> None:
        self._voice = True
        self.do("voice_started", self.now * 1000)
        for word in words:
            self.run(0.35)
            if not self.over:
                self.words.append(word)
                self._recognizer.words.append(word)
        self.run(seconds)
        end_ms = self.now * 1000
        self.run(0.1)
        self._voice = False
        self.do("voice_ended", end_ms)

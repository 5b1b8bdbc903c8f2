"""What the caller is saying in the turn that is under way: the voice as the VAD has it, the words as they are heard."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from actors.call.effects import Effect, To
from actors.call.listening import Listening
from actors.call.words import Words
from actors.messages import Acknowledge, Finalize, Transcript

VAD_HANGOVER_MS = 100  # a voice that has paused for this long is reported as ended


class Turn(NamedTuple):
    """What the caller has said, when it began, and how long the voice was heard."""

    words: str
    began_s: float
    voice_ms: float


class Hearing:
    """The conversation's side of the transcriber."""

    def __init__(self, do: Callable[[Effect], None], listening: Listening) -> None:
        self._do, self.listening = do, listening
        self.voice = False
        self._words = Words()
        self.voice_since_s = 0.0  # on the conversation's clock
        self._since_ms = self._voice_ms = self._end_ms = 0.0
        self._asked = False  # for what is final, and there was no answer yet

    @property
    def text(self) -> str:
        """The words of this turn so far."""
        return self._words.text

    @property
    def turn_text(self) -> str:
        """What a turn that is over now consists of."""
        return self._words.confirmed

    @property
    def work(self) -> str:
        """What the transcriber is hearing, empty when it owes nothing."""
        return f"audio {self._words.finals}" if self.voice or self._asked else ""

    @property
    def has_voice(self) -> bool:
        """Whether a voice was heard in this turn."""
        return self.voice or self._voice_ms > 0

    def began_since(self, moment_s: float) -> bool:
        """Whether there are words, which the caller began to say at this moment or later."""
        return bool(self.text) and (self._words.began_s or 0.0) >= moment_s

    def begun_before(self, moment_s: float) -> str:
        """The words of this turn that the caller began to say before this moment."""
        return self._words.begun_before(moment_s)

    @property
    def words_beside(self) -> int:
        """How many words were said so far that do not only show that the caller listens."""
        return self._words.count(self.listening)

    def voice_started(self, now: float, at_ms: float) -> None:
        """A transcriber that was asked and has not begun to answer waits for the rest."""
        self.voice, self._since_ms, self._asked = True, at_ms, False
        self.voice_since_s = now
        self._words.voice_began(now)

    def voice_ended(self, at_ms: float) -> None:
        self.voice, self._end_ms = False, at_ms
        self._voice_ms += at_ms - self._since_ms

    def heard(self, now: float, transcript: Transcript) -> None:
        if transcript.final:
            self._do(To("transport", Acknowledge(transcript.end_ms)))
        self._words.heard(transcript.text, transcript.final, transcript.end_ms, now)

    def typed(self, now: float, text: str) -> None:
        """It takes the place of words that are not confirmed; these, if the voice is over, are still to come."""
        self._ask_for_rest()
        self._words.typed(text, now)

    def _ask_for_rest(self) -> None:
        if self._words.is_unconfirmed and not self.voice and not self._asked:
            self.ask()

    def ask(self) -> None:
        """For all that was said up to here; answered by the end of the turn, by this transcriber or its successor."""
        self._asked = True
        self._do(To("transcriber", Finalize(self._end_ms + VAD_HANGOVER_MS)))

    def answered(self) -> None:
        """The transcriber says that the turn is over."""
        self._asked = False

    def hear_again(self) -> None:
        """A new transcriber is given what has no transcript yet: ask again what its predecessor was asked."""
        self._words.forget_interim()
        if self._asked:
            self.ask()

    def take(self, now: float) -> Turn:
        """All of it, which is forgotten here."""
        began_s = self._words.began_s or now
        return self._taken(self._words.take(), began_s)

    def take_turn(self, now: float) -> Turn:
        """The turn that is over, which is forgotten here; words that are still to come are the next turn's."""
        began_s = self._words.began_s or now
        turn = self._taken(self._words.take_confirmed(now, self.voice), began_s)
        self._ask_for_rest()
        return turn

    def _taken(self, words: str, began_s: float) -> Turn:
        turn = Turn(words, began_s, self._voice_ms)
        self._voice_ms = 0.0
        return turn

    def forget_words(self) -> None:
        self._words.take()

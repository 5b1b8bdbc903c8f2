"""The caller's side of the floor: when a turn begins and is over, and what follows from what was said in it."""

from __future__ import annotations

from actors.call.floor import Input
from actors.call.hearing import VAD_HANGOVER_MS, Hearing
from actors.call.history import History
from actors.call.keys import Keys
from actors.call.questions import Questions
from actors.call.scene import Scene
from actors.call.speaking import Speaking
from actors.call.utterance import Purpose
from config.assistant import AssistantConfig

NOISE_MS = 300  # a shorter sound without words is not worth a question back


class Endpointing:
    """A turn is over when the transcriber says so: by itself, or asked after `silence_ms`."""

    def __init__(
        self,
        scene: Scene,
        assistant: AssistantConfig,
        hearing: Hearing,
        keys: Keys,
        history: History,
        questions: Questions,
        speaking: Speaking,
    ) -> None:
        self._scene, self._assistant, self._speaking = scene, assistant, speaking
        self._hearing, self._keys, self._history, self._questions = hearing, keys, history, questions
        self._over = False  # the turn is over, but the history does not yet know what was heard

    def forget_turn(self) -> None:
        """Nobody will answer it any more."""
        self._over = False

    def settled(self) -> None:
        """The history may know by now what was heard of the answer that this turn has interrupted."""
        if self._over and self._speaking.delivery.settled:
            self.end_turn()

    # --- the floor's actions --------------------------------------------------------------------------------------

    def begin_with_voice(self) -> None:
        self._speaking.idleness.end()

    def begin_without_voice(self) -> None:
        """The VAD has missed it: wait for the rest of the words as after a pause."""
        self.hear_words()
        self._speaking.idleness.end()
        self.settle()

    def hear_words(self) -> None:
        self._speaking.idleness.caller_is_there()

    def settle(self) -> None:
        silence_ms = max(0, self._assistant.endpointing.silence_ms - VAD_HANGOVER_MS)
        self._scene.set_timer("endpoint", silence_ms / 1000)

    def go_on(self) -> None:
        self._scene.cancel_timer("endpoint")
        self._questions.drop_ahead()

    def ask_for_transcript(self) -> None:
        """Answered in any case: the transcriber has its own deadline, and a successor is asked again."""
        self._hearing.ask()
        self._speaking.outage.caller_waits(self._assistant.endpointing.silence_ms / 1000)

    def think_ahead(self) -> None:
        """Ask what would be asked if the turn were over, if nothing else belongs to it."""
        if self._speaking.delivery.settled and not self._keys:
            self._questions.ask_ahead(self._hearing.text)

    def end_turn(self) -> None:
        self._scene.cancel_timer("endpoint")
        self._over = not self._speaking.delivery.settled
        if self._over:
            return
        if self._hearing.voice and not self._hearing.text and not self._keys:
            return  # an answer that was late: the caller has begun anew
        words, began_s, voice_ms = self._hearing.take(self._scene.now)
        if self._keys:
            self._ask_keys(words)
        elif words:
            self._speaking.ask(self._history.question_with(words), began_s)
        elif self._history.question:  # only a sound while we were thinking: the question stands
            self._speaking.ask(self._history.question, began_s)
        elif voice_ms >= NOISE_MS and self._assistant.not_understood:
            self._speaking.say(self._assistant.not_understood, Purpose.PROMPT)
        else:
            self._scene.feed(Input.REST)

    def end_keys(self) -> None:
        """No further key: they are a turn by themselves."""
        self._speaking.latency.voice_ended(self._scene.now)
        self._ask_keys("")

    def _ask_keys(self, words: str) -> None:
        self._history.remember_caller(self._scene.turn)
        question, shown = self._keys.take(words)
        if question:
            self._speaking.ask(question, self._keys.began_s, shown)
        elif not self._hearing.voice:
            self._scene.feed(Input.REST)

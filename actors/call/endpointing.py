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
from actors.wording import Wording
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
        self._settles = False  # the timer `endpoint` runs
        self._waits_for_audio = False  # it would run, if it were known whether the caller is silent
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
        self._settles, self._waits_for_audio = True, False
        silence_ms = max(0, self._assistant.endpointing.silence_ms - VAD_HANGOVER_MS)
        self._scene.set_timer("endpoint", silence_ms / 1000)

    def wait_for_audio(self) -> None:
        """Whether the silence goes on is not known."""
        if self._settles:
            self._settles, self._waits_for_audio = False, True
            self._scene.cancel_timer("endpoint")

    def settle_again(self) -> None:
        if self._waits_for_audio:
            self.settle()

    def go_on(self) -> None:
        self._over = False  # it was not
        self._settles = self._waits_for_audio = False
        self._scene.cancel_timer("endpoint")
        self._questions.drop_ahead()

    def ask_for_transcript(self) -> None:
        """Answered in any case: the transcriber has its own deadline, and a successor is asked again."""
        self._settles = False
        self._hearing.ask()
        self._speaking.outage.caller_waits(self._assistant.endpointing.silence_ms / 1000)

    def think_ahead(self) -> None:
        """Ask what would be asked if the turn were over, if nothing else belongs to it."""
        if self._speaking.delivery.settled and not self._keys:
            self._questions.ask_ahead(self._hearing.text)

    def hear_words_after_keys(self) -> None:
        """The VAD has missed them, or the caller speaks on: his turn ends as any other does."""
        self._scene.feed(Input.HEAR if self._hearing.voice else Input.SETTLE)

    def end_keys_in_noise(self) -> None:
        """The voice that is heard was there before the last key, and says nothing: it is not worth waiting for."""
        if not self._hearing.text and self._hearing.voice_since_s < self._keys.last_s:
            self.end_turn()

    def end_turn(self) -> None:
        self._scene.cancel_timer("endpoint")
        self._over = self._settles = self._waits_for_audio = False
        if self._keys.open and not self._hearing.began_since(self._keys.last_s):
            self._scene.feed(Input.AWAIT_KEYS)
            return
        if not self._speaking.delivery.settled:
            self._over = True
            return
        if self._hearing.voice and not self._keys and self._says_nothing(self._hearing.turn_text):
            return  # an answer that was late: the caller has begun anew
        before_keys = self._hearing.begun_before(self._keys.began_s)
        words, began_s, voice_ms = self._hearing.take_turn(self._scene.now)
        if words and self._hearing.voice:  # the transcriber has heard the end of it before the VAD
            self._speaking.latency.caller_done(self._scene.now)
        if self._keys:
            self._ask_with_keys(words, before_keys, began_s)
        elif self._speaking.was_cut_for(words):
            self._speaking.repeat()  # what seemed to be words, or others than these, has interrupted us
        elif words:
            self._speaking.ask(self._history.question_with(Wording.of(words)), began_s)
        elif self._history.question:  # only a sound while we were thinking: the question stands
            self._speaking.ask(self._history.question, began_s)
        elif voice_ms >= NOISE_MS and self._assistant.not_understood:
            self._speaking.say(self._assistant.not_understood, Purpose.PROMPT)
        else:
            self._scene.feed(Input.REST)

    def _says_nothing(self, words: str) -> bool:
        return not words or self._speaking.was_cut_for(words)

    def _ask_with_keys(self, words: str, before_keys: str, began_s: float) -> None:
        """A question by itself: what was asked before it and has no answer yet stays what it is."""
        self._history.remember_caller(self._scene.turn)
        keys, keys_began_s = self._keys.take(), self._keys.began_s
        if not words.startswith(before_keys):
            before_keys = words  # not all was confirmed
        after_keys = words[len(before_keys) :].strip()
        self._speaking.ask(Wording.of(before_keys, keys, after_keys), min(began_s, keys_began_s))

"""The caller makes a sound while we think or speak: whether that is an interruption."""

from __future__ import annotations

from actors.call.effects import To
from actors.call.floor import Input
from actors.call.hearing import Hearing
from actors.call.scene import Scene
from actors.call.speaking import Speaking
from actors.messages import PausePlayout, ResumePlayout
from config.assistant import BargeIn


class Interruption:
    """Pause at once, decide when there are words, or when the sound has lasted."""

    def __init__(self, scene: Scene, config: BargeIn, hearing: Hearing, speaking: Speaking) -> None:
        self._scene, self._config, self._hearing, self._speaking = scene, config, hearing, speaking

    def consider(self) -> None:
        if self._config.enabled:
            self._scene.feed(Input.PAUSE)

    def pause(self) -> None:
        self._scene.do(To("transport", PausePlayout()))
        self._scene.set_timer("decision", self._config.decide_ms / 1000)

    def weigh_words(self) -> None:
        """Words that only show that somebody listens are none."""
        if self._hearing.interrupts(self._config):
            self._speaking.idleness.caller_is_there()
            self.take_floor()

    def forget_words(self) -> None:
        """What was said did not interrupt ("mhm"), so it is not part of the next turn either."""
        self._hearing.forget_words()

    def ask_for_words(self) -> None:
        self._hearing.ask()

    def decide(self) -> None:
        if self._hearing.voice:
            self.take_floor()
        else:
            self.give_back()

    def give_back(self) -> None:
        if self._hearing.voice:
            return  # not decided yet
        self._resume()
        self._hearing.take(self._scene.now)
        delivery = self._speaking.delivery
        self._scene.feed(Input.RESUME_SPEECH if delivery.started else Input.RESUME_THOUGHT)
        if not delivery.started or delivery.starves:
            self._speaking.outage.caller_waits(0.0)

    def take_floor(self, silent: Input = Input.SETTLE) -> None:
        """The caller interrupts: fall silent, forget what was not heard, listen; `silent`: if no voice is heard."""
        self._scene.cancel_timer("decision")
        self._speaking.then_end = None  # an answer that would have ended the call is not heard
        self._speaking.drop()
        self._scene.feed(Input.HEAR if self._hearing.voice else silent)

    def take_floor_for_keys(self) -> None:
        self.take_floor(silent=Input.AWAIT_KEYS)

    def take_floor_for_text(self) -> None:
        self.take_floor()
        self._scene.feed(Input.TYPED)

    def finish(self) -> None:
        """It was all heard: nothing is left to decide, and what is said next must be heard."""
        self._resume()
        self._speaking.remember()
        self._scene.feed(self._speaking.following(Input.SETTLE))

    def _resume(self) -> None:
        self._scene.cancel_timer("decision")
        self._scene.do(To("transport", ResumePlayout()))

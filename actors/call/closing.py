"""The end of a call: why, with which last words, and how long these may take."""

from __future__ import annotations

from actors.call.effects import End
from actors.call.endpointing import Endpointing
from actors.call.floor import TIMERS, Input
from actors.call.scene import Scene
from actors.call.speaking import Speaking
from actors.call.utterance import Purpose
from actors.errors import Result, Termination
from config.assistant import AssistantConfig

LAST_WORDS_S = 20.0  # the longest that a call waits for its last words to be heard


class Closing:
    """Who wants to end the call says why to `request`; the first one is obeyed."""

    def __init__(self, scene: Scene, assistant: AssistantConfig, endpointing: Endpointing, speaking: Speaking) -> None:
        self._scene, self._assistant = scene, assistant
        self._endpointing, self._speaking = endpointing, speaking
        self._wanted: Termination | None = None
        self._last_words = ""

    def request(self, termination: Termination, last_words: str = "") -> None:
        """End the call now, or after its last words."""
        self._wanted, self._last_words = termination, last_words
        self._scene.feed(Input.CLOSE)

    def exhausted(self, role: str, detail: str, voice: bool) -> None:
        """Neither patience nor providers are left for this member; without a voice nobody waits for last words."""
        reason = Termination(Result.UPSTREAM_ERROR, "provider_exhausted", f"{role}: {detail}")
        self.request(reason, self._assistant.error_message if voice else "")

    # --- the floor's actions --------------------------------------------------------------------------------------

    def nobody(self) -> None:
        self.request(Termination(Result.SUCCESS, "idle"), self._assistant.idle.goodbye)

    def close(self) -> None:
        assert self._wanted is not None
        for name in (*TIMERS, "max_duration"):
            self._scene.cancel_timer(name)
        self._endpointing.forget_turn()
        self._speaking.break_off(self._wanted)
        self._scene.feed(Input.LAST_WORDS if self._last_words else Input.END)

    def say(self) -> None:
        self._scene.set_timer("last_words", LAST_WORDS_S)
        self._speaking.utter(self._last_words, Purpose.CLOSING)

    def end(self) -> None:
        assert self._speaking.then_end is not None
        self._scene.cancel_timer("last_words")
        self._scene.do(End(self._speaking.then_end))

    def gone(self) -> None:
        self._endpointing.forget_turn()
        self._speaking.leave()

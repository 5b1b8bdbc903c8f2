"""The caller makes a sound while we think or speak: whether that is an interruption.

Theory of operation. We fall silent at once and keep what is unheard. Words that are meant to be heard take the floor,
and what was unheard is thrown away. All else gives it back, and we go on where the caller last heard us: a sound that
was over within `decide_ms`; a voice without words, once the transcriber has said so, or after `hold_ms`; a listener's
words (`listening.py`), however long they sound. Whoever was wrong `MOST_FALSE` times in one utterance falls silent for
words alone.

Words that begin within `answer_ms` of the end of what is said are no interruption, but its answer: it is said to its
end, and then they are the caller's turn.
"""

from __future__ import annotations

from actors.call.effects import To
from actors.call.floor import Input
from actors.call.hearing import Hearing
from actors.call.scene import Scene
from actors.call.speaking import Speaking
from actors.messages import PausePlayout, ResumePlayout
from config.assistant import AssistantConfig

MOST_FALSE = 3


class Interruption:
    """Pause at once, decide when there are words, or when the sound has lasted."""

    def __init__(self, scene: Scene, assistant: AssistantConfig, hearing: Hearing, speaking: Speaking) -> None:
        self._scene, self._config, self._hearing, self._speaking = scene, assistant.barge_in, hearing, speaking
        self._left_ms: float | None = None  # of what is said, when the sound began; None: there is none
        self._over = False  # the transcriber has said all of this sound
        self._held = False
        self._false = (0, 0)  # number of an utterance, and how often it was paused for nothing

    @property
    def _is_answer(self) -> bool:
        return self._left_ms is not None and self._left_ms <= self._config.answer_ms

    # --- the floor's actions --------------------------------------------------------------------------------------

    def consider(self) -> None:
        self._left_ms, self._over = self._speaking.left_ms, False
        if self._config.enabled and self._times_wrong < MOST_FALSE:
            self._scene.feed(Input.PAUSE)

    def pause(self) -> None:
        self._held = False
        self._speaking.position.pause(self._scene.now)
        self._scene.do(To("transport", PausePlayout()))
        self._scene.set_timer("decision", self._config.decide_ms / 1000)

    def weigh_words(self) -> None:
        if self._left_ms is None:  # the VAD has missed the voice
            self._left_ms = self._speaking.left_ms
        if self._config.enabled and self._hearing.words_beside >= self._config.min_words:
            self._speaking.idleness.caller_is_there()
            self._speaking.interrupt(may_repeat=True, into_the_end=self._is_answer)
            self._take_floor()

    def ask_for_words(self) -> None:
        self._hearing.ask()

    def decide(self) -> None:
        """The sound has lasted `decide_ms`, or `hold_ms`, or is over."""
        if not self._hearing.voice:
            self._go_on()
        elif not self._held or self._speaking.outage.is_away("transcriber"):
            self._held = True
            self._scene.set_timer("decision", self._config.hold_ms / 1000)
        else:
            self._go_on()

    def give_back(self) -> None:
        """The transcriber has said all that it has."""
        if not self._hearing.voice:
            self._go_on()
            self._sound_is_over()

    def forget_words(self) -> None:
        """All that was said did not interrupt ("mhm"): unless it is an answer, it is no part of the next turn."""
        self._sound_is_over()

    def _take_floor(self, silent: Input = Input.SETTLE) -> None:
        """The caller interrupts: listen; `silent`: if no voice is heard."""
        self._scene.cancel_timer("decision")
        self._left_ms = None
        self._scene.feed(Input.HEAR if self._hearing.voice else silent)

    def take_floor_for_keys(self) -> None:
        self._speaking.interrupt(may_repeat=False)
        self._take_floor(silent=Input.AWAIT_KEYS)

    def take_floor_for_text(self) -> None:
        self._speaking.interrupt(may_repeat=False)
        self._take_floor()
        self._scene.feed(Input.TYPED)

    def finish(self) -> None:
        """It was all heard: what was said into its end is the caller's turn."""
        self._speaking.remember()
        answer = self._hearing.text and (self._hearing.voice or self._is_answer)
        if not answer:
            self._forget()
        over, self._left_ms = self._over, None
        following = self._speaking.following(Input.SETTLE if answer else Input.REST)
        self._scene.feed(following)
        if over and following is Input.SETTLE:
            self._scene.feed(Input.TURN_OVER)

    def finish_undecided(self) -> None:
        """It was all heard: nothing is left to decide, and what is said next must be heard."""
        self._resume()
        self._left_ms = None
        self._speaking.remember()
        self._scene.feed(self._speaking.following(Input.SETTLE))

    # --- small steps ----------------------------------------------------------------------------------------------

    @property
    def _times_wrong(self) -> int:
        number, times = self._false
        return times if self._speaking.delivery.is_current(number) else 0

    def _go_on(self) -> None:
        delivery = self._speaking.delivery
        if delivery.utterance is not None:
            self._false = (delivery.utterance.number, self._times_wrong + 1)
        self._resume()
        if not self._is_answer:
            self._forget()
        self._scene.feed(Input.RESUME_SPEECH if delivery.started else Input.RESUME_THOUGHT)
        if not self._hearing.voice and (not delivery.started or delivery.starves):
            self._speaking.outage.caller_waits(0.0)

    def _sound_is_over(self) -> None:
        """The transcriber has said all of it; an answer is kept until the caller has heard the question."""
        self._over = True
        if not self._is_answer:
            self._forget()
            self._left_ms = None

    def _forget(self) -> None:
        self._hearing.take(self._scene.now)

    def _resume(self) -> None:
        self._scene.cancel_timer("decision")
        self._speaking.position.resume(self._scene.now)
        self._scene.do(To("transport", ResumePlayout()))

"""Words that the recognizer has heard in our own echo: the second line of defence, behind the level of the sound.

They are those that we have just said, in our order and close together, though the recognizer may miss or mistake a few.
Where the caller's voice was heard they are ours only while we speak, and if they are many: people repeat what they
confirm ("Tuesday", "half past three").
"""

from __future__ import annotations

from difflib import SequenceMatcher

from actors.call.hearing import Hearing
from actors.call.listening import is_unspaced, tokens
from actors.call.scene import Scene
from actors.call.utterance import Utterance
from config.assistant import Echo

LATE_S = 3.0  # an echo's words may come so long after our last sound
ALIKE = 0.75  # of the words
FEWEST_AFTERWARDS = 2  # "hello" answers "hello"
FEWEST_OVER_VOICE = 5


class OwnWords:
    """Knows what the caller hears of us, and has just heard."""

    def __init__(self, scene: Scene, options: Echo, hearing: Hearing) -> None:
        self._scene, self._hearing = scene, hearing
        self._enabled = options.enabled and options.own_words
        self._utterance: Utterance | None = None
        self._ended_s: float | None = None
        self.dropped = 0  # transcripts

    def heard(self, utterance: Utterance) -> None:
        """The caller begins to hear it."""
        self._utterance, self._ended_s = utterance, None

    def ended(self, number: int) -> None:
        """It was heard to its end, or is cut off."""
        if self._utterance is not None and self._utterance.number == number:
            self._ended_s = self._scene.now

    def are(self, text: str) -> bool:
        """Whether all that was heard is our own echo."""
        if not (self._enabled and text and self._utterance is not None and self._is_recent()):
            return False
        words = _parts(text)
        if len(words) < self._fewest():
            return False
        said = _parts(" ".join(segment.text for segment in self._utterance.segments))
        own = _are_among(words, said)
        self.dropped += own
        return own

    def _fewest(self) -> float:
        """Words that can be told from a caller's."""
        if self._hearing.has_voice:
            return FEWEST_OVER_VOICE if self._ended_s is None else float("inf")
        return 1 if self._ended_s is None else FEWEST_AFTERWARDS

    def _is_recent(self) -> bool:
        return self._ended_s is None or self._scene.now - self._ended_s <= LATE_S


def _parts(text: str) -> list[str]:
    """Words; of scripts without blanks letters."""
    return [part for token in tokens(text) for part in (token if is_unspaced(token) else (token,))]


def _are_among(words: list[str], said: list[str]) -> bool:
    """In their order, nearly all of them, close together."""
    matcher = SequenceMatcher(None, said, words, autojunk=False)
    blocks = [block for block in matcher.get_matching_blocks() if block.size]
    if not blocks:
        return False
    span = blocks[-1].a + blocks[-1].size - blocks[0].a
    return sum(block.size for block in blocks) >= ALIKE * len(words) and span <= 1.25 * len(words) + 1

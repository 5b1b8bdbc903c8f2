"""What one call may cost its owner: questions a minute, characters of a question and of the history, tokens.

A caller who goes beyond it is not cut off: the question is not asked, nobody answers it, and he is listened to again.
"""

from __future__ import annotations

from collections.abc import Callable

from actors.budget import Bucket
from actors.providers.spec import ChatMessage
from actors.wording import Wording
from config.settings import LimitSettings

CallLimits = LimitSettings
DEFAULT_LIMITS = CallLimits()


class Spending:
    """The call's account. `now` gives seconds of any monotonic clock."""

    def __init__(self, limits: CallLimits, now: Callable[[], float]) -> None:
        self._limits, self._now = limits, now
        self._questions = Bucket.per_minute(limits.questions_per_minute)
        self.tokens = 0  # that the provider has told of

    def used(self, tokens: int) -> None:
        """An answer has cost so many."""
        self.tokens += tokens

    def refusal(self) -> str:
        """Why a question may not be asked now; "": it may, and counts."""
        if 0 < self._limits.tokens_per_call <= self.tokens:
            return f"this call has used its {self._limits.tokens_per_call} tokens"
        if not self._questions.take(1, self._now()):
            return f"a call takes {self._limits.questions_per_minute} questions a minute"
        return ""

    def cut(self, question: str) -> str:
        """The end of it that may be asked, from the beginning of a word: what was said last counts most."""
        return _end_of(question, self._limits.question_characters)

    def cut_wording(self, question: Wording) -> Wording:
        """Likewise."""
        return question.cut(self._limits.question_characters, _end_of)

    def recent(self, lines: list[ChatMessage]) -> list[ChatMessage]:
        """The last of the history that a model may be given: whole lines."""
        left = self._limits.history_characters
        for number, line in enumerate(reversed(lines)):
            left -= len(line.text)
            if left < 0:
                return lines[len(lines) - number :]
        return lines


def _end_of(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    rest = text[-most:]
    return rest if text[-most - 1].isspace() else rest.partition(" ")[2] or rest

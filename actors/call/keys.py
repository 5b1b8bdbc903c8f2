"""The keys that the caller has pressed. They may be a PIN: a language model is told which, the store how many."""

from __future__ import annotations

from collections.abc import Callable

from actors.call.effects import CancelTimer, Effect, SetTimer

DTMF_PAUSE_S = 2.0  # keys pressed within this time belong together; '#' ends them at once


class Keys:
    """Those that have not been asked about; the timer `keys` fires when no more are to be expected."""

    def __init__(self, do: Callable[[Effect], None]) -> None:
        self._do = do
        self._digits = ""
        self.began_s = 0.0  # when the first of them was pressed, on the conversation's clock

    def __bool__(self) -> bool:
        return bool(self._digits)

    def press(self, digit: str, now: float) -> None:
        if not self._digits:
            self.began_s = now
        self._digits += digit
        self._do(SetTimer("keys", 0.0 if digit == "#" else DTMF_PAUSE_S))

    def take(self, words: str) -> tuple[str, str]:
        """The question that they are, with the words that came with them, and how it may be stored; "": none."""
        keys, self._digits = self._digits.rstrip("#"), ""
        self._do(CancelTimer("keys"))
        if not keys:
            return words, words
        return f"pressed {' '.join(keys)} {words}".strip(), f"[pressed {len(keys)} keys] {words}".strip()

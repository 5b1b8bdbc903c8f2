"""Where the time of a turn goes: from the end of what the caller said to our first sound, stage by stage."""

from __future__ import annotations

from collections.abc import Callable

from actors.call.effects import Effect, Measured


class TurnLatency:
    """Takes the moments (seconds), emits `Measured` figures (ms). What there is of an answer that was begun before the
    turn was over counts as having come at its end: after 0 ms."""

    def __init__(self, do: Callable[[Effect], None]) -> None:
        self._do = do
        self._said_s = self._asked_s = self._clause_s = 0.0

    def caller_done(self, at_s: float) -> None:
        """The end of the voice, the last key, or the text that was typed."""
        self._said_s = at_s

    def asked(self, now: float, turn: int) -> None:
        self._asked_s = now
        self._since(self._said_s, "end_of_turn_ms", now, turn)

    def first_token(self, now: float, turn: int) -> None:
        self._since(self._asked_s, "llm_first_token_ms", now, turn)

    def first_clause(self, now: float, turn: int) -> None:
        self._clause_s = now
        self._since(self._asked_s, "llm_first_clause_ms", now, turn)

    def audible(self, now: float, turn: int) -> None:
        self._since(self._clause_s, "tts_first_audio_ms", now, turn)
        self._since(self._said_s, "turn_latency_ms", now, turn)

    def _since(self, moment_s: float, name: str, now: float, turn: int) -> None:
        if moment_s:
            self._do(Measured(name, turn, (now - moment_s) * 1000))

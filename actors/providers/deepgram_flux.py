"""Deepgram's `v2/listen` (flux-general-en, flux-general-multi): the model itself knows when a turn ends.

https://developers.deepgram.com/docs/flux/state. Each message tells of the turn under way with all of its words so far:
`StartOfTurn`, `Update` every 0.25 s of audio (also in silence), `EagerEndOfTurn` when it is probably over, then either
`TurnResumed` or `EndOfTurn` with the same words. `ForceEndTurn` ends a turn at once and is passed over where there is
none. There is no KeepAlive: audio must keep flowing, as ours does, or a turn never ends.
"""

from __future__ import annotations

from typing import Any

from actors.errors import ProviderError, Remedy
from actors.providers.deepgram import DeepgramSession, Query
from actors.providers.events import text
from actors.providers.spec import EagerEndOfTurn, Final, Interim, TurnResumed

FORCE_END_TURN = '{"type":"ForceEndTurn"}'
_EVENTS = ("Update", "StartOfTurn", "EagerEndOfTurn", "TurnResumed", "EndOfTurn")


class FluxStt(DeepgramSession):
    """`v2/listen`."""

    path, finalize_message = "/v2/listen", FORCE_END_TURN

    def _query(self) -> Query:
        options = self.options
        eager = options.eager_eot_threshold
        return [
            *([] if eager is None else [("eager_eot_threshold", eager)]),
            ("eot_threshold", options.eot_threshold),
            ("eot_timeout_ms", options.eot_timeout_ms),
        ]

    def _grace_over(self) -> None:
        if not self._words:  # a turn under way is ended by it for certain
            super()._grace_over()

    def _on_message(self, message: dict[str, Any]) -> None:
        kind = message.get("type")
        if kind == "TurnInfo":
            self._on_turn(message.get("event"), message.get("transcript"), message.get("audio_window_end"))
        elif kind == "Error":
            code = text(message.get("code")) or "an error"
            remedy = Remedy.REFUSED if code == "UNPARSABLE_CLIENT_MESSAGE" else Remedy.RETRY
            raise ProviderError("deepgram", f"{code}: {text(message.get('description'))}"[:200].rstrip(": "), remedy)

    def _on_turn(self, event: Any, transcript: Any, window_end_s: Any) -> None:
        if event not in _EVENTS:
            return
        words = text(transcript)
        self._result_ms = end_ms = self._reaches(window_end_s)
        if event == "EndOfTurn":
            if words:
                self.emit(Final(words, end_ms))
            self._end_turn()
            return
        if event == "TurnResumed":
            self.emit(TurnResumed())
        if not isinstance(transcript, str):
            return
        self._words = bool(words)
        self.emit(EagerEndOfTurn(words) if event == "EagerEndOfTurn" else Interim(words, end_ms))

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
from actors.providers.spec import EagerEndOfTurn, Final, Interim, TurnResumed

FORCE_END_TURN = '{"type":"ForceEndTurn"}'


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
        kind = message["type"]
        if kind == "TurnInfo":
            self._on_turn(message["event"], message["transcript"], message["audio_window_end"] * 1000)
        elif kind == "Error":
            code = str(message.get("code"))
            remedy = Remedy.CONFIG if code == "UNPARSABLE_CLIENT_MESSAGE" else Remedy.RETRY
            raise ProviderError("deepgram", f"{code}: {message.get('description', '')}"[:200], remedy)

    def _on_turn(self, event: str, text: str, end_ms: float) -> None:
        self._result_ms = end_ms
        if event == "EndOfTurn":
            if text:
                self.emit(Final(text, end_ms))
            self._end_turn()
            return
        self._words = bool(text)
        if event == "EagerEndOfTurn":
            self.emit(EagerEndOfTurn(text))
            return
        if event == "TurnResumed":
            self.emit(TurnResumed())
        self.emit(Interim(text, end_ms))

"""The `v2/listen` of the loopback Deepgram: turns end by the length of their silence, where flux goes by the words.

Shapes and rules: developers.deepgram.com/docs/flux/state; the official SDK is its referee.
"""

from __future__ import annotations

from typing import Any

from tests.fakes.deepgram import ENCODINGS, STEP_MS, Listen

UPDATE_MS = 250
RANGES = {"eager_eot_threshold": (0.3, 0.9), "eot_threshold": (0.5, 1.0), "eot_timeout_ms": (500, 60_000)}
PARAMETERS = {
    *("model", "encoding", "sample_rate", "keyterm", "language_hint", "profanity_filter", "numerals", "redact"),
    *("mip_opt_out", "tag", *RANGES),
}


class FluxListen(Listen):
    """One connection."""

    kinds = ("ForceEndTurn", "CloseStream")

    def query_fault(self, query: dict[str, str]) -> str:
        if unknown := query.keys() - PARAMETERS:
            return f"unknown parameters {sorted(unknown)}"
        if query.get("model") not in ("flux-general-en", "flux-general-multi"):
            return "the model must be flux-general-en or flux-general-multi"
        if query.get("encoding") not in ENCODINGS or not query.get("sample_rate", "").isdigit():
            return "encoding (linear16, mulaw) and sample_rate are required here"
        for name, (least, most) in RANGES.items():
            if name in query and not least <= float(query[name]) <= most:
                return f"{name} must be between {least} and {most}"
        if float(query.get("eager_eot_threshold", 0)) > float(query.get("eot_threshold", 0.7)):
            return "eager_eot_threshold must not be above eot_threshold"
        return ""

    def opened(self) -> None:
        super().opened()
        self.sequence = self.turn = 0
        self.is_eager = "eager_eot_threshold" in self.query
        natural_ms = float("inf") if float(self.query.get("eot_threshold", 0.7)) == 1.0 else self.fake.end_ms
        self.end_ms = min(natural_ms, float(self.query.get("eot_timeout_ms", 5000)))
        self._begin_turn()
        self.say({"type": "Connected", "request_id": "fake-request"})

    def say(self, message: dict[str, Any]) -> None:
        super().say({**message, "sequence_id": self.sequence})
        self.sequence += 1

    def _begin_turn(self) -> None:
        self.pcm = bytearray()  # of the turn
        self.turn_ms = self.heard_ms
        self.started = self.awaits_end = False

    # --- what it is told ------------------------------------------------------------------------------------------

    def on_unknown(self, message: str) -> None:
        self.say({"type": "Error", "code": "UNPARSABLE_CLIENT_MESSAGE", "description": "unknown message"})
        self.close(1008)

    def on_control(self, kind: str) -> None:
        if kind == "CloseStream":
            self.close(1000)
        elif self.started:
            self._end("manual")

    def hear(self, step: bytes, loud: bool) -> None:
        if loud or self.pcm:
            self.pcm += step
        if not self.started and loud and self._text():
            self.started = True
            self._tell("StartOfTurn")
        elif self.awaits_end and loud:
            self.awaits_end = False
            self._tell("TurnResumed")
        elif self.started and self.quiet_ms >= self.end_ms:
            self._end("model" if self.end_ms == self.fake.end_ms else "timeout")
        elif self.started and self.is_eager and not self.awaits_end and self.quiet_ms >= self.fake.eager_ms:
            self.awaits_end = True
            self._tell("EagerEndOfTurn")
        elif self.heard_ms - self.told_ms >= UPDATE_MS:
            self._tell("Update")
        if not self.started and not loud and self.quiet_ms > 10 * STEP_MS:
            self.pcm.clear()  # it was no word

    # --- what it says ---------------------------------------------------------------------------------------------

    def _text(self) -> str:
        return " ".join(self.fake.read(bytes(self.pcm)))

    def _end(self, trigger: str) -> None:
        self._tell("EndOfTurn", trigger=trigger)
        self.turn += 1
        self._begin_turn()

    def _tell(self, event: str, **more: Any) -> None:
        self.told_ms = self.heard_ms
        text = self._text()
        self.say({
            **{"type": "TurnInfo", "request_id": "fake-request", "event": event, "turn_index": self.turn},
            **{"audio_window_start": self.turn_ms / 1000, "audio_window_end": self.heard_ms / 1000, "transcript": text},
            "words": [{"word": word, "confidence": 0.99} for word in text.split()],
            "end_of_turn_confidence": {"EagerEndOfTurn": 0.6, "EndOfTurn": 0.8}.get(event, 0.1),
            **more,
        })  # fmt: skip
        if event != "Update":
            self.fake.on_turn(event)

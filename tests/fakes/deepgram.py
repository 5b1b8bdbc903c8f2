"""A loopback Deepgram that hears the language of `tones`: `v1/listen`, and `v2/listen` in `deepgram_flux.py`.

Its clock is the audio that it was given, not the wall: a test may feed it at any speed. `Script.after` counts ms of
audio. Shapes and rules: developers.deepgram.com, streaming reference; the official SDK is its referee.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import orjson

from actors.media.audio import PCM_8K, AudioFormat, Encoding
from actors.media.resample import Converter
from tests.fakes import tones
from tests.fakes.remote import FakeProvider, FakeSocket

INTERIM_MS = 300
STEP_MS = 10
LOUD = 800
PARAMETERS = {
    *("model", "language", "language_hint", "encoding", "sample_rate", "channels", "multichannel", "interim_results"),
    *("endpointing", "utterance_end_ms", "vad_events", "punctuate", "smart_format", "numerals", "profanity_filter"),
    *("redact", "replace", "search", "keyterm", "keywords", "diarize_model", "dictation", "detect_entities", "tag"),
    *("extra", "callback", "callback_method", "mip_opt_out", "version", "no_delay", "filler_words"),
}
BOOLEANS = {"interim_results", "vad_events", "punctuate", "smart_format", "numerals", "multichannel", "no_delay"}
ENCODINGS = {"linear16": Encoding.PCM, "mulaw": Encoding.MULAW}


def _read(pcm: bytes) -> list[str]:
    """Deepgram has a word for whatever sounds like a voice."""
    return ["what" if word == "?" else word for word in tones.read(pcm)]


class FakeDeepgram(FakeProvider):
    """`idle_s`: the wait for audio or KeepAlive before 1011 NET-0001. `speech_final`: noise may suppress it.
    `empty_finalize`: whether a Finalize with nothing to finalize is answered (the real one may not). Of v2: it is sure
    enough for an EagerEndOfTurn after `eager_ms` of silence, for an EndOfTurn after `end_ms`; `on_turn(event)` is told
    of its events but for Update."""

    def __init__(
        self,
        idle_s: float = 10.0,
        speech_final: bool = True,
        empty_finalize: bool = True,
        eager_ms: float = 200.0,
        end_ms: float = 500.0,
    ) -> None:
        super().__init__()
        self.idle_s, self.speech_final, self.empty_finalize = idle_s, speech_final, empty_finalize
        self.eager_ms, self.end_ms = eager_ms, end_ms
        self.read: Callable[[bytes], list[str]] = _read  # PCM at 8 kHz -> words
        self.on_turn: Callable[[str], None] = lambda event: None
        self.controls: list[str] = []  # KeepAlive, Finalize, ForceEndTurn, CloseStream, as they came
        self.audio_ms: list[float] = []  # of each connection
        self.lead_ms = 0.0  # the most that audio was ahead of 1.25 times the clock

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def routes(self):
        from tests.fakes.deepgram_flux import FluxListen  # it stands on this module

        return [("/v1/listen", _Listen, {"fake": self}), ("/v2/listen", FluxListen, {"fake": self})]


class Listen(FakeSocket):
    """What both protocols share: who may come in, and audio in steps of 10 ms."""

    fake: FakeDeepgram
    kinds: tuple[str, ...]  # of text messages

    def refusal(self) -> tuple[int, dict[str, str], bytes]:
        if self.script.status:
            return super().refusal()
        if self.request.headers.get("Authorization") != f"Token {self.fake.key}":
            return _refused(401, "INVALID_AUTH: Invalid credentials.")
        return _refused(400, fault) if (fault := self._query_fault()) else (0, {}, b"")

    def _query_fault(self) -> str:
        self.query = {name: values[0].decode() for name, values in self.request.query_arguments.items()}
        return self.query_fault(self.query)

    def query_fault(self, query: dict[str, str]) -> str:
        raise NotImplementedError

    def opened(self) -> None:
        audio = AudioFormat(ENCODINGS[self.query["encoding"]], int(self.query["sample_rate"]))
        self.audio, self.convert = audio, Converter(audio, PCM_8K)
        self.number = len(self.fake.audio_ms)
        self.fake.audio_ms.append(0.0)
        self.opened_s = self.alive_s = time.monotonic()
        self.heard_ms = self.told_ms = self.quiet_ms = 0.0
        self.left_over = b""  # less than a step

    def on_text(self, message: str) -> None:
        self.alive_s = time.monotonic()
        kind = _kind(message)
        if kind not in self.kinds:
            self.violation(f"unknown message {message!r}")
            self.on_unknown(message)
            return
        self.fake.controls.append(kind)
        self.on_control(kind)

    def on_unknown(self, message: str) -> None:
        raise NotImplementedError

    def on_control(self, kind: str) -> None:
        raise NotImplementedError

    def on_audio(self, payload: bytes) -> None:
        self.alive_s = now = time.monotonic()
        if not payload:
            self.violation("an empty audio message")
            self.on_control("CloseStream")
            return
        if len(payload) % self.audio.sample_bytes:
            self.violation("half a sample")
        self.fake.audio_ms[self.number] += self.audio.duration_ms(len(payload))
        ahead_ms = self.fake.audio_ms[self.number] - (now - self.opened_s) * 1250
        self.fake.lead_ms = max(self.fake.lead_ms, ahead_ms)
        pcm = self.left_over + self.convert.convert(payload)
        step = PCM_8K.rate * STEP_MS // 1000 * 2
        whole = len(pcm) - len(pcm) % step
        self.left_over = pcm[whole:]
        for start in range(0, whole, step):
            self._hear(pcm[start : start + step])
        self.play(self.heard_ms)

    def _hear(self, step: bytes) -> None:
        self.heard_ms += STEP_MS
        loud = max(abs(sample) for sample in memoryview(step).cast("h")) > LOUD
        self.quiet_ms = 0.0 if loud else self.quiet_ms + STEP_MS
        self.hear(step, loud)

    def hear(self, step: bytes, loud: bool) -> None:
        raise NotImplementedError


class _Listen(Listen):
    kinds = ("KeepAlive", "Finalize", "CloseStream")

    def query_fault(self, query: dict[str, str]) -> str:
        if unknown := query.keys() - PARAMETERS:
            return f"unknown parameters {sorted(unknown)}"
        if "model" not in query or query.get("encoding") not in ENCODINGS:
            return "model and encoding (linear16, mulaw) are required here"
        if not query.get("sample_rate", "").isdigit():
            return "sample_rate must be a number"
        if wrong := [name for name in BOOLEANS & query.keys() if query[name] not in ("true", "false")]:
            return f"{wrong} must be true or false"
        if "utterance_end_ms" in query and (int(query["utterance_end_ms"]) < 1000 or "interim_results" not in query):
            return "utterance_end_ms must be at least 1000, and needs interim_results"
        if "keyterm" in query and not query["model"].startswith("nova-3"):
            return "keyterm needs nova-3"
        return ""

    def opened(self) -> None:
        super().opened()
        endpointing = self.query.get("endpointing", "10")
        self.endpointing_ms = float("inf") if endpointing == "false" else int(endpointing)
        self.utterance_end_ms = int(self.query.get("utterance_end_ms", 0)) or float("inf")
        self.interims = self.query.get("interim_results") == "true"
        self.segment_ms = 0.0
        self.pcm = bytearray()  # of the segment
        self.words_since_end = self.said_final = False
        self.watch = asyncio.get_running_loop().call_later(self.fake.idle_s, self._check_idle)

    def left(self) -> None:
        self.watch.cancel()

    def _check_idle(self) -> None:
        left_s = self.alive_s + self.fake.idle_s - time.monotonic()
        if left_s <= 0:
            self.close(1011, "NET-0001: did not receive audio data or a text message within the timeout window")
        else:
            self.watch = asyncio.get_running_loop().call_later(left_s, self._check_idle)

    # --- what it is told ------------------------------------------------------------------------------------------

    def on_unknown(self, message: str) -> None:
        self.say({"type": "Error", "variant": "SchemaError", "description": "unknown message", "message": message})

    def on_control(self, kind: str) -> None:
        if kind == "Finalize" and (self._text() or self.fake.empty_finalize):
            self._final(speech_final=False, from_finalize=True)
        elif kind == "CloseStream":
            self._close_stream()

    def _close_stream(self) -> None:
        if self._text():
            self._final(speech_final=False)
        self.say({
            **{"type": "Metadata", "transaction_key": "deprecated", "request_id": "fake-request", "sha256": "0" * 64},
            **{"created": "2026-11-20T00:00:00.000Z", "duration": self.heard_ms / 1000, "channels": 1},
        })  # fmt: skip
        self.close(1000)

    def hear(self, step: bytes, loud: bool) -> None:
        if loud or self.pcm:
            if not self.pcm:
                self.segment_ms = self.told_ms = self.heard_ms - STEP_MS
                self.said_final = False
                if self.query.get("vad_events") == "true":
                    self.say({"type": "SpeechStarted", "channel": [0, 1], "timestamp": self.segment_ms / 1000})
            self.pcm += step
        if self.pcm and self.quiet_ms >= self.endpointing_ms:
            self._final(speech_final=self.fake.speech_final)
        elif self.heard_ms - self.told_ms >= INTERIM_MS and self.interims:
            self.told_ms = self.heard_ms  # also in silence: an empty result each so often
            self._results(self._text(), is_final=False)
        if self.words_since_end and not self.said_final and self.quiet_ms >= self.utterance_end_ms:
            self.words_since_end = False
            self.say({"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": self.heard_ms / 1000 - 1})

    # --- what it says ---------------------------------------------------------------------------------------------

    def _text(self) -> str:
        return " ".join(self.fake.read(bytes(self.pcm)))

    def _final(self, speech_final: bool, from_finalize: bool = False) -> None:
        self._results(self._text(), is_final=True, speech_final=speech_final, from_finalize=from_finalize)
        self.said_final = speech_final
        self.pcm.clear()
        self.told_ms = self.heard_ms

    def _results(self, text: str, is_final: bool, speech_final: bool = False, from_finalize: bool = False) -> None:
        self.words_since_end = self.words_since_end or bool(text)
        start_s = (self.segment_ms if self.pcm else self.told_ms) / 1000
        words, length_s = text.split(), self.heard_ms / 1000 - start_s
        at = [start_s + length_s * i / max(1, len(words)) for i in range(len(words) + 1)]
        alternative = {
            "transcript": text,
            "confidence": 0.99 if text else 0.0,
            "words": [
                {"word": word, "punctuated_word": word, "start": at[i], "end": at[i + 1], "confidence": 0.99}
                for i, word in enumerate(words)
            ],
        }
        self.say({
            **{"type": "Results", "channel_index": [0, 1], "start": start_s, "duration": length_s},
            **{"is_final": is_final, "speech_final": speech_final, "from_finalize": from_finalize},
            "channel": {"alternatives": [alternative]},
            "metadata": {
                "request_id": "fake-request",
                "model_uuid": "fake-model",
                "model_info": {"name": "general-nova-3", "version": "2026-01-01.0", "arch": "nova-3"},
            },
        })  # fmt: skip


def _kind(message: str) -> str | None:
    try:
        content = orjson.loads(message)
    except orjson.JSONDecodeError:
        return None
    return content.get("type") if isinstance(content, dict) else None


def _refused(status: int, text: str) -> tuple[int, dict[str, str], bytes]:
    body: dict[str, Any] = {"err_code": text.split(":")[0], "err_msg": text, "request_id": "fake-request"}
    return status, {"dg-error": text, "dg-request-id": "fake-request"}, str(body).encode()

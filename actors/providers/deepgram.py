"""Deepgram's streaming recognition: what its two protocols share, and `v1/listen` (nova-2, nova-3).

`v2/listen` (flux) is in `deepgram_flux.py`; the model decides. Source of the first:
https://developers.deepgram.com/reference/speech-to-text/listen-streaming. A segment's result comes as interims and one
final; finals add up until `speech_final`, the silence that `endpointing_ms` names. Noise can suppress it: then
`UtteranceEnd`, which goes by the words alone, ends the turn. Both do so at once, without a delay of our own.
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Iterator
from typing import Any, ClassVar, Self
from urllib.parse import urlencode

from pydantic import Field, model_validator

from actors.errors import ProviderError, Remedy
from actors.media.audio import MULAW_8K, PCM_8K, PCM_16K, AudioFormat, Encoding
from actors.providers.events import LifeSigns, first, flag, number, record, text
from actors.providers.remote import BaseUrl, RemoteOptions
from actors.providers.spec import Emit, EndOfTurn, Final, Interim, ProviderSpec, SttSession, Use
from actors.providers.websocket import Message, WebSocketClient
from config.assistant import Words
from config.problems import Problem

KEEP_ALIVE, FINALIZE, CLOSE_STREAM = '{"type":"KeepAlive"}', '{"type":"Finalize"}', '{"type":"CloseStream"}'
KEEP_ALIVE_S = 4.0  # after 10 s without audio it closes the connection (1011 NET-0001)
UTTERANCE_END_MS = 1000  # the least that is legal
FINALIZE_GRACE_S = 0.5  # a Finalize may stay without an answer where there was nothing to finalize
REACH_MS = 400.0  # a result that ends so little before a Finalize is of all that was said: we ask after a silence
ALIVE_S = 2.0  # who has said something within this time owes no answer, rather than being dead
BURST_MS = 5000.0  # audio that may be sent at once; beyond it Deepgram takes 1.25 times as much as is spoken
CATCH_UP = 1.25
_CREDIT_MS_PER_S = 1000 * CATCH_UP

ENCODINGS = {Encoding.PCM: "linear16", Encoding.MULAW: "mulaw"}

_NOVA_ONLY = frozenset({"language", "endpointing_ms", "smart_format"})
_FLUX_ONLY = frozenset({"eager_eot_threshold", "eot_threshold", "eot_timeout_ms"})

Query = list[tuple[str, Any]]


class DeepgramOptions(RemoteOptions):
    """What the assistant's YAML says beside `provider: deepgram` under `stt`. The ranges of flux are of
    https://developers.deepgram.com/docs/flux/configuration.

    0.5 is the usual eager threshold, and never above a legal `eot_threshold`. A lower one begins answers earlier and
    throws more of them away; each costs a question to the language model.
    """

    provider: ClassVar[str] = "deepgram"
    key_variable: ClassVar[str] = "DEEPGRAM_API_KEY"

    base_url: BaseUrl = Field("wss://api.deepgram.com", description="where the service is")
    model: str = Field("nova-3", min_length=1, max_length=80, description="nova-... or flux-...")
    language: str = Field("", max_length=20, description="such as en-GB, or multi; empty: the assistant's")
    endpointing_ms: int = Field(250, ge=10, le=5000, description="silence after which the caller has finished")
    smart_format: bool = Field(False, description="digits and dates as one writes them; a little later")
    keyterms: Words = Field((), max_length=100, description="names to listen for (nova-3, flux)")
    eager_eot_threshold: float | None = Field(
        0.5, ge=0.3, le=0.9, description="flux: how sure it must be to begin an answer; null: wait for the end"
    )
    eot_threshold: float = Field(0.7, ge=0.5, le=1.0, description="flux: how sure it must be that the turn is over")
    eot_timeout_ms: int = Field(5000, ge=500, le=60_000, description="flux: silence that ends a turn anyhow")

    @property
    def is_flux(self) -> bool:
        return self.model.startswith("flux-")

    def problems(self, use: Use) -> Iterator[Problem]:
        yield from super().problems(use)
        if self.is_flux and self.model.endswith("-en") and not use.language.lower().startswith("en"):
            doubt = f"{self.model} hears English, and the assistant's language is {use.language!r}"
            yield Problem(("model",), doubt, fatal=False)

    @model_validator(mode="after")
    def _fits_the_model(self) -> Self:
        for name in sorted(self.model_fields_set & (_NOVA_ONLY if self.is_flux else _FLUX_ONLY)):
            kind = "nova" if self.is_flux else "flux"
            raise ValueError(f"{name}: only {kind} models have this option, and the model is {self.model!r}")
        if self.eager_eot_threshold and self.eager_eot_threshold > self.eot_threshold:
            limit = f"must not be above eot_threshold ({self.eot_threshold})"
            raise ValueError(f"eager_eot_threshold: {limit} (given: {self.eager_eot_threshold})")
        return self


SPECS = (
    ProviderSpec(
        name="deepgram",
        kind="stt",
        summary="Deepgram nova or flux: fast, many languages, says when the caller has finished",
        options=DeepgramOptions,
        session="actors.providers.deepgram:deepgram_stt",
        formats=(PCM_8K, PCM_16K, MULAW_8K),
        ends_turns=True,
    ),
)


def deepgram_stt(
    options: DeepgramOptions, emit: Emit, audio: AudioFormat, language: str, phrases: tuple[str, ...]
) -> SttSession:
    """The session for the options' model."""
    from actors.providers.deepgram_flux import FluxStt  # it stands on this module

    kind = FluxStt if options.is_flux else DeepgramStt
    return kind(options, emit, audio, language, phrases)


class DeepgramSession(SttSession):
    """One caller, heard on one connection. Expected phrases are not sent: they would use up the limit of keyterms."""

    path: ClassVar[str]
    finalize_message: ClassVar[str]
    keepalive: ClassVar[str] = ""
    options: DeepgramOptions

    def __init__(self, options: Any, emit: Emit, audio: AudioFormat, language: str, phrases: tuple[str, ...]) -> None:
        super().__init__(options, emit, audio, language, phrases)
        life = LifeSigns(emit)
        self.emit = life.emit
        self._socket = WebSocketClient(
            "deepgram",
            self._on_event,
            life,
            keepalive=self.keepalive,
            keepalive_s=KEEP_ALIVE_S if self.keepalive else 0.0,
            error_header="dg-error",
        )
        self._pace, self._byte_ms = Pace(), audio.duration_ms(1)
        self._outbox: deque[Message] = deque()  # what must not be sent yet
        self._outbox_timer: asyncio.TimerHandle | None = None
        self._words = False  # of the turn under way, heard so far
        self._interim = False  # some of them are not final yet
        self._finalizing = False  # we owe an EndOfTurn
        self._sent_ms = self._finalized_ms = 0.0  # of the audio: sent in all, and before the last Finalize
        self._unanswered = False  # the last Finalize, by a result that says so
        self._late_ms = float("-inf")  # of the audio: before an earlier one, whose answer may still come
        self._result_ms = 0.0  # it has heard so far
        self._grace_timer: asyncio.TimerHandle | None = None
        self._heard_from_s = float("-inf")
        self._closed = False

    async def open(self) -> None:
        key = self.options.key()
        await self._socket.open(self._url(), {"Authorization": f"Token {key}"} if key else {})

    def hear(self, payload: bytes) -> None:
        if not payload or self._closed:  # an empty message would end the stream
            return
        if self._outbox or not self._send_audio(payload):
            self._outbox.append(payload)

    def finalize(self) -> None:
        if not self._closed:
            self._finalizing = True
            self._outbox.append(self.finalize_message)
            if len(self._outbox) == 1:  # else it comes after the audio that waits
                self._send_outbox()

    @property
    def unsent_ms(self) -> float:
        return sum(self.audio.duration_ms(len(message)) for message in self._outbox if isinstance(message, bytes))

    def close(self) -> None:
        self._closed = True
        self._outbox.clear()
        for timer in (self._outbox_timer, self._grace_timer):
            if timer is not None:
                timer.cancel()
        self._socket.close(CLOSE_STREAM)

    async def wait_closed(self) -> None:
        await self._socket.wait_closed()

    def _url(self) -> str:
        query = [
            ("model", self.options.model),
            ("encoding", ENCODINGS[self.audio.encoding]),
            ("sample_rate", self.audio.rate),
            *self._query(),
            *(("keyterm", keyterm) for keyterm in self.options.keyterms),
        ]
        return f"{self.options.websocket_url}{self.path}?{urlencode(query)}"

    @abstractmethod
    def _query(self) -> Query:
        """The parameters of this protocol alone."""

    @abstractmethod
    def _on_message(self, message: dict[str, Any]) -> None:
        """May raise `ProviderError`."""

    # --- what we say ----------------------------------------------------------------------------------------------

    def _send_outbox(self) -> None:
        while self._outbox:
            message = self._outbox.popleft()  # first: what is sent may fail, and end all of this
            if isinstance(message, str):
                self._send_finalize(message)
            elif not self._send_audio(message):
                self._outbox.appendleft(message)
                return

    def _send_audio(self, payload: bytes) -> bool:
        """False: it must wait, and the outbox, which it is the first of, is sent as soon as it need not."""
        ms = len(payload) * self._byte_ms
        if wait_s := self._pace.take(ms, time.monotonic()):
            self._outbox_timer = asyncio.get_running_loop().call_later(wait_s, self._send_outbox)
            return False
        self._sent_ms += ms
        self._socket.send(payload)
        return True

    def _send_finalize(self, message: str) -> None:
        if self._unanswered:
            self._late_ms = self._finalized_ms
        self._finalized_ms, self._unanswered = self._sent_ms, True
        self._start_grace()
        self._socket.send(message)

    def _start_grace(self) -> None:
        if self._grace_timer is not None:
            self._grace_timer.cancel()
        self._grace_timer = asyncio.get_running_loop().call_later(FINALIZE_GRACE_S, self._grace_over)

    def _grace_over(self) -> None:
        """One that lives had nothing to finalize, once it has heard so far; a slow one is waited for, and a dead one is
        found by the call, which still waits for us."""
        self._grace_timer = None
        if not self._finalizing or time.monotonic() - self._heard_from_s >= ALIVE_S:
            return
        if self._result_ms + REACH_MS >= self._finalized_ms:
            self._end_turn()
        else:
            self._start_grace()

    # --- what it says ---------------------------------------------------------------------------------------------

    def _on_event(self, message: dict[str, Any]) -> None:
        self._heard_from_s = time.monotonic()
        self._on_message(message)

    def _reaches(self, *spans_s: Any) -> float:
        """Where a result ends: the sum of its times in ms of the audio, which is no later than what was sent. One that
        does not say so is of all of it."""
        end_ms = 0.0
        for span_s in spans_s:
            if (seconds := number(span_s)) is None:
                return self._sent_ms
            end_ms += seconds * 1000
        if end_ms >= self._sent_ms:
            return self._sent_ms
        return end_ms if end_ms > 0 else 0.0

    def _end_turn(self) -> None:
        """Once: its own word and the answer to `finalize`, whichever comes first, are both."""
        self._words = self._interim = self._finalizing = False
        self.emit(EndOfTurn(self._result_ms))


class DeepgramStt(DeepgramSession):
    """`v1/listen`."""

    path, finalize_message, keepalive = "/v1/listen", FINALIZE, KEEP_ALIVE
    _words_from_ms = 0.0  # where the first words of the turn begin, at the latest

    def _query(self) -> Query:
        return [
            ("language", self.options.language or self.language),
            ("channels", 1),
            ("interim_results", "true"),
            ("punctuate", "true"),
            ("endpointing", self.options.endpointing_ms),
            ("utterance_end_ms", UTTERANCE_END_MS),
            *([("smart_format", "true")] if self.options.smart_format else []),
        ]

    def _on_message(self, message: dict[str, Any]) -> None:
        kind = message.get("type")
        if kind == "Results":
            self._on_results(message)
        elif kind == "UtteranceEnd" and self._words and self._is_of_this_turn(message):
            self._end_turn()
        elif kind == "Error":
            reason = text(message.get("description")) or text(message.get("message")) or "an error without a reason"
            remedy = Remedy.REFUSED if message.get("variant") == "SchemaError" else Remedy.RETRY
            raise ProviderError("deepgram", reason[:200], remedy)

    def _is_of_this_turn(self, message: dict[str, Any]) -> bool:
        """An `UtteranceEnd` may come so late that the caller speaks again. It says when the last word ended."""
        last_s = number(message.get("last_word_end"))
        return last_s is None or last_s < 0 or last_s * 1000 > self._words_from_ms

    def _on_results(self, message: dict[str, Any]) -> None:
        """A result without a transcript says nothing of the words; what it says of the turn holds all the same."""
        transcript = first(record(message.get("channel")).get("alternatives")).get("transcript")
        words, is_final = text(transcript), flag(message.get("is_final"))
        end_ms = self._reaches(message.get("start"), message.get("duration"))
        if words and not self._words:
            from_ms = (number(message.get("start")) or 0.0) * 1000
            self._words, self._words_from_ms = True, from_ms if from_ms <= self._sent_ms else 0.0
        if isinstance(transcript, str):
            self._result_ms = end_ms
            if is_final and (words or self._interim):
                self.emit(Final(words, end_ms))
            else:  # without words it is a sign of life, and takes back the interim before
                self.emit(Interim(words, end_ms))
            self._interim = bool(words) and not is_final
        answers = flag(message.get("from_finalize")) and self._answers(end_ms)
        if (flag(message.get("speech_final")) and self._words) or answers:
            self._end_turn()

    def _answers(self, end_ms: float) -> bool:
        """Whether this result, which says that it comes of a Finalize, comes of the one that we wait for."""
        is_late, self._late_ms = end_ms <= self._late_ms, float("-inf")
        self._unanswered = self._unanswered and is_late
        return self._finalizing and not is_late


class Pace:
    """Lets audio through as fast as Deepgram takes it: what was kept for a new connection would come at once."""

    def __init__(self) -> None:
        self._credit_ms = BURST_MS
        self._at_s = float("-inf")

    def take(self, ms: float, now: float) -> float:
        """0: send it now. Else ask again in so many seconds."""
        credit_ms = self._credit_ms + (now - self._at_s) * _CREDIT_MS_PER_S
        self._at_s = now
        if credit_ms > BURST_MS:
            credit_ms = BURST_MS
        if credit_ms >= ms:
            self._credit_ms = credit_ms - ms
            return 0.0
        self._credit_ms = credit_ms
        return (ms - credit_ms) / _CREDIT_MS_PER_S + 0.001

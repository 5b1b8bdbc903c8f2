"""Deepgram's streaming recognition, `v1/listen` (nova-2, nova-3).

https://developers.deepgram.com/reference/speech-to-text/listen-streaming. A segment's result comes as interims and one
final; finals add up until `speech_final`, the silence that `endpointing_ms` names. Noise can suppress it: then
`UtteranceEnd`, which goes by the words alone, ends the turn. Both do so at once, without a delay of our own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, ClassVar
from urllib.parse import urlencode

import orjson
from pydantic import Field

from actors.errors import ProviderError, Remedy
from actors.media.audio import MULAW_8K, PCM_8K, PCM_16K, AudioFormat, Encoding
from actors.providers.remote import BaseUrl, RemoteOptions
from actors.providers.spec import Emit, EndOfTurn, Final, Interim, ProviderSpec, SessionFailed, SttSession
from actors.providers.websocket import Message, WebSocketClient

KEEP_ALIVE, FINALIZE, CLOSE_STREAM = '{"type":"KeepAlive"}', '{"type":"Finalize"}', '{"type":"CloseStream"}'
KEEP_ALIVE_S = 4.0  # after 10 s without audio it closes the connection (1011 NET-0001)
UTTERANCE_END_MS = 1000  # the least that is legal
FINALIZE_GRACE_S = 0.5  # a Finalize may stay without an answer where there was nothing to finalize
ALIVE_S = 2.0  # who has said something within this time owes no answer, rather than being dead
BURST_MS = 5000.0  # audio that may be sent at once; beyond it Deepgram takes 1.25 times as much as is spoken
CATCH_UP = 1.25

_ENCODINGS = {Encoding.PCM: "linear16", Encoding.MULAW: "mulaw"}


class DeepgramOptions(RemoteOptions):
    """What the assistant's YAML says beside `provider: deepgram` under `stt`."""

    provider: ClassVar[str] = "deepgram"
    key_variable: ClassVar[str] = "DEEPGRAM_API_KEY"

    base_url: BaseUrl = "wss://api.deepgram.com"
    model: str = Field("nova-3", min_length=1, max_length=80)
    language: str = Field("", max_length=20, description="such as en-GB, or multi; empty: the assistant's")
    endpointing_ms: int = Field(250, ge=10, le=5000, description="silence after which the caller has finished")
    smart_format: bool = Field(False, description="digits and dates as one writes them; a little later")
    keyterms: tuple[str, ...] = Field((), max_length=100, description="names to listen for (nova-3)")


SPECS = (
    ProviderSpec(
        name="deepgram",
        kind="stt",
        summary="Deepgram nova: fast, many languages, says when the caller has finished",
        options=DeepgramOptions,
        session="actors.providers.deepgram:DeepgramStt",
        formats=(PCM_8K, PCM_16K, MULAW_8K),
    ),
)


class DeepgramStt(SttSession):
    """One caller, heard on one connection. Expected phrases are not sent: they would use up the limit of keyterms."""

    options: DeepgramOptions

    def __init__(self, options: Any, emit: Emit, audio: AudioFormat, language: str, phrases: tuple[str, ...]) -> None:
        super().__init__(options, emit, audio, language, phrases)
        self._socket = WebSocketClient(
            "deepgram",
            self._on_text,
            lambda error: self.emit(SessionFailed(error)),
            keepalive=KEEP_ALIVE,
            keepalive_s=KEEP_ALIVE_S,
            error_header="dg-error",
        )
        self._pace = Pace()
        self._outbox: deque[Message] = deque()  # what must not be sent yet
        self._outbox_timer: asyncio.TimerHandle | None = None
        self._words = False  # of the turn under way, heard so far
        self._finalizing = False  # we owe an EndOfTurn
        self._grace_timer: asyncio.TimerHandle | None = None
        self._heard_from_s = float("-inf")
        self._closed = False

    async def open(self) -> None:
        key = self.options.key()
        await self._socket.open(self._url(), {"Authorization": f"Token {key}"} if key else {})

    def hear(self, payload: bytes) -> None:
        if payload and not self._closed:  # an empty message would end the stream
            self._give(payload)

    def finalize(self) -> None:
        if not self._closed:
            self._finalizing = True
            self._give(FINALIZE)

    def close(self) -> None:
        self._closed = True
        self._outbox.clear()
        for timer in (self._outbox_timer, self._grace_timer):
            if timer is not None:
                timer.cancel()
        self._socket.close(CLOSE_STREAM)

    def _url(self) -> str:
        options = self.options
        query = [
            ("model", options.model),
            ("language", options.language or self.language),
            ("encoding", _ENCODINGS[self.audio.encoding]),
            ("sample_rate", self.audio.rate),
            ("channels", 1),
            ("interim_results", "true"),
            ("punctuate", "true"),
            ("endpointing", options.endpointing_ms),
            ("utterance_end_ms", UTTERANCE_END_MS),
            *([("smart_format", "true")] if options.smart_format else []),
            *(("keyterm", keyterm) for keyterm in options.keyterms),
        ]
        return f"{options.websocket_url}/v1/listen?{urlencode(query)}"

    # --- what we say ----------------------------------------------------------------------------------------------

    def _give(self, message: Message) -> None:
        self._outbox.append(message)
        if len(self._outbox) == 1:
            self._send_outbox()

    def _send_outbox(self) -> None:
        loop = asyncio.get_running_loop()
        while self._outbox:
            message = self._outbox[0]
            if isinstance(message, bytes):
                wait_s = self._pace.take(self.audio.duration_ms(len(message)), loop.time())
                if wait_s:
                    self._outbox_timer = loop.call_later(wait_s, self._send_outbox)
                    return
            else:
                self._start_grace(loop)
            self._socket.send(self._outbox.popleft())

    def _start_grace(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._grace_timer is not None:
            self._grace_timer.cancel()
        self._grace_timer = loop.call_later(FINALIZE_GRACE_S, self._grace_over)

    def _grace_over(self) -> None:
        """One that lives had nothing to finalize; a dead one is found by the call, which still waits for us."""
        self._grace_timer = None
        if self._finalizing and asyncio.get_running_loop().time() - self._heard_from_s < ALIVE_S:
            self._end_turn()

    # --- what it says ---------------------------------------------------------------------------------------------

    def _on_text(self, payload: bytes) -> None:
        self._heard_from_s = asyncio.get_running_loop().time()
        message = orjson.loads(payload)
        kind = message["type"]
        if kind == "Results":
            self._on_results(message)
        elif kind == "UtteranceEnd" and self._words:
            self._end_turn()
        elif kind == "Error":
            text = str(message.get("description") or message.get("message") or "an error without a reason")
            remedy = Remedy.CONFIG if message.get("variant") == "SchemaError" else Remedy.RETRY
            raise ProviderError("deepgram", text[:200], remedy)

    def _on_results(self, message: dict[str, Any]) -> None:
        text = message["channel"]["alternatives"][0]["transcript"]
        self._words = self._words or bool(text)
        if text and message["is_final"]:
            self.emit(Final(text, (message["start"] + message["duration"]) * 1000))
        else:  # without words it is a sign of life, and takes back the interim before
            self.emit(Interim(text))
        if (message.get("speech_final") and self._words) or (message.get("from_finalize") and self._finalizing):
            self._end_turn()

    def _end_turn(self) -> None:
        """Once: what comes first of speech_final and the answer to our Finalize is both."""
        self._words = self._finalizing = False
        self.emit(EndOfTurn())


class Pace:
    """Lets audio through as fast as Deepgram takes it: what was kept for a new connection would come at once."""

    def __init__(self) -> None:
        self._credit_ms = BURST_MS
        self._at_s: float | None = None

    def take(self, ms: float, now: float) -> float:
        """0: send it now. Else ask again in so many seconds."""
        if self._at_s is not None:
            self._credit_ms = min(BURST_MS, self._credit_ms + (now - self._at_s) * 1000 * CATCH_UP)
        self._at_s = now
        if self._credit_ms < ms:
            return (ms - self._credit_ms) / (1000 * CATCH_UP) + 0.001
        self._credit_ms -= ms
        return 0.0

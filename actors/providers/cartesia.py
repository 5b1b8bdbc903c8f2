"""Cartesia's streaming voices (sonic).

https://docs.cartesia.ai/api-reference/tts/websocket. One connection serves the whole call. Each segment is a context
of its own, one after the other: so `done` is exactly the segment's end, word times count from its first audio, and a
call never takes more than one of the account's contexts (three on the Pro plan). Segments in one context would flow
better, but only a flush tells them apart there, and it ends the flow as well. The next segment costs no gap: speech is
made several times faster than it is heard.
"""

from __future__ import annotations

import asyncio
from binascii import a2b_base64
from collections import deque
from typing import Any, ClassVar

import orjson
from pydantic import Field

from actors.errors import ProviderError, Remedy
from actors.media.audio import MULAW_8K, PCM_8K, PCM_16K, AudioFormat, Encoding
from actors.media.resample import Converter
from actors.providers.remote import BaseUrl, RemoteOptions, remedy_of_status
from actors.providers.spec import (
    Emit,
    ProviderSpec,
    SegmentAudio,
    SegmentDone,
    SessionFailed,
    TtsSession,
    Word,
)
from actors.providers.websocket import WebSocketClient

API_VERSION = "2026-03-01"  # the first whose errors have a code
RATES = (8000, 16000, 22050, 24000, 44100, 48000)
RESTED_S = 5.0  # a connection that lived for so long and had nothing to do may close (after 5 minutes they all do)

_ERROR_CODES = {
    "concurrency_limited": Remedy.THROTTLED,
    "rate_limited": Remedy.THROTTLED,
    "quota_exceeded": Remedy.QUOTA,
}


class CartesiaOptions(RemoteOptions):
    """What the assistant's YAML says beside `provider: cartesia` under `tts`."""

    provider: ClassVar[str] = "cartesia"
    key_variable: ClassVar[str] = "CARTESIA_API_KEY"

    base_url: BaseUrl = "wss://api.cartesia.ai"
    model: str = Field("sonic-3", min_length=1, max_length=80)
    voice: str = Field("f786b574-daa5-4673-aa0c-cbe3e8534c02", min_length=1, max_length=80, description="a voice's id")
    language: str = Field("", max_length=20, description="such as en; empty: the assistant's")
    speed: float | None = Field(None, ge=0.6, le=1.5, description="1 is the voice's own (sonic-3)")


SPECS = (
    ProviderSpec(
        name="cartesia",
        kind="tts",
        summary="Cartesia sonic: natural, fast, tells when each word is spoken",
        options=CartesiaOptions,
        session="actors.providers.cartesia:CartesiaTts",
        formats=(MULAW_8K, PCM_8K, PCM_16K, *(AudioFormat(Encoding.PCM, rate) for rate in RATES[2:])),
        word_times=True,
    ),
)


class CartesiaTts(TtsSession):
    """One caller's segments, spoken one after the other on one connection."""

    options: CartesiaOptions

    def __init__(self, options: Any, emit: Emit, audio: AudioFormat, language: str) -> None:
        super().__init__(options, emit, audio, language)
        self._made = made_format(audio)
        self._request = self._common()
        self._waiting: deque[tuple[int, str]] = deque()
        self._contexts = 0  # begun so far
        self._context = ""  # of the segment that is being spoken; empty: none is
        self._segment = 0
        self._convert: Converter | None = None
        self._words: tuple[Word, ...] = ()  # to go with the audio that comes next
        self._closed = False
        self._reopening: asyncio.Task[None] | None = None
        self._opened_s = 0.0
        self._socket = self._new_socket()

    async def open(self) -> None:
        key = self.options.key()
        headers = {"Cartesia-Version": API_VERSION, **({"X-API-Key": key} if key else {})}
        await self._socket.open(f"{self.options.websocket_url}/tts/websocket", headers)
        self._opened_s = asyncio.get_running_loop().time()

    def speak(self, segment: int, text: str) -> None:
        if not self._closed:
            self._waiting.append((segment, text))
            self._speak_next()

    def cancel(self) -> None:
        self._waiting.clear()
        if self._context:  # what was made already still comes, and is not ours any more
            self._socket.send(orjson.dumps({"context_id": self._context, "cancel": True}).decode())
            self._context = ""

    def close(self) -> None:
        self._closed = True
        self._context = ""
        self._waiting.clear()
        if self._reopening is not None:
            self._reopening.cancel()
        self._socket.close()

    async def wait_closed(self) -> None:
        await self._socket.wait_closed()

    # --- what we say ----------------------------------------------------------------------------------------------

    def _common(self) -> dict[str, Any]:
        options = self.options
        encoding = "pcm_mulaw" if self._made.encoding is Encoding.MULAW else "pcm_s16le"
        request = {
            "model_id": options.model,
            "voice": {"mode": "id", "id": options.voice},
            "language": options.language or self.language.split("-")[0].lower(),
            "output_format": {"container": "raw", "encoding": encoding, "sample_rate": self._made.rate},
            "add_timestamps": True,
            "max_buffer_delay_ms": 0,
            "continue": False,
        }
        return {**request, "generation_config": {"speed": options.speed}} if options.speed else request

    def _speak_next(self) -> None:
        if self._context or not self._waiting:
            return
        self._segment, text = self._waiting.popleft()
        self._contexts += 1
        self._context = f"segment-{self._contexts}"
        self._convert = Converter(self._made, self.audio) if self._made != self.audio else None
        self._words = ()
        request = {**self._request, "context_id": self._context, "transcript": text}
        self._socket.send(orjson.dumps(request).decode())

    # --- what it says ---------------------------------------------------------------------------------------------

    def _on_text(self, payload: bytes) -> None:
        message = orjson.loads(payload)
        context = message.get("context_id")
        if context != self._context and (context or message["type"] != "error"):
            return  # of a segment that was cancelled
        kind = message["type"]
        if kind == "chunk":
            self._on_audio(a2b_base64(message["data"]))
        elif kind == "timestamps":
            times = message.get("word_timestamps") or {"words": (), "start": (), "end": ()}
            timed = zip(times["words"], times["start"], times["end"], strict=True)
            self._words += tuple(Word(word, start * 1000, end * 1000) for word, start, end in timed)
        elif kind == "done":
            self._on_done()
        elif kind == "error":
            raise _error(message)

    def _on_audio(self, payload: bytes) -> None:
        if self._convert is not None:
            payload = self._convert.convert(payload)
        words, self._words = self._words, ()
        self.emit(SegmentAudio(self._segment, payload, words))

    def _on_done(self) -> None:
        self._context = ""
        tail = self._convert.flush() if self._convert is not None else b""
        if tail or self._words:  # word times may come after the audio that they are about
            self.emit(SegmentAudio(self._segment, tail, self._words))
        self.emit(SegmentDone(self._segment))
        self._speak_next()

    # --- the connection -------------------------------------------------------------------------------------------

    def _new_socket(self) -> WebSocketClient:
        return WebSocketClient("cartesia", self._on_text, self._on_failed)

    def _on_failed(self, error: ProviderError) -> None:
        lived_s = asyncio.get_running_loop().time() - self._opened_s
        if self._context or error.remedy is not Remedy.RETRY or lived_s < RESTED_S:
            self.emit(SessionFailed(error))
            return
        self._socket = self._new_socket()  # a long silence: nothing is lost, and what comes now waits for it
        self._reopening = asyncio.get_running_loop().create_task(self._reopen())

    async def _reopen(self) -> None:
        try:
            await self.open()
        except ProviderError as error:
            self.emit(SessionFailed(error))


def made_format(audio: AudioFormat) -> AudioFormat:
    """What to ask for where `audio` is wanted: itself, or the PCM from which it loses least."""
    if audio == MULAW_8K or (audio.encoding is Encoding.PCM and audio.rate in RATES):
        return audio
    return AudioFormat(Encoding.PCM, next((rate for rate in RATES if rate >= audio.rate), RATES[-1]))


def _error(message: dict[str, Any]) -> ProviderError:
    status = message.get("status_code")
    remedy = _ERROR_CODES.get(str(message.get("error_code")))
    if remedy is None:
        remedy = remedy_of_status(status) if isinstance(status, int) else Remedy.RETRY
    text = f"{message.get('title') or message.get('error_code') or 'an error'}: {message.get('message') or ''}"
    return ProviderError("cartesia", " ".join(text.split())[:200].rstrip(": "), remedy)

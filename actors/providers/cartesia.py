"""Cartesia's streaming voices (sonic).

https://docs.cartesia.ai/api-reference/tts/websocket. One connection serves the whole call, and one context an
utterance, as Cartesia wants text that belongs together. Each segment is followed by a manual flush, whose `flush_done`
is the segment's end; the next utterance waits for the `done` of the one before, so a call never takes more than one of
the account's contexts (three on the Pro plan). That costs no gap: speech is made several times faster than it is heard.

A context expires 1 s after its last audio, by a `done` or with the error that the next text gets. What is given at that
moment crosses it and is never spoken; it is given again, in a new context.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson
from pydantic import Field

from actors.errors import ProviderError, Remedy
from actors.media.audio import MULAW_8K, PCM_8K, PCM_16K, AudioFormat, Encoding
from actors.media.resample import Converter
from actors.providers.events import LifeSigns, items, number, record, sound, text
from actors.providers.remote import BaseUrl, RemoteOptions, remedy_in_answer
from actors.providers.spec import (
    MOST_WORDS,
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
MOST_LETTERS = 200  # of what is told as one word
RESTED_S = 5.0  # a connection that lived for so long and had nothing to do may close (after 5 minutes they all do)

_ERROR_CODES = {
    "concurrency_limited": Remedy.THROTTLED,
    "rate_limited": Remedy.THROTTLED,
    "quota_exceeded": Remedy.QUOTA,
    "context_expired": Remedy.RETRY,  # a matter of time, not of what was asked
}


class CartesiaOptions(RemoteOptions):
    """What the assistant's YAML says beside `provider: cartesia` under `tts`."""

    provider: ClassVar[str] = "cartesia"
    key_variable: ClassVar[str] = "CARTESIA_API_KEY"

    base_url: BaseUrl = Field("wss://api.cartesia.ai", description="where the service is")
    model: str = Field("sonic-3", min_length=1, max_length=80, description="sonic-...")
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


@dataclass(slots=True)
class Context:
    """One utterance: at the server if it is the first of the session's, else waiting for its turn."""

    name: str
    convert: Converter  # one stream over the segments that follow each other
    owed: deque[tuple[int, str]]  # segments that are not done and their texts, in order
    ended: bool  # no further segment will come
    spoke: bool = False  # its audio has begun: from now on it can expire
    reached: int = 0  # so many of `owed` are certainly at the server: they were given before its last audio
    audio_ms: float = 0.0  # emitted
    segment_ms: float = 0.0  # of it, when the first segment owed began
    words: tuple[Word, ...] = ()  # to go with the audio that comes next
    flushed: float | None = None  # the id of the last flush that is done

    @property
    def may_have_expired(self) -> bool:
        return self.spoke and not self.reached

    def take_crossed(self) -> list[tuple[int, str]]:
        """The context is over: takes back the segments that came too late for it."""
        held = self.reached if self.spoke else len(self.owed)
        return [self.owed.pop() for _ in range(len(self.owed) - held)][::-1]


class CartesiaTts(TtsSession):
    """One caller's utterances, spoken one after the other on one connection."""

    options: CartesiaOptions

    def __init__(self, options: Any, emit: Emit, audio: AudioFormat, language: str) -> None:
        super().__init__(options, emit, audio, language)
        self._life = LifeSigns(emit)
        self.emit = self._life.emit
        self._made = made_format(audio)
        self._request = self._common()
        self._contexts: deque[Context] = deque()  # the first is at the server
        self._begun = 0  # contexts so far
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
        if self._closed:
            return
        if not self._contexts or self._contexts[-1].ended:
            self._contexts.append(self._new_context())
        self._contexts[-1].owed.append((segment, text))
        self._give(self._contexts[-1], text)

    def end(self) -> None:
        if self._contexts and not self._contexts[-1].ended:
            self._contexts[-1].ended = True
            self._give(self._contexts[-1])

    def cancel(self) -> None:
        if self._contexts:  # what was made already still comes, and is not ours any more
            self._send_cancel(self._contexts[0])
            self._contexts.clear()

    def close(self) -> None:
        self._closed = True
        self._contexts.clear()
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
        }
        return {**request, "generation_config": {"speed": options.speed}} if options.speed else request

    def _new_context(self, owed: Sequence[tuple[int, str]] = (), ended: bool = False) -> Context:
        self._begun += 1
        return Context(f"context-{self._begun}", Converter(self._made, self.audio), deque(owed), ended)

    def _give(self, context: Context, *sentences: str) -> None:
        """The next segments, and the end if that is known; a context whose turn has not come gets them then."""
        if context is not self._contexts[0]:
            return
        for sentence in sentences:
            self._send(context, {"transcript": sentence + " ", "continue": True})  # transcripts are joined as they are
            self._send(context, {"transcript": "", "continue": True, "flush": True})
        if context.ended:
            self._send(context, {"transcript": "", "continue": False})

    def _send(self, context: Context, what: dict[str, Any]) -> None:
        self._socket.send(orjson.dumps({**self._request, "context_id": context.name, **what}).decode())

    def _send_cancel(self, context: Context) -> None:
        self._socket.send(orjson.dumps({"context_id": context.name, "cancel": True}).decode())

    # --- what it says ---------------------------------------------------------------------------------------------

    def _on_event(self, message: dict[str, Any]) -> None:
        kind, name = message.get("type"), message.get("context_id")
        context = self._contexts[0] if self._contexts else None
        if context is None or context.name != name:
            if kind == "error" and not name:
                raise _error(message)
            return  # of an utterance that was cancelled, or of a context that has expired
        if kind == "chunk":
            self._on_audio(context, sound(message.get("data")))
        elif kind == "timestamps":
            _add_words(context, record(message.get("word_timestamps")))
        elif kind == "flush_done":
            self._on_flushed(context, number(message.get("flush_id")))
        elif kind == "error" and not context.may_have_expired:
            raise _error(message)
        elif kind in ("done", "error"):
            self._on_over(context)

    def _on_audio(self, context: Context, payload: bytes) -> None:
        if context.owed and payload:
            context.spoke, context.reached = True, len(context.owed)
            self._emit_audio(context, context.owed[0][0], context.convert.convert(payload))

    def _on_flushed(self, context: Context, flush: float | None) -> None:
        if flush is not None and flush == context.flushed:
            return  # said twice
        context.flushed = flush
        context.reached = 0  # whether it has the next one is not known before that one's audio
        if context.owed:
            self._end_segment(context)

    def _on_over(self, context: Context) -> None:
        self._contexts.popleft()
        if crossed := context.take_crossed():
            self._send_cancel(context)  # in case that it begins anew with them
            self._contexts.appendleft(self._new_context(crossed, context.ended))
        if self._contexts:
            self._give(self._contexts[0], *(sentence for _, sentence in self._contexts[0].owed))
        while context.owed:
            self._end_segment(context)

    def _end_segment(self, context: Context) -> None:
        segment, _ = context.owed.popleft()
        tail = b""
        if not context.owed:  # else the stream runs on
            tail, context.convert = context.convert.flush(), Converter(self._made, self.audio)
        if tail or context.words:  # word times may come after the audio that they are about
            self._emit_audio(context, segment, tail)
        context.segment_ms = context.audio_ms
        self.emit(SegmentDone(segment))

    def _emit_audio(self, context: Context, segment: int, payload: bytes) -> None:
        words, context.words = context.words, ()
        context.audio_ms += self.audio.duration_ms(len(payload))
        self.emit(SegmentAudio(segment, payload, words))

    # --- the connection -------------------------------------------------------------------------------------------

    def _new_socket(self) -> WebSocketClient:
        return WebSocketClient("cartesia", self._on_event, self._life, self._on_failed)

    def _on_failed(self, error: ProviderError) -> None:
        lived_s = asyncio.get_running_loop().time() - self._opened_s
        owes = any(context.owed for context in self._contexts)
        if owes or error.remedy is not Remedy.RETRY or lived_s < RESTED_S:
            self.emit(SessionFailed(error))
            return
        self._contexts.clear()
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


def _add_words(context: Context, times: dict[str, Any]) -> None:
    """Their times count from the context's first audio; a word that ends before the segment is of one that is done."""
    lists = [items(times.get(key))[:MOST_WORDS] for key in ("words", "start", "end")]
    found = list(context.words)
    for word, *span_s in zip(*lists, strict=False):
        start_s, end_s = map(number, span_s)
        if start_s is None or end_s is None or not text(word):
            continue
        start_ms, end_ms = start_s * 1000 - context.segment_ms, end_s * 1000 - context.segment_ms
        if end_ms > 0:
            found.append(Word(text(word)[:MOST_LETTERS], max(0.0, start_ms), max(start_ms, end_ms)))
    context.words = tuple(found[:MOST_WORDS])


def _error(message: dict[str, Any]) -> ProviderError:
    """Of one sentence, unless it says something else."""
    status = number(message.get("status_code"))
    remedy = _ERROR_CODES.get(str(message.get("error_code")))
    if remedy is None:
        remedy = Remedy.RETRY if status is None else remedy_in_answer(int(status))
    title = text(message.get("title")) or text(message.get("error_code")) or "an error"
    reason = f"{title}: {text(message.get('message')) or text(message.get('error'))}"
    return ProviderError("cartesia", " ".join(reason.split())[:200].rstrip(": "), remedy)

"""A loopback Cartesia `/tts/websocket` that speaks the language of `tones`. `Script.after` counts chunks.

Shapes and rules: docs.cartesia.ai, WebSocket; the official SDK is its referee.
"""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import orjson

from actors.media.audio import PCM_8K, AudioFormat, Encoding
from actors.media.resample import Converter
from tests.fakes import tones
from tests.fakes.remote import FakeProvider, FakeSocket

CHUNK_MS = 100
ENCODINGS = {"pcm_s16le": Encoding.PCM, "pcm_mulaw": Encoding.MULAW}
RATES = {8000, 16000, 22050, 24000, 44100, 48000}
FIELDS = {
    *("context_id", "model_id", "transcript", "continue", "flush", "voice", "language", "output_format"),
    *("add_timestamps", "add_phoneme_timestamps", "max_buffer_delay_ms", "generation_config", "cancel"),
    *("use_normalized_timestamps", "pronunciation_dict_id", "speed"),
}


class FakeCartesia(FakeProvider):
    """`pause_s`: between two chunks. `late`: a chunk that still comes after a cancel. `idle_s`: closes an idle socket.
    `late_times`: word times come after the audio that they are about. `flushes`: it says `flush_done`.

    A context expires `expire_s` after its last audio, or by `expire()`, with a `done` unless `expires_silently`. Text
    for it is an error then, or begins it anew if it `revives`.
    """

    def __init__(
        self, pause_s: float = 0.0, late: bool = True, idle_s: float = 300.0, late_times: bool = False
    ) -> None:
        super().__init__()
        self.pause_s, self.late, self.idle_s, self.late_times = pause_s, late, idle_s, late_times
        self.flushes, self.expire_s, self.expires_silently, self.revives = True, 1.0, False, False
        self.taken: list[dict[str, Any]] = []  # requests, but for cancels
        self.spoken: list[dict[str, Any]] = []  # those with a transcript
        self.ended: list[str] = []  # contexts to which nothing more will be given
        self.expired: list[str] = []
        self.cancelled: list[str] = []
        self.live = 0  # contexts that are being spoken now
        self.most_live = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def expire(self) -> None:
        """The contexts expire now; what the client says before it waits crosses their `done`."""
        for socket in self.open:
            for context in list(socket.contexts):
                socket.tasks[context].cancel()
                socket.expire(context)

    def routes(self):
        return [("/tts/websocket", _Speak, {"fake": self})]


class _Speak(FakeSocket):
    fake: FakeCartesia

    def refusal(self) -> tuple[int, dict[str, str], bytes]:
        if self.script.status:
            return super().refusal()
        headers = self.request.headers
        key = headers.get("X-API-Key") or headers.get("Authorization", "").removeprefix("Bearer ")
        if key != self.fake.key:
            return 401, {}, b"Invalid API key"
        return (0, {}, b"") if "Cartesia-Version" in headers else (400, {}, b"Cartesia-Version is required")

    def opened(self) -> None:
        self.contexts: dict[str, asyncio.Queue[dict[str, Any] | None]] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.expired: set[str] = set()  # names are a connection's own
        self.chunks = 0
        self._rest()

    def _rest(self) -> None:
        self.idle = asyncio.get_running_loop().call_later(self.fake.idle_s, self.close, 1000, "idle")

    def left(self) -> None:
        self.idle.cancel()
        for task in self.tasks.values():
            task.cancel()

    def on_text(self, message: str) -> None:
        self.idle.cancel()
        self._rest()
        request = orjson.loads(message)
        context = request.get("context_id")
        if request.get("cancel"):
            self._cancel(context)
        elif fault := _fault(request):
            self.fake.violations.append(fault)
            self._error(context, 400, "invalid_request", fault)
        else:
            self._add(context, request)

    def _add(self, context: str, request: dict[str, Any]) -> None:
        if context in self.expired and not self.fake.revives:
            self._error(context, 400, "context_expired", "the context has expired")
            return
        self.fake.taken.append(request)
        if request["transcript"]:
            self.fake.spoken.append(request)
        if context not in self.contexts:
            self.contexts[context] = asyncio.Queue()
            speaking = self._speak(context, self.contexts[context])
            self.tasks[context] = asyncio.get_running_loop().create_task(speaking)
        self.contexts[context].put_nowait(request)
        if not request.get("continue"):
            self.fake.ended.append(context)
            self.contexts[context].put_nowait(None)

    def _cancel(self, context: str) -> None:
        self.fake.cancelled.append(context)
        self.contexts.pop(context, None)
        if (task := self.tasks.pop(context, None)) is not None:
            task.cancel()
            if self.fake.late:
                self._chunk(context, b"\0\0" * 800, 1)

    async def _speak(self, context: str, requests: asyncio.Queue[dict[str, Any] | None]) -> None:
        self.fake.live += 1
        self.fake.most_live = max(self.fake.live, self.fake.most_live)
        flush_id, at_ms = 1, 0.0
        try:
            while (request := await self._next(requests, at_ms)) is not None:
                at_ms = await self._generate(context, request, flush_id, at_ms)
                if request.get("flush"):
                    self._flushed(context, flush_id)
                    flush_id += 1
            self._done(context)
        except TimeoutError:
            self.expire(context)
        finally:
            self.fake.live -= 1

    async def _next(self, requests: asyncio.Queue[dict[str, Any] | None], at_ms: float) -> dict[str, Any] | None:
        async with asyncio.timeout(self.fake.expire_s if at_ms else None):
            return await requests.get()

    def _flushed(self, context: str, flush_id: int) -> None:
        if self.fake.flushes:
            done = {"type": "flush_done", "flush_done": True, "flush_id": flush_id, "done": False}
            self.say({**done, "context_id": context, "status_code": 206})

    def _done(self, context: str) -> None:
        self._forget(context)
        self.say({"type": "done", "context_id": context, "done": True, "status_code": 200})

    def expire(self, context: str) -> None:
        self.fake.expired.append(context)
        self.expired.add(context)
        if self.fake.expires_silently:
            self._forget(context)
        else:
            self._done(context)

    def _forget(self, context: str) -> None:
        del self.contexts[context], self.tasks[context]

    async def _generate(self, context: str, request: dict[str, Any], flush_id: int, at_ms: float) -> float:
        form = request["output_format"]
        audio = AudioFormat(ENCODINGS[form["encoding"]], form["sample_rate"])
        pcm, convert = tones.spell(request["transcript"]), Converter(PCM_8K, audio)
        if not self.fake.late_times:
            self._times(context, request, at_ms)
        for start in range(0, len(pcm), CHUNK_MS * 16):
            self._chunk(context, convert.convert(pcm[start : start + CHUNK_MS * 16]), flush_id)
            self.chunks += 1
            self.play(self.chunks)
            await asyncio.sleep(self.fake.pause_s)
        if pcm and (tail := convert.flush()):
            self._chunk(context, tail, flush_id)
        if self.fake.late_times:
            self._times(context, request, at_ms)
        return at_ms + len(pcm) / 16

    def _times(self, context: str, request: dict[str, Any], at_ms: float) -> None:
        words = request["transcript"].split()
        if request.get("add_timestamps") and words:
            starts = [(at_ms + i * (tones.WORD_MS + tones.GAP_MS)) / 1000 for i in range(len(words))]
            times = {"words": words, "start": starts, "end": [start + tones.WORD_MS / 1000 for start in starts]}
            head = {"type": "timestamps", "context_id": context, "done": False, "status_code": 206}
            self.say({**head, "word_timestamps": times})

    def _chunk(self, context: str, audio: bytes, flush_id: int) -> None:
        head = {"type": "chunk", "context_id": context, "done": False, "status_code": 206, "step_time": 20.0}
        self.say({**head, "data": base64.b64encode(audio).decode(), "flush_id": flush_id})

    def _error(self, context: str | None, status: int, code: str, text: str) -> None:
        head = {"type": "error", "done": True, "title": "Bad request", "message": text, "error_code": code}
        self.say({**head, "status_code": status, "request_id": "fake-request", "context_id": context})


def _fault(request: dict[str, Any]) -> str:
    if unknown := request.keys() - FIELDS:
        return f"unknown fields {sorted(unknown)}"
    if not isinstance(request.get("context_id"), str) or not isinstance(request.get("transcript"), str):
        return "context_id and transcript are required"
    form = request.get("output_format") or {}
    if form.get("container") != "raw" or form.get("encoding") not in ENCODINGS or form.get("sample_rate") not in RATES:
        return f"output_format is not supported: {form}"
    if (request.get("voice") or {}).get("mode") != "id" or not request.get("model_id"):
        return "a voice by id and model_id are required"
    if not 0 <= request.get("max_buffer_delay_ms", 3000) <= 5000:
        return "max_buffer_delay_ms must be 0 to 5000"
    return ""

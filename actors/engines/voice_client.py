"""Speech for whoever just wants audio: the simulated caller, a tone for a test."""

from __future__ import annotations

import asyncio
from typing import Any

from actors.engines.pool import engine_pool
from actors.errors import ProviderError
from actors.media.audio import PCM_8K, AudioFormat


class _Collector:
    def __init__(self) -> None:
        self.audio = bytearray()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_audio(self, payload: bytes) -> None:
        self.audio += payload

    def on_event(self, event: dict[str, Any]) -> None:
        if "done" in event and not self.done.done():
            self.done.set_result(None)

    def on_failed(self, error: ProviderError) -> None:
        if not self.done.done():
            self.done.set_exception(error)


def speech_opening(text: str, voice: str, words_per_minute: int, pitch: int, audio: AudioFormat) -> dict[str, Any]:
    """What opens a channel of the `voice` engine."""
    sound = {"voice": voice, "words_per_minute": words_per_minute, "pitch": pitch}
    return {"text": text, **sound, "encoding": audio.encoding.value, "rate": audio.rate}


async def synthesize(
    text: str, voice: str = "en-us+f3", words_per_minute: int = 165, pitch: int = 50, audio: AudioFormat = PCM_8K
) -> bytes:
    """The spoken text, 8 kHz PCM unless told otherwise. Raises `ProviderError`. Afterwards `close_engines()`."""
    collector = _Collector()
    channel = engine_pool("voice").open(collector, speech_opening(text, voice, words_per_minute, pitch, audio))
    try:
        await collector.done
    finally:
        channel.close()
    return bytes(collector.audio)

"""Calls as Asterisk does: a webhook that answers a UUID, then AudioSocket over TCP."""

from __future__ import annotations

import asyncio
from typing import cast
from urllib.parse import quote

from config.errors import CallboardError
from scripts.caller.audiosocket import (
    DTMF,
    SLIN_8K,
    UUID_KIND,
    AudioArrived,
    AudioSocketCall,
    frame,
    parse_uuid,
)
from scripts.caller.errors import BrokenAnswer, ServerUnreachable
from scripts.caller.line import wait_over
from scripts.caller.plan import AudioReport, CallPlan
from scripts.caller.playout import PacedPlayout
from scripts.caller.server import Server

DEFAULT_PORT = 4573
CONNECT_S = 2.0  # Asterisk's own limit


class AudioSocketLine(asyncio.Protocol):
    """A `Line` over one TCP connection; the server keeps the pace of its audio."""

    def __init__(self, context_id: str) -> None:
        self.context_id = context_id
        self.over = asyncio.Event()
        self.failure: CallboardError | None = None
        self._call, self._playout = AudioSocketCall(), PacedPlayout()
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def dial(cls, plan: CallPlan, server: Server) -> AudioSocketLine:
        """Ask the webhook for a UUID, connect, introduce the call."""
        path = f"/v1/talk/asterisk/call/{quote(plan.assistant, safe='')}?from={quote(plan.caller, safe='+')}"
        context_id = parse_uuid(await server.get(path))
        host, port = plan.audiosocket or (server.host, DEFAULT_PORT)
        line = cls(str(context_id))
        try:
            await asyncio.wait_for(line._loop.create_connection(lambda: line, host, port), CONNECT_S)
        except (OSError, TimeoutError) as error:
            raise ServerUnreachable(f"AudioSocket at {host}:{port}: {error or 'no answer'}") from None
        line._send(UUID_KIND, context_id.bytes)
        return line

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        try:
            for event in self._call.receive(data):
                if isinstance(event, AudioArrived):
                    self._playout.frame_arrived(event.pcm, self._loop.time())
                else:
                    self._close()
        except BrokenAnswer as error:
            self.failure = error
            self._close()

    def connection_lost(self, error: Exception | None) -> None:
        self.over.set()

    def speak(self, pcm: bytes) -> None:
        self._send(SLIN_8K, pcm)

    def listen(self) -> bytes:
        return self._playout.play_frame()

    def press(self, digit: str) -> None:
        self._send(DTMF, digit.encode("ascii"))

    async def hang_up(self) -> None:
        """A plain FIN, as Asterisk does; what still arrives is read."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()
            await wait_over(self)
        self._close()

    def audio(self) -> AudioReport:
        gap_ms = self._playout.max_gap_ms
        return AudioReport(
            self._playout.frames, self._playout.late_frames, None if gap_ms is None else round(gap_ms, 1)
        )

    def _send(self, kind: int, payload: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(kind, payload))

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()

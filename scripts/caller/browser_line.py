"""Calls as a browser does: a request that answers with an address, then RTVI over a WebSocket."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from tornado.httpclient import HTTPClientError
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, websocket_connect

from config.errors import CallboardError
from scripts.caller.browser import BrowserCall, parse_answer
from scripts.caller.errors import BrokenAnswer, CallRefused, ServerUnreachable
from scripts.caller.line import wait_over
from scripts.caller.plan import AudioReport, CallPlan
from scripts.caller.server import Server, refusal


class BrowserLine:
    """A `Line` over the WebSocket of a browser; the server keeps the pace of its audio."""

    def __init__(self, context_id: str) -> None:
        self.context_id = context_id
        self.over = asyncio.Event()
        self.failure: CallboardError | None = None
        self._call = BrowserCall()
        self._socket: WebSocketClientConnection | None = None
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def dial(cls, plan: CallPlan, server: Server) -> BrowserLine:
        """Ask for an address, connect, say that we are ready; raises what the server refused."""
        path = f"/v1/talk/browser/call/{quote(plan.assistant, safe='')}?from={quote(plan.caller, safe='+')}"
        url = server.websocket_url(parse_answer(await server.get(path)))
        line = cls(url.rsplit("/", 1)[-1])
        try:
            line._socket = await websocket_connect(url, on_message_callback=line._on_message, connect_timeout=10)
        except HTTPClientError as error:
            raise CallRefused(f"the WebSocket was refused: {refusal(error)}") from None
        except OSError as error:
            raise ServerUnreachable(f"{url}: {error}") from None
        line._send(line._call.opening())
        return line

    def _on_message(self, message: str | bytes | None) -> None:
        if message is None:
            self.over.set()
            return
        try:
            if isinstance(message, str):
                raise BrokenAnswer("a text message: RTVI's frames are binary")
            self._call.receive(message, self._loop.time())
        except BrokenAnswer as error:
            self.failure = error
            self.over.set()

    def _send(self, frame: bytes) -> None:
        if self._socket is None or self.over.is_set():
            return
        try:
            self._socket.write_message(frame, binary=True)
        except WebSocketClosedError:
            self.over.set()

    def speak(self, pcm: bytes) -> None:
        if self._call.ready:  # as the npm client does
            self._send(self._call.audio(pcm))

    def listen(self) -> bytes:
        return self._call.playout.play_frame()

    def press(self, digit: str) -> None:
        self._send(self._call.dtmf(digit))

    async def hang_up(self) -> None:
        self._send(self._call.goodbye())
        if self._socket is not None:
            self._socket.close(1000)
            await wait_over(self)

    def audio(self) -> AudioReport:
        playout = self._call.playout
        gap_ms = playout.max_gap_ms
        return AudioReport(playout.frames, playout.late_frames, None if gap_ms is None else round(gap_ms, 1))

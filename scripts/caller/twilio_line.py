"""Calls over Twilio Media Streams: webhook, TwiML, WebSocket."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from tornado.httpclient import HTTPClientError
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, websocket_connect

from actors.media import g711
from config.errors import CallboardError
from scripts.caller.errors import BrokenAnswer, CallRefused, ServerUnreachable
from scripts.caller.line import wait_over
from scripts.caller.plan import AudioReport, CallPlan
from scripts.caller.server import Server, refusal
from scripts.caller.twilio import TwilioCall, parse_twiml


class TwilioLine:
    """A `Line` through the server's Twilio webhook and the stream that its TwiML orders."""

    def __init__(self, context_id: str, call: TwilioCall) -> None:
        self.context_id = context_id
        self.over = asyncio.Event()
        self.failure: CallboardError | None = None
        self._call = call
        self._socket: WebSocketClientConnection | None = None

    @classmethod
    async def dial(cls, plan: CallPlan, server: Server) -> TwilioLine:
        """Announce the call, then open the stream; raises what the server refused."""
        call = TwilioCall({})
        path = f"/v1/talk/twilio/call/{quote(plan.assistant, safe='')}"
        order = parse_twiml(await server.post_form(path, call.webhook_form(plan.caller, plan.callee)))
        url = server.websocket_url(order.url)
        line = cls(url.rsplit("/", 1)[-1], call)
        await line._connect(url)
        call.parameters = order.parameters
        for message in call.opening():
            line._send(message)
        return line

    async def _connect(self, url: str) -> None:
        try:
            self._socket = await websocket_connect(url, on_message_callback=self._on_message, connect_timeout=10)
        except HTTPClientError as error:
            raise CallRefused(f"the media stream was refused: {refusal(error)}") from None
        except OSError as error:
            raise ServerUnreachable(f"{url}: {error}") from None

    def _on_message(self, message: str | bytes | None) -> None:
        if message is None:
            self.over.set()
            return
        try:
            for echo in self._call.receive(message):
                self._send(echo)
        except BrokenAnswer as error:
            self.failure = error
            self.over.set()

    def _send(self, message: str) -> None:
        if self._socket is None or self.over.is_set():
            return
        try:
            self._socket.write_message(message)
        except WebSocketClosedError:
            self.over.set()

    def speak(self, pcm: bytes) -> None:
        self._send(self._call.media(g711.encode(pcm)))

    def listen(self) -> bytes:
        mulaw, echoes = self._call.play_frame()
        for echo in echoes:
            self._send(echo)
        return g711.decode(mulaw)

    def press(self, digit: str) -> None:
        self._send(self._call.dtmf(digit))

    async def hang_up(self) -> None:
        self._send(self._call.stop())
        if self._socket is not None:
            self._socket.close(1000)
            await wait_over(self)

    def audio(self) -> AudioReport:
        return AudioReport(self._call.playout.frames, self._call.playout.late_frames, None)

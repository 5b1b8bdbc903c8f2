"""The least a voice server can do, as a partner for the simulated caller: it greets with a tone, answers each sentence
with a tone after 200 ms of silence, falls silent when it is interrupted, and writes down what it did.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from typing import Any
from uuid import uuid4

import numpy as np
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler

from actors.media import g711
from scripts.caller.ear import is_audible

KEY = "rpd-test"
HOST = "127.0.0.1"


def tone(ms: int) -> bytes:
    """PCM s16le at 8 kHz."""
    return (6000 * np.sin(np.arange(8 * ms) * 2 * np.pi * 400 / 8000)).astype("<i2").tobytes()


class Reflex:
    """When to speak: fed with the caller's frames, says how much tone to play."""

    def __init__(self, answers: int = 99) -> None:
        self.answers = answers
        self._voiced, self._silent = False, 0

    def hear(self, pcm: bytes) -> str | None:
        """`answer`, `interrupted`, or None."""
        if is_audible(pcm):
            self._silent = 0
            begun, self._voiced = not self._voiced, True
            return "interrupted" if begun else None
        self._silent += 1
        if self._voiced and self._silent == 10 and self.answers:
            self._voiced = False
            self.answers -= 1
            return "answer"
        return None


class ReflexServer:
    """HTTP, WebSocket and AudioSocket on free ports; `async with`."""

    def __init__(
        self, *, answers: int = 99, answer_ms: int = 400, hang_up: bool = False, readable: bool = True
    ) -> None:
        self.answers, self.answer_ms, self.hang_up, self.readable = answers, answer_ms, hang_up, readable
        self.context_id = str(uuid4())
        self.heard: list[dict[str, Any]] = []  # Twilio messages other than media
        self.digits = ""
        self.eof = asyncio.Event()
        self.record: dict[str, Any] = {"status": "in_progress", "messages": [], "metrics": [], "termination": None}

    def end(self) -> None:
        self.record["termination"] = {"result": "success", "reason": "caller_hung_up"}
        self.eof.set()

    def note(self, role: str, text: str) -> None:
        self.record["messages"].append({"role": role, "text": text, "interrupted": False})

    async def __aenter__(self) -> ReflexServer:
        given = {"server": self}
        table = [
            (r"/v1/talk/twilio/call/.*", _Twilio, given),
            (r"/v1/talk/asterisk/call/.*", _Asterisk, given),
            (r"/v1/talk/twilio/ctx/.*", _Stream, given),
            (r"/v1/conversations/.*", _Record, given),
        ]
        self._http = HTTPServer(Application(table, log_function=lambda handler: None))
        sockets = bind_sockets(0, HOST)
        self._http.add_sockets(sockets)
        self.url = f"http://{HOST}:{sockets[0].getsockname()[1]}"
        self._tcp = await asyncio.start_server(self._audiosocket, HOST, 0)
        self.audiosocket = (HOST, self._tcp.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._tcp.close()
        await self._tcp.wait_closed()
        self._http.stop()
        await self._http.close_all_connections()

    async def _audiosocket(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The caller's own frames are the clock: one frame back for each."""
        reflex, queue = Reflex(self.answers), deque(_frames(tone(300)))
        try:
            while True:
                kind, *size = await reader.readexactly(3)
                payload = await reader.readexactly(int.from_bytes(bytes(size), "big"))
                if kind == 0x03:
                    self.digits += payload.decode()
                if kind != 0x10:
                    continue
                self._react(reflex, payload, queue)
                writer.write(b"\x10\x01\x40" + (queue.popleft() if queue else bytes(320)))
                if self.hang_up and not reflex.answers and not queue:
                    writer.write(b"\0\0\0")
                    return
        except asyncio.IncompleteReadError:
            self.end()
        finally:
            writer.close()

    def _react(self, reflex: Reflex, pcm: bytes, queue: deque[bytes]) -> None:
        match reflex.hear(pcm):
            case "answer":
                self.note("user", "beep?")
                self.note("assistant", "beep!")
                queue.extend(_frames(tone(self.answer_ms)))
            case "interrupted":
                queue.clear()


def _frames(pcm: bytes) -> list[bytes]:
    return [pcm[start : start + 320] for start in range(0, len(pcm), 320)]


class _Handler(RequestHandler):
    def initialize(self, server: ReflexServer) -> None:
        self.server = server

    def prepare(self) -> None:
        if self.request.headers.get("x-api-key") != KEY:
            self.set_status(401)
            self.finish({"error": {"code": "invalid_key", "message": "wrong key"}})


class _Twilio(_Handler):
    def post(self) -> None:
        assert self.get_body_argument("CallSid").startswith("CA") and self.get_body_argument("From")
        url = f"wss://public.example.test/v1/talk/twilio/ctx/{self.server.context_id}"
        self.set_header("Content-Type", "text/xml")
        self.finish(
            f'<Response><Connect><Stream url="{url}"><Parameter name="a" value="b"/></Stream></Connect></Response>'
        )


class _Asterisk(_Handler):
    def get(self) -> None:
        assert "from=+1555" in self.request.query
        self.finish(self.server.context_id)


class _Record(_Handler):
    def get(self) -> None:
        self.finish(self.server.record if self.server.readable else {"messages": "none"})


class _Stream(WebSocketHandler):
    def initialize(self, server: ReflexServer) -> None:
        self.server, self.reflex, self.sid, self.utterance = server, Reflex(server.answers), "", 0

    def on_message(self, message: str | bytes) -> None:
        event = json.loads(message)
        if event["event"] == "media":
            self._media(g711.decode(base64.b64decode(event["media"]["payload"])))
            return
        self.server.heard.append(event)
        if event["event"] == "start":
            self.sid = event["streamSid"]
            self._say(tone(300))

    def _media(self, pcm: bytes) -> None:
        match self.reflex.hear(pcm):
            case "answer":
                self._say(tone(self.server.answer_ms))
            case "interrupted":
                self._send("clear")

    def _say(self, pcm: bytes) -> None:
        self.utterance += 1
        self._send("media", media={"payload": base64.b64encode(g711.encode(pcm)).decode()})
        self._send("mark", mark={"name": f"u{self.utterance}"})

    def _send(self, event: str, **body: Any) -> None:
        self.write_message(json.dumps({"event": event, "streamSid": self.sid, **body}))

    def on_close(self) -> None:
        self.server.end()

"""A loopback `/v1/chat/completions` that repeats the question. `Script.after` counts tokens.

Shapes and rules: platform.openai.com, chat completions, streaming; the official SDK is its referee.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

import orjson
from tornado.iostream import StreamClosedError
from tornado.web import RequestHandler

from tests.fakes.remote import FakeProvider

FIELDS = {
    *("model", "messages", "stream", "stream_options", "temperature", "top_p", "max_tokens", "max_completion_tokens"),
    *(
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "stop",
        "n",
        "user",
        "seed",
        "response_format",
        "reasoning_effort",
    ),
}
ROLES = {"system", "developer", "user", "assistant", "tool"}


class FakeOpenAi(FakeProvider):
    """`reply(messages)` may be replaced. `pause_s`: between two tokens. `ends`: how an answer says that it is over.
    An empty `key`: none is asked for, as by Ollama."""

    def __init__(self, pause_s: float = 0.0, ends: tuple[str, ...] = ("finish_reason", "[DONE]")) -> None:
        super().__init__()
        self.pause_s, self.ends = pause_s, ends
        self.bodies: list[dict[str, Any]] = []
        self.connections: set[int] = set()  # the clients' ports
        self.sent = 0  # tokens
        self.aborted = 0  # answers whose client went away
        self.finish_reason = "stop"
        self.answering = 0

    def reply(self, messages: list[dict[str, Any]]) -> str:
        return f"you said {next(m['content'] for m in reversed(messages) if m['role'] == 'user')}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def routes(self):
        return [("/v1/chat/completions", _Completions, {"fake": self})]


class _Completions(RequestHandler):
    def initialize(self, fake: FakeOpenAi) -> None:
        self.fake = fake
        self.script = fake.next_script()
        self.gone = asyncio.Event()

    async def post(self) -> None:
        fake, script = self.fake, self.script
        fake.record(self.request)
        fake.connections.add(self.request.connection.context.address[1])
        fake.open.add(self)
        fake.answering += 1
        try:
            if script.open_s:
                await asyncio.sleep(script.open_s)
            if script.status:
                fake.bodies.append(orjson.loads(self.request.body))
                self._refuse(script.status, script.headers, script.body)
            elif self.request.headers.get("Authorization") != (f"Bearer {fake.key}" if fake.key else None):
                self._refuse(401, {}, _error(f"Incorrect API key provided: {fake.key}.", "invalid_api_key"))
            elif fault := self._fault():
                fake.violations.append(fault)
                self._refuse(400, {}, _error(fault, "invalid_request_error"))
            else:
                await self._answer(orjson.loads(self.request.body))
        except StreamClosedError:
            pass
        finally:
            fake.answering -= 1
            fake.open.discard(self)

    def on_connection_close(self) -> None:
        self.fake.aborted += 1
        self.gone.set()

    def drop(self) -> None:
        self.request.connection.stream.close()
        self.gone.set()

    def _fault(self) -> str:
        try:
            body = orjson.loads(self.request.body)
        except orjson.JSONDecodeError:
            return "not JSON"
        self.fake.bodies.append(body)
        if unknown := body.keys() - FIELDS:
            return f"unknown fields {sorted(unknown)}"
        if not isinstance(body.get("model"), str) or not body.get("messages"):
            return "model and messages are required"
        for message in body["messages"]:
            if message.get("role") not in ROLES or not isinstance(message.get("content"), str):
                return f"not a message: {message}"
        return ""

    def _refuse(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        for name, value in headers.items():
            self.set_header(name, value)
        self.write(body)

    async def _answer(self, body: dict[str, Any]) -> None:
        fake, tokens = self.fake, re.findall(r"\S+\s*", self.fake.reply(body["messages"]))
        if not body.get("stream"):
            self.write(_whole(body["model"], "".join(tokens), fake.finish_reason))
            return
        self.set_header("Content-Type", "text/event-stream")
        self._model = body["model"]
        await asyncio.sleep(self.script.late_s)
        await self._send(self._chunk({"role": "assistant", "content": ""}))
        for count, token in enumerate(tokens):
            if self.script.acts and count >= self.script.after:
                await self._act()
                if self.script.stall_s:
                    self.script.stall_s = 0.0
                else:
                    return
            await self._send(self._chunk({"content": token}))
            fake.sent += 1
            if fake.pause_s:
                await asyncio.sleep(fake.pause_s)
        if "finish_reason" in fake.ends:
            await self._send(self._chunk({}, fake.finish_reason))
        if (body.get("stream_options") or {}).get("include_usage"):
            usage = {"prompt_tokens": 1, "completion_tokens": len(tokens), "total_tokens": 1 + len(tokens)}
            await self._send({**self._chunk({}), "choices": [], "usage": usage})
        if "[DONE]" in fake.ends:
            await self._send("[DONE]")

    async def _act(self) -> None:
        """The script's: an error or garbage in the stream, a cut socket, silence, or a body that just ends."""
        if self.script.message is not None:
            await self._send(self.script.message)
        if self.script.half:
            self.write(self.script.half)
            await self.flush()
        if self.script.drop or self.script.half:
            self.drop()
        if self.script.stall_s:
            await asyncio.sleep(self.script.stall_s)
        if self.script.stall:
            await self.gone.wait()

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        head = {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1_790_000_000}
        return {**head, "model": self._model, "choices": [choice]}

    async def _send(self, event: Any) -> None:
        data = orjson.dumps(event) if isinstance(event, dict) else event
        events = [*self.fake.noise, data.encode() if isinstance(data, str) else data]
        payload = b"".join(b"data: " + event + b"\n\n" for event in events)
        size = self.script.split or len(payload)
        for start in range(0, len(payload), size):
            self.write(payload[start : start + size])
            await self.flush()


def _whole(model: str, text: str, finish_reason: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason, "logprobs": None}
    head = {"id": "chatcmpl-fake", "object": "chat.completion", "created": 1_790_000_000, "model": model}
    return {**head, "choices": [choice]}


def _error(message: str, code: str) -> bytes:
    return orjson.dumps({"error": {"message": message, "type": code, "param": None, "code": code}})

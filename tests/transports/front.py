"""A whole front: HTTP and AudioSocket listeners on free ports before a real SQLite database."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from tornado.testing import bind_unused_port

from actors.engines.pool import close_engines
from actors.providers.registry import Registry
from config.assistant import AssistantConfig
from config.settings import Settings
from store.assistants import AssistantRepository
from store.contexts import ContextRepository
from store.conversations import ConversationRepository
from store.engine import Database
from store.keys import KeyRepository
from store.migrations import migrate
from store.private import make_private_file
from store.records import CallContext, LedgerRow
from store.shared import SharedState
from tests.transports.peers import CALL_SID, FAST, Peer, Switchboard, Ticks
from transports.app import make_server
from transports.connection import Limits
from transports.listeners import AudioSocketListener
from transports.web import AppServices

FORM = {"CallSid": CALL_SID, "AccountSid": "AC1", "From": "+15550100", "To": "+15550199", "CallStatus": "ringing"}
SCRIPT: dict[str, Any] = {"name": "reception", "stt": "embedded", "llm": "script", "tts": "embedded"}


@dataclass
class Site:
    """What a test needs of it; `key` is a legal API key."""

    services: AppServices
    server: HTTPServer
    audiosocket: AudioSocketListener
    switchboard: Switchboard
    clock: Ticks
    key: str
    port: int
    client: AsyncHTTPClient = field(default_factory=lambda: SimpleAsyncHTTPClient(force_instance=True))

    @property
    def keyed(self) -> dict[str, str]:
        return {"x-api-key": self.key}

    async def fetch(self, path: str, **options: Any) -> HTTPResponse:
        url = f"http://127.0.0.1:{self.port}{path}"
        return await self.client.fetch(url, raise_error=False, request_timeout=5, **options)

    async def context(self, provider: str = "twilio", **options: Any) -> CallContext:
        """A context as a webhook opens it."""
        database = self.services.database
        contexts = ContextRepository(database, **options)
        assistant = await database.run(AssistantRepository(database).get, "reception")
        sid = CALL_SID if provider == "twilio" else None
        return await database.run(contexts.open_context, assistant, provider, "+15550100", provider_call_id=sid)

    def handshake(self, path: str, **headers: str) -> bytes:
        """A WebSocket handshake; a header that is given empty is left out."""
        fields = {
            "Host": "test",
            "Upgrade": "websocket",
            "Connection": "keep-alive, Upgrade",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version": "13",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
        return f"GET {path} HTTP/1.1\r\n{head}\r\n".encode()

    async def upgrade(self, path: str, *, early: bytes = b"", **headers: str) -> tuple[int, Peer]:
        """Shakes hands: the status and the socket."""
        peer = await Peer.connect(self.port)
        peer.send(self.handshake(path, **headers) + early)
        async with asyncio.timeout(5):
            answer = (await peer.reader.readuntil(b"\r\n\r\n")).decode()
        if " 101 " in answer:
            assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer  # RFC 6455 section 1.3
        return int(answer.split()[1]), peer

    async def close(self) -> None:
        self.server.stop()
        await self.audiosocket.stop()
        self.services.cut_wires()
        await self.server.close_all_connections()
        self.client.close()
        await asyncio.to_thread(self.services.database.close)
        await self.services.shared.close()
        await close_engines()  # the page lets the embedded voice speak


async def open_site(
    folder: Path,
    *,
    limits: Limits = FAST,
    max_per_peer: int = 10,
    max_calls: int = 400,
    calls_per_minute: int = 0,
    owner: str = "",
    limit_settings: dict[str, int] | None = None,
    **options: Any,
) -> Site:
    make_private_file(folder / "callboard.db")
    database = Database(f"sqlite:///{folder / 'callboard.db'}")
    await database.run(migrate, database)
    await database.run(AssistantRepository(database).apply, AssistantConfig(**SCRIPT))
    _, key = await database.run(KeyRepository(database).create, "test")
    switchboard, clock = Switchboard(), Ticks()
    given = {"max_calls": max_calls, "calls_per_minute": calls_per_minute, **(limit_settings or {})}
    options = {"public_assistant_host": "voice.example.test", "data_dir": folder, "limits": given, **options}
    settings = Settings(**options)

    def write(row: LedgerRow) -> None:
        """In the place of a ledger."""
        ConversationRepository(database).write([row])

    services = AppServices(
        *(settings, database, switchboard, clock, limits, write, owner),
        shared=SharedState.from_settings(settings),
        sample_call=Registry().sample_call,
    )
    server = make_server(services)
    sock, port = bind_unused_port()
    server.add_socket(sock)
    audiosocket = AudioSocketListener(services, max_per_peer)
    await audiosocket.start("127.0.0.1", 0)
    return Site(services, server, audiosocket, switchboard, clock, key, port)


def uuid_in(twiml: bytes) -> UUID:
    """The context id of the address in an answer of ours."""
    return UUID(twiml.decode().split("/ctx/")[1][:36])

"""A peer that attacks a worker for some seconds, in a process of its own: `python -m tests.attacks.attacker ...`.

It comes back as often as it is dropped, at first in a call with a context of its own, later (where the worker takes no
more calls of it) as before. Its last line says how often it was connected, how many bytes it could send and how often
the server has ended the connection. Blocking sockets: it shall be fast.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import select
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from tests.attacks.crowd import CROWDS
from tests.transports.peers import CONNECTED, STREAM_SID, masked
from transports.audiosocket import audio_header
from transports.rtvi import audio_frame, message_frame
from transports.websocket import BINARY, CONTINUATION, PING, PONG, TEXT

CHUNK = 65536
KEY = b"\x03\x00\x01*"
MULAW = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
AUDIO = audio_header(0x10, 320) + bytes(320)
READY = masked(BINARY, message_frame("client-ready", {"version": "2.1.0"}))


@dataclass
class Target:
    """Where the worker listens, and what was done to it."""

    http: tuple[str, int]
    audiosocket: tuple[str, int]
    until_s: float
    connected: int = 0
    sent: int = 0
    ended: int = 0
    sid: str = ""  # of the last call of Twilio's
    refused: list[str] = field(default_factory=list)

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.until_s

    def get(self, path: str) -> str:
        connection = http.client.HTTPConnection(*self.http, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def context(self, provider: str) -> UUID:
        """A call of our own, as its webhook gives it."""
        sid = "CA" + os.urandom(16).hex()
        answer = self.get(f"/v1/talk/{provider}/call/steady?from=%2B15550111&From=%2B15550111&To=%2B1&CallSid={sid}")
        found = re.search(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", answer)
        if found is None:
            self.refused.append(answer[:200])
            raise ConnectionRefusedError
        self.sid = sid
        return UUID(found[0])

    def websocket(self, path: str) -> socket.socket:
        sock = socket.create_connection(self.http, 5)
        key = "dGhlIHNhbXBsZSBub25jZQ=="
        head = f"GET {path} HTTP/1.1\r\nHost: {self.http[0]}:{self.http[1]}\r\nUpgrade: websocket\r\n"
        head += f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        sock.sendall(head.encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            data = sock.recv(4096)
            if not data:
                break
            answer += data
        if b" 101 " not in answer:
            sock.close()
            raise ConnectionRefusedError
        return sock

    def flood(self, sock: socket.socket, pieces: Iterator[bytes], *, reads: bool = True) -> None:
        """Send until the server has had enough, or the time is over."""
        self.connected += 1
        sock.settimeout(0.2)
        with sock:
            try:
                for piece in pieces:
                    if self.over:
                        return
                    sock.sendall(piece)
                    self.sent += len(piece)
                    while reads and select.select([sock], [], [], 0)[0]:
                        if not sock.recv(CHUNK):
                            raise ConnectionResetError
            except TimeoutError:  # it reads no more: wait for the end
                sock.settimeout(max(0.1, self.until_s - time.monotonic()))
                try:
                    while sock.recv(CHUNK):
                        pass
                except TimeoutError:
                    return
            except OSError:
                pass
            self.ended += 1


def again(unit: bytes) -> Iterator[bytes]:
    chunk = unit * max(1, CHUNK // len(unit))
    while True:
        yield chunk


def slowly(unit: bytes, pause_s: float) -> Iterator[bytes]:
    while True:
        yield unit
        time.sleep(pause_s)


def twilio(pieces: Callable[[], Iterator[bytes]], **options: bool) -> Callable[[Target], None]:
    def attack(target: Target) -> None:
        context = target.context("twilio")
        sock = target.websocket(f"/v1/talk/twilio/ctx/{context}")
        body = {"callSid": target.sid, "mediaFormat": MULAW}
        begin = {"event": "start", "streamSid": STREAM_SID, "start": body}
        sock.sendall(masked(TEXT, CONNECTED) + masked(TEXT, json.dumps(begin).encode()))
        target.flood(sock, pieces(), **options)

    return attack


def browser(pieces: Callable[[], Iterator[bytes]], **options: bool) -> Callable[[Target], None]:
    def attack(target: Target) -> None:
        sock = target.websocket(f"/v1/talk/browser/ctx/{target.context('browser')}")
        sock.sendall(READY)
        target.flood(sock, pieces(), **options)

    return attack


def asterisk(pieces: Callable[[], Iterator[bytes]], *, known: bool = True) -> Callable[[Target], None]:
    def attack(target: Target) -> None:
        identity = target.context("asterisk").bytes if known else os.urandom(16)
        sock = socket.create_connection(target.audiosocket, 5)
        sock.sendall(b"\x01\x00\x10" + identity)
        target.flood(sock, pieces())

    return attack


def random_contexts(target: Target) -> None:
    for _ in range(20):
        try:
            target.websocket(f"/v1/talk/twilio/ctx/{UUID(bytes=os.urandom(16), version=4)}").close()
        except ConnectionRefusedError:
            target.ended += 1
        target.connected += 1


def random_uuids(target: Target) -> None:
    socks = []
    for _ in range(20):
        sock = socket.create_connection(target.audiosocket, 5)
        sock.sendall(b"\x01\x00\x10" + os.urandom(16))
        socks.append(sock)
        target.connected += 1
    for sock in socks:
        sock.settimeout(0.5)
        with sock:
            try:
                while sock.recv(CHUNK):
                    pass
                target.ended += 1
            except OSError:
                pass


DEEP = b'{"event":' + b"[" * 900 + b"]" * 900 + b"}"
MARK = json.dumps({"event": "mark", "streamSid": STREAM_SID, "mark": {"name": "u1.1"}}).encode()
MEDIA = json.dumps({"event": "media", "streamSid": STREAM_SID, "media": {"payload": "f" * 216}}).encode()
NEWS = b'{"event":"news","list":[' + b"1," * 30_000 + b"1]}"

ATTACKS: dict[str, Callable[[Target], None]] = {
    "rtvi-dtmf": browser(lambda: again(masked(BINARY, message_frame("dtmf", {"buttons": ["1"] * 32})))),
    "rtvi-dtmf-2400-a-second": browser(
        lambda: slowly(masked(BINARY, message_frame("dtmf", {"buttons": ["1"]})) * 24, 0.01)
    ),
    "rtvi-send-text": browser(lambda: again(masked(BINARY, message_frame("send-text", {"content": "hello " * 300})))),
    "rtvi-refused": browser(lambda: again(masked(BINARY, message_frame("client-message", {"t": "x"})))),
    "rtvi-audio-two-bytes": browser(lambda: again(masked(BINARY, audio_frame(bytes(2), 48000)))),
    "rtvi-audio-long": browser(lambda: again(masked(BINARY, audio_frame(bytes(60_000), 48000)))),
    "pings": browser(lambda: again(masked(PING, bytes(125)))),
    "pings-unread": browser(lambda: again(masked(PING, bytes(125))), reads=False),
    "pongs": browser(lambda: again(masked(PONG))),
    "empty-frames": browser(lambda: again(masked(BINARY))),
    "fragments": browser(lambda: again(masked(BINARY, b"", final=False) + masked(CONTINUATION) * 0)),
    "continuations": browser(lambda: _first_then(masked(BINARY, b"", final=False), masked(CONTINUATION, final=False))),
    "byte-by-byte": browser(lambda: slowly(b"\x82", 0)),
    "slow-frames": browser(lambda: _first_then(masked(BINARY, bytes(60_000))[:20_000], b"\0", 0.001)),
    "twilio-marks": twilio(lambda: again(masked(TEXT, MARK))),
    "twilio-media": twilio(lambda: again(masked(TEXT, MEDIA))),
    "json-deep": twilio(lambda: again(masked(TEXT, DEEP))),
    "json-long": twilio(lambda: again(masked(TEXT, NEWS))),
    "audiosocket-dtmf": asterisk(lambda: again(KEY)),
    "audiosocket-silence": asterisk(lambda: again(AUDIO)),
    "audiosocket-hang-ups": asterisk(lambda: again(b"\0\0\0")),
    "audiosocket-unknown-kinds": asterisk(lambda: again(b"\x42\0\0")),
    "audiosocket-dtmf-without-a-call": asterisk(lambda: again(KEY), known=False),
    "audiosocket-uuids": random_uuids,
    "media-contexts": random_contexts,
    **CROWDS,
}


def _first_then(first: bytes, unit: bytes, pause_s: float = 0.0) -> Iterator[bytes]:
    yield first
    yield from slowly(unit, pause_s) if pause_s else again(unit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("attack", choices=ATTACKS)
    parser.add_argument("http")
    parser.add_argument("audiosocket")
    parser.add_argument("seconds", type=float)
    arguments = parser.parse_args()
    target = Target(_address(arguments.http), _address(arguments.audiosocket), time.monotonic() + arguments.seconds)
    while not target.over:
        try:
            ATTACKS[arguments.attack](target)
        except OSError as error:
            target.refused.append(f"{type(error).__name__}: {error}")
            time.sleep(0.02)
    done = {"connected": target.connected, "sent": target.sent, "ended": target.ended}
    print(json.dumps({**done, "refused": len(target.refused), "why": target.refused[-1:]}))


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


if __name__ == "__main__":
    main()

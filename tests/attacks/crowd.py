"""Attacks by many connections of plain HTTP at once."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

CROWD = 150
_HEAD = "{} {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n"
_LONG = "/" + "a\u2028" * 3000
_EVENT = "/v1/talk/twilio/ctx/40325ec2-5efd-4bd3-805f-53576e581d13/event"


class Crowded(Protocol):
    """What a crowd needs of its target."""

    http: tuple[str, int]
    connected: int
    sent: int
    ended: int

    @property
    def over(self) -> bool: ...


def crowd(sent: str, *, again: bool = True) -> Callable[[Crowded], None]:
    """So many connections that each send this, and `again` after each answer."""

    def attack(target: Crowded) -> None:
        with selectors.DefaultSelector() as selector:
            for _ in range(CROWD):
                sock = socket.create_connection(target.http, 5)
                sock.setblocking(False)
                selector.register(sock, selectors.EVENT_READ)
                target.connected += 1
                _send(target, sock, sent.encode())
            while not target.over and selector.get_map():
                for key, _ in selector.select(0.1):
                    _hear(target, selector, key.fileobj, sent.encode() if again else b"")  # type: ignore[arg-type]
            for key in list(selector.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr]

    return attack


def _send(target: Crowded, sock: socket.socket, data: bytes) -> None:
    with suppress(OSError):
        target.sent += sock.send(data)


def _hear(target: Crowded, selector: selectors.BaseSelector, sock: socket.socket, then: bytes) -> None:
    try:
        data = sock.recv(65536)
    except OSError:
        data = b""
    if data:
        _send(target, sock, then)
        return
    target.ended += 1
    selector.unregister(sock)
    sock.close()


CROWDS: dict[str, Callable[[Crowded], None]] = {
    "http-nowhere": crowd(_HEAD.format("GET", "/nowhere", "")),
    "http-long-paths": crowd(_HEAD.format("GET", _LONG, f"Origin: {_LONG}\r\nX-Twilio-Signature: {_LONG[:900]}\r\n")),
    "http-wrong-keys": crowd(_HEAD.format("GET", "/v1/assistants", "x-api-key: rpd-wrong\r\n")),
    "http-callbacks": crowd(_HEAD.format("POST", _EVENT, "Content-Length: 14\r\n") + "CallStatus=x&y"),
    "http-bodies-withheld": crowd(
        _HEAD.format("POST", "/v1/talk/twilio/call/steady", "Content-Length: 65000\r\n") + "x" * 64_999, again=False
    ),
    "http-bodies-too-long": crowd(
        _HEAD.format("POST", "/v1/talk/twilio/call/steady", "Content-Length: 1000000\r\n") + "x" * 65_000, again=False
    ),
    "http-many-lines": crowd(_HEAD.format("GET", "/nowhere", "".join(f"{n:x}:\r\n" for n in range(2700)))),
    "http-many-chunks": crowd(
        _HEAD.format("POST", _EVENT, "Transfer-Encoding: chunked\r\n") + "1\r\na\r\n" * 8000, again=False
    ),
    "http-heads-withheld": crowd(_HEAD.format("GET", "/", f"X: {'y' * 12_000}")[:-2], again=False),
}

"""The sealed control port: no byte is unpickled before it has proved that it comes from this cluster, for this port.

Thespian's TCP base binds 0.0.0.0 and unpickles whatever arrives: whoever reaches a port runs code. `install` gives its
transport a seal in place of pickle, before the first ActorSystem; nothing else of Thespian changes. A sealed frame:

    kind (1)  born_ns (8)  nonce (16)  mac (32)  payload

`mac` is HMAC-SHA256 (RFC 2104) with the cluster's secret over everything else and over the address that the frame is
for. A receiver refuses what it has seen before, what is for another port, what is older than `WINDOW_S`, and what is
older than the receiver itself, so that a frame cannot be replayed: not here, not elsewhere, not after a restart. Only
the two acknowledgements, which are constants of Thespian's, go without address and time: they are answers on a
connection and mean nothing when they come by themselves. The seal authenticates; it does not encrypt.

Thespian holds every connection for `MAX_INCOMPLETE_S`, and dies of the one that takes the last descriptor: whoever
connects and says nothing has to leave as soon as others come.
"""

from __future__ import annotations

import hmac
import logging
import os
import pickle
import struct
import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from thespian.system.transport import IPBase, TCPTransport, streamBuffer

from config.errors import CallboardError

log = logging.getLogger(__name__)

WINDOW_S = 60.0  # a frame is used within this time: it may wait for a peer that is busy, and nodes' clocks differ
MAX_FRAME_BYTES = 16 * 1024 * 1024  # the largest answer, all actors of a busy worker, is below 1 MiB
MAX_INCOMPLETE_S = 30  # a frame that has begun is complete within this time
MAX_UNKNOWN = 64  # connections that no frame has come over yet; our own send theirs at once
_HEADER = struct.Struct("!BQ16s32s")
_MESSAGE, _ACKNOWLEDGEMENT = 1, 2
_MAX_LINES_PER_MINUTE = 10

Address = tuple[str, int]
Clock = Callable[[], float]


class FrameRefused(CallboardError):
    """A frame that is not of this cluster, not for this port, or not for the first time; nothing of it was used."""

    code = "frame_refused"


class Seal:
    """Takes the place of `pickle` in Thespian's transport: `dumps` seals, `loads` checks and only then unpickles."""

    def __init__(self, secret: bytes, wall: Clock = time.time, monotonic: Clock = time.monotonic) -> None:
        if not secret:
            raise ValueError("a seal needs a secret")
        self._secret, self._wall, self._monotonic = secret, wall, monotonic
        self._refused: deque[float] = deque()
        self.open()

    def open(self) -> None:
        """This process begins to receive: what another process has seen, and where it listened, is not its own."""
        self._since_s = self._monotonic()
        self._ports: set[Address] = set()
        self._seen: dict[bytes, int] = {}  # nonce -> born_ns, in the order of arrival

    def listen_at(self, address: Address) -> None:
        """Frames for this address are meant for us."""
        self._ports.add(address)

    def seal(self, value: Any, to: Address) -> bytes:
        """The frame that carries `value` to whoever listens at `to`."""
        payload = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        born_ns, nonce = int(self._wall() * 1e9), os.urandom(16)
        return _HEADER.pack(_MESSAGE, born_ns, nonce, self._mac(_MESSAGE, born_ns, nonce, to, payload)) + payload

    def dumps(self, value: Any) -> bytes:
        """A frame for anybody: an acknowledgement."""
        payload, nonce, nowhere = pickle.dumps(value), bytes(16), ("", 0)
        mac = self._mac(_ACKNOWLEDGEMENT, 0, nonce, nowhere, payload)
        return _HEADER.pack(_ACKNOWLEDGEMENT, 0, nonce, mac) + payload

    def loads(self, frame: bytes) -> Any:
        """What a frame carries. Raises `FrameRefused`."""
        try:
            return pickle.loads(self._verified(bytes(frame)))
        except FrameRefused as error:
            self._log(error)
            raise

    def _verified(self, frame: bytes) -> bytes:
        if len(frame) < _HEADER.size:
            raise FrameRefused(f"{len(frame)} bytes are no frame")
        kind, born_ns, nonce, mac = _HEADER.unpack_from(frame)
        payload = frame[_HEADER.size :]
        goals = [("", 0)] if kind == _ACKNOWLEDGEMENT else self._ports
        if not any(hmac.compare_digest(mac, self._mac(kind, born_ns, nonce, goal, payload)) for goal in goals):
            raise FrameRefused("it does not carry the cluster's secret, or is for another port")
        if kind == _MESSAGE:
            self._refuse_replay(born_ns, nonce)
        return payload

    def _refuse_replay(self, born_ns: int, nonce: bytes) -> None:
        now_s = self._wall()
        age_s = now_s - born_ns / 1e9
        if not -WINDOW_S <= age_s <= min(WINDOW_S, self._monotonic() - self._since_s):
            raise FrameRefused(f"it is {age_s:.1f} s old")
        if nonce in self._seen:
            raise FrameRefused("it was here before")
        self._seen[nonce] = born_ns
        while self._seen and now_s - next(iter(self._seen.values())) / 1e9 > 2 * WINDOW_S:
            del self._seen[next(iter(self._seen))]

    def _mac(self, kind: int, born_ns: int, nonce: bytes, to: Address, payload: bytes) -> bytes:
        head = struct.pack("!BQ16s", kind, born_ns, nonce) + f"{to[0]}:{to[1]}|".encode()
        return hmac.digest(self._secret, head + payload, "sha256")

    def _log(self, error: FrameRefused) -> None:
        """One line for a refusal, but not for each of a flood."""
        now_s = self._monotonic()
        while self._refused and now_s - self._refused[0] > 60:
            self._refused.popleft()
        if len(self._refused) < _MAX_LINES_PER_MINUTE:
            self._refused.append(now_s)
            log.warning("%s: a control frame was refused: %s", error.code, error)


class FrameBuffer(streamBuffer.ReceiveBuffer):  # type: ignore[misc]
    """Thespian's receive buffer (`<length>><frame>`), which would believe any length: 99999999999, or -5.

    Thespian asks twice for a frame that comes where it expected an acknowledgement; it is unsealed once.
    """

    _opened: tuple[Any, bytes] | None = None

    def addMore(self, buf: bytes) -> None:
        """Take what the socket gave. Raises `FrameRefused`, at which Thespian closes the socket."""
        if self._size is None:
            digits, mark, _ = (self._buf + buf).partition(b">")
            if len(digits) > 12 or ((digits or mark) and not digits.isdigit()):
                raise FrameRefused("it does not begin with its length")
            if mark and not 0 < int(digits) <= MAX_FRAME_BYTES:
                raise FrameRefused(f"a frame has up to {MAX_FRAME_BYTES} bytes, not {int(digits)}")
        super().addMore(buf)

    def completed(self) -> tuple[Any, bytes] | None:
        """What the frame carries and what came behind it, or None while it is not whole. Raises `FrameRefused`."""
        if self._opened is None:
            self._opened = super().completed()
        return self._opened and (self._opened[0], self._extra)


class SealedTransport(TCPTransport.TCPTransport):  # type: ignore[misc]
    """Thespian's TCP transport, with frames that name their receiver."""

    seal: Seal

    def __init__(self, init_type: Any, *args: Any) -> None:
        if isinstance(init_type, TCPTransport.TCPEndpoint):
            self.seal.open()  # a forked actor: its port is its own
        super().__init__(init_type, *args)
        self.seal.listen_at(self.myAddress.addressDetails.sockname)

    def _acceptNewIncoming(self) -> None:
        """The longest silent one makes room for the newest: who has sent something stands behind who has not."""
        super()._acceptNewIncoming()
        unknown = [fd for fd, peer in self._incomingSockets.items() if peer.fromAddress.addressDetails is None]
        for fd in unknown[:-MAX_UNKNOWN]:
            self._incomingSockets.pop(fd).close()

    def serializer(self, intent: Any) -> bytes:
        to = intent.targetAddr.addressDetails.sockname
        frame = streamBuffer.toSendBuffer((self.myAddress, intent.message), lambda value: self.seal.seal(value, to))
        return bytes(frame)

    def external_transport_clone(self) -> SealedTransport:
        return SealedTransport(TCPTransport.ExternalTransportCopy(), self._adminAddr, self.txOnly, False)


def install(secret: bytes, host: str) -> type[SealedTransport]:
    """Seal every control port of this process and of those that it forks, and bind them to `host` (an IP address).

    Call it once, before the first ActorSystem; the transport that it returns goes into that system's base.
    """
    os.environ["THESPIAN_BASE_IPADDR"] = host  # else Thespian asks for the route to a public resolver
    IPBase.thisSystem.add_local_addr(host)
    seal = SealedTransport.seal = Seal(secret)
    TCPTransport.serializer = seal
    TCPTransport.ReceiveBuffer = FrameBuffer
    TCPTransport.MAX_INCOMING_SOCKET_PERIOD = timedelta(seconds=MAX_INCOMPLETE_S)
    TCPTransport.ackMsg = streamBuffer.toSendBuffer(streamBuffer.ackPacket, seal.dumps)
    TCPTransport.ackDataErrMsg = streamBuffer.toSendBuffer(streamBuffer.ackDataErrPacket, seal.dumps)
    IPBase.IPActorAddress.bindArgs = property(lambda address: ((address.bindname[0] or host, address.bindname[1]),))
    return SealedTransport

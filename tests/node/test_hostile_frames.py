"""Whoever reaches a control port, and does not know the cluster's secret, reaches nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import socket
from pathlib import Path

import pytest
from thespian.actors import ActorAddress
from thespian.system.transport.IPBase import TCPv4ActorAddress

from actors.node.sealed import Seal
from tests.node.conftest import NodeProcess, StartNode, descendants, parent

SECRET = "the cluster's own"


class Bomb:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> object:
        return os.mkdir, (str(self._path),)


def listening(pids: set[int]) -> set[tuple[str, int]]:
    """The TCP addresses that these processes listen on."""
    inodes = set()
    for pid in pids:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                target = os.readlink(entry)
                if target.startswith("socket:["):
                    inodes.add(target[8:-1])
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and fields[9] in inodes:
            host, _, port = fields[1].partition(":")
            found.add((socket.inet_ntoa(bytes.fromhex(host)[::-1]), int(port, 16)))
    return found


def control_ports(node: NodeProcess) -> set[tuple[str, int]]:
    """Every port of the node but those that are for callers and operators."""
    served = {int(url.rpartition(":")[2]) for url in (node.url, node.said["audiosocket"], node.said["operator"])}
    pids = descendants(node.process.pid) | {node.process.pid}
    return {address for address in listening(pids) if address[1] not in served}


def wrapped(frame: bytes) -> bytes:
    return b"%d>" % len(frame) + frame


def hostile_frames(bomb: Bomb, port: tuple[str, int]) -> dict[str, bytes]:
    """What an attacker would try at this port."""
    sealed = Seal(SECRET.encode()).seal(("sender", "an honest message"), port)
    other = Seal(SECRET.encode()).seal(("sender", bomb), ("127.0.0.1", 1))
    raw = pickle.dumps(bomb)
    return {
        "a bare pickle": wrapped(raw),
        "an envelope": wrapped(pickle.dumps(("sender", bomb))),
        "another secret": wrapped(Seal(b"guessed").seal(("sender", bomb), port)),
        "another secret, as acknowledgement": wrapped(Seal(b"guessed").dumps(bomb)),
        "for another port": wrapped(other),
        "a changed payload": wrapped(sealed[:-60] + raw),
        "truncated": wrapped(raw)[:-5],
        "only a header": wrapped(sealed[:57]),
        "no length": raw,
        "a negative length": b"-5>" + raw,
        "an enormous length": b"99999999999>" + raw,
        "digits for ever": b"1" * 10_000,
        "empty": b"0>",
        "an acknowledgement": wrapped(Seal(SECRET.encode()).dumps("ACK")),
        "an honest frame that is no envelope of Thespian's": wrapped(Seal(SECRET.encode()).seal(7, port)),
    }


def throw(address: tuple[str, int], data: bytes) -> bytes:
    """Send, and read what comes back until the other side closes or says nothing for a moment."""
    got = b""
    with socket.create_connection(address, 2) as sock:
        sock.settimeout(0.3)
        try:
            sock.sendall(data)
            while piece := sock.recv(4096):
                got += piece
        except OSError:
            pass
    return got


@pytest.mark.timeout(120)
async def test_hostile_frames_at_every_port_do_nothing(start_node: StartNode, tmp_path: Path) -> None:
    node = await start_node("--workers", "2", NODE__CLUSTER_SECRET=SECRET)
    pids = descendants(node.process.pid)
    ports = control_ports(node)
    assert len(ports) >= 6  # main, admin, logger, manager, two workers
    assert {host for host, _ in ports} == {"127.0.0.1"}
    bomb = Bomb(tmp_path / "fired")
    everywhere = listening(pids | {node.process.pid})
    assert len(everywhere) == len(ports) + 3  # HTTP, AudioSocket, operators
    for port in sorted(everywhere):
        for frame in hostile_frames(bomb, port).values():
            await asyncio.to_thread(throw, port, frame)
    assert not (tmp_path / "fired").exists()
    assert descendants(node.process.pid) == pids
    assert [row["state"] for row in await node.workers()] == ["up", "up"]
    assert await node.exits() == []
    assert (await node.get("/healthz/")).code == 200
    assert "a control frame was refused" in node.log


async def test_an_honest_frame_is_not_taken_twice(start_node: StartNode) -> None:
    """Replayed to the same port, and to every other port of the node."""
    node = await start_node("--workers", "1", NODE__CLUSTER_SECRET=SECRET)
    manager = await node.manager()
    ports = sorted(listening({manager}) - listening({parent(manager)}))  # it has inherited others
    sender = ActorAddress(TCPv4ActorAddress("127.0.0.1", 9, external=True))
    acknowledged = wrapped(Seal(SECRET.encode()).dumps("ACK"))
    frame = wrapped(Seal(SECRET.encode()).seal((sender, "hello"), ports[0]))
    first = await asyncio.to_thread(throw, ports[0], frame)
    again = [await asyncio.to_thread(throw, port, frame) for port in sorted(control_ports(node))]
    assert first.startswith(acknowledged)
    assert not any(acknowledged in answer for answer in again)
    assert (await node.get("/healthz/")).code == 200


async def test_a_flood_of_open_connections_does_not_stop_the_node(start_node: StartNode) -> None:
    node = await start_node("--workers", "1", NODE__CLUSTER_SECRET=SECRET)
    held = [socket.create_connection(port, 2) for port in control_ports(node) for _ in range(30)]
    try:
        for sock in held:
            sock.sendall(b"1000>half a frame")
        assert [row["state"] for row in await node.workers()] == ["up"]
    finally:
        for sock in held:
            sock.close()
    assert (await node.get("/healthz/")).code == 200

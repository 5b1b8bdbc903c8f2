"""Peers that name calls which are not there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import pytest

from store.contexts import ContextRepository
from tests.transports.front import Site
from tests.transports.peers import Peer
from transports.audiosocket import audio_header
from transports.connection import Limits
from transports.guesses import CREDIT, MOST_PEERS, MOST_TOGETHER, PROXIED, Doubted, Guesses, TooManyGuesses

MakeSite = Callable[..., Awaitable[Site]]
FRAME = audio_header(0x10, 320) + bytes(320)


def refused(guesses: Guesses, address: str, now: float) -> bool:
    try:
        guesses.check(address, now)
    except TooManyGuesses:
        return True
    return False


def test_who_guesses_waits_and_others_do_not() -> None:
    guesses = Guesses(60)
    for _ in range(60):
        assert not refused(guesses, "192.0.2.1", 0.0)
        guesses.missed("192.0.2.1", 0.0)
    assert refused(guesses, "192.0.2.1", 0.5) and not refused(guesses, "192.0.2.2", 0.5)
    assert not refused(guesses, "192.0.2.1", 1.0)  # one a second, as a minute allows


def test_a_network_of_ipv6_is_one_peer() -> None:
    guesses = Guesses(1)
    guesses.missed("2001:db8::1", 0.0)
    assert refused(guesses, "2001:db8::2", 0.0) and not refused(guesses, "2001:db8:0:1::1", 0.0)


def test_calls_that_are_there_make_guesses_good() -> None:
    guesses = Guesses(100)
    for number in range(2000):  # a PBX of whose calls four in five name nothing
        assert not refused(guesses, "192.0.2.1", 0.0)
        guesses.hit("192.0.2.1", 0.0) if number % 5 == 0 else guesses.missed("192.0.2.1", 0.0)
    assert CREDIT >= 4


def test_it_remembers_a_bounded_number_of_peers() -> None:
    guesses = Guesses(1)
    for number in range(MOST_PEERS + 100):
        guesses.missed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0.0)
    assert len(guesses._buckets) == MOST_PEERS
    assert not refused(guesses, "10.0.0.0", 0.0)


async def guess(site: Site) -> bytes:
    peer = await Peer.connect(site.audiosocket.port)
    peer.send(b"\x01\x00\x10" + uuid4().bytes + FRAME)
    answer = await peer.read(3)
    await peer.close()
    return answer


async def test_guesses_on_audiosocket_are_counted_and_then_not_looked_up(
    make_site: MakeSite, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await make_site(limits=Limits(), max_per_peer=50)
    object.__setattr__(site.services, "guesses", Guesses(3))
    looked_up = 0
    claim = ContextRepository.claim

    def counted(*args: object) -> object:
        nonlocal looked_up
        looked_up += 1
        return claim(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(ContextRepository, "claim", counted)
    assert {await guess(site) for _ in range(8)} == {b"\0\0\0"}
    assert looked_up == 3
    figures = site.services.metrics.exposition()
    assert 'callboard_call_refusals_total{code="unknown_context",provider="asterisk"} 3.0' in figures
    assert 'callboard_call_refusals_total{code="too_many_guesses",provider="asterisk"} 5.0' in figures
    assert "unknown_context" in caplog.text and "too_many_guesses" in caplog.text


async def test_a_call_that_is_there_is_taken_beside_the_guesses_of_its_address(make_site: MakeSite) -> None:
    site = await make_site(limits=Limits(), max_per_peer=20)
    object.__setattr__(site.services, "guesses", Guesses(2))
    stay = [await Peer.connect(site.audiosocket.port) for _ in range(20)]
    for peer in stay[10:]:
        peer.send(b"\x01\x00\x10" + uuid4().bytes)
    assert [await peer.read(3) for peer in stay[10:]] == [b"\0\0\0"] * 10
    assert [await guess(site) for _ in range(4)] == [b"\0\0\0"] * 4
    context = await site.context("asterisk")
    call = await Peer.connect(site.audiosocket.port)
    call.send(b"\x01\x00\x10" + context.id.bytes)
    taken, _, ears = await site.switchboard.call()
    assert taken.id == context.id
    object.__setattr__(site.services, "guesses", Guesses(1))
    assert await statuses_of(site, "", "") == [404, 429]
    status, upgraded = await site.upgrade(f"/v1/talk/twilio/ctx/{(await site.context()).id}")
    assert status == 101
    for peer in (call, upgraded, *stay):
        await peer.close()
    await ears.ended.wait()


async def test_a_flood_of_guesses_is_looked_up_by_one_query() -> None:
    there, queries = uuid4(), []

    async def known(ids: set[UUID]) -> set[UUID]:
        queries.append(len(ids))
        return {there} & ids

    doubted = Doubted(known)
    asked = [doubted.is_there(there), *(doubted.is_there(uuid4()) for _ in range(2 * MOST_TOGETHER))]
    assert await asyncio.gather(*asked) == [True] + [False] * 2 * MOST_TOGETHER
    assert queries == [MOST_TOGETHER]
    assert await doubted.is_there(there) and queries == [MOST_TOGETHER, 1]


async def test_a_guess_leaves_a_line_though_its_peer_has_gone(
    make_site: MakeSite, caplog: pytest.LogCaptureFixture
) -> None:
    site = await make_site(limits=Limits())
    peer = await Peer.connect(site.audiosocket.port)
    peer.send(b"\x01\x00\x10" + uuid4().bytes)
    await peer.close()
    while "unknown_context" not in caplog.text:
        await guess(site)
    assert "provider=asterisk peer=127.0.0.1" in caplog.text


async def test_used_contexts_are_no_guesses(make_site: MakeSite) -> None:
    site = await make_site(limits=Limits())
    object.__setattr__(site.services, "guesses", Guesses(2))
    context = await site.context()
    statuses = []
    for _ in range(5):
        status, peer = await site.upgrade(f"/v1/talk/twilio/ctx/{context.id}")
        statuses.append(status)
        await peer.close()
    assert statuses == [101, 409, 409, 409, 409]
    _, _, ears = await site.switchboard.call()
    await ears.ended.wait()


async def statuses_of(site: Site, *clients: str) -> list[int]:
    """Of guesses on a WebSocket, each for this client of a proxy, or for nobody else."""
    seen = []
    for client in clients:
        forwarded = {"X_Forwarded_For": client} if client else {}
        status, peer = await site.upgrade(f"/v1/talk/twilio/ctx/{uuid4()}", **forwarded)
        seen.append(status)
        await peer.close()
    return seen


async def test_guesses_on_a_websocket(make_site: MakeSite) -> None:
    site = await make_site(limits=Limits())
    object.__setattr__(site.services, "guesses", Guesses(2))
    assert await statuses_of(site, "", "", "", "") == [404, 404, 429, 429]


async def test_a_proxys_clients_are_counted_one_by_one(make_site: MakeSite) -> None:
    site = await make_site(limits=Limits())
    object.__setattr__(site.services, "guesses", Guesses(2))
    one, spoofed, other = "192.0.2.1", "198.51.100.7, 192.0.2.1", "192.0.2.2"
    assert await statuses_of(site, one, spoofed, one, other) == [404, 404, 429, 404]


def test_who_only_says_that_he_is_a_proxy_is_refused_in_the_end() -> None:
    guesses = Guesses(2)
    for number in range(2 * PROXIED):
        guesses.check("10.0.0.1", 0.0, f"192.0.2.{number}")
        guesses.missed("10.0.0.1", 0.0, f"192.0.2.{number}")
    with pytest.raises(TooManyGuesses):
        guesses.check("10.0.0.1", 0.0, "198.51.100.1")
    guesses.check("10.0.0.1", 0.0)  # its own calls, and other proxies'
    guesses.check("10.0.0.2", 0.0, "198.51.100.1")
    guesses.hit("10.0.0.1", 0.0, "198.51.100.2")  # a call of one of its clients
    guesses.check("10.0.0.1", 0.0, "198.51.100.1")

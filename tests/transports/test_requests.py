"""Requests that are not finished: headers decide before a body is read, and what all of them hold is bounded."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

import pytest

from tests.transports.front import FORM, Site
from tests.transports.peers import Peer
from transports.connection import Limits
from transports.requests import REQUEST_BYTES, Intake, Overwhelmed, Turns

MakeSite = Callable[..., Awaitable[Site]]
CALL = "/v1/talk/twilio/call/reception"
EVENT = "/v1/talk/twilio/ctx/40325ec2-5efd-4bd3-805f-53576e581d13/event"
SIGNED = {"twilio": {"auth_token": "callboard-test-token"}}


def head(method: str, path: str, **headers: object) -> bytes:
    fields = {"Host": "test", **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


async def ask(site: Site, sent: bytes) -> tuple[Peer, int, str]:
    """Send it; the peer, the answer's status and its error's code."""
    peer = await Peer.connect(site.port)
    peer.send(sent)
    return peer, *await answer(peer)


async def answer(peer: Peer) -> tuple[int, str]:
    async with asyncio.timeout(5):
        lines = (await peer.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        length = next(int(line.split()[1]) for line in lines if line.startswith("Content-Length"))
        body = await peer.reader.readexactly(length)
    return int(lines[0].split()[1]), json.loads(body)["error"]["code"] if body[:1] == b"{" else ""


# --- headers decide ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code"),
    [
        ("POST", "/nowhere", {}, 404, "not_found"),
        ("POST", "/healthz/", {}, 405, "method_not_allowed"),
        ("PUT", CALL, {}, 405, "method_not_allowed"),
        ("BREW", CALL, {}, 405, "method_not_allowed"),
        ("POST", "/v1/talk/nobody/call/1", {}, 404, "unknown_provider"),
        ("POST", CALL, {}, 401, "invalid_key"),
        ("POST", CALL, {"x_api_key": "rpd-wrong"}, 401, "invalid_key"),
        ("POST", CALL, {"Content_Length": 65_537}, 413, "body_too_large"),
        ("POST", CALL, {"Content_Length": 10**17}, 413, "body_too_large"),
        ("POST", CALL, {"Content_Length": "9" * 5000}, 413, "body_too_large"),
        ("POST", CALL, {"Content_Length": "60000, 60000"}, 400, "bad_length"),
        ("POST", CALL, {"Content_Length": "-1"}, 400, "bad_length"),
        ("GET", CALL, {}, 413, "body_too_large"),
        ("GET", "/healthz/", {"Content_Length": 1}, 413, "body_too_large"),
        ("POST", EVENT.replace("40325ec2", "x"), {}, 400, "bad_context_id"),
    ],
)
async def test_a_refusal_does_not_wait_for_the_body(
    site: Site, method: str, path: str, headers: dict[str, object], status: int, code: str
) -> None:
    peer, *got = await ask(site, head(method, path, **{"Content_Length": 60_000, **headers}))
    assert got == [status, code] and len(site.services.intake) == 0
    await peer.close()


async def test_who_must_sign_and_does_not_is_refused_by_the_headers(make_site: MakeSite) -> None:
    site = await make_site(**SIGNED)
    for path in (CALL, EVENT):
        peer, *got = await ask(site, head("POST", path, Content_Length=60_000))
        assert got == [401, "missing_signature"]
        await peer.close()
    peer = await Peer.connect(site.port)  # a signature must be checked over the body
    peer.send(head("POST", CALL, Content_Length=5, X_Twilio_Signature="x") + b"From")
    peer.send(b"=")
    assert await answer(peer) == (403, "wrong_signature")
    await peer.close()


@pytest.mark.parametrize("size", [70_000, 1_000_000])
async def test_who_is_still_sending_reads_the_answer(site: Site, size: int) -> None:
    peer = await Peer.connect(site.port)
    peer.send(head("POST", CALL, Content_Length=size, x_api_key=site.key) + b"x" * (size // 2))
    assert await answer(peer) == (413, "body_too_large")
    peer.send(b"x" * (size - size // 2))
    assert await peer.rest() == b""  # an end, not a reset
    assert site.services.intake.lingering == 0
    await peer.close()


async def test_who_asks_before_sending_is_told_at_once(site: Site) -> None:
    peer, *got = await ask(site, head("POST", CALL, Content_Length=60_000, Expect="100-continue"))
    assert got == [401, "invalid_key"] and await peer.rest() == b""
    await peer.close()
    form = urlencode(FORM).encode()
    peer = await Peer.connect(site.port)
    peer.send(head("POST", CALL, Content_Length=len(form), Expect="100-continue", x_api_key=site.key))
    async with asyncio.timeout(5):
        assert b" 100 " in await peer.reader.readuntil(b"\r\n\r\n")
    peer.send(form)
    assert (await answer(peer))[0] == 200
    await peer.close()


async def test_chunks_are_counted(site: Site) -> None:
    def chunks(data: bytes, size: int = 1000) -> bytes:
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"

    keyed = head("POST", CALL, Transfer_Encoding="chunked", x_api_key=site.key)
    peer, status, _ = await ask(site, keyed + chunks(urlencode(FORM).encode(), 7))
    assert status == 200
    await peer.close()
    for sent, status, code in (
        (keyed + chunks(b"x" * 80_000), 413, "body_too_large"),
        (head("GET", "/healthz/", Transfer_Encoding="chunked"), 413, "body_too_large"),
        (head("POST", CALL, Transfer_Encoding="chunked"), 401, "invalid_key"),
    ):
        peer, *got = await ask(site, sent)
        assert got == [status, code]
        await peer.close()
    assert len(site.services.intake) == 0


@pytest.mark.parametrize(("path", "status"), [("/nowhere", b"404"), (CALL, b"401"), ("/healthz/", b"200")])
async def test_a_connection_that_is_closed_is_said_to_be(site: Site, path: str, status: bytes) -> None:
    peer = await Peer.connect(site.port)
    peer.send(head("GET", path))
    async with asyncio.timeout(5):
        lines = (await peer.reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    assert status in lines[0] and (b"Connection: close" in lines) is (status != b"200")
    if status != b"200":
        await peer.rest()
    await peer.close()


async def test_a_connection_goes_on_after_a_refusal_without_a_body(site: Site) -> None:
    peer = await Peer.connect(site.port)
    for _ in range(3):
        peer.send(head("GET", "/v1/assistants"))
        assert await answer(peer) == (401, "invalid_key")
    await peer.close()


# --- deadlines ---------------------------------------------------------------------------------------------------


async def test_a_silent_body_has_a_deadline_and_a_slow_one_goes_on(make_site: MakeSite) -> None:
    site = await make_site(limits=Limits(request_s=0.2))
    form = urlencode(FORM).encode()
    silent, slow = [await Peer.connect(site.port) for _ in range(2)]
    for peer in (silent, slow):
        peer.send(head("POST", CALL, Content_Length=len(form), x_api_key=site.key) + form[:1])
    for at in range(1, len(form)):
        await asyncio.sleep(0.01)
        slow.send(form[at : at + 1])
    assert (await answer(slow))[0] == 200
    assert await answer(silent) == (408, "body_too_slow") and await silent.rest() == b""
    for peer in (silent, slow):
        await peer.close()


async def test_what_came_while_this_process_stood_still_is_not_late(make_site: MakeSite) -> None:
    site = await make_site(limits=Limits(request_s=0.2))
    form = urlencode(FORM).encode()
    peer = await Peer.connect(site.port)
    peer.send(head("POST", CALL, Content_Length=len(form), x_api_key=site.key) + form[:-1])
    async with asyncio.timeout(5):
        while not any(len(held.body) == len(form) - 1 for held in site.services.intake._held):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    peer.send(form[-1:])
    time.sleep(0.5)  # noqa: ASYNC251 (the loop hangs)
    assert (await answer(peer))[0] == 200
    await peer.close()


# --- one budget --------------------------------------------------------------------------------------------------


async def test_withheld_bodies_hold_no_more_than_the_budget_and_nobody_else_is_refused(make_site: MakeSite) -> None:
    site = await make_site(limit_settings={"unfinished_bytes": 1 << 20})
    intake = site.services.intake
    peers = [await Peer.connect(site.port) for _ in range(100)]
    for peer in peers:
        peer.send(head("POST", CALL, Content_Length=40_000, x_api_key=site.key) + b"x" * 39_999)
    answers = [asyncio.ensure_future(answer(peer)) for peer in peers]
    async with asyncio.timeout(10):
        while sum(one.done() for one in answers) < 80:
            assert intake.held_bytes <= intake.most_bytes // 2  # they are all of one peer
            await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED, timeout=0.01)
    assert {one.result() for one in answers if one.done()} == {(503, "overwhelmed")}
    for _ in range(20):
        answered = await site.fetch(CALL, method="POST", body=urlencode(FORM), headers=site.keyed)
        assert answered.code == 200
        assert intake.held_bytes <= intake.most_bytes // 2
    for one, peer in zip(answers, peers, strict=True):
        one.cancel()
        await peer.close()
    async with asyncio.timeout(5):
        while intake.held_bytes:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Request:
    def __init__(self, peer: str, *, reads_body: bool = True) -> None:
        self.peer, self.reads_body, self.given_up = peer, reads_body, False

    def give_up(self) -> None:
        self.given_up = True


def test_who_holds_most_gives_way_and_who_was_silent_longest_first() -> None:
    intake = Intake(10 * REQUEST_BYTES)
    modest = [Request(f"192.0.2.{n}") for n in range(5)]
    greedy = [Request("192.0.2.7") for _ in range(5)]
    for request in (*modest, *greedy):
        intake.enter(request)
    intake.grew(greedy[0], 10)  # more than a half
    assert [request.given_up for request in greedy] == [False, True, False, False, False]
    for n in range(2):
        intake.enter(Request(f"192.0.2.{10 + n}"))
    assert [request.given_up for request in greedy] == [False, True, True, True, False]
    assert not any(request.given_up for request in modest) and intake.held_bytes <= intake.most_bytes


def test_what_waits_for_us_is_finished_and_the_next_one_refused() -> None:
    intake = Intake(4 * REQUEST_BYTES)
    working = [Request(f"192.0.2.{n // 2}", reads_body=False) for n in range(4)]
    for request in working:
        intake.enter(request)
    with pytest.raises(Overwhelmed):
        intake.enter(Request("192.0.2.2"))
    intake.leave(working[0])
    intake.leave(working[0])
    intake.enter(Request("192.0.2.2"))
    assert not any(request.given_up for request in working) and len(intake) == 4


# --- turns -------------------------------------------------------------------------------------------------------


async def test_few_requests_begin_in_a_turn_of_the_loop_and_peers_take_turns() -> None:
    turns, begun = Turns(per_turn=2), []

    async def one(peer: str) -> None:
        await turns.take(peer)
        begun.append(peer)

    tasks = [asyncio.ensure_future(one(peer)) for peer in ["flood"] * 50 + ["caller"]]
    await asyncio.sleep(0)
    assert begun == ["flood"] * 2
    counts = []
    while len(begun) < 51:
        before = len(begun)
        await asyncio.sleep(0)
        counts.append(len(begun) - before)
    assert max(counts) == 2 and "caller" in begun[:6]
    await asyncio.gather(*tasks)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await turns.take("later")  # at once
    assert not turns._waiting


# --- names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1:9007", True),
        ("[::1]:9007", True),
        ("192.168.1.7", True),
        ("localhost:9007", True),
        ("LOCALHOST", True),
        ("a.localhost", True),
        ("voice.example.test", True),
        ("voice.example.test.:443", True),
        ("callboard", True),
        ("evil.example:9007", False),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("voice.example.test.evil.example", False),
        ("2130706433", False),
        ("[::1", None),
    ],
)
async def test_in_open_mode_another_name_that_leads_here_is_refused(
    make_site: MakeSite, host: str, ours: bool | None
) -> None:
    site = await make_site(auth={"mode": "open"}, http={"host_names": "callboard,other.example:9007"})
    context = await site.context("browser")
    for path in ("/", "/v1/assistants", "/v1/talk/browser/call/reception", f"/v1/conversations/{context.id}"):
        peer = await Peer.connect(site.port)
        peer.send(head("GET", path, Connection="close", **{"Host": host}))
        received = await peer.rest()
        await peer.close()
        if ours is None:
            assert b" 200 " not in received and b" 500 " not in received
        else:
            assert (b" 200 " in received) is ours and (b"wrong_host" in received) is not ours
    if ours is not None:
        origin = f"http://{host}"
        status, peer = await site.upgrade(f"/v1/talk/browser/ctx/{context.id}", Host=host, Origin=origin)
        assert status == (101 if ours else 403)
        await peer.close()
    assert (await site.fetch("/healthz/", headers={"Host": "evil.example"})).code == 200


async def test_with_keys_a_proxy_may_call_us_what_it_likes(site: Site) -> None:
    answered = await site.fetch(
        CALL, method="POST", body=urlencode(FORM), headers={**site.keyed, "Host": "upstream_3:9007"}
    )
    assert answered.code == 200

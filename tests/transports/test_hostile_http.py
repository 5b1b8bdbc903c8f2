"""Whatever a request's parts hold, it is answered or dropped: never a 500, never a traceback."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from config.logging import configure
from tests.transports.front import Site, open_site
from tests.transports.peers import Peer
from transports.connection import Limits

CONTEXT = "40325ec2-5efd-4bd3-805f-53576e581d13"
HOSTILE = (
    *("", "http://[", "[", "[::1", "]", "//[", "http://[::1]:port", "h:99999999", "null", "\u2100.test", "a,b"),
    *("%", "%f", "%ff", "%00", "%0a%0d", "%ed%a0%80", "%u2028", "\x00", "\x7f", "\x85", "\xff", "é", "\U0001f600"),
    *("-1", "0", "9" * 30, "9" * 5000, "1e999", "NaN", "inf", "0x10", "٣", "+1", "1_0"),
    *(CONTEXT, CONTEXT.upper(), CONTEXT.replace("-", ""), f"{{{CONTEXT}}}", f"urn:uuid:{CONTEXT}"),
    *("&=&", "a=1&a=2", ";", "'\"<>", "../../etc/passwd", "${jndi:x}", "x" * 4000, "=?utf-8?b?4pyI?=", 'W/"', "*"),
)
PATHS = (
    *("/v1/talk/{}/call/{}", "/v1/talk/twilio/call/{}?From={}", "/v1/talk/asterisk/call/reception?from={}&id={}"),
    *("/v1/talk/browser/call/reception?from={}&x-api-key={}", "/v1/talk/browser/ctx/{}?rate={}", "/static/{}?{}"),
    *("/v1/talk/twilio/ctx?contextId={}&{}", "/v1/talk/twilio/ctx/{}/event?{}", f"/v1/talk/twilio/ctx/{CONTEXT}/event"),
    *("/v1/conversations/{}?{}", "/v1/caller/{}", "/v1/assistants?{}", "/readiness/{}", "/healthz/?{}", "{}{}", "/"),
)
HEADERS = (
    *("Host", "Origin", "x-api-key", "X-Twilio-Signature", "Content-Type", "Content-Length", "Transfer-Encoding"),
    *("Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Cookie", "If-None-Match", "Expect"),
    *("Authorization", "X-Forwarded-For", "Range", "Content-Encoding", "Accept"),
)
BODIES = (
    *(b"", b"From=%2B15550100&CallSid=CA1", b"From=%ff%00&From=2&To=%ed%a0%80", b"&" * 300, b"From=" + b"9" * 5000),
    *(b'{"From": "\\ud800"}', b"\xff\xfe\x00", b"--x\r\n\r\n--x--"),
    b"StreamEvent=%00%ed%b2%80&SequenceNumber=" + b"9" * 400,
    *(b"5\r\nFrom=\r\n0\r\n\r\n", b"zz\r\n", b"ffffffffffffffffff\r\n", b"-1\r\n\r\n"),
)
hostile = st.sampled_from(HOSTILE) | st.text(max_size=12)
UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, list[tuple[str, str]], bytes]:
    path = draw(st.sampled_from(PATHS))
    target = path.format(*(draw(hostile) for _ in range(path.count("{}"))))
    headers = draw(st.lists(st.tuples(st.sampled_from(HEADERS), hostile), max_size=2))
    if "/ctx" in path and "/event" not in path:
        headers += UPGRADE.items()
    method = draw(st.sampled_from(("GET", "GET", "GET", "POST", "POST", "POST", "PUT", "HEAD")))
    return method, target, headers, draw(st.sampled_from(BODIES)) if method == "POST" else b""


def written(method: str, target: str, headers: list[tuple[str, str]], body: bytes, key: str) -> bytes:
    """As bytes, with what is needed to get further than the first check, unless it is given."""
    names = {name.lower() for name, _ in headers}
    given = [*headers]
    close = () if "connection" in names else (("Connection", "close"),)
    for name, value in (("Host", "localhost"), ("x-api-key", key), *close, ("Content-Length", str(len(body)))):
        if name.lower() not in names and not (name == "Content-Length" and "transfer-encoding" in names):
            given.append((name, value))
    lines = [f"{method} {target.replace(' ', '%20')} HTTP/1.1", *(f"{name}: {value}" for name, value in given), "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogatepass") + body


class _Records(logging.Handler):
    """Everything that is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


async def ask(port: int, sent: bytes) -> bytes:
    """What is answered at once; a request that is not complete waits for its rest, and is dropped."""
    peer = await Peer.connect(port)
    peer.send(sent)
    received = await peer.rest()
    await peer.close()
    return received


@pytest.mark.parametrize("mode", ["key", "open"])
def test_no_part_of_a_request_breaks_a_handler(tmp_path: Path, mode: str) -> None:
    heard = _Records()
    logging.getLogger().addHandler(heard)
    with asyncio.Runner() as runner:
        site = runner.run(open_site(tmp_path, limits=Limits(request_s=0.3), auth={"mode": mode}))

        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(requests())
        @example(("GET", f"/v1/talk/browser/ctx/{CONTEXT}", [("Origin", "http://["), *UPGRADE.items()], b""))
        @example(("POST", "/v1/talk/twilio/call/reception", [("Content-Type", "application/json")], b'{"From": 1}'))
        def check(request: tuple[str, str, list[tuple[str, str]], bytes]) -> None:
            heard.records.clear()
            received = runner.run(ask(site.port, written(*request, site.key)))
            assert not received or received[:9] == b"HTTP/1.1 ", received
            assert b" 500 " not in received[:16], received
            for record in heard.records:
                assert not record.exc_info and record.levelno < logging.ERROR, record.getMessage()

        check()
        assert len(site.services.intake) == 0 and not site.services.gate.calls
        runner.run(site.close())
    logging.getLogger().removeHandler(heard)


async def test_a_nobodys_requests_fill_no_disk(make_site: Callable[..., Awaitable[Site]]) -> None:
    site, stream = await make_site(), io.StringIO()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    configure("info", "text", stream)
    long = "a" * 14_000
    try:
        for _ in range(100):
            for sent in (
                f"GET /v1/talk/{long}/call/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                f"GET /{long} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                f"GET / HTTP/1.1\r\nHost: {long}/\r\nConnection: close\r\n\r\n",
                f"GET /v1/talk/browser/ctx/1 HTTP/1.1\r\nHost: x\r\nOrigin: {long}\r\nConnection: close\r\n\r\n",
                f"{long}\r\n\r\n",
            ):
                await ask(site.port, sent.encode())
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    written = stream.getvalue()
    assert max(map(len, written.splitlines())) < 1000 and len(written) < 30_000  # one a second, kind and peer


async def test_what_is_refused_is_counted(make_site: Callable[..., Awaitable[Site]]) -> None:
    site = await make_site(calls_per_minute=1)
    path = "/v1/talk/twilio/call/reception?From=%2B15550100&CallSid=CA"
    for number, headers in ((1, {}), (2, {"x-api-key": "rpd-wrong"}), (3, site.keyed), (4, site.keyed)):
        await site.fetch(f"{path}{number}", headers=headers)
    await site.fetch("/v1/assistants")
    await site.fetch("/nowhere")
    counted = site.services.metrics.exposition()
    for line in (
        'callboard_call_refusals_total{code="invalid_key",provider="twilio"} 2.0',
        'callboard_call_refusals_total{code="rate_limited",provider="twilio"} 1.0',
        'callboard_http_refusals_total{code="invalid_key"} 3.0',
        'callboard_http_refusals_total{code="not_found"} 1.0',
        'callboard_http_refusals_total{code="rate_limited"} 1.0',
    ):
        assert line in counted

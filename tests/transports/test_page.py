"""The page's HTTP: files and their headers, who can be called, the recorded caller, who may connect."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from config.assistant import AssistantConfig
from tests.transports.front import Site
from tests.transports.peers import context
from transports.carriers.browser import answer
from transports.page import ANYBODY

MakeSite = Callable[..., Awaitable[Site]]


async def test_the_page_allows_its_own_files_only(site: Site) -> None:
    page = await site.fetch("/?key=ignored")
    assert page.code == 200 and page.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy and "http" not in policy and "*" not in policy
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert b"<script>" not in page.body and b"style=" not in page.body and b"//" not in page.body.replace(b"</", b"")
    again = await site.fetch("/", headers={"If-None-Match": page.headers["Etag"]})
    assert again.code == 304


@pytest.mark.parametrize(
    ("name", "kind"), [("app.js", "text/javascript"), ("style.css", "text/css"), ("icon.svg", "image/svg+xml")]
)
async def test_files(site: Site, name: str, kind: str) -> None:
    file = await site.fetch(f"/static/{name}")
    assert file.code == 200 and file.headers["Content-Type"] == f"{kind}; charset=utf-8"


@pytest.mark.parametrize("path", ["/static/page.py", "/static/..%2Fpage.py", "/static/", "/static/x.js", "/static/%00"])
async def test_files_that_are_not_there(site: Site, path: str) -> None:
    refused = await site.fetch(path)
    assert refused.code == 404 and json.loads(refused.body)["error"]["code"] == "not_found"


async def test_who_can_be_called(site: Site) -> None:
    assert (await site.fetch("/v1/assistants")).code == 401
    found = await site.fetch("/v1/assistants", headers=site.keyed)
    assert json.loads(found.body) == {"assistants": [{"id": 1, "name": "reception", "language": "en-US"}]}


BYE = {"name": "end", "say": "bye", "reply": "Bye.", "hang_up": True}
HELD = {
    "own": {"sample_call": ["When are you open?", "Goodbye."]},
    "scripted": {"llm": {"provider": "script", "intents": [BYE]}},
    "free": {},
}
SAMPLES = {"own": ["When are you open?", "Goodbye."], "scripted": ["bye"], "free": list(ANYBODY)}


async def hire(site: Site, name: str, **changes: Any) -> None:
    usual = {"name": name, "stt": "embedded", "llm": "openai", "tts": "embedded"}
    config = AssistantConfig.model_validate({**usual, **changes})
    await site.services.database.run(site.services.assistants.apply, config)


@pytest.mark.parametrize("name", HELD)
async def test_the_recorded_caller_says_what_the_assistant_is_made_for(site: Site, name: str) -> None:
    await hire(site, name, **HELD[name])
    listed = await site.fetch(f"/v1/caller?assistant={name}", headers=site.keyed)
    assert json.loads(listed.body)["sentences"] == SAMPLES[name]
    spoken = await site.fetch(f"/v1/caller/0?assistant={name}", headers=site.keyed)
    assert spoken.headers["Content-Type"] == "audio/wav"
    with wave.open(io.BytesIO(spoken.body)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        assert 0.2 < file.getnframes() / 8000 < 4
    assert (await site.fetch(f"/v1/caller/0?assistant={name}", headers=site.keyed)).body == spoken.body


async def test_what_the_recorded_caller_does_not_say(site: Site) -> None:
    await hire(site, "schalter", language="de-DE")
    for path, code, reason in (
        ("/v1/caller?assistant=nobody", 404, "unknown_assistant"),
        ("/v1/caller", 404, "unknown_assistant"),
        ("/v1/caller/3?assistant=reception", 404, "not_found"),
        ("/v1/caller?assistant=schalter", 409, "no_sample_call"),
    ):
        refused = await site.fetch(path, headers=site.keyed)
        assert (refused.code, json.loads(refused.body)["error"]["code"]) == (code, reason)
        assert (await site.fetch(path)).code == 401


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_call_is_answered_with_its_address(site: Site, method: str) -> None:
    body = None if method == "GET" else "{}"
    path = "/v1/talk/browser/call/reception?from=laptop"
    assert (await site.fetch(path, method=method, body=body)).code == 401
    answered = await site.fetch(path, method=method, body=body, headers=site.keyed)
    assert answered.code == 200 and answered.headers["Content-Type"].startswith("application/json")
    address, _, identity = json.loads(answered.body)["wsUrl"].rpartition("/")
    assert address == "wss://voice.example.test/v1/talk/browser/ctx"
    database = site.services.database
    assert (await database.run(site.services.contexts.get, UUID(identity), "browser")).caller == "laptop"


@pytest.mark.parametrize(
    ("host", "scheme"),
    [
        ("127.0.0.1:9007", "ws"),
        ("[::1]:9007", "ws"),
        ("10.0.0.5:9007", "ws"),
        ("localhost:9007", "ws"),
        ("calls.example.com", "wss"),
        ("calls.example.com:8443", "wss"),
    ],
)
def test_a_name_has_a_certificate_and_an_address_has_none(host: str, scheme: str) -> None:
    assert json.loads(answer(context(provider="browser"), host).body)["wsUrl"].startswith(f"{scheme}://{host}/v1/")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("", 101),  # not a browser
        ("http://test", 101),  # the page's own host
        ("https://voice.example.test", 101),  # the public host
        ("https://VOICE.example.test", 101),
        ("https://evil.example", 403),
        ("https://voice.example.test.evil.example", 403),
        ("http://test:81", 403),
        ("null", 403),
        ("http://[", 403),
        ("http://[::1", 403),
        ("http://\u2100.test", 403),
        ("http://test:99999999", 403),
        ("\xff\x00", 400),
    ],
)
async def test_only_our_own_page_may_connect(site: Site, origin: str, status: int) -> None:
    found = await site.context("browser")
    got, peer = await site.upgrade(f"/v1/talk/browser/ctx/{found.id}", Origin=origin)
    assert got == status
    await peer.close()
    if status == 403:  # nothing was used up
        got, peer = await site.upgrade(f"/v1/talk/browser/ctx?contextId={found.id}")
        assert got == 101
        await peer.close()


@pytest.mark.parametrize(("rate", "status"), [("16000", 101), ("24000", 101), ("48000", 400), ("x", 400), ("", 400)])
async def test_the_rate_of_the_player(site: Site, rate: str, status: int) -> None:
    found = await site.context("browser")
    got, peer = await site.upgrade(f"/v1/talk/browser/ctx/{found.id}?rate={rate}")
    assert got == status
    await peer.close()


async def test_a_context_is_good_for_one_connection_of_its_carrier(site: Site) -> None:
    ours, theirs = await site.context("browser"), await site.context("twilio")
    for path, status in (
        (f"/v1/talk/browser/ctx/{ours.id}", 101),
        (f"/v1/talk/browser/ctx/{ours.id}", 409),
        (f"/v1/talk/browser/ctx/{theirs.id}", 404),
    ):
        got, peer = await site.upgrade(path)
        assert got == status
        await peer.close()


async def test_in_open_mode_nobody_needs_a_key(make_site: MakeSite) -> None:
    site = await make_site(auth={"mode": "open"})
    for path in ("/v1/assistants", "/v1/caller?assistant=reception", "/v1/talk/browser/call/reception"):
        assert (await site.fetch(path)).code == 200

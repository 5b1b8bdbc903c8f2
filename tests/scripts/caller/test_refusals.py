"""A caller who is refused hears the server's own sentence, whatever the carrier's answer looks like."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tornado.httpclient import HTTPClientError
from tornado.websocket import websocket_connect

from config.errors import ConfigError
from scripts.callboard import main
from scripts.caller.call import place_call
from scripts.caller.errors import CallRefused
from scripts.caller.plan import CallPlan, Sentence
from scripts.caller.server import Server, refusal
from scripts.commands.call import check_record
from tests.transports.front import Site, open_site

VIAS = ("twilio", "audiosocket", "browser")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    opened = await open_site(tmp_path)
    yield opened
    await opened.close()


def plan(site: Site, **changes: Any) -> CallPlan:
    given = {"to": f"http://127.0.0.1:{site.port}", "assistant": "reception", "via": "twilio", "key": site.key}
    return CallPlan(**{**given, "sentences": (Sentence("x", bytes(320)),), "turns": 1, **changes})


@pytest.mark.parametrize("via", VIAS)
async def test_the_servers_own_sentence_is_told(via: str, site: Site) -> None:
    with pytest.raises(CallRefused, match="404: assistant 'nobody': not there"):
        await place_call(plan(site, via=via, assistant="nobody"))
    with pytest.raises(CallRefused, match=r"401: .*key.*; give a key with --key"):
        await place_call(plan(site, via=via, key="rpd-wrong"))
    site.services.gate.drain()
    with pytest.raises(CallRefused, match="draining"):
        await place_call(plan(site, via=via))


async def test_a_media_connection_that_is_refused_says_why(site: Site) -> None:
    with pytest.raises(HTTPClientError) as raised:
        await websocket_connect(f"ws://127.0.0.1:{site.port}/v1/talk/twilio/ctx/{uuid4()}")
    assert refusal(raised.value).startswith("404: ") and "context" in refusal(raised.value)


@pytest.mark.parametrize("address", ["http://x:0", "http://x:99999", "http://[", "x", "http://", "ws://x"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ConfigError, match="is not an address like"):
        Server(address)


@pytest.mark.parametrize("address", ["http://me:secret@x", "http://me:secret@x:0", "ws://me:secret@x", "me:secret@["])
def test_a_password_in_an_address_is_not_repeated(address: str) -> None:
    with pytest.raises(ConfigError, match=r"^--to") as raised:
        Server(address)
    assert "secret" not in str(raised.value)


def test_a_key_that_is_none() -> None:
    with pytest.raises(ConfigError, match="--key"):
        Server("http://127.0.0.1:1", "rpd-1\r\nHost: x")


@pytest.mark.parametrize(
    "command", [["call", "--assistant", "a", "--say", "hi", "--to", "http://127.0.0.1:1"], ["demo"]]
)
def test_a_recording_that_has_no_place_fails_before_the_call(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    for record, complaint in (
        (tmp_path / "no" / "call.wav", "there is no folder"),
        (tmp_path / "folder", "is a folder"),
        (tmp_path / ("x" * 300), "File name too long"),
        (Path("/proc/call.wav"), "--record /proc/call.wav: "),  # nobody may, whatever access(2) says of root
    ):
        assert main([*command, "--record", str(record)]) == 2
        said = capsys.readouterr()
        assert said.out == "" and said.err.count("\n") == 1 and complaint in said.err


def test_a_recording_that_could_be_made_leaves_nothing_before_the_call(tmp_path: Path) -> None:
    check_record(tmp_path / "call.wav")
    assert not (tmp_path / "call.wav").exists()
    (tmp_path / "old.wav").write_bytes(b"kept")
    check_record(tmp_path / "old.wav")
    assert (tmp_path / "old.wav").read_bytes() == b"kept"

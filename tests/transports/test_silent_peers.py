"""A call lives while its connection lives: who says nothing is not dead, who vanishes is found."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import pytest

from config.settings import load_settings
from tests.transports.peers import Switchboard, masked
from tests.transports.test_audiosocket_wire import IDENTITY, Dial, audio, dial  # noqa: F401  # fixtures by their names
from tests.transports.test_browser_wire import READY, say
from tests.transports.test_browser_wire import Connect as Browse
from tests.transports.test_browser_wire import connect as browse  # noqa: F401
from transports.connection import KEEPALIVE_S, Limits, harden
from transports.rtvi import message_frame
from transports.websocket import PONG, Close, Ping

FAST = Limits(idle_s=0.1, closing_s=0.1, start_s=5.0)


async def test_asterisk_may_be_silent(dial: Dial) -> None:  # noqa: F811
    line = await dial(FAST)
    line.peer.send(IDENTITY + audio(bytes(320)))
    _, _, ears = await line.switchboard.call()
    await asyncio.sleep(0.4)
    assert ears.termination is None
    line.peer.send(audio(bytes(320)))
    await ears.wait_for(2)


async def test_asterisk_that_is_not_to_be_silent_is_hung_up_on(dial: Dial) -> None:  # noqa: F811
    line = await dial(replace(FAST, silent_s={"asterisk": 0.1}))
    line.peer.send(IDENTITY + audio(bytes(320)))
    _, _, ears = await line.switchboard.call()
    await ears.ended.wait()
    assert ears.termination is not None and ears.termination.reason == "media_timeout"
    assert (await line.peer.rest()).endswith(b"\0\0\0"), "politely: it may be there"


async def test_a_page_without_a_microphone_stays_as_long_as_it_answers_pings(browse: Browse) -> None:  # noqa: F811
    limits = replace(FAST, silent_s={"browser": 1.0})
    switchboard = Switchboard()
    peer = await browse(switchboard, limits)
    say(peer, READY)
    _, _, ears = await switchboard.call()
    answered = 0
    while answered < 5:  # 1.3 s at least
        event = await peer.frame()
        if isinstance(event, Ping):
            answered += 1
            peer.send(masked(PONG, event.payload))
    assert ears.termination is None
    say(peer, message_frame("send-text", {"content": "are you open?"}))
    await ears.wait_for(1)
    while not ears.ended.is_set():  # and now it does not any more
        frame = await peer.frame()
        if isinstance(frame, Close):
            break
    await ears.ended.wait()
    assert ears.termination is not None and ears.termination.reason == "media_timeout"


async def test_a_page_that_is_not_to_be_pinged_may_be_silent(browse: Browse) -> None:  # noqa: F811
    switchboard = Switchboard()
    peer = await browse(switchboard, replace(FAST, silent_s={"browser": 0.0}))
    say(peer, READY)
    _, _, ears = await switchboard.call()
    await asyncio.sleep(0.4)
    assert ears.termination is None


async def test_who_has_no_call_yet_may_not_be_silent(dial: Dial) -> None:  # noqa: F811
    line = await dial(FAST, claims=False)
    line.peer.send(IDENTITY)
    await line.wire.gone.wait()


def test_each_carrier_has_its_own_limit() -> None:
    settings = load_settings({"TWILIO__SILENT_S": "12", "AUDIOSOCKET__SILENT_S": "34", "BROWSER__SILENT_S": "0"})
    assert Limits.from_settings(settings).silent_s == {"twilio": 12.0, "asterisk": 34.0, "browser": 0.0}
    assert Limits.from_settings(load_settings({})).silent_s == {"twilio": 30.0, "asterisk": 0.0, "browser": 45.0}


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="not on this system")
def test_the_kernel_looks_for_dead_peers() -> None:
    with socket.socket() as sock:
        harden(sock)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == KEEPALIVE_S

"""The codec of RTVI: golden vectors, and what is not legal."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.caller.browser import BrowserCall
from transports.rtvi import (
    LEGAL_RATES,
    Audio,
    BadMessage,
    Ignored,
    Message,
    RtviError,
    UnsupportedAudio,
    audio_frame,
    message_frame,
    receive,
)

# made by the published client's serializer: three samples, 1, -1 and 256, at 16 kHz
GOLDEN = bytes.fromhex("12141205617564696f1a060100ffff000120807d2801")
SAMPLES = b"\x01\x00\xff\xff\x00\x01"


def part(tag: int, content: bytes) -> bytes:
    return bytes((tag, len(content))) + content


def text(message: object) -> bytes:
    return part(0x22, part(0x0A, orjson.dumps(message)))


def test_audio_of_the_published_client() -> None:
    assert receive(GOLDEN) == Audio(SAMPLES, 16000)


def test_our_audio_is_the_same_without_its_name() -> None:
    assert audio_frame(SAMPLES, 16000).hex() == "120d1a060100ffff000120807d2801"


def test_messages() -> None:
    data = {"version": "2.1.0"}
    assert receive(message_frame("bot-ready", data, "x1")) == Message("bot-ready", "x1", data)
    assert receive(message_frame("bot-started-speaking")) == Message("bot-started-speaking", "", {})
    assert receive(text({"label": "rtvi-ai", "type": "client-ready", "id": "7", "data": None, "more": 1})) == Message(
        "client-ready", "7", {}
    )


@given(st.binary(max_size=3000).filter(lambda pcm: len(pcm) % 2 == 0), st.sampled_from(LEGAL_RATES))
def test_audio_comes_back(pcm: bytes, rate: int) -> None:
    assert receive(audio_frame(pcm, rate)) == Audio(pcm, rate)


def test_both_halves_agree() -> None:
    """The simulated caller's codec was written from the protocol alone."""
    caller = BrowserCall()
    opening = receive(caller.opening())
    assert isinstance(opening, Message) and opening.type == "client-ready" and opening.data["version"] == "2.1.0"
    assert receive(caller.dtmf("5")).data == {"buttons": ["5"]}
    spoken = receive(caller.audio(bytes(320)))
    assert spoken == Audio(bytes(640), 16000)
    told = caller.receive(message_frame("bot-ready", {"a": 1}), 0.0)
    assert told is not None and (told.type, told.data) == ("bot-ready", {"a": 1}) and caller.ready
    assert caller.receive(audio_frame(b"\x00\x20" * 320, 16000), 0.0) is None
    assert any(caller.playout.play_frame())


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        part(0x0A, part(0x1A, b"text")),  # text
        part(0x1A, b""),  # transcription
        part(0x2A, b""),  # interruption
        part(0x3A, b"a branch of another version"),
        b"\x30\x05",
        text({"label": "other", "type": 5}),
    ],
)
def test_what_is_not_for_us_is_ignored(frame: bytes) -> None:
    assert receive(frame) == Ignored()


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (GOLDEN[:-1], RtviError),
        (GOLDEN[:5], RtviError),
        (b"\xff" * 11, RtviError),
        (b"\x13", RtviError),  # a group
        (b"\x02\x01x", RtviError),  # field 0
        (b"\x12\xff\xff\xff\xff\x0f", RtviError),
        (audio_frame(SAMPLES, 7999), UnsupportedAudio),
        (audio_frame(SAMPLES, 48001), UnsupportedAudio),
        (audio_frame(b"\0", 16000), UnsupportedAudio),
        (part(0x12, part(0x1A, SAMPLES)), UnsupportedAudio),  # without a rate
        (part(0x12, part(0x1A, SAMPLES) + b"\x20\x80\x7d\x28\x02"), UnsupportedAudio),  # stereo
        (part(0x22, b""), BadMessage),
        (part(0x22, part(0x0A, b"{")), BadMessage),
        (part(0x22, part(0x0A, b'"\xff"')), BadMessage),
        (text([]), BadMessage),
        (text({"label": "rtvi-ai"}), BadMessage),
        (text({"label": "rtvi-ai", "type": "x", "id": 5}), BadMessage),
        (text({"label": "rtvi-ai", "type": "x", "data": "text"}), BadMessage),
    ],
)
def test_what_is_not_legal(frame: bytes, error: type[RtviError]) -> None:
    with pytest.raises(error) as raised:
        receive(frame)
    assert type(raised.value) is error


def test_a_huge_number_makes_a_short_complaint() -> None:
    with pytest.raises(UnsupportedAudio) as raised:
        receive(part(0x12, part(0x1A, SAMPLES) + b"\x20" + b"\xff" * 9 + b"\x01"))
    assert len(str(raised.value)) < 123  # what a Close frame can hold

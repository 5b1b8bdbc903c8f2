from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transports.peers import events_of, everything, masked
from transports.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    BadText,
    Binary,
    Close,
    MessageTooBig,
    Part,
    Ping,
    Pong,
    Text,
    WebSocketCodec,
    WebSocketError,
    close_frame,
    frame,
)

LIMIT = 70_000


def received(data: bytes, limit: int = LIMIT) -> list[object]:
    return list(events_of(WebSocketCodec(limit), data))


def test_the_examples_of_the_rfc() -> None:
    """Section 5.7."""
    assert received(bytes.fromhex("818537fa213d7f9f4d5158")) == [Text(b"Hello")]
    assert received(bytes.fromhex("898537fa213d7f9f4d5158")) == [Ping(b"Hello")]
    assert frame(TEXT, b"Hello") == bytes.fromhex("810548656c6c6f")
    assert frame(BINARY, bytes(256)) == bytes.fromhex("827e0100") + bytes(256)
    assert frame(BINARY, bytes(65536)) == bytes.fromhex("827f0000000000010000") + bytes(65536)


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536])
def test_every_length_form(length: int) -> None:
    assert received(masked(BINARY, b"x" * length)) == [Binary(b"x" * length)]


def test_fragments_become_one_message_around_control_frames() -> None:
    data = masked(TEXT, b"gr\xc3", final=False) + masked(PING, b"1") + masked(CONTINUATION, b"\xbc\xc3", final=False)
    data += masked(PONG) + masked(CONTINUATION, b"\x9fe") + masked(TEXT, b"next")
    assert received(data) == [Part(), Ping(b"1"), Part(), Pong(b""), Text("grüße".encode()), Text(b"next")]


@pytest.mark.parametrize(
    ("payload", "event"),
    [
        (b"", Close(1005, "")),
        (b"\x03\xe8", Close(1000, "")),
        (b"\x03\xe9going", Close(1001, "going")),
        (b"\x0f\xa0", Close(4000, "")),
    ],
)
def test_close_and_nothing_after_it(payload: bytes, event: Close) -> None:
    assert received(masked(CLOSE, payload) + masked(TEXT, b"late")) == [event]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (frame(TEXT, b"not masked"), WebSocketError),
        (b"\xc1\x80", WebSocketError),  # a reserved bit
        (masked(0x3), WebSocketError),
        (masked(0xB), WebSocketError),
        (masked(CONTINUATION, b"of nothing"), WebSocketError),
        (masked(TEXT, b"a", final=False) + masked(TEXT, b"b"), WebSocketError),
        (masked(PING, b"", final=False), WebSocketError),
        (masked(PING, bytes(126)), WebSocketError),
        (b"\x82\xfe\x00\x7d", WebSocketError),  # 125 needs no extended length
        (b"\x82\xff" + (65535).to_bytes(8, "big"), WebSocketError),
        (masked(CLOSE, b"\x03"), WebSocketError),
        (masked(CLOSE, b"\x03\xed"), WebSocketError),  # 1005 must not be sent
        (masked(CLOSE, b"\x00\x01"), WebSocketError),
        (masked(CLOSE, b"\x03\xe8\xff"), BadText),
        (masked(TEXT, b"\xff"), BadText),
        (masked(TEXT, b"\xed\xa0\x80"), BadText),  # a surrogate
        (b"\x82\xff" + (2**63).to_bytes(8, "big"), MessageTooBig),
        (b"\x82\xff" + (LIMIT + 1).to_bytes(8, "big"), MessageTooBig),  # said by the header alone
        (masked(BINARY, bytes(LIMIT), final=False) + masked(CONTINUATION, b"x"), MessageTooBig),
    ],
)
def test_violations(data: bytes, error: type[WebSocketError]) -> None:
    codec = WebSocketCodec(LIMIT)
    with pytest.raises(WebSocketError) as caught:
        list(events_of(codec, data))
    assert type(caught.value) is error
    assert caught.value.close_code == {WebSocketError: 1002, BadText: 1007, MessageTooBig: 1009}[error]
    assert list(events_of(codec, masked(TEXT, b"after"))) == []


def test_events_before_a_violation_are_not_lost() -> None:
    events, error = everything(WebSocketCodec(LIMIT), [masked(TEXT, b"good") + masked(0x3)])
    assert events == [Text(b"good")] and error == "WebSocketError: opcode 0x3 is unknown"


def test_close_frames() -> None:
    assert close_frame(1000) == b"\x88\x02\x03\xe8"
    assert close_frame(1005) == b"\x88\x00"
    long = close_frame(1002, "ü" * 100)
    assert long[1] <= 125 and long[4:].decode() == "ü" * 61


frames = st.lists(
    st.one_of(
        st.builds(masked, st.sampled_from([TEXT, BINARY]), st.binary(max_size=300)),
        st.builds(masked, st.sampled_from([PING, PONG, CLOSE]), st.binary(max_size=20)),
        st.builds(masked, st.sampled_from([TEXT, CONTINUATION]), st.binary(max_size=20), final=st.booleans()),
        st.binary(max_size=20),
    ),
    max_size=8,
).map(b"".join)


@given(frames, st.integers(1, 7))
def test_whole_or_in_pieces_is_the_same(data: bytes, step: int) -> None:
    whole = everything(WebSocketCodec(400), [data])
    pieces = [data[i : i + step] for i in range(0, len(data), step)]
    assert everything(WebSocketCodec(400), pieces) == whole


@pytest.mark.parametrize("step", [1, 2, 999, 1024, 5000, 20_000])
def test_a_long_frame_in_pieces_is_the_same(step: int) -> None:
    data = masked(PING, b"1") + masked(BINARY, bytes(range(256)) * 40) + masked(TEXT, b"x" * 3000) + masked(PONG)
    whole = everything(WebSocketCodec(20_000), [data])
    assert len(whole[0]) == 4
    assert everything(WebSocketCodec(20_000), [data[i : i + step] for i in range(0, len(data), step)]) == whole


def test_a_huge_frame_byte_by_byte_is_put_together_once() -> None:
    codec, data = WebSocketCodec(4_000_000), masked(BINARY, bytes(4_000_000))
    began_s = time.thread_time()
    for at in range(20_000):
        assert list(events_of(codec, data[at : at + 1])) == []
    (event,) = events_of(codec, data[20_000:])
    assert len(event.payload) == 4_000_000 and time.thread_time() - began_s < 1.0


def test_many_pieces_do_not_cost_the_more_the_more_have_come() -> None:
    codec, data = WebSocketCodec(4_000_000), masked(BINARY, bytes(4_000_000))
    list(events_of(codec, data[:3_900_000]))
    began_s = time.thread_time()
    for at in range(3_900_000, 3_903_000):
        list(events_of(codec, data[at : at + 1]))
    assert time.thread_time() - began_s < 0.3  # 3,000 copies of 4 MB are 3 s

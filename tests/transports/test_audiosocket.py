from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.media.audio import MULAW_8K, PCM_8K, AudioFormat, Encoding
from tests.transports.peers import CONTEXT_ID, events_of, everything
from transports.audiosocket import (
    RATES,
    Audio,
    AudioSocketError,
    AudioSocketStream,
    Digit,
    Failed,
    HungUp,
    Identified,
    NotIdentified,
    audio_header,
    format_of,
)

IDENTITY = bytes.fromhex("010010 40325ec2 5efd 4bd3 805f 53576e581d13")


def test_golden_frames() -> None:
    data = IDENTITY + b"\x03\x00\x01\x35" + b"\x10\x01\x40" + bytes(320) + b"\xff\x00\x01\x04"
    events = list(events_of(AudioSocketStream(), data))
    assert events == [Identified(CONTEXT_ID), Digit("5"), Audio(0x10, bytes(320)), Failed(b"\x04")]
    assert list(events_of(AudioSocketStream(), IDENTITY + b"\0\0\0" + IDENTITY)) == [Identified(CONTEXT_ID), HungUp()]
    assert audio_header(0x10, 320) == b"\x10\x01\x40"


def test_formats_by_kind_and_length() -> None:
    assert format_of(0x10, 320) == PCM_8K
    assert format_of(0x10, 160) == MULAW_8K
    for offset, rate in enumerate(RATES[1:], 1):
        assert format_of(0x10 + offset, 160) == AudioFormat(Encoding.PCM, rate)
    assert format_of(0x18, 7680).frame_bytes == 7680


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\x10\x01\x40", NotIdentified),  # audio first
        (b"GET / HTTP/1.1\r\n\r\n", NotIdentified),
        (b"\0\0\0", NotIdentified),
        (IDENTITY + IDENTITY, NotIdentified),
        (b"\x01\x00\x0f", AudioSocketError),
        (b"\x01\x00\x24", AudioSocketError),  # the UUID as text
        (IDENTITY + b"\x02\x00\x00", AudioSocketError),
        (IDENTITY + b"\x19\x00\x02", AudioSocketError),
        (IDENTITY + b"\x10\x00\x00", AudioSocketError),
        (IDENTITY + b"\x00\x00\x01", AudioSocketError),
        (IDENTITY + b"\x03\x00\x00", AudioSocketError),
        (IDENTITY + b"\x03\x00\x01x", AudioSocketError),
        (IDENTITY + b"\xff\x01\x00", AudioSocketError),
    ],
)
def test_bad_frames(data: bytes, error: type[AudioSocketError]) -> None:
    stream = AudioSocketStream()
    with pytest.raises(AudioSocketError) as caught:
        list(events_of(stream, data))
    assert type(caught.value) is error
    assert list(events_of(stream, IDENTITY)) == []


def test_any_uuid_is_taken() -> None:
    assert list(events_of(AudioSocketStream(), b"\x01\x00\x10" + bytes(16))) == [Identified(UUID(int=0))]


def framed(kind: int, payload: bytes) -> bytes:
    return audio_header(kind, len(payload)) + payload


frames = st.lists(
    st.one_of(
        st.builds(framed, st.sampled_from([0x10, 0x12, 0x18]), st.binary(max_size=400)),
        st.builds(framed, st.sampled_from([0x00, 0x03, 0xFF]), st.binary(max_size=2)),
        st.builds(framed, st.integers(0, 255), st.binary(max_size=20)),
    ),
    max_size=8,
).map(b"".join)


@given(st.sampled_from([b"", IDENTITY]), frames, st.integers(1, 7))
def test_whole_or_in_pieces_is_the_same(start: bytes, data: bytes, step: int) -> None:
    data = start + data
    whole = everything(AudioSocketStream(), [data])
    pieces = [data[i : i + step] for i in range(0, len(data), step)]
    assert everything(AudioSocketStream(), pieces) == whole

"""The engine protocol: any chopping gives the same frames, and rubbish is refused by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines.frames import HEADER, MAX_PAYLOAD_BYTES, BadFrame, Frame, FrameKind, FrameReader, encode

FRAMES = st.lists(
    st.builds(Frame, st.sampled_from(FrameKind), st.integers(0, 2**32 - 1), st.binary(max_size=50)), max_size=8
)


@given(FRAMES, st.integers(1, 20))
def test_any_chopping_gives_the_frames_that_were_sent(frames: list[Frame], size: int) -> None:
    stream = b"".join(encode(frame.kind, frame.channel, frame.payload) for frame in frames)
    reader = FrameReader()
    received = [frame for at in range(0, len(stream), size) for frame in reader.receive(stream[at : at + size])]
    assert received == frames


def test_a_dict_travels_as_json() -> None:
    (frame,) = FrameReader().receive(encode(FrameKind.EVENT, 7, {"do": "finalize", "text": "naïve"}))
    assert frame.json == {"do": "finalize", "text": "naïve"}


@pytest.mark.parametrize("header", [HEADER.pack(99, 1, 0), HEADER.pack(FrameKind.AUDIO, 1, MAX_PAYLOAD_BYTES + 1)])
def test_an_illegal_header_is_refused(header: bytes) -> None:
    with pytest.raises(BadFrame, match="header with kind"):
        FrameReader().receive(header)


@pytest.mark.parametrize("payload", [b"{", b"[1]", b"\xff"])
def test_a_payload_that_is_not_an_object_is_refused(payload: bytes) -> None:
    (frame,) = FrameReader().receive(encode(FrameKind.EVENT, 1, payload))
    with pytest.raises(BadFrame, match="EVENT frame: payload"):
        _ = frame.json


def test_an_oversize_payload_is_not_sent() -> None:
    with pytest.raises(BadFrame, match="at most"):
        encode(FrameKind.AUDIO, 1, bytes(MAX_PAYLOAD_BYTES + 1))

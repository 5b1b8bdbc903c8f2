"""The seal of the control port, frame by frame."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.node.sealed import MAX_FRAME_BYTES, WINDOW_S, FrameBuffer, FrameRefused, Seal

HERE, THERE = ("127.0.0.1", 1900), ("127.0.0.1", 1901)


class Time:
    """A wall clock and a monotonic one that tests move."""

    def __init__(self) -> None:
        self.wall_s, self.up_s = 1_700_000_000.0, 500.0

    def advance(self, seconds: float) -> None:
        self.wall_s += seconds
        self.up_s += seconds

    def seal(self, secret: bytes = b"secret", *, at: tuple[str, int] | None = HERE) -> Seal:
        seal = Seal(secret, lambda: self.wall_s, lambda: self.up_s)
        if at:
            seal.listen_at(at)
        return seal


@pytest.fixture
def time() -> Time:
    return Time()


class Bomb:
    """Unpickled, it leaves a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> object:
        return os.mkdir, (str(self._path),)


def test_a_frame_arrives_once(time: Time) -> None:
    ours, theirs = time.seal(), time.seal(at=None)
    frame = theirs.seal({"verb": "ps"}, HERE)
    assert ours.loads(frame) == {"verb": "ps"}
    with pytest.raises(FrameRefused, match="was here before"):
        ours.loads(frame)


def test_a_frame_for_another_port_is_refused(time: Time) -> None:
    frame = time.seal().seal("hello", THERE)
    with pytest.raises(FrameRefused):
        time.seal().loads(frame)


def test_another_secret_is_refused_and_nothing_is_unpickled(time: Time, tmp_path: Path) -> None:
    for frame in (
        pickle.dumps(Bomb(tmp_path / "fired")),
        time.seal(b"wrong").seal(Bomb(tmp_path / "fired"), HERE),
        time.seal(b"wrong").dumps(Bomb(tmp_path / "fired")),
    ):
        with pytest.raises(FrameRefused):
            time.seal().loads(frame)
    assert not (tmp_path / "fired").exists()


def test_a_frame_gets_too_old_and_may_not_come_from_the_future(time: Time) -> None:
    ours = time.seal()
    time.advance(10 * WINDOW_S)
    frame = time.seal().seal("hello", HERE)
    time.advance(WINDOW_S + 1)
    with pytest.raises(FrameRefused, match="s old"):
        ours.loads(frame)
    future = time.seal().seal("hello", HERE)
    time.wall_s -= 2 * WINDOW_S
    with pytest.raises(FrameRefused, match="s old"):
        ours.loads(future)


def test_a_frame_is_not_replayed_to_a_process_that_came_after_it(time: Time) -> None:
    frame = time.seal().seal("hello", HERE)
    time.advance(5)
    reborn = time.seal()
    time.advance(1)
    with pytest.raises(FrameRefused, match="s old"):
        reborn.loads(frame)
    assert reborn.loads(time.seal().seal("fresh", HERE)) == "fresh"


def test_a_clock_that_is_set_back_does_not_lock_us_out(time: Time) -> None:
    ours = time.seal()
    time.advance(3600)
    time.wall_s -= 1800
    assert ours.loads(time.seal().seal("hello", HERE)) == "hello"


def test_what_was_seen_is_forgotten_when_its_time_is_over(time: Time) -> None:
    ours = time.seal()
    for _ in range(1000):
        ours.loads(time.seal().seal("hello", HERE))
        time.advance(1)
    assert len(ours._seen) < 2 * WINDOW_S + 3


def test_acknowledgements_are_constant_and_for_anybody(time: Time) -> None:
    frame = time.seal().dumps("ACK")
    ours = time.seal(at=THERE)
    assert ours.loads(frame) == ours.loads(frame) == "ACK"


@given(st.binary(max_size=300))
def test_no_bytes_are_a_frame(noise: bytes) -> None:
    with pytest.raises(FrameRefused):
        Time().seal().loads(noise)


@given(position=st.integers(0, 90), bit=st.integers(0, 7))
def test_no_bit_of_a_frame_may_change(position: int, bit: int) -> None:
    time = Time()
    frame = bytearray(time.seal().seal("hello, this is the whole frame", HERE))
    frame[position] ^= 1 << bit
    with pytest.raises(FrameRefused):
        time.seal().loads(bytes(frame))


def test_refusals_are_logged_but_not_each_of_a_flood(time: Time, caplog: pytest.LogCaptureFixture) -> None:
    ours = time.seal()
    for _ in range(1000):
        with pytest.raises(FrameRefused):
            ours.loads(b"x" * 100)
    assert 1 <= len(caplog.records) <= 10


# --- lengths -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", [b"-5>", b">", b"0>", b"abc>", b"1_0>", b" 7>", b"99999999999>", b"x", b"1" * 13])
def test_a_length_that_is_none_is_refused(head: bytes) -> None:
    with pytest.raises(FrameRefused):
        FrameBuffer(bytes).addMore(head)
    with pytest.raises(FrameRefused):
        buffer = FrameBuffer(bytes)
        for byte in head:
            buffer.addMore(bytes([byte]))


def test_a_frame_longer_than_any_of_ours_is_refused() -> None:
    with pytest.raises(FrameRefused, match=str(MAX_FRAME_BYTES)):
        FrameBuffer(bytes).addMore(b"%d>" % (MAX_FRAME_BYTES + 1))


@given(payload=st.binary(min_size=1, max_size=50), cut=st.integers(0, 60))
def test_a_frame_comes_in_pieces_and_is_opened_once(payload: bytes, cut: int) -> None:
    opened = []
    buffer = FrameBuffer(lambda frame: opened.append(frame) or frame)
    wire = b"%d>" % len(payload) + payload
    buffer.addMore(wire[:cut])
    assert (buffer.completed() is None) == (cut < len(wire))
    if cut < len(wire):
        buffer.addMore(wire[cut:])
    assert buffer.completed() == buffer.completed() == (payload, b"")
    assert opened == [payload]


def test_what_comes_behind_a_frame_is_kept() -> None:
    buffer = FrameBuffer(bytes)
    buffer.addMore(b"5>hello5>worl")
    assert buffer.completed() == (b"hello", b"5>worl")
    buffer.removeExtra()
    assert buffer.completed() == (b"hello", b"")

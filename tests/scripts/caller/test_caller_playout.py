"""The carrier's buffer in virtual time: one call of play_frame is 20 ms."""

from __future__ import annotations

from scripts.caller.playout import PacedPlayout, RemotePlayout

A, B = b"\x11" * 160, b"\x22" * 160
SILENCE = b"\xff" * 160


def test_plays_at_real_time_what_was_sent_ahead() -> None:
    playout = RemotePlayout()
    playout.media(A + B[:80])
    playout.media(B[:80])
    assert [playout.play_frame() for _ in range(3)] == [(A, []), (B, []), (SILENCE, [])]
    assert playout.frames == 2


def test_a_partial_frame_is_padded_with_silence() -> None:
    playout = RemotePlayout()
    playout.media(A[:100])
    assert playout.play_frame()[0] == A[:100] + SILENCE[:60]


def test_marks_are_echoed_when_the_audio_before_them_has_played() -> None:
    playout = RemotePlayout()
    playout.media(A)
    playout.mark("first")
    playout.media(B)
    playout.mark("second")
    assert [playout.play_frame()[1] for _ in range(3)] == [["first"], ["second"], []]


def test_a_mark_without_audio_before_it_is_echoed_at_once() -> None:
    playout = RemotePlayout()
    playout.mark("now")
    assert playout.play_frame() == (SILENCE, ["now"])


def test_clear_discards_and_echoes_every_pending_mark() -> None:
    playout = RemotePlayout()
    playout.media(A * 50)
    playout.mark("x")
    playout.media(B)
    playout.mark("y")
    playout.play_frame()
    assert playout.clear() == ["x", "y"]
    assert playout.play_frame() == (SILENCE, [])
    assert playout.clear() == []


def test_silence_before_the_announced_end_is_late_and_after_it_is_not() -> None:
    playout = RemotePlayout()
    playout.play_frame()
    playout.media(A)
    for _ in range(4):  # one frame, then three missing
        playout.play_frame()
    playout.media(B)
    playout.mark("end")
    for _ in range(6):
        playout.play_frame()
    playout.media(A)
    playout.play_frame()
    assert playout.late_frames == 3


def test_silence_after_a_clear_is_not_late() -> None:
    playout = RemotePlayout()
    playout.media(A)
    playout.play_frame()
    playout.play_frame()
    playout.clear()
    playout.play_frame()
    playout.media(B)
    assert playout.late_frames == 0


def test_paced_audio_is_measured_and_played_in_order() -> None:
    playout = PacedPlayout()
    one, two = b"\1\0" * 160, b"\2\0" * 160
    playout.frame_arrived(one, 10.000)
    playout.frame_arrived(two, 10.055)
    assert [playout.play_frame() for _ in range(3)] == [one, two, bytes(320)]
    assert playout.frames == 2
    assert playout.late_frames == 1
    assert playout.max_gap_ms is not None and abs(playout.max_gap_ms - 55) < 0.01


def test_paced_audio_that_gathers_loses_its_oldest() -> None:
    playout = PacedPlayout()
    for number in range(8):
        playout.frame_arrived(bytes((number, 0)) * 160, number / 1000)
    assert [playout.play_frame()[0] for _ in range(5)] == [3, 4, 5, 6, 7]
    assert playout.max_gap_ms is not None and playout.late_frames == 0

"""What is still to be said, in both modes, in virtual time."""

from __future__ import annotations

import pytest

from actors.media.audio import MULAW_8K, PCM_8K
from actors.media.playout import (
    LEAD_MS,
    MARK_GRACE_MS,
    BufferedPlayout,
    Done,
    Dry,
    PacedPlayout,
    Playout,
    Send,
    SendClear,
    SendMark,
    Started,
)

FRAME = 160
SILENCE = b"\xff" * FRAME


def audio(ms: int, first: int = 0) -> bytes:
    """Mu-law bytes that count up, so that a gap or a repetition shows."""
    return bytes((first + index // 8) % 251 for index in range(ms * 8))


def taken(playout: Playout) -> list:
    effects = list(playout.effects)
    playout.effects.clear()
    return effects


def sent(effects: list) -> bytes:
    return b"".join(effect.payload for effect in effects if isinstance(effect, Send))


def told(effects: list) -> list:
    return [effect for effect in effects if not isinstance(effect, Send)]


def run(playout: Playout, start_ms: int, until_ms: int) -> list:
    """Tick each 20 ms from `start_ms` on, up to and without `until_ms`."""
    for now_ms in range(start_ms, until_ms, 20):
        playout.tick(now_ms)
    return taken(playout)


class TestPaced:
    def test_each_tick_sends_one_frame_and_silence_when_there_is_nothing(self):
        playout = PacedPlayout(PCM_8K)
        assert run(playout, 0, 60) == [Send(bytes(320))] * 3

    def test_an_utterance_goes_out_frame_by_frame_and_is_done_once_heard(self):
        playout = PacedPlayout(MULAW_8K)
        playout.play(1, audio(40), 0)
        playout.end(1, 0)
        assert run(playout, 0, 20) == [Send(audio(20)), Started(1)]
        assert run(playout, 20, 40) == [Send(audio(40)[FRAME:])]
        assert run(playout, 40, 60) == [Done(1), Send(SILENCE)]
        assert playout.heard_ms(1) == 40

    def test_the_last_part_of_a_frame_is_padded_and_counts_as_what_it_is(self):
        playout = PacedPlayout(MULAW_8K)
        playout.play(1, audio(30), 0)
        playout.end(1, 0)
        assert sent(run(playout, 0, 40)) == audio(30) + b"\xff" * 80
        assert playout.heard_ms(1) == 30

    def test_a_gap_is_told_once_and_again_only_after_more_audio(self):
        playout = PacedPlayout(MULAW_8K)
        playout.play(1, audio(20), 0)
        assert told(run(playout, 0, 200)) == [Started(1), Dry(1)]
        playout.play(1, audio(20), 200)
        assert told(run(playout, 200, 400)) == [Dry(1)]

    def test_pause_keeps_the_rest_and_resume_goes_on_with_the_next_sample(self):
        playout = PacedPlayout(MULAW_8K)
        playout.play(1, audio(200), 0)
        before = sent(run(playout, 0, 100))
        assert playout.pause(100) == 100
        assert run(playout, 100, 300) == [Send(SILENCE)] * 10
        playout.resume(300)
        assert before + sent(run(playout, 300, 400)) == audio(200)

    def test_flush_forgets_the_utterance_and_ignores_what_comes_late(self):
        playout = PacedPlayout(MULAW_8K)
        playout.play(1, audio(200), 0)
        run(playout, 0, 60)
        assert playout.flush(1, 60) == 60
        playout.play(1, audio(200), 60)
        playout.end(1, 60)
        assert run(playout, 60, 100) == [Send(SILENCE)] * 2
        assert playout.flush(1, 100) == 60

    def test_flush_goes_on_with_the_utterance_after_it(self):
        playout = PacedPlayout(MULAW_8K)
        playout.play(1, audio(200), 0)
        playout.play(2, audio(20, first=100), 0)
        playout.pause(0)
        playout.flush(1, 0)
        assert run(playout, 0, 20) == [Send(audio(20, first=100)), Started(2)]

    def test_utterances_follow_each_other_without_a_gap(self):
        playout = PacedPlayout(MULAW_8K)
        for number in (1, 2):
            playout.play(number, audio(20), 0)
            playout.end(number, 0)
        effects = run(playout, 0, 60)
        assert effects == [Send(audio(20)), Started(1), Done(1), Send(audio(20)), Started(2), Done(2), Send(SILENCE)]

    def test_an_utterance_without_audio_is_done(self):
        playout = PacedPlayout(MULAW_8K)
        playout.end(1, 0)
        assert told(run(playout, 0, 20)) == [Done(1)]

    def test_audio_after_the_end_is_ignored(self):
        playout = PacedPlayout(MULAW_8K)
        playout.play(1, audio(20), 0)
        playout.end(1, 0)
        playout.play(1, audio(20), 0)
        assert sent(run(playout, 0, 40)) == audio(20) + SILENCE


class TestBuffered:
    def test_the_first_audio_goes_out_without_waiting_for_a_tick(self):
        playout = BufferedPlayout(MULAW_8K)
        playout.play(1, audio(60), 5)
        assert taken(playout) == [Send(audio(60)), Started(1)]

    def test_it_sends_nothing_when_there_is_nothing(self):
        assert run(BufferedPlayout(MULAW_8K), 0, 1000) == []

    def test_all_audio_goes_out_once_in_messages_of_100_ms(self):
        playout = BufferedPlayout(MULAW_8K)
        playout.play(1, audio(1010), 0)
        playout.end(1, 0)
        effects = taken(playout) + run(playout, 20, 1000)
        assert sent(effects) == audio(1010)
        assert [len(effect.payload) for effect in effects if isinstance(effect, Send)] == [800] * 10 + [80]
        assert told(effects) == [Started(1), SendMark("g0-u1")]

    def test_small_pieces_are_put_together_once_there_is_a_lead(self):
        playout = BufferedPlayout(MULAW_8K)
        for index in range(100):
            playout.play(1, audio(10), 0)
            if index % 4 == 3:
                playout.tick(index // 4)
        messages = [len(effect.payload) for effect in taken(playout) if isinstance(effect, Send)]
        assert len(messages) < 15
        assert all(size % FRAME == 0 for size in messages)

    def test_the_carrier_is_never_more_than_the_lead_ahead(self):
        playout = BufferedPlayout(MULAW_8K)
        playout.play(1, audio(30_000), 0)
        ahead_ms = len(sent(taken(playout))) / 8
        assert ahead_ms <= LEAD_MS
        for now_ms in range(20, 20_000, 20):
            ahead_ms += len(sent(run(playout, now_ms, now_ms + 20))) / 8
            assert LEAD_MS - 200 <= ahead_ms - now_ms <= LEAD_MS

    def test_done_when_the_mark_comes_back(self):
        playout = BufferedPlayout(MULAW_8K)
        playout.play(1, audio(200), 0)
        playout.end(1, 0)
        assert told(taken(playout)) == [Started(1), SendMark("g0-u1")]
        assert run(playout, 20, 320) == []
        playout.mark("g0-u1", 320)
        assert taken(playout) == [Done(1)]
        assert playout.heard_ms(1) == 200

    def test_done_after_a_grace_when_the_carrier_never_echoes(self):
        playout = BufferedPlayout(MULAW_8K)
        playout.play(1, audio(200), 0)
        playout.end(1, 0)
        taken(playout)
        assert run(playout, 20, 200 + MARK_GRACE_MS) == []
        assert run(playout, 200 + MARK_GRACE_MS, 220 + MARK_GRACE_MS) == [Done(1)]

    def test_an_utterance_without_audio_is_done_without_a_mark(self):
        playout = BufferedPlayout(MULAW_8K)
        playout.end(1, 0)
        assert run(playout, 20, 40) == [Done(1)]

    def test_a_gap_is_told_once_when_all_was_heard(self):
        playout = BufferedPlayout(MULAW_8K)
        playout.play(1, audio(100), 0)
        taken(playout)
        assert run(playout, 20, 100) == []
        assert run(playout, 100, 300) == [Dry(1)]
        playout.play(1, audio(20), 300)
        assert told(taken(playout) + run(playout, 320, 500)) == [Dry(1)]

    def test_a_part_of_a_frame_waits_for_the_rest_until_the_caller_would_hear_a_gap(self):
        playout = BufferedPlayout(MULAW_8K)
        playout.play(1, audio(50), 0)
        assert sent(taken(playout)) == audio(40)
        assert run(playout, 10, 20) == []
        effects = run(playout, 20, 100)
        assert sent(effects) == audio(50)[320:]
        assert told(effects) == [Dry(1)]

    def test_pause_clears_and_resume_sends_again_from_what_was_heard(self):
        playout = BufferedPlayout(MULAW_8K)
        playout.play(1, audio(1000), 0)
        playout.end(1, 0)
        taken(playout)
        run(playout, 20, 300)
        assert playout.pause(300) == 300
        assert taken(playout) == [SendClear()]
        playout.mark("g0-u1", 301)  # the echo of our clear: discarded, not played
        assert run(playout, 320, 800) == []
        playout.resume(800)
        effects = taken(playout)
        assert sent(effects) == audio(1000)[300 * 8 :]
        assert told(effects) == [SendMark("g1-u1")]
        assert playout.heard_ms(1) == 300
        playout.mark("g1-u1", 1500)
        assert taken(playout) == [Done(1)]
        assert playout.heard_ms(1) == 1000

    def test_a_second_pause_clears_nothing(self):
        playout = BufferedPlayout(MULAW_8K)
        playout.play(1, audio(1000), 0)
        playout.pause(100)
        taken(playout)
        assert playout.pause(400) == 100
        assert taken(playout) == []

    def test_audio_that_comes_during_a_pause_waits(self):
        playout = BufferedPlayout(MULAW_8K)
        playout.play(1, audio(100), 0)
        playout.pause(40)
        taken(playout)
        playout.play(1, audio(100, first=100), 60)
        playout.end(1, 60)
        assert taken(playout) == []
        playout.resume(100)
        assert sent(taken(playout)) == audio(100)[320:] + audio(100, first=100)

    def test_flush_clears_and_says_what_was_heard(self):
        playout = BufferedPlayout(MULAW_8K)
        playout.play(1, audio(10_000), 0)
        taken(playout)
        assert playout.flush(1, 1500) == 1500
        assert taken(playout) == [SendClear()]
        playout.play(1, audio(100), 1510)
        playout.end(1, 1510)
        assert run(playout, 1520, 3000) == []

    def test_flush_after_a_pause_clears_no_second_time(self):
        playout = BufferedPlayout(MULAW_8K)
        playout.play(1, audio(1000), 0)
        playout.pause(400)
        taken(playout)
        assert playout.flush(1, 900) == 400
        assert taken(playout) == []

    def test_flush_sends_the_next_utterance_again_that_the_clear_dropped(self):
        playout = BufferedPlayout(MULAW_8K)
        for number, first in ((1, 0), (2, 100)):
            playout.play(number, audio(100, first), 0)
            playout.end(number, 0)
        taken(playout)
        playout.flush(1, 40)
        assert taken(playout) == [SendClear(), Send(audio(100, 100)), SendMark("g1-u2")]

    def test_flush_of_what_is_over_does_not_disturb_the_next(self):
        playout = BufferedPlayout(MULAW_8K)
        playout.play(1, audio(100), 0)
        playout.end(1, 0)
        playout.mark("g0-u1", 100)
        playout.play(2, audio(100), 100)
        taken(playout)
        assert playout.flush(1, 150) == 100
        assert taken(playout) == []

    @pytest.mark.parametrize(("echo_ms", "heard_ms"), [(150, 250), (200, 200), (290, 200), (350, 150), (390, 110)])
    def test_a_mark_corrects_the_clock_if_it_is_early_or_later_than_an_echo_may_be(self, echo_ms, heard_ms):
        """Two utterances of 200 and 1000 ms; what was heard of the second at 400 ms."""
        playout = BufferedPlayout(MULAW_8K)
        for number, ms in ((1, 200), (2, 1000)):
            playout.play(number, audio(ms), 0)
            playout.end(number, 0)
        playout.mark("g0-u1", echo_ms)
        assert playout.pause(400) == pytest.approx(heard_ms)

    def test_what_was_heard_never_becomes_less(self):
        playout = BufferedPlayout(MULAW_8K)
        for number, ms in ((1, 200), (2, 1000)):
            playout.play(number, audio(ms), 0)
            playout.end(number, 0)
        run(playout, 20, 400)
        before_ms = playout.heard_ms(2)
        playout.mark("g0-u1", 400)
        assert run(playout, 400, 440) == [Done(1)]
        assert 180 >= playout.heard_ms(2) >= before_ms > 80  # counted by the tick, which comes seldom with such a lead
        assert playout.pause(700) == pytest.approx(400)

    def test_audio_that_comes_with_a_long_lead_is_sent_in_time(self):
        """A tick may find nothing to do for a while; the carrier still never runs dry, nor gets more than its lead."""
        playout = BufferedPlayout(MULAW_8K)
        playout.play(1, audio(6000), 0)
        sent_ms, lowest_ms, highest_ms = 0.0, 1e9, 0.0
        for now_ms in range(0, 6800, 20):
            if now_ms == 1000:
                playout.play(1, audio(800), now_ms)
            playout.tick(now_ms)
            sent_ms += sum(len(effect.payload) / 8 for effect in playout.effects if isinstance(effect, Send))
            playout.effects.clear()
            lowest_ms, highest_ms = min(lowest_ms, sent_ms - now_ms), max(highest_ms, sent_ms - now_ms)
        assert sent_ms == 6800 and lowest_ms > 0 and highest_ms <= LEAD_MS

    @pytest.mark.parametrize("name", ["", "g0-u2", "g7-u1", "bye", "g0-u1 "])
    def test_a_mark_that_is_not_ours_says_nothing(self, name):
        playout = BufferedPlayout(MULAW_8K)
        playout.play(1, audio(200), 0)
        playout.end(1, 0)
        taken(playout)
        playout.mark(name, 20)
        assert taken(playout) == []

    def test_positions_are_whole_samples(self):
        playout = BufferedPlayout(PCM_8K)
        playout.play(1, bytes(range(200)) * 16, 0)
        taken(playout)
        playout.pause(33.3337)
        taken(playout)
        playout.resume(50)
        assert len(sent(taken(playout))) % 2 == 0

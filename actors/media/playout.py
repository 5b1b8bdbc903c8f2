"""What one leg still has to say: a pure machine for each playout mode, told the time, answering with effects.

Utterances are numbered upwards and play in the order in which they came. What the caller has not heard of an utterance
stays here, also while a carrier holds a copy of it, so that a pause can take it back and a resume can send it again.
Whatever has to be done about it is appended to `effects`; the driver performs and removes them in order.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from actors.media.audio import FRAME_MS, AudioFormat

MESSAGE_MS = 100  # of audio in one message to a carrier that buffers
LEAD_MS = 4000  # so far ahead of what is heard a carrier gets audio; the rest waits here
COALESCE_LEAD_MS = 200  # with such a lead nothing is urgent: wait until a whole message is there
ECHO_MS = 100  # a mark's echo may take so long to reach us; what is beyond it, the carrier played late
MARK_GRACE_MS = 1000  # a carrier that has not echoed a mark by then will not


@dataclass(slots=True)  # not frozen, which costs 0.3 us a frame
class Send:
    """Give this audio to the wire; the caller begins to hear it at `plays_ms`, None for silence."""

    payload: bytes
    plays_ms: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class SendMark:
    """Ask the carrier to echo this name once all audio before it was played."""

    name: str


@dataclass(frozen=True, slots=True)
class SendClear:
    """Tell the carrier to drop what it has buffered."""


@dataclass(frozen=True, slots=True)
class Started:
    """The first audio of the utterance went out."""

    utterance: int


@dataclass(frozen=True, slots=True)
class Dry:
    """All that came of the utterance was heard, and it has not ended; told once for each gap."""

    utterance: int


@dataclass(frozen=True, slots=True)
class Done:
    """The whole utterance was heard."""

    utterance: int


Effect = Send | SendMark | SendClear | Started | Dry | Done


@dataclass(slots=True)
class _Utterance:
    number: int
    audio: bytearray = field(default_factory=bytearray)  # not heard yet
    sent: int = 0  # so many bytes at the front of `audio` are with the carrier
    heard: int = 0  # bytes that have left `audio`
    started: bool = False
    ended: bool = False
    dry: bool = False
    marked: bool = False
    ends_ms: float = 0.0  # when the carrier will have played it all, once marked


class Playout:
    """What both modes share: the queue of utterances. Times are milliseconds of any one monotonic clock."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self.effects: deque[Effect] = deque()
        self._format = audio_format
        self._queue: dict[int, _Utterance] = {}
        self._paused = False
        self._over = 0  # utterances up to this one are done or flushed: whatever comes late is ignored
        self._last = _Utterance(0)  # the one that left the queue last

    def play(self, utterance: int, payload: bytes, now_ms: float) -> None:
        """The utterance's next audio, whole samples; ignored once it has ended or was flushed."""
        entry = self._entry(utterance)
        if entry is not None and payload:
            entry.audio += payload
            entry.dry = False

    def end(self, utterance: int, now_ms: float) -> None:
        """No more audio will come; an utterance without any is done as soon as its turn comes."""
        entry = self._entry(utterance)
        if entry is not None:
            entry.ended = True

    def heard_ms(self, utterance: int) -> float:
        """How much of it the caller has heard, as the last tick has counted; 0 for one that was not among the last."""
        entry = self._queue.get(utterance, self._last)
        return self._format.duration_ms(entry.heard) if entry.number == utterance else 0.0

    def pause(self, now_ms: float) -> float:
        """Fall silent, keep what is unheard; returns `heard_ms` of the current utterance."""
        self._paused = True
        return self._format.duration_ms(self._current().heard)

    def resume(self, now_ms: float) -> None:
        """Go on where the caller last heard us."""
        self._paused = False

    def flush(self, utterance: int, now_ms: float) -> float:
        """Forget this utterance and those before it, go on with any after it; returns `heard_ms` of this one."""
        self._paused = False
        heard_ms = self.heard_ms(utterance)
        for number in [number for number in self._queue if number <= utterance]:
            self._last = self._queue.pop(number)
        self._over = max(self._over, utterance)
        return heard_ms

    def tick(self, now_ms: float) -> None:
        """Call each 20 ms."""
        raise NotImplementedError

    def _entry(self, utterance: int) -> _Utterance | None:
        """The utterance, new if need be; None if nothing may be added to it."""
        if utterance <= self._over:
            return None
        entry = self._queue.setdefault(utterance, _Utterance(utterance))
        return None if entry.ended else entry

    def _current(self) -> _Utterance:
        """The utterance that the caller hears, else the last one."""
        for entry in self._queue.values():
            if entry.audio or not entry.ended:
                return entry
        return next(reversed(self._queue.values()), self._last)

    def _start(self, entry: _Utterance) -> None:
        if not entry.started:
            entry.started = True
            self.effects.append(Started(entry.number))

    def _finish(self, entry: _Utterance) -> None:
        self._last = self._queue.pop(entry.number)
        self._over = max(self._over, entry.number)
        self.effects.append(Done(entry.number))

    def _tell_dry(self, entry: _Utterance) -> None:
        if entry.started and not entry.dry:
            entry.dry = True
            self.effects.append(Dry(entry.number))


class PacedPlayout(Playout):
    """Locally paced: one frame a tick, silence when there is nothing to say. What was sent counts as heard."""

    def __init__(self, audio_format: AudioFormat) -> None:
        super().__init__(audio_format)
        self._silence = Send(audio_format.silence(FRAME_MS))
        self._frame_bytes = audio_format.frame_bytes

    def tick(self, now_ms: float) -> None:
        entry = None if self._paused or not self._queue else self._next()
        if entry is None:
            self.effects.append(self._silence)
            return
        frame = bytes(entry.audio[: self._frame_bytes])
        size = len(frame)
        del entry.audio[:size]
        entry.heard += size
        if size < self._frame_bytes:
            frame += self._silence.payload[size:]
        self.effects.append(Send(frame, now_ms))
        if not entry.started:
            self._start(entry)

    def _next(self) -> _Utterance | None:
        """The utterance that has audio to send; the frame before it has played by now, so `Done` and `Dry` are due."""
        while self._queue:
            entry = next(iter(self._queue.values()))
            if entry.audio:
                return entry
            if not entry.ended:
                self._tell_dry(entry)
                return None
            self._finish(entry)
        return None


class BufferedPlayout(Playout):
    """Remote-buffered: audio goes ahead of time, and the carrier's clock says what was heard.

    The carrier plays without a break, so what it was sent and has not had the time to play is unheard. The way to the
    carrier needs no correction: a clear takes as long as the audio took. The echo of the mark at an utterance's end
    corrects the clock if it comes early, or later than an echo may. A clear makes the carrier echo the pending marks
    though nothing was played: marks carry a generation, and those of an earlier one say nothing.
    """

    def __init__(self, audio_format: AudioFormat) -> None:
        super().__init__(audio_format)
        self._plays_until_ms = 0.0
        self._generation = 0
        self._buffered = False  # whether the carrier was sent anything since the last clear
        self._at_ease_until_ms = 0.0  # until then a tick finds nothing to do

    def play(self, utterance: int, payload: bytes, now_ms: float) -> None:
        super().play(utterance, payload, now_ms)
        if self._plays_until_ms <= now_ms and not self._paused:
            self._advance(now_ms)
            self._pump(now_ms, starving=False)  # the caller is waiting: whole frames go now, not at the tick

    def end(self, utterance: int, now_ms: float) -> None:
        super().end(utterance, now_ms)
        if not self._paused:
            self._advance(now_ms)
            self._pump(now_ms)

    def pause(self, now_ms: float) -> float:
        if not self._paused:
            self._advance(now_ms)
            self._recall(now_ms)
        return super().pause(now_ms)

    def resume(self, now_ms: float) -> None:
        super().resume(now_ms)
        self._pump(now_ms)

    def flush(self, utterance: int, now_ms: float) -> float:
        self._advance(now_ms)
        if any(number <= utterance for number in self._queue):
            self._recall(now_ms)
        heard_ms = super().flush(utterance, now_ms)
        self._pump(now_ms)
        return heard_ms

    def mark(self, name: str, now_ms: float) -> None:
        """The carrier echoed this mark; one that we did not send since the last clear is ignored."""
        for number, entry in self._queue.items():
            if entry.marked and name == self._mark_name(number):
                self._correct(now_ms - entry.ends_ms)
                self._heard_up_to(entry)
                return

    def tick(self, now_ms: float) -> None:
        if self._paused or not self._queue or now_ms < self._at_ease_until_ms:
            return
        self._advance(now_ms)
        self._pump(now_ms)
        self._settle(now_ms)
        self._at_ease_until_ms = min(now_ms + MESSAGE_MS, self._plays_until_ms - COALESCE_LEAD_MS)

    def _advance(self, now_ms: float) -> None:
        """What the carrier has had the time to play has been heard."""
        lead_ms = max(0.0, self._plays_until_ms - now_ms)
        unheard = int(lead_ms * self._format.rate / 1000) * self._format.sample_bytes
        heard = sum(entry.sent for entry in self._queue.values()) - unheard
        for entry in self._queue.values():
            if heard <= 0:
                return
            part = min(heard, entry.sent)
            self._count_heard(entry, part)
            heard -= part

    @staticmethod
    def _count_heard(entry: _Utterance, part: int) -> None:
        del entry.audio[:part]
        entry.sent -= part
        entry.heard += part

    def _correct(self, late_ms: float) -> None:
        shift_ms = late_ms if late_ms < 0 else max(0.0, late_ms - ECHO_MS)
        self._plays_until_ms += shift_ms
        self._at_ease_until_ms = 0.0
        for entry in self._queue.values():
            entry.ends_ms += shift_ms

    def _heard_up_to(self, marked: _Utterance) -> None:
        for entry in list(self._queue.values()):
            self._count_heard(entry, entry.sent)
            self._finish(entry)
            if entry is marked:
                return

    def _recall(self, now_ms: float) -> None:
        """Take back what the carrier has not played."""
        if self._buffered:
            self.effects.append(SendClear())
        self._buffered = False
        self._generation += 1
        self._plays_until_ms, self._at_ease_until_ms = now_ms, 0.0
        for entry in self._queue.values():
            entry.sent, entry.marked = 0, False

    def _pump(self, now_ms: float, starving: bool = True) -> None:
        for entry in self._queue.values():
            while size := self._portion(entry, now_ms, starving):
                self._send(entry, size, now_ms)
            if entry.sent < len(entry.audio) or not entry.ended:
                return
            if not entry.marked and entry.started:
                entry.marked = True
                entry.ends_ms = self._plays_until_ms
                self.effects.append(SendMark(self._mark_name(entry.number)))

    def _portion(self, entry: _Utterance, now_ms: float, starving: bool) -> int:
        """How many bytes of the utterance should go in the next message; 0: nothing yet.

        A part of a frame goes only at its utterance's end, or if the caller would hear a gap (`starving`).
        """
        lead_ms = self._plays_until_ms - now_ms
        unsent = len(entry.audio) - entry.sent
        message = self._format.frame_bytes * (MESSAGE_MS // FRAME_MS)
        if lead_ms + MESSAGE_MS > LEAD_MS:
            return 0
        if entry.ended or unsent >= message:
            return min(unsent, message)
        if lead_ms > COALESCE_LEAD_MS:
            return 0
        whole = unsent - unsent % self._format.frame_bytes
        return whole or (unsent if starving and lead_ms <= FRAME_MS else 0)

    def _send(self, entry: _Utterance, size: int, now_ms: float) -> None:
        plays_ms = max(self._plays_until_ms, now_ms)
        self.effects.append(Send(bytes(entry.audio[entry.sent : entry.sent + size]), plays_ms))
        entry.sent += size
        self._buffered = True
        self._plays_until_ms = plays_ms + self._format.duration_ms(size)
        self._start(entry)

    def _settle(self, now_ms: float) -> None:
        """Tell what the clock alone knows: a gap, an utterance without audio, a mark that never came back."""
        for entry in list(self._queue.values()):
            if entry.audio:
                return
            if not entry.ended:
                self._tell_dry(entry)
                return
            if entry.started and now_ms < entry.ends_ms + MARK_GRACE_MS:
                return
            self._finish(entry)

    def _mark_name(self, utterance: int) -> str:
        return f"g{self._generation}-u{utterance}"

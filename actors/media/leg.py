"""One call's media: a wire on one side, plain events on the other, moved by the clock."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from actors.call.wire import PlayoutMode, Wire
from actors.errors import Result, Termination
from actors.media.inbound import Heard, Inbound, Resumed, Stalled
from actors.media.playout import BufferedPlayout, Done, Dry, PacedPlayout, Send, SendClear, SendMark, Started
from actors.media.speech import SpeechStarted
from config.assistant import Echo, Endpointing

if TYPE_CHECKING:
    from actors.media.clock import MediaClock

log = logging.getLogger(__name__)


class LegEvents(Protocol):
    """What a leg tells its owner: plain calls on the loop thread, from within the clock's tick, a call of the wire or
    a call of the owner (`play` may start an utterance). All of the leg may be called from here, `close` included."""

    def on_heard(self, payload: bytes, start_ms: float, end_ms: float) -> None:
        """20-200 ms of the caller's audio, PCM s16le at `leg.hearing.rate`; less just before speech starts or ends."""

    def on_speech_started(self, at_ms: float) -> None:
        """A voice since `at_ms`."""

    def on_speech_ended(self, at_ms: float) -> None:
        """The voice ended at `at_ms`; all audio until now was given to `on_heard` before."""

    def on_hearing_stalled(self) -> None:
        """Nothing comes of the caller's audio, though some should: what is said meanwhile comes later."""

    def on_hearing_resumed(self) -> None:
        """It comes again, or is not waited for any longer."""

    def on_playout_started(self, utterance: int) -> None:
        """Its first audio went out."""

    def on_playout_dry(self, utterance: int) -> None:
        """Everything received was heard, and no end was marked; once for each gap."""

    def on_playout_done(self, utterance: int) -> None:
        """The caller has heard all of it."""

    def on_dtmf(self, digit: str) -> None:
        """The caller pressed a key."""

    def on_text(self, text: str) -> None:
        """The caller typed something."""

    def on_closed(self, termination: Termination) -> None:
        """The media is over and the leg closed; nothing follows."""


class Leg:
    """Ties a wire to the clock; `LegEvents` hears of it. Implements `WireEars`.

    `hearing` is the format of `on_heard`: PCM at 8 kHz, at 16 kHz for wires of 12 kHz and more.
    """

    def __init__(
        self, wire: Wire, clock: MediaClock, events: LegEvents, endpointing: Endpointing, echo: Echo | None = None
    ) -> None:
        self._wire, self._clock, self._events = wire, clock, events
        self.inbound = Inbound(wire.format, endpointing, getattr(wire, "stall_ms", 0.0), echo)
        self.hearing = self.inbound.hearing
        self.is_open = False
        self._closed = False
        self._paced = wire.playout is PlayoutMode.LOCALLY_PACED
        self._playout = PacedPlayout(wire.format) if self._paced else BufferedPlayout(wire.format)
        self._performing = False

    # --- the owner's side

    def open(self) -> None:
        """Join the clock and listen to the wire; only once."""
        if not self.is_open and not self._closed:
            self.is_open = True
            self._clock.add(self)
            self._wire.open(self)

    def close(self) -> None:
        """Leave the clock; no event follows. The wire is not hung up by this."""
        if self.is_open:
            self._clock.remove(self)
        self.is_open, self._closed = False, True

    def play(self, utterance: int, payload: bytes) -> None:
        """The utterance's next audio, whole samples in the wire's format; utterances are numbered upwards."""
        if self.is_open:
            self._playout.play(utterance, payload, self._clock.now_ms())
            self._perform()

    def end(self, utterance: int) -> None:
        """All of its audio was given to `play`."""
        if self.is_open:
            self._playout.end(utterance, self._clock.now_ms())
            self._perform()

    def pause(self) -> float:
        """Fall silent at once; returns the milliseconds that the caller has heard of what plays."""
        heard_ms = self._playout.pause(self._clock.now_ms())
        self._perform()
        return heard_ms

    def resume(self) -> None:
        """Go on where the caller last heard us."""
        self._playout.resume(self._clock.now_ms())
        self._perform()

    def flush(self, utterance: int) -> float:
        """Fall silent and forget it and those before; what still comes of them is ignored. Returns its heard ms."""
        heard_ms = self._playout.flush(utterance, self._clock.now_ms())
        self._perform()
        return heard_ms

    # --- the wire's side

    def on_audio(self, payload: bytes) -> None:
        if self.is_open:
            self.inbound.arrivals.receive(payload)

    def on_dtmf(self, digit: str) -> None:
        self._tell(lambda: self._events.on_dtmf(digit))

    def on_text(self, text: str) -> None:
        self._tell(lambda: self._events.on_text(text))

    def _tell(self, event: Callable[[], None]) -> None:
        if not self.is_open:
            return
        try:
            event()
        except Exception:
            self.fail()

    def on_mark(self, name: str) -> None:
        if not self.is_open or not isinstance(self._playout, BufferedPlayout):
            return
        try:
            self._playout.mark(name, self._clock.now_ms())
            self._perform()
        except Exception:
            self.fail()

    def on_closed(self, termination: Termination) -> None:
        if not self.is_open:
            return
        try:
            self.inbound.tell(everything=True)
            self.tell_heard()
        except Exception:
            self.fail()
        self._end(termination)

    # --- the clock's side

    def send_due(self, now_ms: float, frames: int) -> None:
        """The outbound half of a tick; a locally paced wire gets so many frames, all others catch up by themselves."""
        for _ in range(frames if self._paced else 1):
            self._playout.tick(now_ms)
        self._perform()

    def tell_heard(self) -> None:
        """The inbound half of a tick, after the batch."""
        events, self.inbound.events = self.inbound.events, []
        for event in events:
            if not self.is_open:
                return
            if isinstance(event, Heard):
                self._events.on_heard(event.payload, event.start_ms, event.end_ms)
            elif isinstance(event, SpeechStarted):
                self._events.on_speech_started(event.at_ms)
            elif isinstance(event, Stalled):
                self._events.on_hearing_stalled()
            elif isinstance(event, Resumed):
                self._events.on_hearing_resumed()
            else:
                self._events.on_speech_ended(event.at_ms)

    def fail(self) -> None:
        """Our own fault, from within an `except`: this call ends, the others do not notice."""
        log.exception("the media of a call on %s failed", self._wire.provider)
        self.abort()

    def abort(self) -> None:
        """Close with a server error and hang up; never raises."""
        if not self.is_open:
            return
        self._end(Termination(Result.SERVER_ERROR, "media_error"))
        try:
            self._wire.hang_up()
        except Exception:
            log.exception("a wire of %s failed to hang up", self._wire.provider)

    def _end(self, termination: Termination) -> None:
        if not self.is_open:
            return
        self.close()
        try:
            self._events.on_closed(termination)
        except Exception:
            log.exception("the owner of a call on %s failed as its media closed", self._wire.provider)

    def _perform(self) -> None:
        """Effects in their order, also when an event makes its owner pause or flush in the middle of it."""
        if self._performing or not self._playout.effects:
            return
        self._performing = True
        try:
            effects = self._playout.effects
            while effects and self.is_open:
                effect = effects.popleft()
                if isinstance(effect, Send):  # nearly always
                    self._wire.send_audio(effect.payload)
                    if effect.plays_ms is not None:
                        self.inbound.echo.play(effect.payload, effect.plays_ms)
                else:
                    self._perform_one(effect)
        finally:
            self._performing = False

    def _perform_one(self, effect: SendMark | SendClear | Started | Dry | Done) -> None:
        match effect:
            case SendMark():
                self._wire.send_mark(effect.name)
            case SendClear():
                self._wire.send_clear()
                self.inbound.echo.cut(self._clock.now_ms())
            case Started():
                self._events.on_playout_started(effect.utterance)
            case Dry():
                self._events.on_playout_dry(effect.utterance)
            case Done():
                self._events.on_playout_done(effect.utterance)

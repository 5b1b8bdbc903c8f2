"""The seam between a call and whatever carries its audio.

A listener in `transports/` accepts a media connection, wraps it into a `Wire` and hands it to the call that it spawns;
`actors/` knows no carrier. All methods run on the loop thread, none of them blocks and none of them raises for a
connection that is gone: its end is told once, by `WireEars.on_closed`.
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from actors.errors import Termination
from actors.media.audio import AudioFormat


class PlayoutMode(Enum):
    """Who keeps time for the audio that we send."""

    REMOTE_BUFFERED = "remote_buffered"  # send ahead; the carrier paces, echoes marks and flushes on `clear`
    LOCALLY_PACED = "locally_paced"  # one frame each 20 ms from our clock; to stop sending is to be silent


class WireEars(Protocol):
    """What a wire calls while it is open; a call's leg implements it."""

    def on_audio(self, payload: bytes) -> None:
        """Audio of the caller in the wire's format, any whole number of samples."""

    def on_dtmf(self, digit: str) -> None:
        """One key: 0-9, *, #, A-D."""

    def on_text(self, text: str) -> None:
        """The caller has typed this instead of saying it."""

    def on_mark(self, name: str) -> None:
        """The carrier has played (or discarded, after a clear) all audio sent before the mark `name`."""

    def on_closed(self, termination: Termination) -> None:
        """The connection is gone, whoever ended it; exactly once, nothing follows."""


class Wire(Protocol):
    """One open media connection."""

    provider: str  # the carrier's name in our paths: twilio, asterisk ...
    format: AudioFormat  # of both directions, fixed for the life of the wire
    playout: PlayoutMode
    stall_ms: float | None  # nothing for so long is a stall of the network and not silence; None: to be learnt

    def open(self, ears: WireEars) -> None:
        """From now on events go to `ears`; what arrived before is delivered first."""

    def send_audio(self, payload: bytes) -> None:
        """Audio in the wire's format: exactly one 20 ms frame when locally paced, any length when remote-buffered."""

    def send_mark(self, name: str) -> None:
        """Ask for `on_mark(name)` once everything sent so far has played. Remote-buffered wires only."""

    def send_clear(self) -> None:
        """Discard what the carrier has buffered; pending marks come back at once. Remote-buffered wires only."""

    def hang_up(self) -> None:
        """End the call politely after what is already sent; `on_closed` follows. A second call does nothing."""

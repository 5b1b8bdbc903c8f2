"""Asterisk AudioSocket: a sans-IO codec of its frames and the wire that drives it over TCP.

A frame is `kind:u8 | length:u16 big-endian | payload` (Asterisk, res/res_audiosocket.c). Asterisk neither paces nor
buffers what it receives, drops a call after two seconds of silence on the socket, and is killed by any kind but
hang-up and audio, by an empty audio frame, and by a gap inside a frame: so each frame is one write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from actors.call.wire import PlayoutMode, WireEars
from actors.errors import Result, Termination
from actors.media.audio import FRAME_MS, MULAW_8K, PCM_8K, AudioFormat, Encoding
from actors.media.resample import Converter
from actors.services.metrics import Metrics
from config.errors import BadInput, CallboardError
from store.records import CallContext
from transports.codec import Codec
from transports.connection import AGENT_HUNG_UP, CALLER_HUNG_UP, Limits, MediaConnection

HANGUP, IDENTITY, DTMF, SLIN, ERROR = 0x00, 0x01, 0x03, 0x10, 0xFF
RATES = (8000, 12000, 16000, 24000, 32000, 44100, 48000, 96000, 192000)  # of kinds 0x10, 0x11 ...
_AUDIO_KINDS = range(SLIN, SLIN + len(RATES))
_MULAW_BYTES = 160  # kind 0x10 with frames of this length is 20 ms of mu-law, not 10 ms of slin
_FRAMES_TO_LEARN, _LINEAR_RATIO = 50, 1.4
_DIGITS = frozenset(b"0123456789*#ABCD")
FORMAT_WAIT_S = 0.2  # without audio for so long it is taken for 8 kHz slin
HANGUP_FRAME = b"\0\0\0"


class AudioSocketError(BadInput):
    """A frame that AudioSocket does not know, or with a length that its kind does not have."""

    code = "audiosocket_bad_frame"


class NotIdentified(AudioSocketError):
    """The first frame must be the call's UUID, and only the first; it must come in time."""

    code = "audiosocket_not_identified"


class FormatChanged(AudioSocketError):
    """Audio of half a sample: of no format that its kind could have."""

    code = "audiosocket_format_changed"


@dataclass(frozen=True, slots=True)
class Identified:
    """The first frame: which call this is."""

    id: UUID


@dataclass(slots=True)  # not frozen, which costs 0.3 us a frame
class Audio:
    """Audio of the caller; `kind` says its rate."""

    kind: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Digit:
    """The caller pressed a key."""

    digit: str = field(repr=False)  # may be part of a PIN


@dataclass(frozen=True, slots=True)
class HungUp:
    """The call is over."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Asterisk reports an error of its own."""

    code: bytes


Event = Identified | Audio | Digit | HungUp | Failed


class AudioSocketStream(Codec[Event]):
    """Parses what Asterisk sends. After an error, a hang-up or a failure it takes nothing more."""

    __slots__ = ("_identified",)

    def __init__(self) -> None:
        super().__init__()
        self._identified = False

    def _parse(self) -> Event | None:
        buffer, at = self._buffer, self._at
        if len(buffer) - at < 3:
            return None
        kind, length = buffer[at], buffer[at + 1] << 8 | buffer[at + 2]
        is_audio = kind in _AUDIO_KINDS and length and self._identified
        if not is_audio:
            self._check(kind, length)
        start, end = at + 3, at + 3 + length
        if len(buffer) < end:
            self._wait_for(end)
            return None
        self._at = end
        return Audio(kind, buffer[start:end]) if is_audio else self._event(kind, buffer[start:end])

    def _check(self, kind: int, length: int) -> None:
        """Everything that the header alone can tell of a frame that is not audio."""
        if not self._identified and kind != IDENTITY:
            raise NotIdentified(f"the first frame must be of kind 0x01, got {kind:#04x}")
        if self._identified and kind == IDENTITY:
            raise NotIdentified("a second frame of kind 0x01")
        if kind not in _LENGTHS:
            raise AudioSocketError(f"kind {kind:#04x} is unknown")
        if length not in _LENGTHS[kind]:
            raise AudioSocketError(f"a frame of kind {kind:#04x} cannot have length {length}")

    def _event(self, kind: int, payload: bytes) -> Event:
        if kind == IDENTITY:
            self._identified = True
            return Identified(UUID(bytes=payload))
        if kind == DTMF:
            if payload[0] not in _DIGITS:
                raise AudioSocketError("a DTMF digit must be one of 0-9 * # A-D")  # may be of a PIN: not repeated
            return Digit(payload.decode())
        self._end()
        return HungUp() if kind == HANGUP else Failed(payload)


_LENGTHS = {
    HANGUP: range(1),
    IDENTITY: range(16, 17),
    DTMF: range(1, 2),
    ERROR: range(256),
    **dict.fromkeys(_AUDIO_KINDS, range(1, 65536)),
}


def audio_header(kind: int, length: int) -> bytes:
    return bytes((kind, length >> 8, length & 0xFF))


def format_of(kind: int, length: int) -> AudioFormat:
    """The format of audio whose first frame has this kind and length."""
    return MULAW_8K if kind == SLIN and length == _MULAW_BYTES else _linear(kind)


def _linear(kind: int) -> AudioFormat:
    return _LINEAR[kind - SLIN]


_LINEAR = [PCM_8K, *(AudioFormat(Encoding.PCM, rate) for rate in RATES[1:])]  # each of them once: told apart by `is`


class AudioFormats:
    """Each frame says by its kind and length what it is; to the call it is brought in one format, `call`.

    A channel may change its format, and may bring its first audio late. Frames of kind 0x10 with 160 bytes are 20 ms of
    mu-law, or 10 ms of linear audio: their bytes tell. One among longer ones is the end of something.
    """

    def __init__(self, call: AudioFormat) -> None:
        self.call = call
        self._was_long = False
        self._short = 0  # frames of 160 bytes in a row
        self._values = [0, 0]  # of their even and odd bytes, so many different ones were seen
        self._to_call: dict[AudioFormat, Converter] = {}
        self._from_call: dict[int, Converter] = {}

    def to_call(self, audio: Audio) -> bytes:
        """The caller's audio in the call's format. Raises `FormatChanged`."""
        found = self._format_of(audio)
        if len(audio.payload) % found.sample_bytes:
            raise FormatChanged(f"{len(audio.payload)} bytes of kind {audio.kind:#04x} are no whole samples")
        if found is self.call:
            return audio.payload
        if found not in self._to_call:
            self._to_call[found] = Converter(found, self.call)
        return self._to_call[found].convert(audio.payload)

    def from_call(self, payload: bytes, kind: int) -> bytes:
        """Audio of the call for a channel that sends this kind; the filter may hold back a part of it."""
        if kind not in self._from_call:
            self._from_call[kind] = Converter(self.call, _linear(kind))
        return self._from_call[kind].convert(payload)

    def _format_of(self, audio: Audio) -> AudioFormat:
        if audio.kind != SLIN:
            return _linear(audio.kind)
        if len(audio.payload) != _MULAW_BYTES:
            self._was_long = True
            if self._short:
                self._short, self._values = 0, [0, 0]
            return PCM_8K
        self._short += 1
        if self._short <= _FRAMES_TO_LEARN:
            self._learn(audio.payload)
        if self._was_long and self._short == 1:
            return PCM_8K
        even, odd = self._values
        return PCM_8K if even > _LINEAR_RATIO * odd else MULAW_8K

    def _learn(self, payload: bytes) -> None:
        """The high bytes of linear audio are few, the low ones many; in mu-law all bytes are alike."""
        odd = 1 if not any(payload) else 2 * len(set(payload[1::2]))  # mu-law has no silence of zeros
        self._values[0] += 2 * len(set(payload[::2]))
        self._values[1] += odd


class Ticker(Protocol):
    """What a wire needs of `actors.media.clock.MediaClock`: to be called every 20 ms."""

    def add_ticker(self, ticker: Callable[[], None]) -> None: ...

    def remove_ticker(self, ticker: Callable[[], None]) -> None: ...


class AudioSocketWire(MediaConnection):
    """The wire of one Asterisk call: we keep time, so silence goes out from the moment of accept until a call opens it.

    `identified(wire, id)` finds the call's context and answers with `accept` or `reject`. The wire is handed over when
    both the context and the format are known: the format is linear, at the rate of the first audio, or 8 kHz if none
    comes for 200 ms. What comes in another format, then or later, is converted. We answer in the kind received last;
    Asterisk reads 0x10 as linear, also where it sends mu-law itself (measured with 23.4.1).
    """

    __slots__ = ("_usual", "_usual_bytes")  # each read looks at them: see `Reader`

    playout = PlayoutMode.LOCALLY_PACED

    def __init__(
        self,
        limits: Limits,
        switchboard: Callable[[CallContext, Any], None],
        identified: Callable[[AudioSocketWire, UUID], None],
        clock: Ticker,
        metrics: Metrics | None = None,
    ) -> None:
        super().__init__("asterisk", AudioSocketStream(), limits, switchboard, metrics)
        self._identified, self._clock = identified, clock
        self._format_known = False
        self._silent = False
        self._usual, self._usual_bytes = b"", 0
        self._unsent = bytearray()  # converted, and not a whole frame yet
        self._set_format(SLIN)
        self._set_kind(SLIN)

    def accept(self, context: CallContext) -> None:
        """This is the call."""
        self.context = context
        self._arm(FORMAT_WAIT_S, self._assume_format)
        self._hand_over_when_known()
        self.release()

    def reject(self, error: CallboardError) -> None:
        """There is no such call to take: hang up."""
        self.refuse(error)
        self.hang_up()
        self.release()

    # --- the wire --------------------------------------------------------------------------------------------

    def open(self, ears: WireEars) -> None:
        self._stop_silence()
        super().open(ears)

    def send_audio(self, payload: bytes) -> None:
        """One frame, one write."""
        if self._answers is not self.format:
            self._send_converted(payload)
        elif len(payload) == self.format.frame_bytes:
            self._write(self._header + payload)
        elif payload:  # an empty frame would kill the call
            self._write(audio_header(self.kind, len(payload)) + payload)

    def _send_converted(self, payload: bytes) -> None:
        self._unsent += self._formats.from_call(payload, self.kind)
        while len(self._unsent) >= self._answers.frame_bytes:
            frame = bytes(self._unsent[: self._answers.frame_bytes])
            del self._unsent[: len(frame)]
            self._write(self._header + frame)

    def send_mark(self, name: str) -> None:
        """AudioSocket has no marks: what was sent was heard."""

    def send_clear(self) -> None:
        """Nothing is buffered on the other side: to stop sending is to be silent."""

    def hang_up(self) -> None:
        """Tell Asterisk, which then closes: were we first, unread audio would turn our FIN into a reset."""
        self.end(AGENT_HUNG_UP)
        if self._deaf or self.transport is None:
            return
        self._stop_silence()
        self._write(HANGUP_FRAME)
        self.go_deaf()
        self._arm(self.limits.closing_s, self.transport.abort)

    # --- asyncio.Protocol ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._arm(self.limits.first_frame_s, self._not_identified)
        self._silent = True
        self._clock.add_ticker(self._send_silence)

    def data_received(self, data: bytes) -> None:
        """Nearly each read is one frame of the kind and length of the one before, which need not be looked at again."""
        if len(data) == self._usual_bytes and data.startswith(self._usual) and self.counts_as_one(data):
            self.tell_audio(data[3:])
        else:
            super().data_received(data)

    def on_bad_input(self, error: BadInput) -> None:
        self.reject(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_silence()
        super().connection_lost(exc)

    def lost(self, exc: Exception | None) -> Termination:
        """Asterisk tells a hang-up by closing; as we never stop sending, what we write then breaks. A reset is none."""
        closed = exc is None or isinstance(exc, BrokenPipeError)
        return CALLER_HUNG_UP if closed and self.context is not None else super().lost(exc)

    # --- inside ----------------------------------------------------------------------------------------------

    def on_event(self, event: Event) -> None:
        if isinstance(event, Audio):
            self._on_audio(event)
        elif isinstance(event, Digit):
            self.tell_keys(event.digit)
        elif isinstance(event, Identified):
            self._disarm()
            self.hold()  # who has not shown that it knows a call makes us read nothing else
            self._identified(self, event.id)
        elif isinstance(event, HungUp):
            self.end(CALLER_HUNG_UP)
            self._close()
        else:
            self.end(Termination(Result.CLIENT_ERROR, "carrier_error", f"code {event.code.hex()}"))
            self._close()

    def _on_audio(self, audio: Audio) -> None:
        if not self._format_known:
            self._format_known = True
            self._set_format(audio.kind)
            self._hand_over_when_known()
        if audio.kind != self.kind:
            self._set_kind(audio.kind)
        payload = self._formats.to_call(audio)
        if payload is audio.payload and len(payload) != _MULAW_BYTES:
            self._usual, self._usual_bytes = audio_header(self.kind, len(payload)), 3 + len(payload)
        else:
            self._usual, self._usual_bytes = b"", 0
        if payload:
            self.tell_audio(payload)

    def _set_format(self, kind: int) -> None:
        """The call's, in both directions, for its life."""
        self.format = _linear(kind)
        self._formats = AudioFormats(self.format)

    def _set_kind(self, kind: int) -> None:
        """The one that we answer in."""
        self.kind, self._answers = kind, _linear(kind)
        self._header = audio_header(kind, self._answers.frame_bytes)
        self._silence = self._header + self._answers.silence(FRAME_MS)
        self._unsent.clear()

    def _assume_format(self) -> None:
        self._format_known = True
        self._hand_over_when_known()

    def _hand_over_when_known(self) -> None:
        if self._format_known or self.transport is None:
            self.hand_over()

    def _not_identified(self) -> None:
        self.reject(NotIdentified(f"no UUID within {self.limits.first_frame_s:g} s"))

    def _send_silence(self) -> None:
        self._write(self._silence)

    def _stop_silence(self) -> None:
        if self._silent:
            self._silent = False
            self._clock.remove_ticker(self._send_silence)

    def _write(self, data: bytes) -> None:
        if not self._deaf and self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def _close(self) -> None:
        self.go_deaf()
        self._stop_silence()
        if self.transport is not None:
            self.transport.close()
            self._arm(self.limits.closing_s, self.transport.abort)

"""Twilio Media Streams: a sans-IO codec of its JSON messages and the wire that drives it.

https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import orjson
from pybase64 import b64decode, b64encode

from actors.call.wire import PlayoutMode
from actors.media.audio import MULAW_8K
from config.errors import BadInput, shown
from transports.connection import CALLER_HUNG_UP
from transports.upgrade import WebSocketConnection

_STREAM_SID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DIGITS = frozenset("0123456789*#ABCD")


class TwilioError(BadInput):
    """A message that is not Twilio's: a field is missing or not legal, or the order is wrong."""

    code = "twilio_bad_message"
    close_code = 1008


class BadJson(TwilioError):
    """A message is not a JSON object."""

    code = "twilio_bad_json"
    close_code = 1007


class BadBase64(TwilioError):
    """The payload of a media message is not base64."""

    code = "twilio_bad_base64"
    close_code = 1007


class UnexpectedMessage(TwilioError):
    """A message in the wrong state: media before `start`, a second `start`, anything after `stop`."""

    code = "twilio_unexpected_message"


class UnsupportedMedia(TwilioError):
    """The stream's audio is not 8 kHz mono mu-law."""

    code = "twilio_unsupported_media"
    close_code = 1003


class WrongCall(TwilioError):
    """The stream's `start` names another call than the context that it was opened for."""

    code = "twilio_wrong_call"


@dataclass(frozen=True, slots=True)
class Connected:
    """The first message."""


@dataclass(frozen=True, slots=True)
class Started:
    """The second message: which call this is; `parameters` are the `<Parameter>`s of the TwiML."""

    stream_sid: str
    call_sid: str
    parameters: dict[str, str]


@dataclass(slots=True)  # not frozen, which costs 0.3 us a message
class Media:
    """Audio of the caller: 8 kHz mu-law, usually 160 bytes."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Dtmf:
    """The caller pressed a key."""

    digit: str = field(repr=False)  # may be part of a PIN


@dataclass(frozen=True, slots=True)
class Mark:
    """The audio sent before the mark `name` was played, or discarded by a clear."""

    name: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The call or the stream has ended."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """A message that we have no use for: a newer event, or the audio of our own side."""


Event = Connected | Started | Media | Dtmf | Mark | Stopped | Ignored


class State(Enum):
    """connected -> start -> (media | dtmf | mark)* -> stop"""

    NEW = "before connected"
    CONNECTED = "before start"
    STARTED = "started"
    STOPPED = "stopped"


# which events are legal in which state, and the state that follows
_NEXT = {
    State.NEW: {"connected": State.CONNECTED},
    State.CONNECTED: {"start": State.STARTED},
    State.STARTED: {"media": State.STARTED, "dtmf": State.STARTED, "mark": State.STARTED, "stop": State.STOPPED},
    State.STOPPED: {},
}
_KNOWN = frozenset(event for events in _NEXT.values() for event in events)


class TwilioStream:
    """One media stream: `receive` takes one text message; `media`, `mark` and `clear` build ours, once it has started.

    Parsing is one `orjson.loads`: a hand-written search for the payload saves 0.3 us of 1.2 and its checks.
    """

    def __init__(self) -> None:
        self._enter(State.NEW)
        self._stream_sid = ""
        self._media = self._mark = self._clear = b""

    def receive(self, text: bytes) -> Event:
        """The message as an event. Raises `TwilioError`."""
        message = _load(text)
        name = message.get("event")
        if name == "media" and self.state is State.STARTED and message.get("streamSid") == self._stream_sid:
            return _media(_object(message, "media"))  # nearly always
        if not isinstance(name, str):
            raise TwilioError(f"event must be a string, got {shown(name)}")
        following = self._legal.get(name)
        if following is None:
            if name not in _KNOWN:
                return Ignored()
            raise UnexpectedMessage(f"{name} is not legal now: the stream is {self.state.value}")
        event = self._parse(name, message)
        if following is not self.state:
            self._enter(following)
        return event

    def _enter(self, state: State) -> None:
        self.state, self._legal = state, _NEXT[state]

    def _parse(self, name: str, message: dict[str, Any]) -> Event:
        if name == "connected":
            return Connected()
        if name == "start":
            return self._start(_text(message, "streamSid"), _object(message, "start"))
        if message.get("streamSid") != self._stream_sid:
            got = shown(_text(message, "streamSid"), 70)
            raise TwilioError(f"streamSid must be that of start, got {got}")
        if name == "mark":
            return Mark(_text(_object(message, "mark"), "name"))
        return _dtmf(_object(message, "dtmf")) if name == "dtmf" else Stopped()

    def _start(self, stream_sid: str, start: dict[str, Any]) -> Started:
        if not _STREAM_SID.fullmatch(stream_sid):
            raise TwilioError(f"streamSid must be 1-64 letters and digits, got {shown(stream_sid, 70)}")
        media_format = _object(start, "mediaFormat")
        if media_format.get("encoding") != "audio/x-mulaw" or media_format.get("sampleRate") not in (8000, "8000"):
            got = f"{shown(media_format.get('encoding'))} at {shown(media_format.get('sampleRate'))}"
            raise UnsupportedMedia(f"mediaFormat must be audio/x-mulaw at 8000, got {got}")
        parameters = start.get("customParameters") or {}
        if not isinstance(parameters, dict):
            raise TwilioError(f"start.customParameters must be an object, got {shown(parameters)}")
        self._stream_sid, sid = stream_sid, stream_sid.encode()
        self._media = b'{"event":"media","streamSid":"' + sid + b'","media":{"payload":"%b"}}'
        self._mark = b'{"event":"mark","streamSid":"' + sid + b'","mark":{"name":%b}}'
        self._clear = b'{"event":"clear","streamSid":"' + sid + b'"}'
        if not all(isinstance(value, str | int | float) for value in parameters.values()):
            raise TwilioError("start.customParameters must hold texts")
        return Started(stream_sid, _text(start, "callSid"), {name: str(value) for name, value in parameters.items()})

    def media(self, payload: bytes) -> bytes:
        """Audio for the caller, 8 kHz mu-law of any length."""
        return self._media % b64encode(payload)

    def mark(self, name: str) -> bytes:
        return self._mark % orjson.dumps(name)

    def clear(self) -> bytes:
        return self._clear


def _load(text: bytes) -> dict[str, Any]:
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadJson(f"not JSON: {error}") from None
    if not isinstance(message, dict):
        raise BadJson(f"a message must be an object, got {type(message).__name__}")
    return message


def _text(source: dict[str, Any], name: str) -> str:
    value = source.get(name)
    if not isinstance(value, str):
        raise TwilioError(f"{name} must be a string, got {shown(value)}")
    return value


def _object(source: dict[str, Any], name: str) -> dict[str, Any]:
    value = source.get(name)
    if not isinstance(value, dict):
        raise TwilioError(f"{name} must be an object, got {shown(value)}")
    return value


def _media(media: dict[str, Any]) -> Media | Ignored:
    if media.get("track", "inbound") != "inbound":
        return Ignored()
    try:
        return Media(b64decode(_text(media, "payload"), validate=True))
    except ValueError as error:  # binascii.Error is one, and so is the complaint about characters beyond ASCII
        raise BadBase64(f"media.payload: {error}") from None


def _dtmf(dtmf: dict[str, Any]) -> Dtmf:
    digit = _text(dtmf, "digit")
    if digit not in _DIGITS:
        raise TwilioError("dtmf.digit must be one of 0-9 * # A-D")  # never repeated: it may be part of a PIN
    return Dtmf(digit)


class TwilioWire(WebSocketConnection):
    """The wire of one Twilio call: Twilio keeps time, echoes marks and flushes on `clear`.

    Closing the socket ends the stream; as nothing follows in our TwiML, it ends the call too.
    """

    format = MULAW_8K
    playout = PlayoutMode.REMOTE_BUFFERED
    always_sends = True
    stall_ms = 10_000.0  # whatever is silent for longer has little to say

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._stream = TwilioStream()

    def send_audio(self, payload: bytes) -> None:
        self.send_text(self._stream.media(payload))

    def send_mark(self, name: str) -> None:
        self.send_text(self._stream.mark(name))

    def send_clear(self) -> None:
        self.send_text(self._stream.clear())

    def on_text(self, payload: bytes) -> None:
        event = self._stream.receive(payload)
        if isinstance(event, Media):
            self.tell_audio(event.payload)
        elif isinstance(event, Mark):
            self.tell("on_mark", event.name)
        elif isinstance(event, Dtmf):
            self.tell_keys(event.digit)
        elif isinstance(event, Started):
            self._check_call(event)
            self.hand_over()
        elif isinstance(event, Stopped):
            self.end(CALLER_HUNG_UP)
            self.close(1000)

    def _check_call(self, start: Started) -> None:
        expected = self.context.provider_call_id
        if expected is not None and start.call_sid != expected:
            raise WrongCall("start.callSid is not the call that this context was opened for")
        if start.parameters.get("ctx", str(self.context.id)) != str(self.context.id):
            raise WrongCall("start.customParameters.ctx is not the context of this address")

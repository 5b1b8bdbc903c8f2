"""The carrier's half of Twilio Media Streams, without I/O: TwiML in, messages out, messages in.

Source: twilio.com/docs/voice/media-streams/websocket-messages and /docs/voice/twiml/stream.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import orjson

from actors.media.audio import FRAME_MS
from scripts.caller.errors import BrokenAnswer, CallRefused
from scripts.caller.playout import RemotePlayout


@dataclass(frozen=True, slots=True)
class StreamOrder:
    """What `<Connect><Stream>` tells the carrier to do."""

    url: str
    parameters: dict[str, str]


def parse_twiml(document: bytes) -> StreamOrder:
    """The stream that a TwiML answer asks for.

    Raises `CallRefused` where it rejects the call; `BrokenAnswer` says what Twilio would not take.
    """
    try:
        root = ElementTree.fromstring(document)
    except ElementTree.ParseError as error:
        raise BrokenAnswer(f"the webhook's answer is not TwiML: {error}") from None
    if (reject := root.find("./Reject")) is not None:
        raise CallRefused(f"the call was rejected: {reject.get('reason', 'rejected')}")
    stream = root.find("./Connect/Stream") if root.tag == "Response" else None
    if stream is None:
        raise BrokenAnswer("the webhook's answer holds no <Response><Connect><Stream>")
    url = stream.get("url", "")
    if not url.startswith(("ws://", "wss://")) or "?" in url:
        raise BrokenAnswer(f"<Stream url={url!r}> is not a ws(s) address without a query string")
    return StreamOrder(url, {p.get("name", ""): p.get("value", "") for p in stream.findall("Parameter")})


class TwilioCall:
    """One media stream as Twilio holds it: numbers its messages and plays what it is sent.

    `connected` and `start` open it, `media` goes out every 20 ms; `receive` takes the server's messages and returns
    those to send back; `play_frame` is called every 20 ms too.
    """

    def __init__(self, parameters: dict[str, str], call_sid: str | None = None) -> None:
        self.call_sid = call_sid or new_sid("CA")
        self.account_sid, self.stream_sid = new_sid("AC"), new_sid("MZ")
        self.playout = RemotePlayout()
        self.parameters = parameters
        self._sequence = self._chunk = 0

    def webhook_form(self, caller: str, callee: str) -> dict[str, str]:
        """The form fields that announce an inbound call."""
        return {
            "CallSid": self.call_sid,
            "AccountSid": self.account_sid,
            "From": caller,
            "To": callee,
            "Caller": caller,
            "Called": callee,
            "CallStatus": "ringing",
            "Direction": "inbound",
            "ApiVersion": "2010-04-01",
            "CallerCity": "",
        }

    def opening(self) -> list[str]:
        """`connected` and `start`."""
        start = {
            "accountSid": self.account_sid,
            "streamSid": self.stream_sid,
            "callSid": self.call_sid,
            "tracks": ["inbound"],
            "customParameters": self.parameters,
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        }
        return ['{"event":"connected","protocol":"Call","version":"1.0.0"}', self._message("start", start)]

    def media(self, mulaw: bytes) -> str:
        """The caller's next 20 ms."""
        self._chunk += 1
        payload = base64.b64encode(mulaw).decode()
        timestamp = str((self._chunk - 1) * FRAME_MS)
        return self._message(
            "media", {"track": "inbound", "chunk": str(self._chunk), "timestamp": timestamp, "payload": payload}
        )

    def dtmf(self, digit: str) -> str:
        return self._message("dtmf", {"track": "inbound_track", "digit": digit})

    def stop(self) -> str:
        return self._message("stop", {"accountSid": self.account_sid, "callSid": self.call_sid})

    def play_frame(self) -> tuple[bytes, list[str]]:
        """What the caller hears in the next 20 ms (mu-law), and the mark echoes to send."""
        mulaw, marks = self.playout.play_frame()
        return mulaw, [self._mark(name) for name in marks]

    def receive(self, text: str | bytes) -> list[str]:
        """Take one message of the server; raises `BrokenAnswer` for what Twilio warns about as 31951."""
        message = self._parse(text)
        match message["event"]:
            case "media":
                self.playout.media(_payload(message))
                return []
            case "mark":
                self.playout.mark(_field(message, "mark", "name"))
                return []
            case "clear":
                return [self._mark(name) for name in self.playout.clear()]
            case event:
                raise BrokenAnswer(f"unknown event {event!r}")

    def _parse(self, text: str | bytes) -> dict[str, Any]:
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise BrokenAnswer(f"a message is not JSON: {error}") from None
        if not isinstance(message, dict) or "event" not in message:
            raise BrokenAnswer("a message has no event")
        if message.get("streamSid") != self.stream_sid:
            raise BrokenAnswer(f"streamSid is {message.get('streamSid')!r}, not {self.stream_sid!r}")
        return message

    def _mark(self, name: str) -> str:
        return self._message("mark", {"name": name})

    def _message(self, event: str, body: dict[str, Any]) -> str:
        self._sequence += 1
        head = {"event": event, "sequenceNumber": str(self._sequence), "streamSid": self.stream_sid}
        return orjson.dumps({**head, event: body}).decode()


def new_sid(prefix: str) -> str:
    """`CA...`, `MZ...`: two letters and 32 hex digits."""
    return prefix + secrets.token_hex(16)


def _field(message: dict[str, Any], part: str, name: str) -> str:
    body = message.get(part)
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, str):
        raise BrokenAnswer(f"{part}.{name} is not a string: {value!r:.60}")
    return value


def _payload(message: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode(_field(message, "media", "payload"), validate=True)
    except binascii.Error as error:
        raise BrokenAnswer(f"media.payload is not base64: {error}") from None

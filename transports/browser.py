"""The wire of a browser, or of any other client that speaks RTVI over a WebSocket (`transports.rtvi`).

The audio of both directions is PCM at 16 kHz to the call. A client's microphone may have any rate, which is converted;
what we send has 16 kHz, which each frame says. The stock `@pipecat-ai/websocket-transport` does not look at it and
plays everything at 24 kHz: give it `playerSampleRate: 16000`, or ask for 24 kHz by `?rate=24000`.

We keep time. Silence is not sent: what a client has buffered against jitter can run dry in every pause, so that a
hiccup of the network does not delay the rest of the call.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import Any

from actors.budget import Bucket
from actors.call.events import (
    AssistantSays,
    AssistantStarted,
    AssistantStopped,
    AssistantWords,
    CallEnding,
    CallerWords,
    CallEvent,
    NotAnswered,
    TurnMeasured,
    VoiceEnded,
    VoiceStarted,
)
from actors.call.wire import PlayoutMode, WireEars
from actors.errors import Result, Termination
from actors.media.arrivals import BACKLOG_MS, REAL_TIME
from actors.media.audio import FRAME_MS, PCM_16K, AudioFormat, Encoding
from actors.media.resample import Converter
from config.errors import shown
from store.endings import in_words
from transports import rtvi, websocket
from transports.connection import CALLER_HUNG_UP
from transports.rtvi import Audio, Message, RtviError, UnsupportedAudio
from transports.upgrade import WebSocketConnection

PLAYER_RATES = (16000, 24000)
MAX_TEXT_CHARACTERS = 2000  # of one `send-text`
MAX_BUTTONS = 32  # of one `dtmf`
EARLY_MESSAGES = 100  # that wait for `bot-ready`; older ones are dropped
SILENT_FRAMES = 10  # so many are sent before a pause counts as one: words do not tear apart
_DIGITS = frozenset("0123456789*#ABCD")
_LEGAL_MAJORS = ("1", "2")  # of the client's protocol
_SILENCE = PCM_16K.silence(FRAME_MS)


class Refused(RtviError):
    """A message that we understand and do not take: its sender is told, and the call goes on."""

    code = "rtvi_refused"


class RtviWire(WebSocketConnection):
    """The wire of one browser. It is handed over at `client-ready`; `bot-ready` answers once the call has opened it.

    `player_rate` is the rate of the audio that we send, one of `PLAYER_RATES`.
    """

    format = PCM_16K
    playout = PlayoutMode.LOCALLY_PACED
    pings = True

    def __init__(self, *args: Any, player_rate: int = PCM_16K.rate, **options: Any) -> None:
        super().__init__(*args, **options)
        self._player_rate = player_rate
        self._to_player = Converter(PCM_16K, AudioFormat(Encoding.PCM, player_rate))
        self._mic_rate = 0
        self._mic = Bucket(REAL_TIME, BACKLOG_MS / 1000)  # seconds of audio
        self._from_mic: Converter
        self._silent_frames = SILENT_FRAMES
        self._ready_id: str | None = None
        self._waiting: deque[bytes] | None = deque(maxlen=EARLY_MESSAGES)  # until `bot-ready` was sent
        self._speaking = False
        self._last_word = ""

    # --- the wire --------------------------------------------------------------------------------------------

    def open(self, ears: WireEars) -> None:
        self._greet(self._ready_id or "")
        super().open(ears)

    def send_audio(self, payload: bytes) -> None:
        self._silent_frames = self._silent_frames + 1 if payload == _SILENCE else 0
        if self._silent_frames <= SILENT_FRAMES:
            self._send(rtvi.audio_frame(self._to_player.convert(payload), self._player_rate))

    def send_mark(self, name: str) -> None:
        """There are no marks: what was sent was heard."""

    def send_clear(self) -> None:
        """To stop sending is to be silent."""

    def close(self, code: int, reason: str = "") -> None:
        super().close(code, reason or self._last_word)

    # --- what the client sees (actors.call.events) -----------------------------------------------------------

    def observe(self, event: CallEvent) -> None:
        """Show the client what happens in its call."""
        match event:
            case VoiceStarted():
                self._tell_client("user-started-speaking")
            case VoiceEnded():
                self._tell_client("user-stopped-speaking")
            case CallerWords(text=text, final=final):
                words = {"text": text, "final": final, "user_id": "caller", "timestamp": _timestamp()}
                self._tell_client("user-transcription", words)
            case AssistantStarted():
                self._speaking = True
                self._tell_client("bot-started-speaking")
            case AssistantSays(text=text):
                self._tell_client("bot-tts-text", {"text": text})
            case AssistantStopped(interrupted=interrupted):
                self._stopped(interrupted)
            case AssistantWords(text=text, interrupted=interrupted):
                self._tell_client("bot-transcription", {"text": text, "interrupted": interrupted})
            case TurnMeasured() if event.name.endswith("_ms"):
                self._tell_client("metrics", _metrics(event))
            case NotAnswered(reason=reason):
                self._tell_client("error", {"error": reason, "fatal": False})
            case CallEnding(termination=termination):
                self._last_word = termination.reason
                self._tell_client("server-message", _ending(termination))
                if termination.result is not Result.SUCCESS:
                    self._tell_client("error", {"error": termination.reason, "fatal": True})

    def _stopped(self, interrupted: bool) -> None:
        if interrupted:  # also what was not audible yet: its text will not be spoken
            self._tell_client("server-message", {"type": "interrupted"})
        if self._speaking:
            self._speaking = False
            self._tell_client("bot-stopped-speaking")

    # --- what the client says --------------------------------------------------------------------------------

    def on_binary(self, payload: bytes) -> None:
        event = rtvi.receive(payload)
        if isinstance(event, Audio):
            self._on_audio(event)
        elif isinstance(event, Message):
            try:
                self._on_message(event)
            except Refused as error:
                self._tell_client("error-response", {"error": str(error)}, event.id)

    def _on_audio(self, audio: Audio) -> None:
        if not self._mic_rate:
            self._mic_rate = audio.rate
            self._from_mic = Converter(AudioFormat(Encoding.PCM, audio.rate), PCM_16K)
        if audio.rate != self._mic_rate:
            raise UnsupportedAudio(f"audio at {audio.rate} Hz in a call that began at {self._mic_rate}")
        if not self._mic.take(len(audio.payload) / 2 / audio.rate, self._heard_at):
            return  # nobody speaks faster than in real time
        if pcm := self._from_mic.convert(audio.payload):
            self.tell_audio(pcm)

    def _on_message(self, message: Message) -> None:
        match message.type:
            case "client-ready":
                self._on_ready(message)
            case "send-text":
                if not self.tell_text(_typed(message.data)):
                    raise Refused(f"a call takes {self.limits.texts_per_minute} texts a minute")
            case "dtmf":
                if not self.tell_keys(_buttons(message.data)):
                    raise Refused(f"a call takes {self.limits.keys_per_minute} keys a minute")
            case "disconnect-bot":
                self.end(CALLER_HUNG_UP)
                self.close(1000)
            case "client-message":
                raise Refused(f"no such request: {shown(message.data.get('t'))}")
            case other:
                raise Refused(f"messages of type {shown(other)} are not used here")

    def _on_ready(self, message: Message) -> None:
        again, self._ready_id = self._ready_id is not None, message.id
        version = message.data.get("version")
        if not isinstance(version, str) or version.partition(".")[0] not in _LEGAL_MAJORS:
            complaint = f"version must be {rtvi.PROTOCOL_VERSION} or compatible, got {shown(version, 20)}"
            self._tell_client("error-response", {"error": complaint}, message.id)
        if again and self._waiting is None:
            self._greet(message.id)
        else:
            self.hand_over()

    # --- inside ----------------------------------------------------------------------------------------------

    def _greet(self, identity: str) -> None:
        """Nothing is sent before this, as clients take it for the beginning: what there was to say waits."""
        about = {"version": rtvi.PROTOCOL_VERSION, "about": {"library": "callboard"}}
        self._send(rtvi.message_frame("bot-ready", about, identity))
        waiting, self._waiting = self._waiting or (), None
        for frame in waiting:
            self._send(frame)

    def _tell_client(self, kind: str, data: dict[str, Any] | None = None, identity: str = "") -> None:
        frame = rtvi.message_frame(kind, data, identity)
        if self._waiting is None:
            self._send(frame)
        else:
            self._waiting.append(frame)

    def _send(self, frame: bytes) -> None:
        self._write(websocket.frame(websocket.BINARY, frame))


def _typed(data: dict[str, Any]) -> str:
    content = data.get("content")
    text = content.strip() if isinstance(content, str) else ""
    if not 0 < len(text) <= MAX_TEXT_CHARACTERS:
        raise Refused(f"content must be a text of 1 to {MAX_TEXT_CHARACTERS} characters")
    return text


def _buttons(data: dict[str, Any]) -> list[str]:
    buttons = data.get("buttons")
    if not isinstance(buttons, list) or not 0 < len(buttons) <= MAX_BUTTONS:
        raise Refused(f"buttons must be a list of 1 to {MAX_BUTTONS} keys")
    if not all(isinstance(button, str) and button in _DIGITS for button in buttons):
        raise Refused("each button must be one of 0-9 * # A-D")  # never repeated: they may be a PIN
    return buttons


def _ending(termination: Termination) -> dict[str, Any]:
    """Why we hang up, as a page may show it. What went wrong inside is not the caller's business."""
    detail = termination.detail if termination.result is Result.SUCCESS else ""
    return {"type": "call-ending", "reason": termination.reason, "text": in_words(termination.reason, detail)}


def _metrics(event: TurnMeasured) -> dict[str, Any]:
    """One figure of a turn, in seconds as RTVI has it; `turn` is ours."""
    kind = "ttfb" if "first" in event.name else "processing"
    figure = {"processor": event.name.removesuffix("_ms"), "value": round(event.value / 1000, 4)}
    return {kind: [figure], "turn": event.turn}


def _timestamp() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")

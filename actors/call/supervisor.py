"""The supervisor of one call: starts its company, replaces who fails, and carries out what the conversation wants.

The decisions are elsewhere: `conversation.py` says what is to be said and who owes what, `actors/supervision.py` says
what happens when a child ends. This actor connects the two with the children.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from thespian.actors import ActorAddress, ActorExitRequest, ChildActorExited

from actors.call.conversation import Conversation
from actors.call.effects import (
    CancelTimer,
    Effect,
    End,
    Filled,
    Flawed,
    Measured,
    Role,
    Said,
    SetTimer,
    Speculated,
    To,
    Unasked,
)
from actors.call.events import CallEvent, event_of
from actors.call.floor import Floor
from actors.call.hearing import VAD_HANGOVER_MS
from actors.call.member import Dispatcher
from actors.call.recovery import MemberRecovery
from actors.call.responder import Responder
from actors.call.speaker import Speaker
from actors.call.transcriber import Transcriber
from actors.call.transport import Transport
from actors.errors import EngineNotStarted, ProviderCrashed, ProviderError, Remedy, Result, Termination
from actors.loop.local import Local
from actors.loop.timers import Timer
from actors.media.inbound import hearing_format
from actors.messages import (
    Acknowledge,
    AnswerDone,
    AnswerStarted,
    CallEnded,
    CancelAnswer,
    CancelSpeech,
    ChildFailed,
    Clause,
    CloseWire,
    Dtmf,
    HangUp,
    HearingResumed,
    HearingStalled,
    MemberReady,
    OpenResponder,
    OpenSpeaker,
    OpenTranscriber,
    OpenTransport,
    PlayoutDone,
    PlayoutDry,
    PlayoutStarted,
    PlayoutStopped,
    RouteAudio,
    SegmentSpoken,
    SpeechEnded,
    SpeechStarted,
    StartCall,
    TakeAudioFrom,
    TokensUsed,
    Transcript,
    TurnEnded,
    TurnEnding,
    TurnResumed,
    Typed,
    WireClosed,
)
from actors.providers.spec import Kind
from actors.services.breaker import breaker_key
from actors.services.shared import Services
from actors.supervision import ChildSpec, GiveUp, Leave, Restart, RestartType, Shutdown
from config.assistant import ProviderChoice
from store.records import ConversationEnd, EventRow, MessageRow, MetricRow

log = logging.getLogger(__name__)

COMPANY: tuple[ChildSpec, ...] = (
    ChildSpec("transport", Transport, RestartType.TEMPORARY, significant=True),
    ChildSpec("transcriber", Transcriber),
    ChildSpec("responder", Responder),
    ChildSpec("speaker", Speaker),
)
_KINDS: dict[str, Kind] = {"transcriber": "stt", "responder": "llm", "speaker": "tts"}
LAST_RESORT = ProviderChoice(provider="embedded")  # speaks the error message when every voice of the chain has failed
CLOSE_S = 2.0  # the longest that a hung-up wire may take to close

#: message -> (who may send it, what it is to the conversation)
_EVENTS: dict[type, tuple[Role, Callable[[Conversation, float, Any], None]]] = {
    SpeechStarted: ("transport", lambda c, now, m: c.voice_started(now, m.at_ms)),
    SpeechEnded: ("transport", lambda c, now, m: c.voice_ended(now, m.at_ms)),
    HearingStalled: ("transport", lambda c, now, m: c.hearing_stalled(now)),
    HearingResumed: ("transport", lambda c, now, m: c.hearing_resumed(now)),
    PlayoutStarted: ("transport", lambda c, now, m: c.playout_started(now, m.utterance)),
    PlayoutDone: ("transport", lambda c, now, m: c.playout_done(now, m.utterance)),
    PlayoutStopped: ("transport", lambda c, now, m: c.playout_stopped(now, m.utterance, m.heard_ms, m.flushed)),
    Dtmf: ("transport", lambda c, now, m: c.dtmf(now, m.digit)),
    Typed: ("transport", lambda c, now, m: c.typed(now, m.text)),
    Transcript: ("transcriber", lambda c, now, m: c.heard(now, m)),
    TurnEnded: ("transcriber", lambda c, now, m: c.turn_ended(now)),
    TurnEnding: ("transcriber", lambda c, now, m: c.turn_ending(now)),
    TurnResumed: ("transcriber", lambda c, now, m: c.turn_resumed(now)),
    AnswerStarted: ("responder", lambda c, now, m: c.answered(now, m)),
    Clause: ("responder", lambda c, now, m: c.answered(now, m)),
    AnswerDone: ("responder", lambda c, now, m: c.answered(now, m)),
    TokensUsed: ("responder", lambda c, now, m: c.questions.spending.used(m.count)),
    SegmentSpoken: ("speaker", lambda c, now, m: c.spoken(now, m)),
}


@dataclass(frozen=True, slots=True)
class TimerFired:
    """Call -> itself: a timer of the conversation is due."""

    name: str


@dataclass(frozen=True, slots=True)
class RestartDue:
    """Call -> itself: the back-off of this member is over."""

    role: Role
    without: str


class Call(Dispatcher):
    """One call. Its first message is `StartCall`; it exits when the wire is closed."""

    role = "call"

    def __init__(self) -> None:
        super().__init__()
        self.conversation: Conversation
        self._start: StartCall
        self._services: Services
        self._switchboard: ActorAddress
        self._members: dict[str, ActorAddress] = {}
        self._specs = {spec.role: spec for spec in COMPANY}
        self._chains: dict[str, tuple[ProviderChoice, ...]] = {}
        self._recoveries: dict[str, MemberRecovery] = {}
        self._opened: set[str] = set()  # roles of the members whose sessions have opened
        self._timers: dict[str, Timer] = {}
        self._termination: Termination | None = None
        self._observe: Callable[[CallEvent], None] | None = None
        self._finished = False

    # --- messages -------------------------------------------------------------------------------------------------

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:
        try:
            event = _EVENTS.get(type(message))
            if event is None:
                super().receiveMessage(message, sender)
            elif self._members.get(event[0]) == sender:  # what a replaced member still says does not count
                self._show(message)
                self._recoveries[event[0]].worked()
                event[1](self.conversation, time.monotonic(), message)
                self._carry_out()
        except Exception as error:
            log.exception("call failed on %s", type(message).__name__)
            self._finish(Termination(Result.SERVER_ERROR, "internal_error", type(error).__name__))

    def receiveMsg_StartCall(self, message: StartCall, sender: ActorAddress) -> None:
        self._start, self._services, self._switchboard = message, message.services.value, sender
        self._observe = getattr(message.wire.value, "observe", None)
        self._services.metrics.call_started(message.context.provider)
        assistant = message.assistant
        self.conversation = Conversation(assistant, self._services.limits)
        self._chains = {"transcriber": assistant.stt, "responder": assistant.llm, "speaker": assistant.tts}
        for spec in COMPANY:
            self._recoveries[spec.role] = self._recovery(spec)
            self._begin(spec.role)
        self._record("answered", provider=message.wire.value.provider)
        self.conversation.started(time.monotonic())
        self._carry_out()

    def receiveMsg_HangUp(self, message: HangUp, sender: ActorAddress) -> None:
        last_words = self._start.assistant.goodbye_message if message.last_words else ""
        self.conversation.hang_up(
            time.monotonic(), Termination(Result.SUCCESS, message.reason, message.detail), last_words
        )
        self._carry_out()

    def receiveMsg_TimerFired(self, message: TimerFired, sender: ActorAddress) -> None:
        self._timers.pop(message.name, None)
        if message.name == "close" and self._termination:
            self._finish(self._termination)
        else:
            self.conversation.timer(time.monotonic(), message.name)
            self._carry_out()

    def receiveMsg_PlayoutDry(self, message: PlayoutDry, sender: ActorAddress) -> None:
        self._record("playout_dry", utterance=message.utterance)
        self.conversation.playout_dry(time.monotonic(), message.utterance)
        self._carry_out()

    def receiveMsg_WireClosed(self, message: WireClosed, sender: ActorAddress) -> None:
        if self._members.get("transport") == sender:
            self.conversation.wire_closed(time.monotonic())
            self._carry_out()
            self._finish(self._termination or message.termination)

    def receiveMsg_ActorExitRequest(self, message: ActorExitRequest, sender: ActorAddress) -> None:
        self._finish(self._termination or Termination(Result.SERVER_ERROR, "shutdown"))

    @property
    def call(self) -> str:
        """The context's id: how operators name the call."""
        return str(self._start.context.id)

    def inspect(self) -> dict[str, Any]:
        """What operators see of it: no word of what was said, no number of who called."""
        context, wire = self._start.context, self._start.wire.value
        return {
            "call": self.call,
            "conversation": context.conversation_id,
            "assistant": f"{self._start.assistant.name} v{context.assistant_version}",
            "carrier": context.provider,
            "wire": {"encoding": wire.format.encoding.value, "rate": wire.format.rate, "playout": wire.playout.value},
            "members": {role: self._member_state(role) for role in self._specs},
            "timers": sorted(self._timers),
            **self.conversation.inspect(),
        }

    def _member_state(self, role: str) -> dict[str, Any]:
        restarts = self._recoveries[role].restarts
        return {"alive": role in self._members, "provider": self._provider(role), "restarts": restarts}

    def _provider(self, role: str) -> str:
        chain = self._chains.get(role)
        return chain[self._recoveries[role].provider].provider if chain else self._start.context.provider

    # --- supervision ----------------------------------------------------------------------------------------------

    def receiveMsg_ChildFailed(self, message: ChildFailed, sender: ActorAddress) -> None:
        if self._members.get(message.role) == sender:
            error = message.error  # in which a provider may repeat the question
            self._ended(message.role, error.saying(self.conversation.history.hide_keys(error.detail)), message.work)

    def receiveMsg_ChildActorExited(self, message: ChildActorExited, sender: ActorAddress) -> None:
        for role, address in list(self._members.items()):
            if address == message.childAddress:
                self._ended(role, ProviderCrashed(role, "exited"))

    def receiveMsg_MemberReady(self, message: MemberReady, sender: ActorAddress) -> None:
        role: Any = message.role
        if self._members.get(role) == sender:
            self._opened.add(role)
            self._services.breakers.opened(self._breaker(role, self._recoveries[role].provider))
            if not self.conversation.work(role):
                self._recoveries[role].is_there()  # nothing was asked of it: to be there is all it can do
            self.conversation.ready(time.monotonic(), role)
            self._carry_out()

    def receiveMsg_RestartDue(self, message: RestartDue, sender: ActorAddress) -> None:
        if not self._finished and message.role not in self._members and self.conversation.needs(message.role):
            self._restart(message.role, message.without)

    def _ended(self, role: Any, error: ProviderError, work: str = "") -> None:
        """A member has failed, stalled or exited: do as its recovery says."""
        del self._members[role]
        if self._finished:
            return
        self._services.metrics.member_failed(role, self._provider(role), error.code)
        if role in self._chains:
            key = self._breaker(role, self._recoveries[role].provider)
            self._services.breakers.failed(key, error, role in self._opened)
        now = time.monotonic()
        work = work or self.conversation.work(role)
        decision = self._recoveries[role].ended(now, error, work)
        log.warning("call %s: %s ended (%s): %s", self._start.context.id, role, error, type(decision).__name__)
        self._record("member_failed", role=role, code=error.code, detail=str(error), then=type(decision).__name__)
        match decision:
            case Restart(delay_s=delay_s, with_work=with_work):
                self.conversation.lost(now, role, error.remedy is Remedy.REFUSED)
                if role == "transcriber":
                    self._send("transport", RouteAudio(None))  # it is kept there meanwhile
                self._restart_in(max(delay_s, self._services.replacements.take()), role, "" if with_work else work)
            case GiveUp():
                self._give_up(role, error)
            case Shutdown():
                self._finish(Termination(Result.SERVER_ERROR, "transport_failed", str(error)))
            case Leave():
                pass

    def _restart_in(self, delay_s: float, role: Role, without: str) -> None:
        if delay_s:
            self.call_later(delay_s, RestartDue(role, without))
        elif self.conversation.needs(role):
            self._restart(role, without)

    def _restart(self, role: Role, without: str) -> None:
        if role == "transcriber" and without:
            self._send("transport", Acknowledge(float("inf")))
        self._begin(role)
        self._services.metrics.member_restarted(role)
        self.conversation.replaced(time.monotonic(), role, without)
        self._carry_out()

    def _give_up(self, role: Role, error: ProviderError) -> None:
        voice = role != "speaker"
        if not voice and LAST_RESORT not in self._chains[role] and not isinstance(error, EngineNotStarted):
            voice = True
            self._chains[role] = (LAST_RESORT,)
            self._recoveries[role] = self._recovery(self._specs[role])
            self._begin(role)
            if self.conversation.floor is Floor.ENDING:  # it says the last words that the other could not
                self.conversation.replaced(time.monotonic(), role)
                self._carry_out()
                return
        self.conversation.exhausted(time.monotonic(), role, str(error), voice)
        self._carry_out()

    def _begin(self, role: str) -> None:
        """Create the member, tell it what to be, and connect it with the transport."""
        self._opened.discard(role)
        if role in self._chains:
            allows = self._services.breakers.allows
            self._recoveries[role].avoid(lambda provider: allows(self._breaker(role, provider)))
        member = self.createActor(self._specs[role].actor)
        self._members[role] = member
        self.send(member, self._opening(role))
        if role == "transcriber":
            self._send("transport", RouteAudio(member))
        elif role == "speaker":
            self._send("transport", TakeAudioFrom(member))

    def _opening(self, role: str) -> Any:
        assistant, wire, services = self._start.assistant, self._start.wire.value, self._start.services
        if role == "transport":
            # how long a silence ends a turn is the conversation's business: the VAD reports at once
            endpointing = assistant.endpointing.model_copy(update={"silence_ms": VAD_HANGOVER_MS})
            return OpenTransport(self._start.wire, Local(self._services.clock), endpointing, assistant.echo)
        choice = self._chains[role][self._recoveries[role].provider]
        if role == "transcriber":
            heard = hearing_format(wire.format), assistant.language, self._services.registry.phrases(assistant)
            transcript_ms = assistant.endpointing.transcript_timeout_ms
            return OpenTranscriber(choice, *heard, transcript_ms, assistant.stalls, services)
        if role == "responder":
            return OpenResponder(choice, assistant.language, assistant.speech, assistant.stalls, services)
        transport = self._members["transport"]
        spoken = assistant.language, assistant.speech
        return OpenSpeaker(choice, wire.format, *spoken, transport, assistant.stalls, services)

    def _breaker(self, role: str, provider: int) -> str:
        """The key of the breaker of a provider, by its number in the role's chain."""
        return breaker_key(_KINDS[role], self._chains[role][provider], self._services.registry)

    def _recovery(self, spec: ChildSpec) -> MemberRecovery:
        return MemberRecovery(spec, len(self._chains.get(spec.role, ())), self._start.assistant.stalls.outage_s)

    # --- effects --------------------------------------------------------------------------------------------------

    def _carry_out(self) -> None:
        for effect in self.conversation.take_effects():
            self._show(effect)
            self._do(effect)

    def _show(self, happening: object) -> None:
        """To a wire whose other end wants to see what happens: a page, not a telephone."""
        if self._observe is not None and (event := event_of(happening)) is not None:
            self._observe(event)

    def _do(self, effect: Effect) -> None:
        match effect:
            case To(role=role, message=message):
                if isinstance(message, CancelAnswer | CancelSpeech) and role in self._opened:
                    self._recoveries[role].is_there()  # nothing is asked of it any more: what it failed at is over
                self._send(role, message)
            case SetTimer(name=name, delay_s=delay_s):
                self._set_timer(name, delay_s)
            case CancelTimer(name=name):
                self._cancel_timer(name)
            case Said(role=role, turn=turn, text=text, interrupted=interrupted, began_s=began_s):
                at = _utc_now()
                began_at = at - timedelta(seconds=max(0.0, time.monotonic() - began_s))
                self._write(MessageRow(self._conversation_id, turn, role, text, at, interrupted, began_at))
            case Measured(name=name, turn=turn, value=value):
                self._services.metrics.turn_measured(name, value)
                self._write(MetricRow(self._conversation_id, turn, name, value, _utc_now()))
            case Speculated(kept=kept):
                self._services.metrics.answer_speculated(kept)
            case Filled(turn=turn):
                self._record("filler", turn=turn)
            case Flawed(turn=turn, reason=reason):
                self._record("answer_flawed", turn=turn, reason=reason)
            case Unasked(reason=reason):
                self._record("question_refused", reason=reason)
            case End(termination=termination):
                self._hang_up(termination)

    def _send(self, role: str, message: Any) -> None:
        if (member := self._members.get(role)) is not None:
            self.send(member, message)

    def _set_timer(self, name: str, delay_s: float) -> None:
        self._cancel_timer(name)
        self._timers[name] = self.call_later(delay_s, TimerFired(name))

    def _cancel_timer(self, name: str) -> None:
        if (timer := self._timers.pop(name, None)) is not None:
            timer.cancel()

    # --- the end --------------------------------------------------------------------------------------------------

    def _hang_up(self, termination: Termination) -> None:
        """The wire closes, and `WireClosed` ends the call; a wire that does not close is left behind."""
        self._termination = termination
        self._send("transport", CloseWire())
        self._set_timer("close", CLOSE_S)

    def _finish(self, termination: Termination) -> None:
        if self._finished:
            return
        self._finished = True
        end = ConversationEnd(
            self._conversation_id, termination.result.value, termination.reason, termination.detail, _utc_now()
        )
        self._write(end)
        self._services.metrics.call_ended(self._start.context.provider, end.result, end.reason)
        self.send(self._switchboard, CallEnded(self._start.context.id, termination))
        self.send(self.myAddress, ActorExitRequest())

    # --- the ledger -----------------------------------------------------------------------------------------------

    @property
    def _conversation_id(self) -> int:
        return self._start.context.conversation_id

    def _record(self, name: str, **data: Any) -> None:
        self._write(EventRow(self._conversation_id, name, _utc_now(), data))

    def _write(self, row: Any) -> None:
        self.send(self._services.ledger, row)


def _utc_now() -> datetime:
    return datetime.now(UTC)

"""Places one simulated call: dials, speaks and listens every 20 ms, reads the server's record of it beside."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from actors.media.audio import FRAME_MS
from scripts.caller.audiosocket_line import AudioSocketLine
from scripts.caller.browser_line import BrowserLine
from scripts.caller.dialogue import Action, Dialogue, HangUp, Press, Say, TurnEnded
from scripts.caller.ear import is_audible
from scripts.caller.errors import BrokenAnswer, CallRefused, ServerUnreachable
from scripts.caller.line import Line
from scripts.caller.plan import (
    CallerSays,
    CallPlan,
    CallReport,
    Connected,
    MessageSeen,
    NotFollowed,
    Observer,
    Sentence,
    TurnOver,
    TurnReport,
    Via,
    ignore,
)
from scripts.caller.recorder import Recorder
from scripts.caller.sentences import frames
from scripts.caller.server import Server
from scripts.caller.telephone import Telephone
from scripts.caller.twilio_line import TwilioLine

FOLLOW_S = 0.15
LAST_WORDS_S = 2.0  # for the server to write down the end of the conversation
_DIAL: dict[Via, Callable[[CallPlan, Server], Awaitable[Line]]] = {
    "twilio": TwilioLine.dial,
    "audiosocket": AudioSocketLine.dial,
    "browser": BrowserLine.dial,
}


async def place_call(plan: CallPlan, observe: Observer = ignore) -> CallReport:
    """Hold the planned call and report on it; `observe` gets what happens while it happens.

    Raises `ServerUnreachable` and `CallRefused` if there is no call, and `BrokenAnswer` if the server breaks the
    carrier's protocol. A call that the assistant ends early is a report with unanswered turns.
    """
    server = Server(plan.to, plan.key)
    try:
        line = await _DIAL[plan.via](plan, server)
        observe(Connected(line.context_id))
        talk = _Talk(plan, line, observe)
        follower = asyncio.create_task(_follow(server, line.context_id, observe, talk.over)) if plan.follow else None
        try:
            await talk.hold()
        finally:
            await line.hang_up()
            talk.over.set()
            conversation = await follower if follower else None
        if line.failure:
            raise line.failure
        return talk.report(conversation)
    finally:
        server.close()


class _Talk:
    """One call while it lasts."""

    def __init__(self, plan: CallPlan, line: Line, observe: Observer) -> None:
        self._plan, self._line, self._observe = plan, line, observe
        self._dialogue = Dialogue(
            plan.turns, plan.answer_wait_s, plan.silence_s, barge_in=plan.barge_in, dtmf=plan.dtmf
        )
        self._recorder = Recorder(plan.record) if plan.record else None
        self._telephone = Telephone()
        self._voice: Iterator[bytes] = iter(())
        self._turns: list[TurnReport] = []
        self._hung_up = False
        self._now_s = 0.0
        self.over = asyncio.Event()

    async def hold(self) -> None:
        """Until one side hangs up."""
        try:
            await self._tick_on()
        finally:
            if self._recorder:
                self._recorder.close()
        if not self._hung_up:
            self._act(self._dialogue.closed())

    async def _tick_on(self) -> None:
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        for number in itertools.count():
            await asyncio.sleep(max(0.0, start_s + number * FRAME_MS / 1000 - loop.time()))
            if self._line.over.is_set() or self._hung_up:
                return
            self._now_s = loop.time() - start_s
            self._tick()

    def _tick(self) -> None:
        voice = next(self._voice, None)
        sent = self._telephone.carry(voice)
        self._line.speak(sent)
        heard = self._line.listen()
        if self._recorder:
            self._recorder.add(sent, heard)
        self._act(self._dialogue.step(self._now_s, audible=is_audible(heard), speaking=voice is not None))

    def _act(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Say(turn, interrupting):
                    sentence = self._sentence(turn)
                    self._voice = frames(sentence.pcm)
                    self._observe(CallerSays(turn, sentence.text, interrupting))
                case Press(digit):
                    self._line.press(digit)
                case TurnEnded(turn, latency_ms):
                    report = TurnReport(turn, self._sentence(turn).text, latency_ms)
                    self._turns.append(report)
                    self._observe(TurnOver(report))
                case HangUp():
                    self._hung_up = True

    def _sentence(self, turn: int) -> Sentence:
        return self._plan.sentences[(turn - 1) % len(self._plan.sentences)]

    def report(self, conversation: dict[str, Any] | None) -> CallReport:
        return CallReport(
            context_id=self._line.context_id,
            via=self._plan.via,
            greeting_ms=self._dialogue.greeting_ms,
            turns=tuple(self._turns),
            barge_in_ms=self._dialogue.barge_in_ms,
            voice=self._plan.sentences[0].voice,
            ended_by="caller" if self._hung_up else "assistant",
            duration_s=round(self._now_s, 2),
            audio=self._line.audio(),
            conversation=conversation,
        )


async def _follow(server: Server, context_id: str, observe: Observer, over: asyncio.Event) -> dict[str, Any] | None:
    """Read the conversation's record until it has an end; returns its last state."""
    seen = 0
    record: dict[str, Any] | None = None
    rounds_left = round(LAST_WORDS_S / FOLLOW_S)
    while rounds_left and not (record and record.get("termination")):
        rounds_left -= over.is_set()
        try:
            record = await server.conversation(context_id)
        except (CallRefused, ServerUnreachable, BrokenAnswer) as error:
            observe(NotFollowed(str(error)))
            return record
        messages = record["messages"]
        for message in messages[seen:]:
            observe(MessageSeen(message["role"], message["text"], bool(message.get("interrupted"))))
        seen = len(messages)
        await asyncio.sleep(FOLLOW_S)
    return record

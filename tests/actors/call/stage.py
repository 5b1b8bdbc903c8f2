"""A stage for conversations in virtual time: no actors, no audio, no clock."""

from __future__ import annotations

from typing import Any

from actors.call.conversation import Conversation
from actors.call.effects import CancelTimer, End, Said, SetTimer, To
from actors.call.floor import Floor
from actors.messages import AnswerDone, AnswerStarted, Ask, Clause, FlushPlayout, SegmentSpoken, Transcript
from actors.providers.spec import Word
from config.assistant import AssistantConfig


def assistant(**changes: Any) -> AssistantConfig:
    fields = {"name": "test", "greeting": "Hello there.", "stt": "fake", "llm": "fake", "tts": "fake", **changes}
    return AssistantConfig.model_validate(fields)


class Stage:
    """Runs a conversation: feeds inputs with a virtual clock, keeps effects, fires timers when time passes."""

    def __init__(self, **changes: Any) -> None:
        self.conversation = Conversation(assistant(**changes))
        self.now = 100.0
        self.effects: list[Any] = []
        self.timers: dict[str, float] = {}
        self.heard_on_flush: float | None = None  # the transport answers each flush with this
        self.do("started")

    def do(self, name: str, *args: Any, **kwargs: Any) -> list[Any]:
        getattr(self.conversation, name)(self.now, *args, **kwargs)
        new = self.conversation.take_effects()
        for effect in new:
            if isinstance(effect, SetTimer):
                self.timers[effect.name] = self.now + effect.delay_s
            elif isinstance(effect, CancelTimer):
                self.timers.pop(effect.name, None)
        self.effects += new
        if self.heard_on_flush is not None:
            for flush in self.sent(FlushPlayout, new):
                new += self.do("playout_stopped", flush.utterance, self.heard_on_flush, True)
        return new

    def wait(self, seconds: float) -> list[Any]:
        """Let time pass, with the timers that fall due."""
        new, end = [], self.now + seconds
        while due := [(at, name) for name, at in self.timers.items() if at <= end]:
            self.now, name = min(due)
            del self.timers[name]
            new += self.do("timer", name)
        self.now = end
        return new

    def sent(self, kind: type, effects: list[Any] | None = None) -> list[Any]:
        chosen = self.effects if effects is None else effects
        return [e.message for e in chosen if isinstance(e, To) and isinstance(e.message, kind)]

    def said(self) -> list[tuple[str, str, bool]]:
        return [(e.role, e.text, e.interrupted) for e in self.effects if isinstance(e, Said)]

    def ends(self) -> list[str]:
        return [e.termination.reason for e in self.effects if isinstance(e, End)]

    @property
    def floor(self) -> Floor:
        return self.conversation.floor

    def speak_out(self) -> None:
        """The speaker delivers everything of the current utterance and the caller hears it all."""
        utterance = self.deliver()
        self.do("playout_started", utterance)
        self.do("playout_done", utterance)

    def deliver(self, each_ms: float = 200.0) -> int:
        utterance = self.conversation.delivery.utterance
        assert utterance is not None
        for segment in [s for s in utterance.segments if not s.done]:
            words = tuple(Word(w, i * each_ms, (i + 1) * each_ms) for i, w in enumerate(segment.text.split()))
            self.do("spoken", SegmentSpoken(utterance.number, segment.number, len(words) * each_ms, words))
            self.do("spoken", SegmentSpoken(utterance.number, segment.number, 0.0, done=True))
        return utterance.number

    def caller_says(self, text: str, voice_ms: float = 1000.0) -> list[Any]:
        """Voice, silence, and the transcriber's answer to our question for a transcript."""
        start = self.now * 1000
        self.do("voice_started", start)
        self.wait(voice_ms / 1000)
        self.wait(0.1)
        new = self.do("voice_ended", start + voice_ms)
        new += self.wait(0.4)
        if text:
            new += self.do("heard", Transcript(text, True, start + voice_ms))
        return new + self.do("turn_ended")

    def answer(self, *clauses: str, hang_up: bool = False, done: bool = True) -> None:
        turn = self.sent(Ask)[-1].question.turn
        self.do("answered", AnswerStarted(turn))
        for clause in clauses:
            self.do("answered", Clause(turn, clause))
        if done:
            self.do("answered", AnswerDone(turn, hang_up))

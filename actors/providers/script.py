"""The `script` language model: answers from a list of intents, needs no account, and is the same each time.

What it answers is a function of the history alone (the caller's lines are gone through from the first), so a session
that replaces another mid-call knows as much. Its sentences are also what the embedded recognizer listens for.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from actors.providers.grammar import MAX_SENTENCES, Sentence, expand, fill, normalise, slot_names
from actors.providers.script_problems import LAST_REPLY, script_problems
from actors.providers.script_sample import sample_call
from actors.providers.spec import Answered, ChatMessage, Emit, LlmSession, Options, ProviderSpec, Question, Token, Use
from config.assistant import Model, Spoken, Words
from config.options import OneOrMany
from config.problems import Problem

MATCH = 0.3  # shared words / all words of two sentences; below this they do not mean the same
EXPECTED = 0.25  # what it counts to be named in the `next` of the intent before


Pattern = Annotated[str, Field(max_length=1000)]
Sentences = Annotated[tuple[Pattern, ...], Field(min_length=1, max_length=MAX_SENTENCES), OneOrMany()]


class Intent(Model):
    """Something that a caller may want: how it is said, what is answered."""

    name: str = Field(min_length=1, max_length=200, description="what others call it in `next`", examples=["hours"])
    slots: dict[str, Sentences] = Field(
        {}, description="values that may stand for {name} in `say`", examples=["{day: [Monday, Friday]}"]
    )
    say: Sentences = Field(
        description="how a caller says it; {slot} stands for each of its values", examples=["when are you open"]
    )
    reply: Spoken = Field(
        description="answers, in rotation; {slot} is what was heard last, {last_reply} our last answer",
        examples=["On {day} from nine to five."],
    )
    next: Words = Field((), description="intents to prefer for what the caller says next", examples=["[confirm]"])
    hang_up: bool = Field(False, description="the call is over once the answer was heard")

    @cached_property
    def sentences(self) -> tuple[Sentence, ...]:
        """All that `say` stands for. Raises `ValueError` for what `problems` tells in detail."""
        return tuple(sentence for pattern in self.say for sentence in expand(pattern, self.slots))


class ScriptOptions(Options):
    """What the assistant's YAML says beside `provider: script`."""

    intents: tuple[Intent, ...] = Field(min_length=1, max_length=MAX_SENTENCES, description="what callers may want")
    sorry: Spoken = Field(("Sorry, I did not get that.",), description="said in rotation when nothing fits")
    tokens_per_s: float = Field(0, ge=0, le=10_000, description="pace of the answer's words; 0: at once")

    @cached_property
    def phrases(self) -> tuple[str, ...]:
        """Everything that can be understood, for the recognizer."""
        return tuple(dict.fromkeys(sentence.text for intent in self.intents for sentence in intent.sentences))

    @cached_property
    def sample_call(self) -> tuple[str, ...]:
        """What a simulated caller may say, one sentence a turn."""
        return sample_call(self.intents)

    def problems(self, use: Use) -> Iterator[Problem]:
        return script_problems(self.intents, self.sorry)


SPECS = (
    ProviderSpec(
        name="script",
        kind="llm",
        summary="Answers listed sentences from the assistant's file; no account, no network",
        options=ScriptOptions,
        session="actors.providers.script:ScriptSession",
        local=True,
    ),
)


class Reply(NamedTuple):
    """An answer, and whether it is the last."""

    text: str
    hang_up: bool


@dataclass(slots=True)
class _Memory:
    """Where the conversation stands."""

    last_reply: str | None
    slots: dict[str, str] = field(default_factory=dict)
    expected: tuple[str, ...] = ()
    uses: Counter[str | None] = field(default_factory=Counter)  # by intent; None counts the sorries


class Script:
    """Finds the answer to a conversation; knows nothing of time or sessions."""

    def __init__(self, options: ScriptOptions) -> None:
        self._sorry = options.sorry
        self._known = [(intent, s, frozenset(s.text.split())) for intent in options.intents for s in intent.sentences]
        self._matches: dict[tuple[str, tuple[str, ...]], tuple[Intent, Sentence] | None] = {}

    def answer(self, history: Sequence[ChatMessage]) -> Reply:
        """What to say after the last line of `history`."""
        memory = _Memory(last_reply=next((m.text for m in history if m.role == "assistant"), None))
        reply = Reply(self._sorry[0], False)
        for message in history:
            if message.role == "user":
                reply = self._reply(message.text, memory)
        return reply

    def _reply(self, text: str, memory: _Memory) -> Reply:
        match = self._match(normalise(text), memory.expected)
        if match is None:
            return self._apologise(memory)
        intent, sentence = match
        memory.slots.update(sentence.slots)
        template = _rotated(intent.reply, memory, intent.name)
        values = memory.slots if memory.last_reply is None else {**memory.slots, LAST_REPLY: memory.last_reply}
        said = fill(template, values)
        if said is None:
            return self._apologise(memory)
        if LAST_REPLY not in slot_names(template):  # a repetition leaves the conversation where it was
            memory.last_reply, memory.expected = said, intent.next
        return Reply(said, intent.hang_up)

    def _apologise(self, memory: _Memory) -> Reply:
        return Reply(_rotated(self._sorry, memory, None), False)

    def _match(self, text: str, expected: tuple[str, ...]) -> tuple[Intent, Sentence] | None:
        key = (text, expected)
        if key not in self._matches:
            self._matches[key] = self._best(frozenset(text.split()), expected)
        return self._matches[key]

    def _best(self, words: frozenset[str], expected: tuple[str, ...]) -> tuple[Intent, Sentence] | None:
        best, best_score = None, 0.0
        for intent, sentence, known in self._known:
            overlap = len(words & known) / len(words | known)
            score = overlap + EXPECTED * (intent.name in expected)
            if overlap > MATCH and score > best_score:
                best, best_score = (intent, sentence), score
        return best


def _rotated(texts: tuple[str, ...], memory: _Memory, name: str | None) -> str:
    memory.uses[name] += 1
    return texts[(memory.uses[name] - 1) % len(texts)]


class ScriptSession(LlmSession):
    """Says the script's answer word by word."""

    def __init__(self, options: Any, emit: Emit) -> None:
        super().__init__(options, emit)
        self._script = Script(options)
        self._left: list[Token | Answered] = []
        self._timer: asyncio.Handle | None = None

    def ask(self, question: Question) -> None:
        self.cancel()
        reply = self._script.answer(question.history)
        tokens = [Token(question.turn, text) for text in re.findall(r"\S+\s*", reply.text)]
        self._left = [*tokens, Answered(question.turn, reply.hang_up)]
        self._timer = asyncio.get_running_loop().call_soon(self._say)

    def cancel(self) -> None:
        self._left = []
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        self.cancel()

    def _say(self) -> None:
        while self._left:  # `emit` may cancel
            self.emit(self._left.pop(0))
            if self._left and self.options.tokens_per_s:
                self._timer = asyncio.get_running_loop().call_later(1 / self.options.tokens_per_s, self._say)
                return

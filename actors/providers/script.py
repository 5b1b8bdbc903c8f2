"""The `script` language model: answers from a list of intents, needs no account, and is the same each time.

What it answers is a function of the history alone (the caller's lines are gone through from the first), so a session
that replaces another mid-call knows as much. Its sentences are also what a recognizer with a grammar listens for.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field

from actors.providers.dialogue import Script
from actors.providers.grammar import MAX_SENTENCES, Sentence, expand, slot_names
from actors.providers.meaning import Meaning
from actors.providers.script_problems import script_problems
from actors.providers.script_sample import sample_call
from actors.providers.sentence_vectors import sentence_vectors
from actors.providers.spec import Answered, Emit, LlmSession, Options, ProviderSpec, Question, Token, Use
from actors.providers.spoken_values import FoundKind
from config.assistant import Model, Said, Spoken, Words
from config.options import OneOrMany
from config.problems import Problem

__all__ = ["Intent", "Script", "ScriptOptions", "ScriptSession"]

Pattern = Annotated[str, Field(max_length=1000)]
Sentences = Annotated[tuple[Pattern, ...], Field(min_length=1, max_length=MAX_SENTENCES), OneOrMany()]


class Intent(Model):
    """Something that a caller may want: how it is said, what is answered."""

    name: str = Field(min_length=1, max_length=200, description="what others call it in `next`", examples=["hours"])
    slots: dict[str, Sentences] = Field(
        {}, description="values that may stand for {name} in `say`", examples=["{day: [Monday, Friday]}"]
    )
    finds: dict[str, FoundKind] = Field(
        {}, description="slots found in what was said: number, digits, time or date", examples=["{party: number}"]
    )
    say: Sentences = Field(
        description="how a caller may say it; {slot} stands for each of its values", examples=["when are you open"]
    )
    also: Words = Field(
        (),
        max_length=MAX_SENTENCES,
        description="more ways to say it, which a recognizer with a grammar need not hear",
        examples=["[until when can I come]"],
    )
    reply: Spoken = Field(
        description="answers, in rotation; {slot} is what was heard last, {last_reply} our last answer",
        examples=["On {day} from nine to five."],
    )
    ask: dict[str, Said] = Field(
        {}, description="asked when `reply` needs a slot that was not said", examples=['{day: "For which day?"}']
    )
    next: Words = Field((), description="intents to prefer for what the caller says next", examples=["[confirm]"])
    hang_up: bool = Field(False, description="the call is over once the answer was heard")

    @cached_property
    def patterns(self) -> tuple[str, ...]:
        """All that it is understood by."""
        return (*self.say, *self.also)

    @cached_property
    def sentences(self) -> tuple[Sentence, ...]:
        """All that `say` lists: not what `finds` fills. Raises `ValueError` for what `problems` tells in detail."""
        listed = [pattern for pattern in self.say if not self.finds.keys() & set(slot_names(pattern))]
        return tuple(sentence for pattern in listed for sentence in expand(pattern, self.slots))


class ScriptOptions(Options):
    """What the assistant's YAML says beside `provider: script`."""

    intents: tuple[Intent, ...] = Field(min_length=1, max_length=MAX_SENTENCES, description="what callers may want")
    sorry: Spoken = Field(("Sorry, I did not get that.",), description="said in rotation when nothing fits")
    confirm: bool = Field(True, description="ask `unsure` about what was half understood; false: `sorry`")
    unsure: Spoken = Field(
        ("Did you mean: {guess}?",), description="asked in rotation; {guess} is the sentence that was perhaps meant"
    )
    tokens_per_s: float = Field(0, ge=0, le=10_000, description="pace of the answer's words; 0: at once")

    @cached_property
    def phrases(self) -> tuple[str, ...]:
        """Every sentence that is listed, for the recognizer."""
        return tuple(dict.fromkeys(sentence.text for intent in self.intents for sentence in intent.sentences))

    @cached_property
    def sample_call(self) -> tuple[str, ...]:
        """What a simulated caller may say, one sentence a turn."""
        return sample_call(self.intents)

    def prepare(self, language: str) -> None:
        self.meaning(language)

    def meaning(self, language: str) -> Meaning:
        """Made once: 0.1 ms a sentence, and 30 ms for the first of the process."""
        return self.by_meaning if re.split("[-_]", language.lower())[0] == "en" else self.by_words

    @cached_property
    def by_meaning(self) -> Meaning:
        return Meaning(self.intents, sentence_vectors())

    @cached_property
    def by_words(self) -> Meaning:
        return Meaning(self.intents, None)

    def problems(self, use: Use) -> Iterator[Problem]:
        return script_problems(self.intents, self.sorry, self.unsure)


SPECS = (
    ProviderSpec(
        name="script",
        kind="llm",
        summary="Answers what means the same as a sentence in the assistant's file; no account, no network",
        options=ScriptOptions,
        session="actors.providers.script:ScriptSession",
        local=True,
    ),
)


class ScriptSession(LlmSession):
    """Says the script's answer word by word."""

    def __init__(self, options: Any, emit: Emit) -> None:
        super().__init__(options, emit)
        self._script: Script | None = None
        self._left: list[Token | Answered] = []
        self._timer: asyncio.Handle | None = None

    def ask(self, question: Question) -> None:
        self.cancel()
        self._script = self._script or Script(self.options, self.language)
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

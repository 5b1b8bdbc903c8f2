"""The model of an assistant's YAML file: what is said, heard and thought, and with which providers.

Options of a provider stand beside its name (`stt: {provider: deepgram, model: nova-3}`) and are checked by that
provider's own options model (`actors.providers.spec`); everything else is checked here. A list of providers is a
chain: when one is exhausted the call goes on with the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from config.languages import address_marks, languages_with_address_marks, spells_numbers
from config.options import Legal, OneOrMany, leaves
from config.problems import Problem, Where

NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"
LEGAL_NAME = Legal("1 to 63 lower-case letters, digits, - and _, such as front-desk")
MAX_TEXT_CHARS = 10_000  # that are said in one go: what the voices take


class Model(BaseModel):
    """Frozen, and deaf to nothing: an unknown field is an error that names it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML reads `yes` and `on` as true, which pydantic would take for 1."""
        if isinstance(value, bool) and {int, float} & leaves(cls.model_fields[info.field_name or ""].annotation):
            raise ValueError(f"must be a number; YAML reads it as {str(value).lower()}")
        return value


class ProviderChoice(BaseModel):
    """One provider and the options that its own model will check."""

    model_config = ConfigDict(extra="allow", frozen=True)

    provider: str = Field(
        description="its name, as `callboard providers` lists it; a name alone stands for a provider without options",
        examples=["embedded"],
    )

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


def _as_chain(value: Any) -> Any:
    """A name stands for a provider without options, one provider for a chain of one."""
    chain = value if isinstance(value, list | tuple) else [value]
    return [{"provider": choice} if isinstance(choice, str) else choice for choice in chain]


Chain = Annotated[
    tuple[ProviderChoice, ...],
    BeforeValidator(_as_chain),
    Field(min_length=1, max_length=16),
    Legal("a provider's name, or a mapping with `provider` and its options, or a list of these"),
]


OWN_TEXTS = (  # fields of an assistant that are said as they stand, as are those of `idle`
    *("greeting", "not_understood", "ask_again", "filler_message", "error_message"),
    *("goodbye_message", "max_duration_message"),
)
Said = Annotated[str, Field(max_length=MAX_TEXT_CHARS)]
Words = Annotated[tuple[str, ...], OneOrMany()]
WordsOrNull = Annotated[tuple[str, ...] | None, OneOrMany()]
Spoken = Annotated[tuple[Said, ...], Field(min_length=1), OneOrMany()]
MAX_SAMPLE_CHARS = 300
Sample = Annotated[str, Field(min_length=1, max_length=MAX_SAMPLE_CHARS)]


class Endpointing(Model):
    """When the caller's turn is over."""

    silence_ms: int = Field(400, ge=100, le=5000, description="silence after speech before the turn ends")
    min_speech_ms: int = Field(60, ge=0, le=2000, description="shorter sounds are not speech")
    transcript_timeout_ms: int = Field(700, ge=100, le=10000, description="wait for a transcript after the silence")


class BargeIn(Model):
    """What happens when the caller speaks over the assistant."""

    enabled: bool = Field(True, description="the caller may interrupt")
    decide_ms: int = Field(500, ge=50, le=3000, description="a sound that is over so soon was none: we go on")
    hold_ms: int = Field(2500, ge=50, le=30_000, description="a voice that says no words is waited for so long")
    min_words: int = Field(1, ge=1, le=10, description="so many words are an interruption")
    ignored_words: WordsOrNull = Field(
        None,
        max_length=1000,
        description="words that only show that somebody listens: they interrupt nothing; null: those of the language",
    )
    answer_ms: int = Field(
        1500, ge=0, le=10_000, description="said so shortly before the end of what is said, they are an answer"
    )


class Echo(Model):
    """The assistant's own voice that comes back from the caller's side: from a loudspeaker, a room, the network."""

    enabled: bool = Field(True, description="it is told from the caller's voice; false: any voice is the caller's")
    margin_db: float = Field(
        6.0, ge=0, le=30, description="a caller must be louder by so much than the echo; less: whispers interrupt"
    )
    delay_ms: int = Field(600, ge=100, le=2000, description="it comes back within this time")
    own_words: bool = Field(
        True, description="words that the recognizer hears in it are dropped: those just said, in a voice not heard"
    )


class Keypad(Model):
    """The keys that the caller presses: those of one go are one question."""

    pause_ms: int = Field(
        2000, ge=200, le=30_000, description="keys that follow each other within this time belong together"
    )
    end_key: Annotated[str, Legal("one of 0-9, *, #, A-D, or empty")] = Field(
        "#", pattern=r"^[0-9*#A-D]?$", description="ends them at once, and is none of them; empty: no key does"
    )


class Idle(Model):
    """What happens when nobody says anything."""

    timeout_s: float = Field(10.0, gt=0, le=600, description="silence of both before the next prompt")
    prompts: Annotated[tuple[Said, ...], OneOrMany()] = Field(
        ("Are you still there?",), max_length=100, description="said one after the other, each after such a silence"
    )
    goodbye: Said = Field(
        "I cannot hear you, so I will hang up. Goodbye.",
        description="said after the last prompt's silence, before we hang up; empty: no word",
    )


Pronounced = Annotated[
    str, Field(max_length=100, pattern=r"^\S(.*\S)?$"), Legal("a word or a name, without blanks around it")
]
Pronunciation = Annotated[str, Field(min_length=1, max_length=200)]


class Speech(Model):
    """How what is written becomes what is said. Thoughts of a model (`<think>`) are never said."""

    markup: bool = Field(
        True,
        description="take out what is for the eye: Markdown, HTML, code, emoji; false: the voice reads marks (SSML)",
    )
    thinks_first: bool = Field(
        False,
        description="say nothing before `</think>`: the model's prompt opens its thoughts, the answer only ends them",
    )
    numbers: Literal["as_written", "words"] = Field(
        "as_written",
        description="numbers, times of day and amounts of money; as_written: the voice reads them, which most do well",
    )
    phone_numbers: Literal["as_written", "digits"] = Field(
        "as_written", description="numbers of six figures and more, figure by figure (555-0123: 5 5 5, 0 1 2 3)"
    )
    addresses: Literal["as_written", "words"] = Field(
        "as_written", description="e-mail and web addresses with their marks as words (info at example dot com)"
    )
    pronunciations: dict[Pronounced, Pronunciation] = Field(
        {},
        max_length=1000,
        description="how the voice is given words that it says wrongly; stored is the word",
        examples=["{Nguyen: win, SQL: sequel}"],
    )

    @field_validator("pronunciations")
    @classmethod
    def _once_each(cls, given: dict[str, str]) -> dict[str, str]:
        """Case makes no difference, so no word may stand there twice."""
        seen: dict[str, str] = {}
        for word in given:
            if (other := seen.setdefault(word.casefold(), word)) != word:
                raise ValueError(f"{word!r:.60} is {other!r:.60} once more: upper and lower case are the same")
        return given

    def problems(self, language: str) -> Iterator[Problem]:
        """What has no words in the assistant's language."""
        if self.numbers == "words" and not spells_numbers(language):
            yield Problem(("numbers",), f"there are no words for numbers in {language!r}: leave them as_written")
        if self.addresses == "words" and not address_marks(language):
            known = ", ".join(languages_with_address_marks())
            yield Problem(("addresses",), f"the marks of an address have no words in {language!r}; legal are: {known}")


class Stalls(Model):
    """A provider that owes something and is silent for this long, or for what it is known to need, is replaced."""

    connect_ms: int = Field(3000, ge=100, le=600_000, description="a session that does not open")
    stt_ms: int = Field(1500, ge=100, le=600_000, description="speech without any result")
    first_token_ms: int = Field(4000, ge=100, le=600_000, description="a question without the first word of an answer")
    next_token_ms: int = Field(2000, ge=50, le=600_000, description="an answer that stops in mid-sentence")
    tts_ms: int = Field(700, ge=50, le=600_000, description="a sentence without its next audio")
    filler_ms: int = Field(
        2000, ge=500, le=600_000, description="the caller waits for so long in silence before `filler_message` is said"
    )
    outage_s: float = Field(
        15.0, gt=0, le=120, description="a provider that fails is tried again for so long; then the call ends"
    )


class AssistantConfig(Model):
    """One assistant, as its YAML file says it."""

    name: Annotated[str, LEGAL_NAME] = Field(pattern=NAME, description="how carriers and commands name it")
    language: Annotated[str, Legal("a language tag such as en-GB")] = Field(
        "en-US",
        pattern=r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$",
        description="what is spoken; a provider may be told another one",
    )
    greeting: Said = Field("", description="the first words of a call; empty: wait for the caller's")
    sample_call: Annotated[tuple[Sample, ...], OneOrMany()] = Field(
        (),
        max_length=20,
        description="what a simulated caller says, one a turn; empty: what a script knows",
    )
    system_prompt: str = Field("", max_length=200_000, description="what a language model is told before all else")
    not_understood: Said = Field("", description="said after speech that gave no words; empty: stay silent")
    ask_again: Said = Field("Sorry, could you say that again?", description="said when an answer could not be had")
    filler_message: Said = Field(
        "One moment, please.", description="said once when the caller waits for an answer; empty: stay silent"
    )
    error_message: Said = Field(
        "I am sorry, I have a technical problem. Please call again later. Goodbye.",
        description="the last words when providers have failed for good",
    )
    goodbye_message: Said = Field(
        "I am sorry, we have to end this call now. Goodbye.",
        description="the last words when the server is about to stop, or an operator ends the call",
    )
    max_duration_message: Said = Field(
        "We have reached the end of our time. Goodbye.", description="the last words when `max_duration_s` is over"
    )
    max_duration_s: float = Field(1800.0, gt=0, le=14400, description="the longest that a call may last")
    endpointing: Endpointing = Field(Endpointing(), description="when the caller's turn is over")
    barge_in: BargeIn = Field(BargeIn(), description="what happens when the caller speaks over the assistant")
    echo: Echo = Field(Echo(), description="what happens when the caller's side sends our own voice back")
    keypad: Keypad = Field(Keypad(), description="what happens when the caller presses keys")
    idle: Idle = Field(Idle(), description="what happens when nobody says anything")
    speech: Speech = Field(Speech(), description="how what is written becomes what is said")
    stalls: Stalls = Field(Stalls(), description="how long a provider that owes something may be silent")
    stt: Chain = Field(description="who hears: a provider, or a chain of them", examples=["{provider: embedded}"])
    llm: Chain = Field(description="who thinks: likewise", examples=["{provider: openai, model: gpt-4.1-mini}"])
    tts: Chain = Field(description="who speaks: likewise", examples=["{provider: embedded, voice: en-us}"])

    def problems(self) -> Iterator[Problem]:
        """What is legal and yet hardly meant: texts of which nothing can be said, words that never match."""
        for path, text in self._texts():
            if text and not re.search(r"\w", text):
                yield Problem(path, "has no word that could be said", fatal=False)
            elif re.search(r"\{\w*\}", text):
                yield Problem(path, "has a slot in braces, which is said as it stands", fatal=False)
        yield from (problem.under(("speech",)) for problem in self.speech.problems(self.language))
        for index, text in enumerate(self.sample_call):
            if not re.search(r"\w", text):
                yield Problem(("sample_call", index), "has no word that could be said", fatal=False)
        for index, prompt in enumerate(self.idle.prompts):
            if not prompt:
                yield Problem(("idle", "prompts", index), "says nothing: leave it out", fatal=False)
        for index, word in enumerate(self.barge_in.ignored_words or ()):
            if not re.search(r"\w", word):
                yield Problem(("barge_in", "ignored_words", index), f"{word!r:.40} is no word", fatal=False)

    def _texts(self) -> Iterator[tuple[Where, str]]:
        """All that is said in these words."""
        yield from (((name,), getattr(self, name)) for name in OWN_TEXTS)
        yield ("idle", "goodbye"), self.idle.goodbye
        yield from ((("idle", "prompts", index), prompt) for index, prompt in enumerate(self.idle.prompts))

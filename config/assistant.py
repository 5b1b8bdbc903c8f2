"""The model of an assistant's YAML file: what is said, heard and thought, and with which providers.

Options of a provider stand beside its name (`stt: {provider: deepgram, model: nova-3}`) and are checked by that
provider's own options model (`actors.providers.spec`); everything else is checked here. A list of providers is a
chain: when one is exhausted the call goes on with the next.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Model(BaseModel):
    """Frozen, and deaf to nothing: an unknown field is an error that names it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ProviderChoice(BaseModel):
    """One provider and the options that its own model will check."""

    model_config = ConfigDict(extra="allow", frozen=True)

    provider: str

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


def _as_chain(value: Any) -> Any:
    if isinstance(value, str):
        value = {"provider": value}
    return [value] if isinstance(value, dict) else value


Chain = Annotated[tuple[ProviderChoice, ...], BeforeValidator(_as_chain), Field(min_length=1)]


class Endpointing(Model):
    """When the caller's turn is over."""

    silence_ms: int = Field(400, ge=100, le=5000, description="silence after speech before the turn ends")
    min_speech_ms: int = Field(60, ge=0, le=2000, description="shorter sounds are not speech")
    transcript_timeout_ms: int = Field(700, ge=100, le=10000, description="wait for a transcript after the silence")


class BargeIn(Model):
    """What happens when the caller speaks over the assistant."""

    enabled: bool = True
    decide_ms: int = Field(500, ge=50, le=3000, description="voice for this long confirms an interruption")
    min_words: int = Field(1, ge=1, le=10, description="so many words confirm it earlier")
    ignored_words: tuple[str, ...] = ("mhm", "uh-huh", "yeah", "ok", "okay", "hm")


class Idle(Model):
    """What happens when nobody says anything."""

    timeout_s: float = Field(10.0, gt=0, le=600)
    prompts: tuple[str, ...] = ("Are you still there?",)
    goodbye: str = "I cannot hear you, so I will hang up. Goodbye."


class Stalls(Model):
    """A provider that owes something and is silent for this long is replaced."""

    connect_ms: int = Field(3000, ge=100, description="a session that does not open")
    stt_ms: int = Field(1500, ge=100, description="speech without any result")
    first_token_ms: int = Field(4000, ge=100, description="a question without the first word of an answer")
    next_token_ms: int = Field(500, ge=50, description="an answer that stops in mid-sentence")
    tts_ms: int = Field(700, ge=50, description="a sentence without its next audio")


class AssistantConfig(Model):
    """One assistant, as its YAML file says it."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    language: str = "en-US"
    greeting: str = ""
    system_prompt: str = ""
    not_understood: str = Field("", description="said after speech that gave no words; empty: stay silent")
    ask_again: str = Field("Sorry, could you say that again?", description="said when an answer could not be had")
    error_message: str = "I am sorry, I have a technical problem. Please call again later. Goodbye."
    goodbye_message: str = Field(
        "I am sorry, we have to end this call now. Goodbye.", description="said when the server is about to stop"
    )
    max_duration_message: str = "We have reached the end of our time. Goodbye."
    max_duration_s: float = Field(1800.0, gt=0, le=14400)
    endpointing: Endpointing = Endpointing()
    barge_in: BargeIn = BargeIn()
    idle: Idle = Idle()
    stalls: Stalls = Stalls()
    stt: Chain
    llm: Chain
    tts: Chain

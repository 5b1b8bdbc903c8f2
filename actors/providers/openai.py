"""Any language model behind OpenAI's chat completions: OpenAI, vLLM, Ollama, Groq, Together and many more.

https://platform.openai.com/docs/api-reference/chat/create, streaming; what comes back is read in `openai_answer.py`. A
history that is too long for the model is halved until it takes it; so much is not tried again in this call.

No such model resumes an answer. Where an earlier attempt has delivered the beginning (`Question.said`), the question
ends with that beginning as the assistant's message and a system message that asks for the rest only.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, ClassVar

import orjson
from pydantic import Field

from actors.errors import ProviderError
from actors.providers.http_stream import http_client
from actors.providers.openai_answer import Answer, TooLong, refusal
from actors.providers.remote import BaseUrl, RemoteOptions
from actors.providers.spec import ChatMessage, Emit, LlmSession, ProviderSpec, Question
from actors.wording import Wording

OPENAI_URL = "https://api.openai.com/v1"
CONTINUE = (
    "Your last message was cut off. Continue it exactly where it ends. "
    "Do not repeat any of it, do not apologise, do not mention the interruption."
)


class OpenAiOptions(RemoteOptions):
    """What the assistant's YAML says beside `provider: openai` under `llm`."""

    provider: ClassVar[str] = "openai"
    key_variable: ClassVar[str] = "OPENAI_API_KEY"

    base_url: BaseUrl = Field(
        OPENAI_URL, description="where the service is; http://127.0.0.1:11434/v1 is Ollama, which needs no key"
    )
    model: str = Field("gpt-4.1-mini", min_length=1, max_length=200, description="its name, as the service has it")
    temperature: float | None = Field(None, ge=0, le=2, description="how free the answers are; null: the model's own")
    max_tokens: int | None = Field(None, ge=1, le=100_000, description="the longest answer; null: the model's own")
    usage: bool | None = Field(None, description="ask how many tokens an answer has cost; left out: OpenAI itself only")


SPECS = (
    ProviderSpec(
        name="openai",
        kind="llm",
        summary="OpenAI, and every server that speaks its chat completions (set base_url)",
        options=OpenAiOptions,
        session="actors.providers.openai:OpenAiLlm",
    ),
)


class OpenAiLlm(LlmSession):
    """One caller's questions, over connections that the worker's sessions share."""

    options: OpenAiOptions

    def __init__(self, options: Any, emit: Emit) -> None:
        super().__init__(options, emit)
        self._client = http_client("openai", self.options.base_url)
        self._under_way: tuple[asyncio.Task[None], Answer] | None = None
        self._closed = False
        self._most_characters = float("inf")  # of a history, beside what the model is told before all else

    async def open(self) -> None:
        self.options.key()
        if not self._closed:
            await self._client.warm()

    def ask(self, question: Question) -> None:
        self.cancel()
        if not self._closed:
            loop = asyncio.get_running_loop()
            answer = Answer(question, self.emit, loop.call_later)
            self._under_way = loop.create_task(self._post(question, answer)), answer

    def cancel(self) -> None:
        if self._under_way:
            task, answer = self._under_way
            self._under_way = None
            task.cancel()  # which closes the connection: the server stops, and charges no more
            answer.silence()

    def close(self) -> None:
        self.cancel()
        if not self._closed:
            self._closed = True
            self._client.release()

    async def _post(self, question: Question, answer: Answer) -> None:
        try:
            while not await self._asked(question, answer):
                pass
        except ProviderError as error:
            answer.fail(without_keys(error, question))

    async def _asked(self, question: Question, answer: Answer) -> bool:
        """Whether the history was short enough; if it can be made so, the next try has less of it."""
        history = cut_to(question.history, self._most_characters)
        body = self._body(replace(question, history=history))
        try:
            answer.end(await self._client.post("/chat/completions", self._headers(), body, answer.feed, refusal))
        except TooLong:
            answer.lives()
            if answer.said or cut_to(history, 0) == history:
                raise
            answer.begin()
            self._most_characters = sum(len(line.text) for line in history if line.role != "system") / 2 - 1
            return False
        return True

    def _headers(self) -> dict[str, str]:
        key = self.options.key()
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream", "User-Agent": "callboard"}
        return {**headers, "Authorization": f"Bearer {key}"} if key else headers

    def _body(self, question: Question) -> bytes:
        options = self.options
        messages = [{"role": line.role, "content": line.text} for line in question.history]
        if question.said:
            messages += [{"role": "assistant", "content": question.said}, {"role": "system", "content": CONTINUE}]
        body: dict[str, Any] = {"model": options.model, "messages": messages, "stream": True}
        if options.usage if options.usage is not None else options.base_url == OPENAI_URL:
            body["stream_options"] = {"include_usage": True}
        if options.temperature is not None:
            body["temperature"] = options.temperature
        if options.max_tokens is not None:
            # OpenAI's newer models refuse the old name, many compatible servers know no other
            body["max_completion_tokens" if options.base_url == OPENAI_URL else "max_tokens"] = options.max_tokens
        return orjson.dumps(body)


def cut_to(history: tuple[ChatMessage, ...], characters: float) -> tuple[ChatMessage, ...]:
    """What a model is told before all else, and of the rest the last lines of so many characters together; the last
    one, which is the question, in any case."""
    begins = next((number for number, line in enumerate(history) if line.role != "system"), len(history))
    rest = list(history[begins:])
    left = sum(len(line.text) for line in rest)
    while len(rest) > 1 and left > characters:
        left -= len(rest.pop(0).text)
    return (*history[:begins], *rest)


def without_keys(error: ProviderError, question: Question) -> ProviderError:
    """Servers quote what they refuse, and what the caller has pressed is for the model only."""
    detail = error.detail
    for line in question.history:
        for keys in line.line.keys if isinstance(line.line, Wording) else ():
            detail = keys.hidden_in(detail.replace(keys.told, str(keys)))
    return error if detail == error.detail else ProviderError(error.provider, detail, error.remedy, error.retry_after_s)

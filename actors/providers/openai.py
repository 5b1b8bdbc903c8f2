"""Any language model behind OpenAI's chat completions: OpenAI, vLLM, Ollama, Groq, Together and many more.

https://platform.openai.com/docs/api-reference/chat/create, streaming. An answer is complete when a chunk says why it
ended (`finish_reason`) or the stream says `[DONE]`; one that just ends was cut off.

No such model resumes an answer. Where an earlier attempt has delivered the beginning (`Question.said`), the question
ends with that beginning as the assistant's message and a system message that asks for the rest only; a model that
repeats the beginning all the same is cut where the rest starts.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, ClassVar

import orjson
from pydantic import Field

from actors.errors import ProviderError, Remedy
from actors.providers.http_answer import EventReader
from actors.providers.http_stream import http_client
from actors.providers.remote import BaseUrl, RemoteOptions, refused, remedy_of_status
from actors.providers.spec import Answered, Emit, LlmSession, ProviderSpec, Question, SessionFailed, Token, Usage

OPENAI_URL = "https://api.openai.com/v1"
CONTINUE = (
    "Your last message was cut off. Continue it exactly where it ends. "
    "Do not repeat any of it, do not apologise, do not mention the interruption."
)
_ERROR_CODES = {
    "insufficient_quota": Remedy.QUOTA,
    "billing_hard_limit_reached": Remedy.QUOTA,
    "rate_limit_exceeded": Remedy.THROTTLED,
    "invalid_api_key": Remedy.CONFIG,
    "model_not_found": Remedy.CONFIG,
}


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

    async def open(self) -> None:
        self.options.key()
        if not self._closed:
            await self._client.warm()

    def ask(self, question: Question) -> None:
        self.cancel()
        if not self._closed:
            answer = Answer(question, self.emit)
            self._under_way = asyncio.get_running_loop().create_task(self._post(question, answer)), answer

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
            await self._client.post("/chat/completions", self._headers(), self._body(question), answer.feed, _refusal)
            answer.end()
        except ProviderError as error:
            answer.fail(error)

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


class Answer:
    """Turns the body of a streamed answer into `Token`s and one `Answered`."""

    def __init__(self, question: Question, emit: Emit) -> None:
        self._turn, self._emit = question.turn, emit
        self._events = EventReader()
        self._rest = Unrepeated(question.said)
        self.complete = False

    def feed(self, data: bytes) -> None:
        """The next bytes of the body. Raises `ProviderError` for an error in the stream."""
        for event in self._events.feed(data):
            if event == b"[DONE]":
                self._finish()
            elif self.complete:
                with suppress(ValueError, AttributeError, TypeError):  # nothing but the usage is of interest any more
                    self._tell_usage(orjson.loads(event))
            else:
                self._take(orjson.loads(event))

    def end(self) -> None:
        """The body is over. Raises `ProviderError` if the answer is not."""
        if not self.complete:
            raise ProviderError("openai", "the answer ended in the middle")

    def fail(self, error: ProviderError) -> None:
        """What goes wrong behind the last token is nothing to the call."""
        if not self.complete:
            self._emit(SessionFailed(error))

    def silence(self) -> None:
        """It was cancelled: nothing of it is emitted any more, be it in the middle of a chunk."""
        self._emit = lambda event: None

    def _take(self, chunk: dict[str, Any]) -> None:
        self._tell_usage(chunk)
        if error := chunk.get("error"):
            raise _stream_error(error)
        for choice in chunk["choices"][:1]:  # none beside the usage figures
            if text := (choice.get("delta") or {}).get("content"):
                if not isinstance(text, str):
                    raise TypeError(f"content is {type(text).__name__}")
                self._say(self._rest.feed(text))
            if choice.get("finish_reason"):
                self._finish()

    def _tell_usage(self, chunk: dict[str, Any]) -> None:
        tokens = (chunk.get("usage") or {}).get("total_tokens")
        if isinstance(tokens, int) and tokens > 0:
            self._emit(Usage(tokens))

    def _say(self, text: str) -> None:
        if text:
            self._emit(Token(self._turn, text))

    def _finish(self) -> None:
        """The last clause is not kept waiting for the usage figures that may follow."""
        if not self.complete:
            self.complete = True
            self._say(self._rest.end())
            self._emit(Answered(self._turn))


class Unrepeated:
    """Lets through what follows `said`, whether the model repeats that first or goes on as it was asked to."""

    def __init__(self, said: str) -> None:
        self._said = said.strip()
        self._held = ""  # may be the beginning of a repetition

    def feed(self, text: str) -> str:
        if not self._said:
            return text
        self._held += text
        start = self._held.lstrip()
        if self._said.startswith(start) and start != self._said:
            return ""
        held, said = self._held, self._said
        self._held = self._said = ""
        return start.removeprefix(said) if start.startswith(said) else held

    def end(self) -> str:
        """What was held and is no whole repetition."""
        return self._held


def _refusal(status: int, body: str) -> ProviderError:
    try:
        error = orjson.loads(body)["error"]
        code, text = str(error.get("code") or error.get("type") or ""), str(error.get("message", ""))
    except (ValueError, TypeError, LookupError, AttributeError):
        code, text = "", body
    return refused("openai", status, text, _ERROR_CODES.get(code))


def _stream_error(error: Any) -> ProviderError:
    """An error after the status 200: some servers give it a code, some a status, most only a text."""
    details = error if isinstance(error, dict) else {"message": str(error)}
    code = details.get("code")
    remedy = remedy_of_status(code) if isinstance(code, int) else _ERROR_CODES.get(str(code), Remedy.RETRY)
    text = " ".join(str(details.get("message") or details.get("type") or "").split())[:200]
    return ProviderError("openai", f"an error in the answer: {text}", remedy)

"""The openai SDK against the fake, and its types against our requests."""

from __future__ import annotations

import openai
import pytest
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from pydantic import TypeAdapter

from actors.providers.openai import OpenAiLlm, OpenAiOptions
from actors.providers.spec import Answered, ChatMessage, Question
from tests.fakes.emitted import Emitted
from tests.fakes.openai import FakeOpenAi

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "are you open"}]


@pytest.fixture
async def fake():
    async with FakeOpenAi() as fake:
        yield fake


@pytest.fixture
async def client(fake):
    async with openai.AsyncOpenAI(api_key=fake.key, base_url=fake.url, max_retries=0) as client:
        yield client


async def test_a_streamed_answer(fake, client):
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = [c async for c in await client.chat.completions.create(model="m", messages=MESSAGES, **options)]
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk.model_dump(), strict=True)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "you said are you open"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage.completion_tokens == 5 and chunks[-1].choices == []
    assert not fake.violations


async def test_what_carries_nothing_is_passed_over_by_both(fake, client, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", fake.key)
    fake.noise = (
        b'{"choices":[]}',
        b'{"choices":null,"usage":null}',
        b'{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":0,"total_tokens":1}}',
        b'{"choices":[{"index":0,"delta":{"content":null}}]}',
        b'{"choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}',
        b'{"choices":[{"index":0,"delta":{},"logprobs":{"content":[{"logprob":-Infinity}]}}]}',
    )
    chunks = [c async for c in await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)]
    theirs = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    emitted = Emitted()
    llm = OpenAiLlm(OpenAiOptions(base_url=fake.url), emitted)
    llm.ask(Question(1, (ChatMessage("user", "are you open"),)))
    await emitted.until(Answered)
    llm.close()
    assert emitted.answer == theirs == "you said are you open"


async def test_a_whole_answer(client):
    answer = await client.chat.completions.create(model="m", messages=MESSAGES)
    assert answer.choices[0].message.content == "you said are you open"


async def test_a_split_stream(fake, client):
    fake.script(split=1)
    chunks = [c async for c in await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)]
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "you said are you open"


async def test_refusals(fake, client):
    fake.script(status=429, headers={"retry-after": "3"}, body=b'{"error":{"message":"slow","code":"x"}}')
    with pytest.raises(openai.RateLimitError, match="slow") as caught:
        await client.chat.completions.create(model="m", messages=MESSAGES)
    assert caught.value.response.headers["retry-after"] == "3"
    with pytest.raises(openai.AuthenticationError):
        await client.with_options(api_key="wrong").chat.completions.create(model="m", messages=MESSAGES)
    with pytest.raises(openai.BadRequestError, match="model"):
        await client.chat.completions.create(model=7, messages=MESSAGES)


async def test_an_error_in_the_stream(fake, client):
    fake.script(after=1, message=b'{"error":{"message":"broken","type":"server_error","code":null}}')
    with pytest.raises(openai.APIError, match="broken"):
        [c async for c in await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)]


async def test_a_cancel_is_seen(fake, client):
    fake.pause_s = 0.01
    fake.reply = lambda messages: "word " * 500
    stream = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
    async for _ in stream:
        break
    await stream.close()
    await fake.until(lambda: fake.aborted and not fake.answering)
    assert fake.sent < 20


async def test_our_requests_are_theirs(fake, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", fake.key)
    emitted = Emitted()
    llm = OpenAiLlm(OpenAiOptions(base_url=fake.url, temperature=0.3, max_tokens=9), emitted)
    llm.ask(Question(1, (ChatMessage("system", "Be brief."), ChatMessage("user", "hello")), said="You"))
    await emitted.until(Answered)
    llm.close()
    body = fake.bodies[0]
    TypeAdapter(CompletionCreateParamsStreaming).validate_python(body)
    assert body.keys() <= CompletionCreateParamsStreaming.__annotations__.keys() | (
        CompletionCreateParamsStreaming.__required_keys__ | CompletionCreateParamsStreaming.__optional_keys__
    )

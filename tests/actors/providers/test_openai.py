"""The session for OpenAI-compatible language models against its fake: answers, cancelling, failures, connections."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from actors.errors import ProviderError, Remedy
from actors.providers.openai import CONTINUE, OpenAiLlm, OpenAiOptions
from actors.providers.openai_answer import Answer, TooLong, refusal
from actors.providers.spec import Answered, ChatMessage, Question, SessionFailed, Token, Usage
from actors.wording import Digits, Wording
from tests.fakes.emitted import Emitted
from tests.fakes.openai import FakeOpenAi


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", FakeOpenAi.key)


@pytest.fixture
async def fake():
    async with FakeOpenAi() as fake:
        yield fake


@pytest.fixture
async def make(fake):
    made = []

    def make(emitted: Emitted, **options) -> OpenAiLlm:
        made.append(OpenAiLlm(OpenAiOptions(base_url=fake.url, **options), emitted))
        return made[-1]

    yield make
    for session in made:
        session.close()


def question(text: str = "are you open today", turn: int = 1, said: str = "") -> Question:
    return Question(turn, (ChatMessage("system", "Be brief."), ChatMessage("user", text)), said)


async def test_an_answer_comes_token_by_token(fake, make):
    emitted = Emitted()
    llm = make(emitted, temperature=0.5, max_tokens=50)
    await llm.open()
    llm.ask(question(turn=3))
    assert await emitted.until(Answered) == Answered(3)
    assert emitted.answer == "you said are you open today"
    assert len(emitted.of(Token)) == 6
    assert fake.bodies == [
        {
            "model": "gpt-4.1-mini",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "are you open today"}],
            "stream": True,
            "temperature": 0.5,
            "max_tokens": 50,
        }
    ]
    assert not fake.violations


async def test_it_answers_before_it_was_opened(make):
    emitted = Emitted()
    make(emitted).ask(question())
    await emitted.until(Answered)


async def test_sessions_share_their_connections(fake, make):
    first, second = Emitted(), Emitted()
    llm, other = make(first), make(second)
    await llm.open()
    await other.open()
    for turn in range(1, 4):
        llm.ask(question(turn=turn))
        await first.until(Answered, turn)
        other.ask(question(turn=turn))
        await second.until(Answered, turn)
    assert len(fake.connections) == 1


async def test_the_last_session_closes_them(fake, make):
    emitted = Emitted()
    llm = make(emitted)
    llm.ask(question())
    await emitted.until(Answered)
    llm.close()
    llm.ask(question())
    llm.close()
    assert len(fake.bodies) == 1


async def test_an_idle_connection_that_the_server_has_closed_is_replaced(fake, make):
    emitted = Emitted()
    llm = make(emitted)
    llm.ask(question())
    await emitted.until(Answered)
    await fake._server.close_all_connections()
    llm.ask(question(turn=2))  # at once: the close may not have been seen yet
    assert await emitted.until(Answered, 2) == Answered(2)
    assert len(fake.connections) == 2


async def test_a_cancel_reaches_the_server(fake, make):
    fake.pause_s = 0.01
    fake.reply = lambda messages: "word " * 1000
    emitted = Emitted()
    llm = make(emitted)
    llm.ask(question())
    await emitted.until(Token, 3)
    llm.cancel()
    count = len(emitted.events)
    await fake.until(lambda: fake.aborted and not fake.answering)
    assert len(emitted.events) == count
    assert fake.sent < count + 5


async def test_a_new_question_cancels_the_one_under_way(fake, make):
    fake.pause_s = 0.005
    emitted = Emitted()
    llm = make(emitted)
    llm.ask(question("one two three four five"))
    await emitted.until(Token, 2)
    llm.ask(question("six seven", turn=2))
    await emitted.until(Answered)
    turns = [event.turn for event in emitted.events]
    assert turns == sorted(turns) and turns[-1] == 2
    assert not emitted.of(SessionFailed)


async def test_nothing_comes_after_a_cancel_in_the_middle_of_a_chunk(fake, make):
    emitted = Emitted(lambda event: llm.cancel())
    llm = make(emitted)
    llm.ask(question())
    await emitted.until(Token)
    await fake.until(lambda: not fake.answering)
    assert len(emitted.events) == 1


async def test_what_an_answer_has_cost_follows_it(fake, make):
    emitted = Emitted()
    make(emitted, usage=True).ask(question())
    assert await emitted.until(Usage) == Usage(7)
    assert len(emitted.of(Answered)) == 1 and fake.bodies[0]["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("chunk", [b"[]", b"null", b'{"usage": []}', b'{"usage": {"total_tokens": "1"}}', b"{"])
async def test_what_follows_an_answer_harms_nobody(chunk):
    emitted = Emitted()
    answer = Answer(question(), emitted)
    answer.feed(b"data: [DONE]\n\ndata: " + chunk + b"\n\n")
    assert emitted.events == [Answered(1)]


@pytest.mark.parametrize("ends", [("finish_reason",), ("[DONE]",), ("finish_reason", "[DONE]")])
async def test_either_mark_ends_an_answer(fake, make, ends):
    fake.ends = ends
    emitted = Emitted()
    make(emitted).ask(question())
    assert await emitted.until(Answered) == Answered(1)
    assert len(emitted.of(Answered)) == 1


async def test_a_body_that_ends_where_it_said_is_an_end(fake, make):
    fake.ends = ()
    emitted = Emitted()
    make(emitted).ask(question())
    await emitted.until(Answered)
    assert emitted.answer == "you said are you open today" and not emitted.of(SessionFailed)


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_body_of_which_nobody_knows_whether_it_is_whole(is_whole):
    answer = Answer(question(), Emitted())
    answer.feed(event({"choices": [{"delta": {"content": "We are"}}]}))
    if is_whole:
        answer.end(is_whole)
        return
    with pytest.raises(ProviderError, match="in the middle"):
        answer.end(is_whole)


async def test_every_split_of_the_stream_is_the_same_answer(fake, make):
    fake.script(split=1)
    emitted = Emitted()
    make(emitted).ask(question("Grüße, 東京"))
    await emitted.until(Answered)
    assert emitted.answer == "you said Grüße, 東京"


async def test_what_was_said_is_part_of_the_question(fake, make):
    emitted = Emitted()
    make(emitted).ask(question(said="We are open"))
    await emitted.until(Answered)
    assert fake.bodies[0]["messages"][-2:] == [
        {"role": "assistant", "content": "We are open"},
        {"role": "system", "content": CONTINUE},
    ]


def event(data: object) -> bytes:
    return b"data: " + orjson.dumps(data) + b"\n\n"


def error(code: str, text: str = "a reason") -> bytes:
    return orjson.dumps({"error": {"message": text, "type": code, "code": code}})


@pytest.mark.parametrize(
    ("status", "body", "remedy"),
    [
        (400, error("context_length_exceeded"), Remedy.REFUSED),
        (400, error("invalid_request_error"), Remedy.REFUSED),
        (401, error("invalid_api_key", FakeOpenAi.key), Remedy.CONFIG),
        (404, error("model_not_found"), Remedy.CONFIG),
        (402, b"", Remedy.QUOTA),
        (429, error("rate_limit_exceeded"), Remedy.THROTTLED),
        (429, error("insufficient_quota"), Remedy.QUOTA),
        (500, b"<html>", Remedy.RETRY),
        (503, b"[]", Remedy.RETRY),
        (529, b"", Remedy.THROTTLED),
        (302, b"", Remedy.CONFIG),
    ],
)
async def test_a_refusal_says_what_helps(fake, make, status, body, remedy):
    fake.script(status=status, body=body, headers={"retry-after": "2"})
    emitted = Emitted()
    make(emitted).ask(question())
    failure = await emitted.failure()
    assert failure.remedy is remedy
    assert str(status) in str(failure) and FakeOpenAi.key not in str(failure)


async def test_a_refusal_does_not_repeat_what_the_caller_has_pressed(fake, make):
    pressed = Wording.of("my pin is", Digits("4711"))
    body = {"detail": [{"loc": ["messages"], "input": pressed.told}, {"input": "4711"}]}
    fake.script(status=422, body=orjson.dumps(body))
    emitted = Emitted()
    make(emitted).ask(Question(1, (ChatMessage("user", pressed),)))
    shown = str(await emitted.failure())
    assert "422" in shown and "4711" not in shown and "4 7 1 1" not in shown


def long_talk(lines: int) -> tuple[ChatMessage, ...]:
    talk = (ChatMessage("user" if n % 2 else "assistant", f"line {n} of the talk") for n in range(lines))
    return ChatMessage("system", "Be brief."), *talk, ChatMessage("user", "are you open")


@pytest.mark.parametrize(
    "refusal",
    [
        {"status": 400, "body": error("context_length_exceeded")},
        {"status": 400, "body": b'{"object":"error","message":"maximum context length is 2048 tokens","code":400}'},
        {"status": 413, "body": b"Payload Too Large"},
        {"status": 429, "body": error("rate_limit_exceeded", "Request too large for gpt-4.1 on tokens per min (TPM)")},
        {"after": 0, "message": b'{"error":{"message":"prompt is too long: 9 tokens > 5 maximum"}}'},
    ],
)
async def test_a_history_that_is_too_long_is_halved_until_it_is_taken(fake, make, refusal):
    fake.script(**refusal)
    fake.script(**refusal)
    emitted = Emitted()
    llm = make(emitted)
    llm.ask(Question(1, long_talk(16)))
    await emitted.until(Answered)
    assert emitted.answer == "you said are you open" and emitted.alive
    lengths = [len(body["messages"]) for body in fake.bodies]
    assert lengths[0] == 18 and lengths[0] > lengths[1] > lengths[2] > 2
    assert all(body["messages"][0]["role"] == "system" for body in fake.bodies)
    assert fake.bodies[2]["messages"][-1]["content"] == "are you open"
    llm.ask(Question(2, long_talk(20)))  # so much is not tried again
    await emitted.until(Answered, 2)
    assert len(fake.bodies[3]["messages"]) <= lengths[2]


async def test_a_question_that_is_too_long_by_itself_is_refused(fake, make):
    for _ in range(9):
        fake.script(status=400, body=error("context_length_exceeded"))
    emitted = Emitted()
    make(emitted).ask(Question(1, long_talk(3)))
    assert (await emitted.failure()).remedy is Remedy.REFUSED
    assert [line["role"] for line in fake.bodies[-1]["messages"]] == ["system", "user"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, error("content_filter")),
        (400, b'{"error":{"code":null,"message":"x","innererror":{"code":"ResponsibleAIPolicyViolation"}}}'),
        (403, b'{"error":{"code":403,"message":"requires moderation. Your input was flagged","metadata":{}}}'),
    ],
)
async def test_what_the_filter_refuses_is_no_wrong_configuration(fake, make, status, body):
    fake.script(status=status, body=body)
    emitted = Emitted()
    llm = make(emitted)
    llm.ask(question())
    failure = await emitted.failure()
    assert failure.remedy is Remedy.REFUSED and "not allowed" in str(failure)


@pytest.mark.parametrize(
    ("message", "remedy", "text"),
    [
        (b'{"error":{"message":"overloaded","type":"server_error","code":null}}', Remedy.RETRY, "overloaded"),
        (error("rate_limit_exceeded"), Remedy.THROTTLED, "a reason"),
        (b'{"error":{"message":"slow down","code":429}}', Remedy.THROTTLED, "slow down"),
        (b'{"error":"out of order"}', Remedy.RETRY, "out of order"),
        (b'{"object":"error","message":"out of memory","code":500}', Remedy.RETRY, "out of memory"),
        (b'{"error":{"message":"The response was filtered","code":"content_filter"}}', Remedy.REFUSED, "not allowed"),
        (b'{"choices":[{"delta":{},"finish_reason":"error"}]}', Remedy.RETRY, "ended its answer by"),
    ],
)
@pytest.mark.parametrize("pause_s", [0.0, 0.001])
async def test_an_error_in_the_stream_says_what_helps(fake, make, message, remedy, text, pause_s):
    fake.pause_s = pause_s
    fake.script(after=2, message=message)
    emitted = Emitted()
    make(emitted).ask(question())
    failure = await emitted.failure()
    assert failure.remedy is remedy and text in str(failure)
    assert emitted.answer == "you said "


async def test_a_cut_connection_is_worth_another_try(fake, make):
    fake.script(after=2, drop=True)
    emitted = Emitted()
    make(emitted).ask(question())
    assert (await emitted.failure()).remedy is Remedy.RETRY


@pytest.mark.parametrize("after", [0, 2])
async def test_a_stalled_answer_can_be_cancelled(fake, make, after):
    fake.script(after=after, stall=True)
    emitted = Emitted()
    llm = make(emitted)
    llm.ask(question())
    await fake.until(lambda: fake.sent == after and fake.answering)
    llm.cancel()
    await fake.until(lambda: not fake.answering)
    assert not emitted.of(SessionFailed)


async def test_an_event_without_an_end_is_not_kept(fake, make):
    fake.script(after=0, message=b'"' + b"x" * 1_100_000)
    emitted = Emitted()
    make(emitted).ask(question())
    assert (await emitted.failure()).remedy is Remedy.RETRY


async def test_a_server_that_is_not_there(make, monkeypatch):
    async with FakeOpenAi() as gone:
        address = gone.url
    llm = OpenAiLlm(OpenAiOptions(base_url=address), Emitted())
    with pytest.raises(ProviderError, match="cannot be reached") as caught:
        await llm.open()
    assert caught.value.remedy is Remedy.RETRY
    llm.close()


async def test_a_server_that_speaks_another_protocol(make):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    emitted = Emitted()
    llm = OpenAiLlm(OpenAiOptions(base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"), emitted)
    llm.ask(question())
    assert (await emitted.failure()).remedy is Remedy.RETRY
    llm.close()
    server.close()
    await server.wait_closed()


async def test_a_server_of_ones_own_needs_no_key(fake, make, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    emitted = Emitted()
    llm = make(emitted)
    await llm.open()
    llm.ask(question())
    await emitted.failure()
    assert "Authorization" not in fake.requests[0]["headers"]


async def test_openai_itself_needs_one(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    llm = OpenAiLlm(OpenAiOptions(), Emitted())
    with pytest.raises(ProviderError, match="OPENAI_API_KEY is not set"):
        await llm.open()
    llm.close()


@pytest.mark.parametrize(
    ("status", "body", "remedy", "wait_s"),
    [
        (400, '{"error":{"code":400,"message":"API key not valid."}}', Remedy.CONFIG, 0.0),
        (400, '{"error":{"message":"x is not a valid model ID","code":400}}', Remedy.CONFIG, 0.0),
        (400, '{"error":{"message":"temperature does not ...","code":"unsupported_value"}}', Remedy.CONFIG, 0.0),
        (400, '{"error":{"message":"what is this?"}}', Remedy.REFUSED, 0.0),
        (429, '{"error":{"message":"no","details":[{}, {"retryDelay":"3s"}]}}', Remedy.THROTTLED, 3.0),
        (429, '{"error":{"message":"Limit reached. Please try again in 2.5s. See x"}}', Remedy.THROTTLED, 2.5),
        (429, '{"error":{"message":"Please retry after 850 milliseconds."}}', Remedy.THROTTLED, 0.85),
        (429, '{"error":{"message":"Token rate limit exceeded. Please wait 4 seconds."}}', Remedy.THROTTLED, 4.0),
        (429, '{"error":{"message":"Please try again in 1m12.5s."}}', Remedy.REFUSED, 0.0),  # no caller waits so long
        (429, '{"error":{"message":"Try again in 2 minutes."}}', Remedy.REFUSED, 0.0),
        (429, '{"error":{"message":"Please retry after 3 more calls."}}', Remedy.THROTTLED, 0.0),
    ],
)
def test_what_a_refusal_says_in_words(status: int, body: str, remedy: Remedy, wait_s: float):
    error = refusal(status, body, 0.0)
    assert (error.remedy, error.retry_after_s) == (remedy, wait_s)


@pytest.mark.parametrize(
    ("status", "reason", "is_too_long"),
    [
        (400, "The total number of tokens exceeds the limit", True),
        (422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000", True),
        (400, "Input length 9000 exceeds the maximum length 8192", True),
        (400, "输入长度超过限制", True),
        (400, "max_tokens must be less than 4096", False),
        (400, "Your tokens per minute exceed the limit", False),
        (429, "Token limit exceeded", False),
        (401, "The token has expired, its length exceeds", False),
    ],
)
def test_a_history_that_is_too_long_in_other_words(status: int, reason: str, is_too_long: bool):
    error = refusal(status, orjson.dumps({"error": {"message": reason}}).decode(), 0.0)
    assert isinstance(error, TooLong) is is_too_long


async def test_a_last_chunk_with_words_ends_the_answer_though_nothing_follows():
    """As a server does that never says that it has finished, and keeps the connection."""
    emitted = Emitted()
    answer = Answer(question(), emitted, asyncio.get_running_loop().call_later)
    chunk = {"choices": [{"delta": {"content": "We are open."}, "finish_reason": "stop"}]}
    answer.feed(b"data: " + orjson.dumps(chunk) + b"\n\n")
    assert not emitted.of(Answered)
    assert await emitted.until(Answered) == Answered(1)


def test_what_goes_wrong_behind_the_last_chunk_is_nothing():
    emitted = Emitted()
    answer = Answer(question(), emitted)
    answer.feed(b'data: {"choices":[{"delta":{"content":"Yes."},"finish_reason":"length"}]}\n\n')
    answer.fail(ProviderError("openai", "broke off its answer"))
    assert emitted.events == [Token(1, "Yes."), Answered(1, flaw="length")]

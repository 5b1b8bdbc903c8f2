"""Keys, addresses and statuses of remote providers."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from actors.errors import ProviderError, Remedy
from actors.providers.deepgram import DeepgramOptions
from actors.providers.openai import OpenAiOptions
from actors.providers.registry import Registry
from actors.providers.remote import refused, remedy_of_status, retry_after_s
from config.assistant import ProviderChoice
from config.errors import ConfigError

SECRET = "sk-very-secret"


def test_a_key_in_the_file_is_refused_and_not_repeated():
    with pytest.raises(ConfigError, match=r"stt\.api_key: must be \$\{NAME\}") as caught:
        Registry().options("stt", ProviderChoice(provider="deepgram", api_key=SECRET))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("value", [7, ["x"], "${}", "${A B}", "$NAME", "${NAME} "])
def test_only_the_name_of_a_variable_is_a_key(value):
    with pytest.raises(ConfigError, match="api_key"):
        Registry().options("stt", ProviderChoice(provider="deepgram", api_key=value))


def test_the_key_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("DEEPGRAM_API_KEY", "usual")
    monkeypatch.setenv("MY_KEY", f" {SECRET}\n")
    assert DeepgramOptions().key() == "usual"
    options = DeepgramOptions(api_key="${MY_KEY}")
    assert options.key() == SECRET
    assert SECRET not in repr(options) and SECRET not in options.model_dump_json()


def test_a_variable_that_is_named_must_be_there(monkeypatch):
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(ProviderError, match="MY_KEY is not set") as caught:
        DeepgramOptions(api_key="${MY_KEY}", base_url="ws://127.0.0.1:1").key()
    assert caught.value.remedy is Remedy.CONFIG


def test_a_key_that_would_break_a_header_is_refused(monkeypatch):
    monkeypatch.setenv("DEEPGRAM_API_KEY", "one\r\nX-Other: two")
    with pytest.raises(ProviderError, match="holds characters") as caught:
        DeepgramOptions().key()
    assert "two" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.deepgram.com",
        "ftp://host",
        "wss://",
        "wss://user:hunter2@host",
        "wss://host?key=hunter2",
        "wss://host#x",
        "wss://ho st",
        "wss://host:99999",
        "wss://host\r\nX: y",
    ],
)
def test_an_address_that_is_none(url):
    with pytest.raises(ConfigError, match=r"base_url: .*SCHEME://HOST") as caught:
        Registry().options("stt", ProviderChoice(provider="deepgram", base_url=url))
    assert "hunter2" not in str(caught.value)


def test_addresses():
    assert DeepgramOptions(base_url="https://host/").websocket_url == "wss://host"
    assert DeepgramOptions(base_url="http://127.0.0.1:8080/dg").websocket_url == "ws://127.0.0.1:8080/dg"
    assert OpenAiOptions(base_url="http://localhost:11434/v1/").base_url == "http://localhost:11434/v1"


@pytest.mark.parametrize(
    ("status", "remedy"),
    [(408, "throttled"), (409, "retry"), (422, "config"), (429, "throttled"), (402, "quota"), (599, "retry")],
)
def test_statuses(status, remedy):
    assert remedy_of_status(status) is Remedy(remedy)


def test_a_long_reason_is_one_short_line():
    text = str(refused("openai", 400, "first\nsecond" + "x" * 1000))
    assert "first second" in text and "\n" not in text and len(text) < 250


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        *((400, "refused"), (413, "refused"), (422, "refused"), (451, "refused"), (401, "config"), (403, "config")),
        *((404, "config"), (302, "config"), (402, "quota"), (429, "throttled"), (503, "retry")),
    ],
)
def test_a_refusal_of_one_request_is_no_wrong_configuration(status, remedy):
    assert refused("openai", status, "no", of_request=True).remedy is Remedy(remedy)


def http_date(in_s: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=in_s), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after": "3s"}, 3.0),
        ({"retry-after": "3, 3"}, 3.0),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        *(({"retry-after": value}, 0.0) for value in ("", "-1", "nan", "soon", "Mon, 99 Foo", http_date(-60))),
        ({"retry-after": "inf"}, 86_400.0),
        ({}, 0.0),
    ],
)
def test_how_long_to_wait(headers, seconds):
    assert retry_after_s(headers) == seconds


def test_how_long_to_wait_until_a_date():
    assert retry_after_s({"retry-after": http_date(60)}) == pytest.approx(60, abs=5)


def test_what_nobody_can_bear_to_wait_for_is_refused():
    assert refused("openai", 429, "busy", retry_after_s=3.0, of_request=True).retry_after_s == 3.0
    question = refused("openai", 429, "busy", retry_after_s=60.0, of_request=True)
    assert (question.remedy, question.retry_after_s) == (Remedy.REFUSED, 0.0) and "for 60 s" in str(question)
    connection = refused("deepgram", 429, "busy", retry_after_s=60.0)
    assert (connection.remedy, connection.retry_after_s) == (Remedy.THROTTLED, 0.0)
    assert refused("openai", 401, "key", retry_after_s=3.0).retry_after_s == 0.0


def test_an_error_survives_a_mailbox():
    error = pickle.loads(pickle.dumps(ProviderError("openai", "busy", Remedy.THROTTLED, 2.5)))
    assert (error.remedy, error.retry_after_s, str(error)) == (Remedy.THROTTLED, 2.5, "openai: busy")

"""Logging: no secrets, one line a record, JSON for machines."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest

from config.logging import Throttle, configure, peer_line, redact


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers = []
    yield io.StringIO()
    root.handlers, root.level = before, level


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("key rpd-0123abcd refused", "key rpd-*** refused"),
        ("/v1/talk?x-api-key=abc&from=1", "/v1/talk?x-api-key=***&from=1"),
        ("{'X-Api-Key': 'abc', 'a': 1}", "{'X-Api-Key': '***', 'a': 1}"),
        ("Authorization: Basic YWJj", "Authorization: ***"),
        ("password='geheim'", "password='***'"),
        ("postgresql://user:geheim@host/db", "postgresql://user:***@host/db"),
        ("from +15551234567", "from +***4567"),
        ("?from=%2B15551234567", "?from=%2B***4567"),
        ("the first token after 33 ms", "the first token after 33 ms"),
        ("2026-01-02 12:00:00 +0000", "2026-01-02 12:00:00 +0000"),
        ("CA0123456789abcdef0123456789abcdef", "CA0123456789abcdef0123456789abcdef"),
    ],
)
def test_redaction(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize("form", ["text", "json"])
def test_secrets_in_arguments_and_tracebacks_are_redacted(stream: io.StringIO, form: str) -> None:
    configure("info", form, stream)  # type: ignore[arg-type]
    try:
        raise ValueError("rpd-geheim1")
    except ValueError:
        logging.getLogger("x").exception("with %s", "rpd-geheim2")
    assert "geheim" not in stream.getvalue()
    assert stream.getvalue().count("rpd-***") == 3  # the message, the line of code, the exception


def test_a_message_is_one_line(stream: io.StringIO) -> None:
    configure("info", "text", stream)
    logging.getLogger("x").info("caller %s", "a\nforged line\r\x1b[31m")
    assert stream.getvalue().count("\n") == 1
    assert "a\\nforged line\\r\\x1b[31m" in stream.getvalue()


def test_json_lines(stream: io.StringIO) -> None:
    configure("warning", "json", stream)
    logging.getLogger("some.where").warning("two\nlines %d", 7)
    logging.getLogger("some.where").info("not logged")
    entry = json.loads(stream.getvalue())
    assert (entry["level"], entry["logger"], entry["message"]) == ("warning", "some.where", "two\nlines 7")
    assert "time" in entry and "error" not in entry


def test_configuring_again_replaces(stream: io.StringIO) -> None:
    configure("info", "text", stream)
    configure("info", "text", stream)
    logging.getLogger("x").info("once")
    assert stream.getvalue().count("once") == 1


# U+0085, U+2028 and U+2029 end a line for many readers; U+202E turns the rest of it around; half a character is none.
HOSTILE = "a\x00\x07\x7f\x85\x9b31m\u2028b\u2029c\u202ed\u2066e\ufefff\udc80g\u200fh\U000e0001i"


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("name", ["transports.web", "tornado.general", "tornado.application", "asyncio", "root"])
def test_no_character_of_a_peer_breaks_or_turns_a_line(stream: io.StringIO, form: str, name: str) -> None:
    configure("info", form, stream)  # type: ignore[arg-type]
    try:
        raise ValueError(f"{HOSTILE}\n2026-01-01 00:00:00 INFO root: forged")
    except ValueError:
        logging.getLogger(name).error("path %s", HOSTILE, exc_info=True)
    text = stream.getvalue()
    text.encode()  # no lone surrogate: the stream's encoding holds it
    assert len(text.splitlines()) == text.count("\n")
    assert all(line.isprintable() for line in text.split("\n"))
    if form == "json":
        assert json.loads(text)["message"] == f"path {HOSTILE}"
    else:
        assert "a\\x00\\x07\\x7f\\x85\\x9b31m\\u2028b" in text
        assert not any(line.startswith("2026-01-01") for line in text.splitlines())


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_a_library_logs_of_a_peer_is_cut_and_comes_once_a_second(stream: io.StringIO, form: str) -> None:
    configure("info", form, stream)  # type: ignore[arg-type]
    for _ in range(1000):
        logging.getLogger("tornado.general").info("Malformed HTTP message from %s: %s", "192.0.2.1", "x" * 16_000)
    logging.getLogger("tornado.general").info("Invalid Host header: " + "x" * 16_000)
    assert stream.getvalue().count("\n") <= 3 and len(stream.getvalue()) < 1500
    assert "(16,000 characters)" in stream.getvalue()


def test_no_message_is_longer_than_a_page(stream: io.StringIO) -> None:
    configure("info", "text", stream)
    try:
        raise ValueError("z" * 100_000)
    except ValueError:
        logging.getLogger("x").exception("y" * 100_000)
    assert len(stream.getvalue()) < 10_000


def test_a_line_a_second_of_each_peer_and_kind_says_how_many_were_kept_back() -> None:
    at = 0.0
    throttle = Throttle(lambda: at)
    assert [throttle.admit("bad_key", "a") for _ in range(4)] == [0, None, None, None]
    assert throttle.admit("bad_key", "b") == throttle.admit("not_found", "a") == 0
    at = 1.0
    assert [throttle.admit("bad_key", "a") for _ in range(2)] == [3, None]
    assert throttle.settle("bad_key", "a") == (0, 1.0)
    at = 2.0
    assert (throttle.settle("bad_key", "a"), throttle.settle("bad_key", "a")) == ((1, 0.0), (0, 0.0))
    assert throttle.admit("bad_key", "a") is None  # the count was this second's line
    at = 3.0
    assert throttle.admit("bad_key", "a") == 1


def test_many_peers_have_a_bound_together_and_a_table_of_some() -> None:
    at = 0.0
    throttle = Throttle(lambda: at, keys=10, per_s=5)
    told = [throttle.admit("bad_key", f"peer {n}") for n in range(1000)]
    assert told.count(None) == 995
    at = 1.0
    assert throttle.admit("bad_key", "another") == 995
    for _ in range(100):
        at += 1.0
        for n in range(5):
            throttle.admit("bad_key", f"{at} {n}")
    assert len(throttle) == 10


async def test_what_was_kept_back_is_told_when_it_has_ended(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("transports.x")
    for _ in range(500):
        peer_line(log, "bad_key", "192.0.2.1", "refused %s: %s", "x" * 1000, 7)
    assert len(caplog.records) == 1 and len(caplog.records[0].getMessage()) < 300
    async with asyncio.timeout(5):
        while len(caplog.records) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert caplog.records[1].getMessage() == "bad_key: 499 more of 192.0.2.1"

"""Logging: no secrets, one line a record, JSON for machines."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from config.logging import configure, redact


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

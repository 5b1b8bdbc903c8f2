"""Logging: one line a record, for people or for machines, and never a secret or a whole phone number."""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import Literal, TextIO

_SECRET_NAMES = "x-api-key|authorization|x-twilio-signature|auth_token|password|token"
_REDACTIONS = [
    (re.compile(r"\brpd-[\w-]+"), "rpd-***"),
    (re.compile(rf"(?i)\b({_SECRET_NAMES})(\W{{0,2}}[=:]\W{{0,2}})((?:bearer|basic) )?[^\s&\"',;}}]+"), r"\1\2***"),
    (re.compile(r"(://[^:/@\s]*):[^@/\s]+@"), r"\1:***@"),
    (re.compile(r"(\+|%2[bB])\d{3,11}(\d{4})(?!\d)"), r"\1***\2"),
]
_CONTROL = {code: f"\\x{code:02x}" for code in [*range(32), 127]} | {10: "\\n", 13: "\\r", 9: "\\t"}


def redact(text: str) -> str:
    """`text` without API keys, credentials and passwords in URLs; phone numbers keep their last four digits."""
    for pattern, replacement in _REDACTIONS:
        text = pattern.sub(replacement, text)
    return text


class TextFormatter(logging.Formatter):
    """Lines for people; what a peer sent cannot forge a second line."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
        self.default_msec_format = "%s.%03d"

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = record.message.translate(_CONTROL)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and error where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        if record.exc_info:
            entry["error"] = redact(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False)


def configure(level: str, format: Literal["text", "json"] = "text", stream: TextIO | None = None) -> None:
    """Log everything from `level` on to `stream` (standard error), in place of whatever was configured before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("tornado.access").setLevel(logging.ERROR)  # its lines hold whole URLs
    logging.getLogger("alembic").setLevel(logging.WARNING)  # a start is no news

"""The root of every error that Callboard raises on purpose.

Each class has a stable `code` for machines (logs, JSON, metrics) and says whose fault it is; its text
names the field, the value and what is legal, and never holds a secret.
"""

from __future__ import annotations

REASON_HEADER = "X-Callboard-Reason"  # in HTTP, where the body of a refusal is the carrier's own kind of answer


class CallboardError(Exception):
    """Something that Callboard foresaw; `code` is stable, the text is for people."""

    code = "error"


class BadInput(CallboardError):
    """The other side's fault: what it sent cannot be used. Maps to HTTP 400 unless a subclass says otherwise."""

    code = "bad_input"
    http_status = 400


class ConfigError(BadInput):
    """An option, an assistant's file or a command line holds a value that is not legal."""

    code = "bad_config"


def shown(value: object, width: int = 40) -> str:
    """What a peer sent, for an error's text: short, and cheap and safe however long or deeply nested it is."""
    if isinstance(value, str | bytes):
        return repr(value[:width]) + ("..." if len(value) > width else "")
    if isinstance(value, int) and value.bit_length() > 64:
        return "a huge number"
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    return {"dict": "an object", "list": "a list"}.get(type(value).__name__, type(value).__name__)

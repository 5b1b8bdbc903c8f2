"""The root of every error that Callboard raises on purpose.

Each class has a stable `code` for machines (logs, JSON, metrics) and says whose fault it is; its text
names the field, the value and what is legal, and never holds a secret.
"""

from __future__ import annotations


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

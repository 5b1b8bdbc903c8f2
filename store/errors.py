"""What the store refuses."""

from __future__ import annotations

from config.errors import BadInput, CallboardError


class StoreUnavailable(CallboardError):
    """The database cannot be reached; the text names host and database, never the password."""

    code = "store_unavailable"


class UnknownAssistant(BadInput):
    """No assistant has this id or name."""

    code = "unknown_assistant"
    http_status = 404


class UnknownContext(BadInput):
    """No call context has this id."""

    code = "unknown_context"
    http_status = 404


class ContextUsed(BadInput):
    """A media connection has claimed this context already: contexts are single-use."""

    code = "context_used"
    http_status = 409


class ContextExpired(BadInput):
    """The context waited too long for its media connection."""

    code = "context_expired"
    http_status = 410


class InvalidKey(BadInput):
    """The API key is missing, unknown or revoked; the text never repeats it."""

    code = "invalid_key"
    http_status = 401


class SchemaMismatch(CallboardError):
    """A newer program has changed the database's schema."""

    code = "schema_mismatch"


class UnknownKey(BadInput):
    """No API key has this number or hint."""

    code = "unknown_key"
    http_status = 404

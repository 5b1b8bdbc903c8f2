"""What the store refuses."""

from __future__ import annotations

from config.errors import BadInput, CallboardError


class StoreUnavailable(CallboardError):
    """The database cannot be reached; the text names host and database, never the password."""

    code = "store_unavailable"


class FolderNotPrivate(StoreUnavailable):
    """What we keep would lie in a folder that is not ours, or that others may read."""

    code = "folder_not_private"


class NoThreads(CallboardError):
    """The system has no further thread for us."""

    code = "no_threads"


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


class ContextLost(ContextUsed):
    """The call of this context is over: whoever carried it died. The text says which end it came to."""

    code = "context_lost"
    http_status = 410


class ContextExpired(BadInput):
    """The context waited too long for its media connection."""

    code = "context_expired"
    http_status = 410


class CallOver(BadInput):
    """The call has ended, and whatever its carrier still says of it is not kept."""

    code = "call_over"
    http_status = 410


class TooManyCallbacks(BadInput):
    """As much as we keep has been said of this call by its carrier."""

    code = "too_many_callbacks"
    http_status = 429


class UnknownCall(BadInput):
    """No call has this context id or conversation number."""

    code = "unknown_call"
    http_status = 404


class AmbiguousCall(BadInput):
    """Several calls have context ids that begin so."""

    code = "ambiguous_call"
    http_status = 409


class InvalidKey(BadInput):
    """The API key is missing, unknown or revoked; the text never repeats it."""

    code = "invalid_key"
    http_status = 401


class KeyRevoked(InvalidKey):
    """The API key with which a call was announced was revoked before its media connected."""

    code = "key_revoked"


class SchemaMismatch(CallboardError):
    """A newer program has changed the database's schema."""

    code = "schema_mismatch"


class UnknownKey(BadInput):
    """No API key has this number or hint."""

    code = "unknown_key"
    http_status = 404


class SpoolFull(CallboardError):
    """The ledger's spool on disk has reached its limit; the text names the folder and the limit."""

    code = "spool_full"

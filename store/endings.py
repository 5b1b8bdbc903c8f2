"""How a call ended, in words: for operators' lists, and for a caller's page."""

from __future__ import annotations

#: the reason of a termination, a stable word -> what it means to people
ENDINGS = {
    "caller_hung_up": "the caller hung up",
    "assistant_hung_up": "the assistant hung up",
    "agent_hung_up": "we hung up",
    "operator": "an operator ended the call",
    "idle": "nobody said anything any more",
    "max_duration": "the call had lasted as long as a call may",
    "drained": "the server was stopped before the call was over",
    "shutdown": "the server was stopped",
    "memory": "the call's process had grown too large and was replaced",
    "terminated": "the call's process was told to stop",
    "bad_config": "the call's assistant could not be read",
    "unknown_provider": "the call's assistant names a provider that is not there",
    "provider_exhausted": "the assistant's providers failed",
    "connection_lost": "the connection was lost",
    "peer_not_reading": "the caller's side took no more audio",
    "media_timeout": "the caller's side sent no more audio",
    "protocol_error": "the caller's side broke its protocol",
    "carrier_error": "the carrier reported an error",
    "too_many_connections": "the caller's side had too many connections",
    "internal_error": "the server made an error",
    "transport_failed": "the server made an error with the call's audio",
    "media_error": "the server made an error with the call's audio",
    "worker_lost": "the process that had the call died",
    "node_lost": "the server that had the call died",
}


def in_words(reason: str, detail: str = "") -> str:
    """Such as: an operator ended the call: test of the line."""
    text = ENDINGS.get(reason, reason.replace("_", " "))
    return f"{text}: {detail}" if detail else text

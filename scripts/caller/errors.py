"""What can go wrong when the simulated caller calls."""

from __future__ import annotations

from config.errors import CallboardError


class ServerUnreachable(CallboardError):
    """Nothing answers at the address that was called."""

    code = "server_unreachable"


class CallRefused(CallboardError):
    """The server answered, and its answer was no."""

    code = "call_refused"


class BrokenAnswer(CallboardError):
    """The server broke the carrier's protocol: what it sent is not what Twilio or Asterisk would take."""

    code = "broken_answer"

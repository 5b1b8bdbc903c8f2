"""What can go wrong in a call, and how a call ends."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from config.errors import BadInput, CallboardError

#: what no log, terminal or database takes in a line of text
_UNPRINTABLE = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


class Remedy(Enum):
    """What a supervisor does about a provider's failure."""

    RETRY = "retry"  # network, 5xx, a crash, a stall: once more on the same provider, with back-off
    THROTTLED = "throttled"  # 429, too many sessions: the next provider now, this one later
    QUOTA = "quota"  # no credit: the next provider
    REFUSED = "refused"  # this question or sentence, and it would be again: another provider, or without it
    CONFIG = "config"  # wrong key, voice or model: a restart cannot help; the next provider


class ProviderError(CallboardError):
    """A provider failed; `remedy` says what can still be done, and `retry_after_s` how long it asks not to be asked
    again. The text names the provider, holds no secret, and is one line of characters whatever the provider sent."""

    code = "provider_error"

    def __init__(self, provider: str, detail: str, remedy: Remedy = Remedy.RETRY, retry_after_s: float = 0.0) -> None:
        if not detail.isprintable():
            detail = _UNPRINTABLE.sub(" ", detail)
        super().__init__(f"{provider}: {detail}")
        self.provider, self.detail, self.remedy, self.retry_after_s = provider, detail, remedy, retry_after_s

    def __reduce__(self) -> tuple[type[ProviderError], tuple[str, str, Remedy, float]]:
        return type(self), (self.provider, self.detail, self.remedy, self.retry_after_s)

    def saying(self, detail: str) -> ProviderError:
        """The same failure in other words."""
        return type(self)(self.provider, detail, self.remedy, self.retry_after_s)


class ProviderStalled(ProviderError):
    """A provider owes an answer and has been silent for too long."""

    code = "provider_stalled"


class EngineNotStarted(ProviderStalled):
    """An engine of ours cannot be started: this machine has no process or no memory for it, or it is not installed."""

    code = "engine_not_started"


class ProviderCrashed(ProviderError):
    """Ours or an engine of ours died, perhaps of the work that it was given: the same work is not given for ever."""

    code = "provider_crashed"


class UnlistedPair(CallboardError):
    """An input came where the table of a state machine says that it cannot: our fault; the text names both."""

    code = "unlisted_pair"


class UnknownProvider(BadInput):
    """An assistant names a provider that is not there; the text lists those that are."""

    code = "unknown_provider"


class Result(Enum):
    """Who or what ended a call."""

    SUCCESS = "success"
    CLIENT_ERROR = "client_error"  # the peer broke its protocol
    SERVER_ERROR = "server_error"  # our fault
    UPSTREAM_ERROR = "upstream_error"  # providers exhausted


@dataclass(frozen=True, slots=True)
class Termination:
    """How a call ended: `reason` is a stable word such as caller_hung_up, agent_hung_up, idle, max_duration,
    provider_exhausted, protocol_error, shutdown."""

    result: Result
    reason: str
    detail: str = ""

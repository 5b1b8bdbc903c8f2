"""What providers behind a network have in common: where they are, their key, and what their refusals mean."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator

from actors.errors import ProviderError, Remedy
from actors.providers.spec import Options, Use
from config.options import Legal
from config.problems import Problem

CONNECT_S = 5.0  # for TCP, TLS and the handshake; a call's own `connect_ms` is usually shorter
BEARABLE_S = 10.0  # longer than that nobody waits on the telephone, whatever is said to pass the time
_DETAIL_CHARS = 200
_CONFIG_STATUSES = (401, 403, 404, 405, 410)  # the key, the model, the address
_SECONDS = re.compile(r"(\d+(?:\.\d+)?|inf)\s*s?(?:,|$)")  # "3s" and "3, 3" are no HTTP, and sent
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_WEBSOCKET_SCHEMES = {"http": "ws", "https": "wss"}


def _checked_url(url: str) -> str:
    """No value in the message: whoever writes a password into a URL must not read it in a log."""
    try:
        parts = urlsplit(url)
        legal = parts.scheme in ("http", "https", "ws", "wss") and parts.hostname and parts.port != 0
    except ValueError:
        legal = None
    if not legal or parts.username or parts.password or parts.query or parts.fragment or re.search(r"[\s\\]", url):
        raise ValueError("must be SCHEME://HOST[:PORT][/PATH] with the scheme http, https, ws or wss, and nothing else")
    return url.rstrip("/")


BaseUrl = Annotated[
    str, AfterValidator(_checked_url), Legal("SCHEME://HOST[:PORT][/PATH] with the scheme http, https, ws or wss")
]


class RemoteOptions(Options):
    """Base of the options of a provider that is reached over the network.

    An assistant's file names the variable that holds the key, never the key: the file is stored, shown and versioned.
    """

    provider: ClassVar[str]
    key_variable: ClassVar[str]

    api_key: str = Field("", description="${NAME} of an environment variable; empty: the provider's usual one")
    base_url: BaseUrl = Field(description="where the service is")

    @field_validator("api_key", mode="before")
    @classmethod
    def _only_a_reference(cls, value: Any) -> Any:
        if value in ("", None):
            return ""
        if not isinstance(value, str) or not _REFERENCE.fullmatch(value):
            raise ValueError("must be ${NAME}, the environment variable that holds the key; the key itself is refused")
        return value

    def problems(self, use: Use) -> Iterator[Problem]:
        """A key that is missing here; the server's environment may have it."""
        try:
            self.key()
        except ProviderError as error:
            yield Problem((), f"{error.detail}; the server needs it", fatal=False)

    def key(self) -> str:
        """The secret; empty where a server of one's own may do without. Raises `ProviderError`."""
        named = _REFERENCE.fullmatch(self.api_key)
        variable = named[1] if named else self.key_variable
        key = os.environ.get(variable, "").strip()
        is_vendors = self.base_url == type(self).model_fields["base_url"].default
        if not key and (named or is_vendors):
            raise ProviderError(self.provider, f"no key: the environment variable {variable} is not set", Remedy.CONFIG)
        if not (key.isascii() and key.isprintable()):
            raise ProviderError(self.provider, f"{variable} holds characters that no key has", Remedy.CONFIG)
        return key

    @property
    def websocket_url(self) -> str:
        scheme, rest = self.base_url.split(":", 1)
        return f"{_WEBSOCKET_SCHEMES.get(scheme, scheme)}:{rest}"


def remedy_of_status(status: int, of_request: bool = False) -> Remedy:
    """What an HTTP status means for a provider, in an answer or instead of a WebSocket. `of_request`: what was refused
    is one question or sentence, not the connection with all that the assistant's file says of it."""
    if status == 402:
        return Remedy.QUOTA
    if status in (408, 429, 529):
        return Remedy.THROTTLED
    if status in (409, 425) or status >= 500:
        return Remedy.RETRY
    is_config = not of_request or status in _CONFIG_STATUSES or status < 400
    return Remedy.CONFIG if is_config else Remedy.REFUSED


def remedy_in_answer(status: int) -> Remedy:
    """What it means in an error behind a status of 200; one that is none of an error means nothing."""
    return remedy_of_status(status, of_request=True) if 400 <= status < 600 else Remedy.RETRY


def refused(
    provider: str,
    status: int,
    detail: str,
    remedy: Remedy | None = None,
    *,
    retry_after_s: float = 0.0,
    of_request: bool = False,
) -> ProviderError:
    """The error for this status. Why a key was refused is not repeated: such answers quote the key."""
    shown = "the key was refused" if status in (401, 403) else " ".join(detail.split())[:_DETAIL_CHARS]
    error_text = f"answered {status}" + (f": {shown}" if shown else "")
    remedy = remedy or remedy_of_status(status, of_request)
    if remedy not in (Remedy.THROTTLED, Remedy.RETRY):
        retry_after_s = 0.0
    elif retry_after_s > BEARABLE_S:
        error_text += f" (for {retry_after_s:.0f} s)"
        remedy, retry_after_s = (Remedy.REFUSED if of_request else remedy), 0.0
    return ProviderError(provider, error_text, remedy, retry_after_s)


def retry_after_s(headers: Mapping[str, str]) -> float:
    """How long an answer with these headers (their names in lower case) asks us to wait; 0: it does not say.
    RFC 9110 section 10.2.3, and `retry-after-ms` of OpenAI and Azure."""
    with suppress(ValueError):
        return _sane(float(headers.get("retry-after-ms", "")) / 1000)
    value = headers.get("retry-after", "").strip()
    if found := _SECONDS.match(value):
        return _sane(float(found[1]))
    with suppress(ValueError, TypeError):
        at = parsedate_to_datetime(value)
        return _sane((at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    return 0.0


def _sane(seconds: float) -> float:
    return min(seconds, 86_400.0) if seconds > 0 else 0.0


@cache
def tls_context() -> ssl.SSLContext:
    """One for the process: reading the machine's certificates costs 20 ms."""
    return ssl.create_default_context()

"""The HTTP that a carrier and a curious caller speak with the server: webhooks and the conversation's record."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import SplitResult, quote, urlencode, urlsplit

import orjson
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse

from config.errors import REASON_HEADER, ConfigError
from scripts.caller.errors import BrokenAnswer, CallRefused, ServerUnreachable
from scripts.output import printable

TIMEOUT_S = 15.0  # Twilio's own limit for a webhook


class Server:
    """A Callboard server at an address such as `http://127.0.0.1:9007`; `close` ends its connections."""

    def __init__(self, address: str, key: str | None = None) -> None:
        parts, self.host = _parts(address)
        if key and not (key.isascii() and key.isprintable()):
            raise ConfigError("--key: an API key has only letters, digits and dashes")
        self.address = f"{parts.scheme}://{parts.netloc}"
        self._headers = {"x-api-key": key} if key else {}
        self._client = AsyncHTTPClient(force_instance=True)

    def close(self) -> None:
        self._client.close()

    def websocket_url(self, url: str) -> str:
        """A media address as the server gave it, on the scheme and host that we reach it at."""
        return "ws" + self.address.removeprefix("http") + urlsplit(url).path

    async def post_form(self, path: str, form: dict[str, str]) -> bytes:
        headers = {**self._headers, "Content-Type": "application/x-www-form-urlencoded"}
        return (await self._fetch(path, method="POST", headers=headers, body=urlencode(form))).body

    async def get(self, path: str) -> bytes:
        return (await self._fetch(path, headers=self._headers)).body

    async def conversation(self, context_id: str) -> dict[str, Any]:
        """The server's record of a call so far: messages, metrics, status, termination."""
        body = await self.get(f"/v1/conversations/{quote(context_id)}")
        try:
            record: dict[str, Any] = orjson.loads(body)
            for message in record["messages"]:
                message["role"], message["text"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise BrokenAnswer("the conversation's record has no messages of role and text") from None
        return record

    async def _fetch(self, path: str, **options: Any) -> HTTPResponse:
        request = HTTPRequest(self.address + path, request_timeout=TIMEOUT_S, follow_redirects=False, **options)
        try:
            response = await self._client.fetch(request)
        except HTTPClientError as error:
            if error.code == 599:
                raise ServerUnreachable(f"{self.address} does not answer: {error.message}") from None
            raise CallRefused(f"{self.address}{path.partition('?')[0]} answered {refusal(error)}") from None
        except OSError as error:
            raise ServerUnreachable(
                f"{self.address} cannot be reached: {error}; is `callboard serve` running?"
            ) from None
        if reason := response.headers.get(REASON_HEADER):
            raise CallRefused(f"the call was rejected: {printable(reason)}")
        return response


def _parts(address: str) -> tuple[SplitResult, str]:
    try:
        parts = urlsplit(address)
        if parts.username is not None:
            raise ConfigError("--to: user and password have no place in a server's address; give a key with --key")
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts, parts.hostname
    except ValueError:  # no port, or half an IPv6 address
        pass
    shown = re.sub(r"[^/]*@", "...@", address)  # a password perhaps
    raise ConfigError(f"--to {shown!r} is not an address like http://127.0.0.1:9007")


def refusal(error: HTTPClientError) -> str:
    """Status and sentence of a server that answered no; a carrier's own answer has it in a header."""
    response = error.response
    text = response.headers.get(REASON_HEADER, "") if response else ""
    try:
        text = text or orjson.loads(response.body if response else b"")["error"]["message"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        text = error.message or ""
    hint = "; give a key with --key: `callboard key create NAME` makes one" if error.code == 401 else ""
    return f"{error.code}: {printable(str(text))}{hint}"

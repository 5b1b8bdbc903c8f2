"""Talks to a running node's operators' HTTP. Light on purpose: `callboard ps` is to answer at once."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from config.errors import CallboardError, ConfigError
from scripts.nodes import FILE, data_dir, read

if TYPE_CHECKING:  # 15 ms that `callboard --help` does without
    from http.client import HTTPConnection, HTTPResponse

ANSWER_S = 5.0
TRIES = 3  # a worker that hangs may take a connection: the next one reaches another worker

Query = str | int | float


class NoNode(CallboardError):
    """No node answers; the text says where it was looked for."""

    code = "no_node"


class Refused(CallboardError):
    """The node has answered with an error; code and text are the node's."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def add_node_options(parser: argparse.ArgumentParser) -> None:
    """Which node is asked."""
    parser.add_argument("--url", help="ask the node at this address; its token is taken from OPERATOR__TOKEN")


def connect(args: argparse.Namespace) -> OperatorClient:
    """The client for the node that the command line and the environment name. Raises `NoNode`, `ConfigError`."""
    token = os.environ.get("OPERATOR__TOKEN", "")
    if args.url:
        return OperatorClient(args.url, token)
    path = data_dir(os.environ) / FILE
    try:
        found = read(path)
        return OperatorClient(found["url"], token or found.get("token", ""))
    except FileNotFoundError:
        raise NoNode(f"no node runs here: {path} is not there; `callboard serve` makes it") from None
    except (OSError, ValueError, KeyError) as error:
        raise NoNode(f"{path} cannot be used: {type(error).__name__}; who may read it runs the node") from None


class OperatorClient:
    """One node, asked once per connection."""

    def __init__(self, url: str, token: str) -> None:
        from urllib.parse import urlsplit

        parts = urlsplit(url)
        try:
            port = parts.port or 80
        except ValueError:
            port = 0
        if parts.scheme != "http" or not parts.hostname or not port:
            raise ConfigError(f"--url {url!r}: legal: http://HOST:PORT")
        self._url, self._host, self._port, self._token = url, parts.hostname, port, token

    def get(self, path: str, answer_s: float = ANSWER_S, **query: Query) -> Any:
        """The JSON answer. Raises `NoNode`, `Refused`."""
        for _ in range(TRIES):
            try:
                return self._ask("GET", path, answer_s, query)
            except TimeoutError:
                continue
        raise self._silent()

    def post(self, path: str, **query: Query) -> Any:
        """As `get`, but asked only once: it changes something."""
        try:
            return self._ask("POST", path, ANSWER_S, query)
        except TimeoutError:
            raise self._silent() from None

    def stream(self, path: str, **query: Query) -> Iterator[dict[str, Any]]:
        """The JSON lines of an answer, as they come."""
        try:
            with self._response("GET", path, ANSWER_S, query) as response:
                while line := response.readline():
                    yield json.loads(line)
        except TimeoutError:
            raise self._silent() from None

    def _ask(self, method: str, path: str, answer_s: float, query: Mapping[str, Query]) -> Any:
        with self._response(method, path, answer_s, query) as response:
            return json.loads(response.read())

    @contextmanager
    def _response(self, method: str, path: str, answer_s: float, query: Mapping[str, Query]) -> Iterator[HTTPResponse]:
        """The answer while it is read. Raises `TimeoutError`, and `NoNode` for all else that goes wrong on the way."""
        from http.client import HTTPConnection, HTTPException

        connection = HTTPConnection(self._host, self._port, timeout=answer_s)
        try:
            yield self._request(connection, method, path, query)
        except TimeoutError:
            raise
        except (OSError, HTTPException, ValueError) as error:
            raise NoNode(f"no node answers at {self._url}: {error}; is `callboard serve` running?") from None
        finally:
            connection.close()

    def _request(self, connection: HTTPConnection, method: str, path: str, query: Mapping[str, Query]) -> HTTPResponse:
        from urllib.parse import urlencode

        given = {name: value for name, value in query.items() if value != ""}
        headers = {"Authorization": f"Bearer {self._token}", "X-Operator": os.environ.get("USER", "")}
        connection.request(method, f"{path}?{urlencode(given)}" if given else path, headers=headers)
        response = connection.getresponse()
        if response.status != 200:
            raise _refusal(response)
        return response

    def _silent(self) -> NoNode:
        return NoNode(f"the node at {self._url} does not answer")


def segment(text: str) -> str:
    """`text` as one segment of a path."""
    from urllib.parse import quote

    return quote(text, safe="")


def _refusal(response: HTTPResponse) -> Refused:
    try:
        error = json.loads(response.read())["error"]
        return Refused(error["code"], error["message"])
    except (ValueError, KeyError, TypeError):
        return Refused("bad_answer", f"HTTP {response.status} {response.reason}, and no word of a Callboard node")

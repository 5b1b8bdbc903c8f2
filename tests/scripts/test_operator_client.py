"""The client of the operators' HTTP, and what it makes of servers that are none."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from scripts.columns import branches, columns
from scripts.operator_client import TRIES, NoNode, OperatorClient, Refused, segment

JSON = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"


@contextmanager
def server(*answers: bytes | None) -> Iterator[tuple[str, list[bytes]]]:
    """Gives each connection its answer, None: silence; what was asked is kept."""
    asked: list[bytes] = []
    kept: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                asked.append(connection.recv(4096))
                if answer is None:
                    kept.append(connection)
                else:
                    connection.sendall(answer)
                    connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
        thread.join(5)
        for connection in kept:
            connection.close()


def test_a_worker_that_hangs_is_passed_over() -> None:
    with server(None, JSON) as (url, asked):
        assert OperatorClient(url, "opensesame").get("/v1/actors", answer_s=0.1, call="", window_s=1.5) == []
    assert asked[0].startswith(b"GET /v1/actors?window_s=1.5 HTTP/1.1\r\n")
    assert b"Authorization: Bearer opensesame\r\n" in asked[1]


def test_a_node_that_hangs() -> None:
    with server(*[None] * TRIES) as (url, _), pytest.raises(NoNode, match="does not answer"):
        OperatorClient(url, "").get("/v1/actors", answer_s=0.05)


@pytest.mark.parametrize(
    "answer",
    [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n<p>", b"HTTP/1.1 200 OK\r\n\r\n"],
)
def test_who_answers_is_no_node(answer: bytes) -> None:
    with server(answer) as (url, _), pytest.raises(NoNode, match="no node answers at"):
        OperatorClient(url, "").post("/v1/drain")


def test_an_error_is_the_nodes() -> None:
    body = b'{"error": {"code": "unknown_call", "message": "no such call"}}'
    head = b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n"
    with server(head % len(body) + body) as (url, _), pytest.raises(Refused, match="no such call") as raised:
        OperatorClient(url, "").post("/v1/calls/x/hangup")
    assert raised.value.code == "unknown_call"
    with server(head % 2 + b"no") as (url, _), pytest.raises(Refused, match="HTTP 404 Not Found"):
        OperatorClient(url, "").get("/")


def test_a_stream_is_read_line_by_line() -> None:
    with server(b'HTTP/1.1 200 OK\r\n\r\n{"a": 1}\n{"over": "x"}\n') as (url, _):
        assert list(OperatorClient(url, "").stream("/v1/trace/x", limit=3)) == [{"a": 1}, {"over": "x"}]


def test_an_id_is_one_segment_of_the_path() -> None:
    assert segment("../a b?c#d") == "..%2Fa%20b%3Fc%23d"


def test_columns_are_aligned() -> None:
    assert list(columns(("name", "n"), [("a", 1), ("long", 22.5), (None, 0.0)])) == [
        *("name     n", "a        1", "long  22.5", "-        0")
    ]
    assert list(columns(("only", "heads"), [])) == ["only  heads"]


def test_branches() -> None:
    leaf = {"label": "c", "children": []}
    assert list(branches({"label": "a", "children": [{"label": "b", "children": [leaf]}, leaf]})) == [
        *("a", "├─ b", "│  └─ c", "└─ c")
    ]

"""An HTTP answer and its server-sent events, however the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.errors import ProviderError
from actors.providers import http_answer
from actors.providers.http_answer import MAX_EVENT_BYTES, MAX_HEAD_BYTES, EventReader, HttpAnswer

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
WHOLE = b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: t\r\n\r\n"
SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world"


class Received:
    """What an answer made of these pieces, and of the end of the connection after them."""

    def __init__(self, *pieces: bytes, end: bool = False) -> None:
        self.body = b""
        self.answer = HttpAnswer("someone", self._take)
        for piece in pieces:
            self.answer.receive(piece)
        if end:
            self.answer.end()

    def _take(self, data: bytes) -> None:
        self.body += data

    @property
    def result(self) -> tuple[int, bytes, bytes, bool, bool]:
        answer = self.answer
        return answer.status, self.body, answer.refusal, answer.complete, answer.keeps_connection


@pytest.mark.parametrize(
    "stream",
    [
        CHUNKED + WHOLE,
        SIZED,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + SIZED,
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 11\r\n\r\nhello world",
        b"HTTP/1.1 200 OK\r\nUpgrade: h2,h2c\r\nConnection: Upgrade\r\nContent-Length: 11\r\n\r\nhello world",
    ],
)
def test_an_answer_is_the_same_however_it_is_cut(stream):
    expected = (200, b"hello world", b"", True, True)
    assert Received(stream).result == expected
    assert Received(*(bytes([byte]) for byte in stream)).result == expected
    for cut in range(len(stream)):
        begun = Received(stream[:cut])
        assert not begun.answer.complete
        begun.answer.receive(stream[cut:])
        assert begun.result == expected


@pytest.mark.parametrize(
    "stream",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 11\r\n\r\nhello world",
        b"HTTP/1.0 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
        SIZED + SIZED,
        SIZED + b"garbage",
        SIZED + b"HTTP/1.1 500 Oops\r\n\r\n",
        CHUNKED + WHOLE + b"x",
    ],
)
def test_an_answer_after_which_the_connection_is_of_no_use(stream):
    assert Received(stream).result == (200, b"hello world", b"", True, False)


def test_where_no_end_is_marked_it_is_the_end_of_the_connection():
    received = Received(b"HTTP/1.0 200 OK\r\n\r\nhello", b" world")
    assert not received.answer.complete
    received.answer.end()
    assert received.result == (200, b"hello world", b"", True, False)


@pytest.mark.parametrize("head", [CHUNKED, CHUNKED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")])
def test_an_answer_is_broken_off_wherever_it_is_cut(head):
    stream = head + WHOLE
    for cut in range(1, len(stream)):
        with pytest.raises(ProviderError, match="broke off its answer"):
            Received(stream[:cut], end=True)


def test_no_answer_at_all():
    with pytest.raises(ConnectionError):
        Received(end=True)


@pytest.mark.parametrize(
    ("stream", "status", "refusal"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\nx", 101, b""),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000, 500, b"x" * 4096),
        (b"HTTP/1.1 503 Busy\r\nConnection: close\r\n\r\nlater", 503, b"later"),
        (b"HTTP/1.1 429 Slow\r\nContent-Length: 50\r\n\r\nslow d", 429, b"slow d"),  # cut off, and yet clear
    ],
)
def test_another_status(stream, status, refusal):
    received = Received(stream)
    if not received.answer.complete:
        received.answer.end()
    assert received.result[:4] == (status, b"", refusal, True)


@pytest.mark.parametrize(
    "stream",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello",
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/1.1 1000 OK\r\n\r\n",
        CHUNKED + b"zz\r\n",
        CHUNKED + b"ffffffffffffffffffff\r\n",
        SIZED.replace(b"11", b"-1"),
        SIZED.replace(b"11\r\n", b"11\r\nTransfer-Encoding: chunked\r\n"),
        SIZED.replace(b"11\r\n", b"11\r\nno colon\r\n"),
    ],
)
def test_what_is_not_http(stream):
    with pytest.raises(ProviderError, match="someone: sent what is not HTTP"):
        Received(stream)
    with pytest.raises(ProviderError, match="someone: sent what is not HTTP"):
        Received(*(bytes([byte]) for byte in stream))


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\nX: ",
        CHUNKED + b"5;x=",
        CHUNKED + b"0\r\nTrailer: ",
        b"HTTP/1.1 200 ",
    ],
)
def test_there_is_a_limit_to_all_that_is_not_body(start):
    received = Received(start)
    with pytest.raises(ProviderError, match="bytes of headers"):
        for _ in range(MAX_HEAD_BYTES // 1000 + 1):
            received.answer.receive(b"x" * 1000)


def test_interim_responses_are_limited_too():
    received = Received()
    with pytest.raises(ProviderError, match="bytes of headers"):
        for _ in range(10_000):
            received.answer.receive(b"HTTP/1.1 100 Continue\r\n\r\n")


@pytest.mark.parametrize("head", [CHUNKED, CHUNKED.replace(b"200", b"500")])
def test_there_is_a_limit_to_the_body(monkeypatch, head):
    monkeypatch.setattr(http_answer, "MAX_BODY_BYTES", 1000)
    received = Received(head, *[b"64\r\n" + b"x" * 100 + b"\r\n"] * 10)
    with pytest.raises(ProviderError, match="more than 1000 bytes"):
        received.answer.receive(b"1\r\nx\r\n")


@pytest.mark.parametrize(
    ("raised", "text"), [(ProviderError("someone", "quota"), "someone: quota"), (KeyError("x"), "no sense .KeyError")]
)
def test_what_its_reader_raises(raised, text):
    def refuse(data: bytes) -> None:
        raise raised

    with pytest.raises(ProviderError, match=text):
        HttpAnswer("someone", refuse).receive(SIZED)


@given(
    st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([CHUNKED, WHOLE, SIZED, b"3\r\nabc\r\n"])), max_size=8)
)
def test_whatever_comes_is_an_answer_or_a_provider_error(pieces):
    received = Received()
    try:
        for piece in pieces:
            received.answer.receive(piece)
        received.answer.end()
    except (ProviderError, ConnectionError):
        assert not received.answer.keeps_connection or received.answer.complete


# --- server-sent events ------------------------------------------------------------------------------------------

STREAM = (
    b"data: one\n\n"
    b": a comment\n\ndata:two\r\n\r\n"
    b"event: message\nid: 7\ndata: three\ndata:  four\n\nretry: 5\n\n"
    b"data\n\ndata: f\xc3\xbcnf\n\ndata: \n\ndata: [DONE]\n\n"
)
EVENTS = [b"one", b"two", b"three\n four", "fünf".encode(), b"", b"[DONE]"]


def test_events_are_the_same_wherever_the_stream_is_cut():
    for cut in range(len(STREAM)):
        reader = EventReader()
        assert reader.feed(STREAM[:cut]) + reader.feed(STREAM[cut:]) == EVENTS
    reader = EventReader()
    assert [event for byte in STREAM for event in reader.feed(bytes([byte]))] == EVENTS


@given(st.lists(st.sampled_from([b"data: ", b"data:", b"x", b"\n", b"\r\n", b"\n\n", b"data: one\n\n", b": c"])))
def test_events_do_not_depend_on_the_pieces(pieces):
    reader = EventReader()
    assert [e for piece in pieces for e in reader.feed(piece)] == EventReader().feed(b"".join(pieces))


@pytest.mark.parametrize("piece", [b"x" * 1000, b"data: " + b"x" * 1000 + b"\n"])
def test_an_event_without_an_end(piece):
    reader = EventReader()
    with pytest.raises(ValueError, match="an event of more than"):
        for _ in range(MAX_EVENT_BYTES // 1000 + 2):
            reader.feed(piece)

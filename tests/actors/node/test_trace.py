"""A trace as a machine: what it shows, and how it ends by itself."""

from __future__ import annotations

from actors.messages import Clause, Heard
from actors.node.trace import FORGOTTEN_S, LINES_PER_S, Trace

CLAUSE = Clause(1, "a secret word")


def _trace(limit: int = 1000) -> Trace:
    return Trace(str, 100.0, limit)


def test_a_line_has_the_size_and_not_the_words() -> None:
    trace = _trace()
    trace.passed(100.25, CLAUSE, "responder", "call")
    assert trace.poll(100.3) == [
        {"t_s": 0.25, "from": "responder", "to": "call", "type": "Clause", "count": 1, "size": 13}
    ]
    assert trace.poll(100.4) == []


def test_audio_is_counted_by_the_second() -> None:
    trace = _trace()
    for number in range(40):
        trace.passed(100 + number / 40, Heard(bytes(320), 0.0, 20.0), "transport", "transcriber")
    assert trace.poll(100.9) == []
    (line,) = trace.poll(101.1)
    assert (line["type"], line["count"], line["size"]) == ("Heard", 40, 40 * 320)
    assert trace.poll(102.2) == []


def test_it_ends_after_its_limit() -> None:
    trace = _trace(limit=3)
    for number in range(10):
        trace.passed(100.0 + number, CLAUSE, "responder", "call")
    assert trace.over == "count_limit"
    assert len(trace.poll(111)) == 3


def test_it_ends_when_too_much_passes_in_a_second() -> None:
    trace = _trace()
    for number in range(2 * LINES_PER_S):
        trace.passed(100 + number / (2 * LINES_PER_S), CLAUSE, "responder", "call")
    assert trace.over == "rate_limit"
    assert len(trace.poll(101)) == LINES_PER_S


def test_as_much_over_a_longer_time_is_all_right() -> None:
    trace = _trace()
    for number in range(2 * LINES_PER_S):
        trace.passed(100 + 3 * number / (2 * LINES_PER_S), CLAUSE, "responder", "call")
    assert trace.over == "" and len(trace.poll(103)) == 2 * LINES_PER_S


def test_it_ends_when_nobody_asks() -> None:
    trace = _trace()
    trace.poll(101)
    assert trace.check(101 + FORGOTTEN_S, call_lives=True)
    assert not trace.check(101.1 + FORGOTTEN_S, call_lives=True)
    assert trace.over == "not_polled"


def test_it_ends_with_the_call_and_tells_the_rest() -> None:
    trace = _trace()
    trace.passed(100.1, Heard(b"ab", 0.0, 20.0), "transport", "transcriber")
    assert not trace.check(100.2, call_lives=False)
    assert trace.over == "call_ended"
    assert [line["count"] for line in trace.poll(100.2)] == [1]

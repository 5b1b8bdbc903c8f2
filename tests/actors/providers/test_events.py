"""The rule for what vendors send: what is passed over, what ends a session, and what a field holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.errors import ProviderError
from actors.providers import events, intake
from actors.providers.events import MOST_SENSELESS, Events, Halves, LifeSigns, number, text
from actors.providers.openai_answer import Answer
from actors.providers.spec import Question, Token
from tests.fakes.emitted import Emitted


def test_a_stream_in_which_nothing_makes_sense_is_useless() -> None:
    reader = Events("someone", lambda event: event["type"])
    for _ in range(MOST_SENSELESS - 1):
        reader.feed(b"{}")
    with pytest.raises(ProviderError, match=r"someone: sent 20 events in a row that make no sense \(KeyError\)"):
        reader.feed(b"{}")


def test_more_than_the_budget_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "BURST_PIECES", 3)
    monkeypatch.setattr(intake, "PIECES_PER_S", 0)
    answer = Answer(Question(1, ()), Emitted())
    answer.feed(b"data: {}\n\n" * 3)
    with pytest.raises(ProviderError, match="openai: sent more than 0 events a second"):
        answer.feed(b"data: {}\n\n")


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12), st.data())
def test_characters_are_whole_wherever_they_are_cut(whole: str, data: st.DataObject) -> None:
    units = whole.encode("utf-16-le")
    halves = [units[n : n + 2].decode("utf-16-le", "surrogatepass") for n in range(0, len(units), 2)]
    joined = Halves()
    assert "".join(joined.join(half) for half in halves) == whole


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (1, 1.0),
        (0.5, 0.5),
        (True, None),
        ("1", None),
        (None, None),
        (float("nan"), None),
        (10**400, None),
        (1e308, None),
        ([], None),
    ],
)
def test_a_number_is_a_finite_one(value: object, found: float | None) -> None:
    assert number(value) == found


@pytest.mark.parametrize(
    ("value", "found"), [("a\ud83db", "a\ufffdb"), ("a\0b", "ab"), (7, ""), (None, ""), ("ü", "ü")]
)
def test_a_text_is_one_that_can_be_stored(value: object, found: str) -> None:
    assert text(value) == found


def test_what_is_said_is_sign_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "ALIVE_EVERY_S", 0.0)
    emitted = Emitted()
    life = LifeSigns(emitted)
    life.came()
    life.emit(Token(1, "yes"))
    life.came()
    assert len(emitted.alive) == 1
    life.came()
    assert len(emitted.alive) == 2

"""The scripted language model: what it answers, how it says it, and what its file may say."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from pydantic import ValidationError

from actors.providers.script import Script, ScriptOptions, ScriptSession
from actors.providers.spec import Answered, ChatMessage, Question, SessionEvent, Token, Use
from config.problems import shown

INTENTS: list[dict[str, Any]] = [
    {"name": "hours", "say": ["what are your opening hours"], "reply": ["Nine to five.", "Still nine to five."]},
    {
        "name": "book",
        "slots": {"day": ["Monday", "Friday"]},
        "say": "book a table for {day}",
        "reply": "On {day}. Shall I?",
        "next": ["confirm"],
    },
    {"name": "agree", "say": ["yes please"], "reply": "Glad you agree."},
    {"name": "confirm", "say": ["yes please"], "reply": "Booked for {day}."},
    {"name": "repeat", "say": "say that again", "reply": "I said: {last_reply}"},
    {"name": "bye", "say": "goodbye", "reply": "Goodbye!", "hang_up": True},
]


def options(**changes: Any) -> ScriptOptions:
    return ScriptOptions(**{"intents": INTENTS, "sorry": ["Pardon?", "Once more?"], **changes})


def heard(*lines: str) -> tuple[ChatMessage, ...]:
    return (ChatMessage("assistant", "Welcome."), *(ChatMessage("user", line) for line in lines))


def answer(*lines: str) -> str:
    return Script(options()).answer(heard(*lines)).text


@pytest.mark.parametrize(
    ("lines", "reply"),
    [
        (["What are your opening hours?"], "Nine to five."),
        (["your hours are what"], "Nine to five."),
        (["opening hours", "opening hours"], "Still nine to five."),
        (["opening hours"] * 3, "Nine to five."),
        (["book a table for friday"], "On Friday. Shall I?"),
        (["yes please"], "Glad you agree."),
        (["book a table for Friday", "yes please"], "Booked for Friday."),
        (["book a table for Friday", "what?", "yes please"], "Booked for Friday."),
        (["say that again"], "I said: Welcome."),
        (["opening hours", "say that again", "say that again"], "I said: Nine to five."),
        (["book a table for monday", "say that again", "yes please"], "Booked for Monday."),
        (["my dog ate it"], "Pardon?"),
        (["my dog ate it", "really"], "Once more?"),
        ([""], "Pardon?"),
        ([], "Pardon?"),
    ],
)
def test_the_answer_follows_from_the_history(lines: list[str], reply: str) -> None:
    assert answer(*lines) == reply


def test_a_reply_whose_slot_was_never_heard_is_not_said() -> None:
    intents = [{"name": "confirm", "say": "yes", "reply": "For {day}."}, INTENTS[1]]
    assert Script(options(intents=intents)).answer(heard("yes")).text == "Pardon?"


def test_phrases_are_all_sentences_once() -> None:
    assert options().phrases == (
        "what are your opening hours",
        "book a table for monday",
        "book a table for friday",
        "yes please",
        "say that again",
        "goodbye",
    )


class Listener:
    """Collects what a session emits."""

    def __init__(self, **changes: Any) -> None:
        self.events: list[SessionEvent] = []
        self.answered = asyncio.Event()
        self.session = ScriptSession(options(**changes), self.emit)

    def emit(self, event: SessionEvent) -> None:
        self.events.append(event)
        if isinstance(event, Answered):
            self.answered.set()

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Token))


@pytest.mark.parametrize("tokens_per_s", [0, 1000])
async def test_words_come_as_tokens(tokens_per_s: float) -> None:
    listener = Listener(tokens_per_s=tokens_per_s)
    listener.session.ask(Question(3, heard("goodbye")))
    assert listener.events == []
    await listener.answered.wait()
    assert listener.events == [Token(3, "Goodbye!"), Answered(3, hang_up=True)]
    listener.session.ask(Question(4, heard("opening hours")))
    listener.answered.clear()
    await listener.answered.wait()
    assert listener.events[2:] == [Token(4, "Nine "), Token(4, "to "), Token(4, "five."), Answered(4)]


async def test_nothing_follows_a_cancel() -> None:
    listener = Listener(tokens_per_s=1000)
    session = listener.session
    session.ask(Question(1, heard("opening hours")))
    await asyncio.sleep(0)
    session.cancel()
    session.ask(Question(2, heard("goodbye")))
    session.ask(Question(3, heard("goodbye")))
    await listener.answered.wait()
    assert listener.events == [Token(1, "Nine "), Token(3, "Goodbye!"), Answered(3, hang_up=True)]
    session.ask(Question(4, heard("goodbye")))
    session.close()
    session.close()
    await asyncio.sleep(0.002)
    assert len(listener.events) == 3


def complaints(*intents: dict[str, Any], **changes: Any) -> list[tuple[str, str, bool]]:
    """What is told of these intents, after the usual ones: place, text, whether it is refused."""
    found = options(intents=[*INTENTS, *intents], **changes).problems(Use("en", None))
    return [(shown(problem.path), problem.text, problem.fatal) for problem in found]


def test_a_good_script_has_no_problems() -> None:
    assert complaints() == []


@pytest.mark.parametrize(
    ("intent", "place", "complaint"),
    [
        ({"name": "hours"}, "name", "the name 'hours' is used twice, first by intents[0]"),
        ({"next": ["bok"]}, "next[0]", "unknown intent 'bok'; did you mean 'book'? legal are: hours, book"),
        ({"reply": "On {weekday}."}, "reply[0]", "unknown slot 'weekday'; did you mean 'day'? legal are: day, last"),
        ({"say": ["fine", "for {day}"]}, "say[1]", "no values for the slot {day}; there are no slots"),
        ({"say": "for {}"}, "say[0]", "no values for the slot {}"),
        ({"say": "?!"}, "say[0]", "must hold at least one word"),
        ({"slots": {"n": ["one", "..."]}, "say": "number {n}"}, "slots.n[1]", "no word that could be heard"),
        ({"ask": {"dya": "When?"}, "slots": {"day": ["one"]}, "say": "{day}"}, "ask.dya", "did you mean 'day'?"),
        ({"ask": {"n": "Not {n}?"}, "finds": {"n": "number"}, "say": "{n}"}, "ask.n", "a slot is not legal here"),
        ({"slots": {"n": ["one"]}, "finds": {"n": "number"}, "say": "{n}"}, "finds.n", "stands in `slots`, too"),
        ({"also": ["for {m}"]}, "also[0]", "no values for the slot {m}"),
        ({"slots": {"n": ["a"] * 999}, "say": "{n} {n} {n} {n}"}, "say[0]", "996005996001 sentences; at most 1000"),
    ],
)
def test_what_cannot_work_is_refused_at_its_place(intent: dict[str, Any], place: str, complaint: str) -> None:
    (found,) = complaints({"name": "x", "say": "something", "reply": "Fine.", **intent})
    assert (found[0], found[2]) == (f"intents[6].{place}", True) and complaint in found[1]


def test_a_script_has_a_limit() -> None:
    many = {"name": "x", "slots": {"n": ["a"] * 999}, "say": "number {n}", "reply": "Fine."}
    assert complaints(many) == [("intents", "1006 sentences; at most 1000 are legal", True)]


@pytest.mark.parametrize(
    ("intent", "place", "complaint"),
    [
        ({"slots": {"n": ["one"]}}, "slots.n", "is not used anywhere: write {n} in `say`"),
        ({"finds": {"n": "number"}}, "finds.n", "is not used anywhere: write {n} in `say`"),
        ({"slots": {"day": ["Sunday"]}}, "slots.day", "is not used here"),
        ({"reply": "On {my day}."}, "reply[0]", "a brace that belongs to no slot"),
        ({"reply": ["Fine.", " "]}, "reply[1]", "the caller will hear nothing"),
        ({"say": "goodbye"}, "say", "'goodbye' always means intent 'bye', which says it too: name 'x' in some `next`"),
    ],
)
def test_what_is_hardly_meant_is_a_warning(intent: dict[str, Any], place: str, complaint: str) -> None:
    (found,) = complaints({"name": "x", "say": "something", "reply": "Fine.", **intent})
    assert (found[0], found[2]) == (f"intents[6].{place}", False) and complaint in found[1]


def test_a_sentence_may_belong_to_two_intents_that_something_tells_apart() -> None:
    again = {"name": "x", "say": "say that again", "reply": "Fine."}
    ask = {"name": "ask", "say": "ask me", "reply": "Again?", "next": ["x"]}
    assert len(complaints(again)) == 1 and complaints(again, ask) == []
    both = {**ask, "next": ["repeat", "x"]}  # then the first wins as well
    assert len(complaints(again, both)) == 1


def test_a_hundred_thousand_of_anything_is_refused_quickly() -> None:
    begin = time.process_time()
    intents = [{"name": f"i{n}", "say": f"number {n}", "reply": "Fine.", "next": ["hours"]} for n in range(100_000)]
    with pytest.raises(ValidationError, match="at most 1000"):
        options(intents=intents)
    with pytest.raises(ValidationError, match="at most 1000"):
        options(intents=[{"name": "x", "say": [f"number {n}" for n in range(100_000)], "reply": "Fine."}])
    shared = [{**intent, "say": "the same for all"} for intent in intents[:990]]
    assert len(complaints(*shared)) == 989  # all but the first
    assert time.process_time() - begin < 5  # quadratic in the 100,000 it takes minutes


def test_what_is_found_is_of_a_known_kind() -> None:
    with pytest.raises(ValidationError, match="'number', 'digits', 'time' or 'date'"):
        options(intents=[{"name": "x", "say": "{n}", "finds": {"n": "colour"}, "reply": "Fine."}])


def test_a_doubt_may_be_left_out() -> None:
    assert Script(options(confirm=False)).answer(heard("hours of music")).text == "Pardon?"


def test_a_grammar_does_not_hear_what_is_found_or_also_said() -> None:
    intent = {"name": "x", "say": ["at {t}", "now"], "also": "soon", "finds": {"t": "time"}, "reply": "Fine."}
    assert options(intents=[intent]).phrases == ("now",)


def test_a_field_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        options(intents=[*INTENTS, {"name": "x", "say": "something", "reply": "Fine.", "wait": 3}])

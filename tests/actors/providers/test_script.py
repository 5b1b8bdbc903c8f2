"""The scripted language model: what it answers, how it says it, and what its file may say."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import ValidationError

from actors.providers.script import Script, ScriptOptions, ScriptSession
from actors.providers.spec import Answered, ChatMessage, Question, SessionEvent, Token

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


@pytest.mark.parametrize(
    ("said", "rest"),
    [("Nine", " to five."), ("Nine ", "to five."), ("Nine to five.", ""), ("Something else", "Nine to five.")],
)
async def test_what_was_said_is_not_said_again(said: str, rest: str) -> None:
    listener = Listener()
    listener.session.ask(Question(1, heard("opening hours"), said=said))
    await listener.answered.wait()
    assert listener.text == rest


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


@pytest.mark.parametrize(
    ("intent", "complaint"),
    [
        ({"name": "hours"}, "name 'hours' is used twice"),
        ({"next": ["nowhere"]}, "intent 'x': next: 'nowhere' is not known; legal are"),
        ({"reply": "On {weekday}."}, "intent 'x': slot in reply: 'weekday' is not known; legal are day, last_reply"),
        ({"say": "for {day}"}, "no values for the slot {day}; there are no slots"),
        ({"say": [True]}, "put them in quotes"),
        ({"say": []}, "at least 1 item"),
        ({"slots": {"n": ["a"] * 999}, "say": "number {n}"}, "1006 sentences; at most 1000"),
        ({"slots": {"n": ["a"] * 999}, "say": "{n} {n} {n} {n}"}, "996005996001 sentences; at most 1000"),
        ({"wait": 3}, "Extra inputs are not permitted"),
    ],
)
def test_a_bad_script_is_refused_by_name(intent: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        options(intents=[*INTENTS, {"name": "x", "say": "something", "reply": "Fine.", **intent}])

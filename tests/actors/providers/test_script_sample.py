"""What a simulated caller may say to an assistant: its own list, else a way through its script."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from actors.providers.registry import Registry
from actors.providers.script import Script, ScriptOptions
from actors.providers.spec import ChatMessage
from config.assistant import AssistantConfig
from scripts.assistant_template import assistant_template


def intent(name: str, say: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "say": say, "reply": f"This is {name}.", **more}


BOOK = intent("book", "a table for {day}", slots={"day": ["Monday", "Friday"]}, next=["yes"])
YES = intent("yes", "yes please", next=["no_more"])
NO_MORE = intent("no_more", "no thank you", hang_up=True)
HOURS, BYE = intent("hours", "when are you open"), intent("bye", "goodbye", hang_up=True)
AGAIN = {"name": "again", "say": "say that again", "reply": "I said: {last_reply}"}


@pytest.mark.parametrize(
    ("intents", "said"),
    [
        (
            [AGAIN, HOURS, BOOK, YES, NO_MORE, BYE],
            ["when are you open", "a table for Monday", "yes please", "no thank you"],
        ),
        ([HOURS, BYE], ["when are you open", "goodbye"]),
        ([BOOK, YES, NO_MORE], ["a table for Monday", "yes please", "no thank you"]),
        ([BYE], ["goodbye"]),
        ([AGAIN], []),
        (
            [intent("one", "one", next=["two"]), intent("two", "two", next=["one"])],
            [],
        ),  # nothing opens it
        ([intent("loop", "once more", next=["on"]), intent("on", "and on", next=["on"])], ["once more", "and on"]),
    ],
)
def test_one_way_through_a_script(intents: list[dict[str, Any]], said: list[str]) -> None:
    assert list(ScriptOptions.model_validate({"intents": intents}).sample_call) == said


def test_a_new_assistant_understands_its_sample() -> None:
    config = AssistantConfig(**yaml.safe_load(assistant_template("desk")))
    said, registry = Registry().sample_call(config), Registry()
    script = Script(registry.options("llm", config.llm[0]))  # type: ignore[arg-type]
    history = [ChatMessage("user", text) for text in said]
    replies = [script.answer(history[: count + 1]) for count in range(len(history))]
    assert len(said) > 1 and not any(reply.text.startswith(("Sorry", "Please ask")) for reply in replies)
    assert [reply.hang_up for reply in replies] == [False] * (len(said) - 1) + [True]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sample_call": ["Hello?", "Bye."]}, ("Hello?", "Bye.")),
        ({"sample_call": "Hello?"}, ("Hello?",)),
        ({}, ("when are you open", "goodbye")),
        ({"llm": "openai"}, ()),
        ({"llm": ["openai", "nobody", {"provider": "script", "intents": [BYE]}]}, ("goodbye",)),
        ({"llm": {"provider": "script", "intents": []}}, ()),  # nobody has checked it
    ],
)
def test_its_own_list_comes_first(changes: dict[str, Any], said: tuple[str, ...]) -> None:
    script = {"provider": "script", "intents": [HOURS, BYE]}
    usual = {"name": "a", "stt": "embedded", "llm": script, "tts": "embedded"}
    config = AssistantConfig.model_validate({**usual, **changes})
    assert Registry().sample_call(config) == said


def test_a_sentence_without_words_is_told() -> None:
    config = AssistantConfig(name="a", stt="embedded", llm="openai", tts="embedded", sample_call=["Hello.", "?"])
    (problem,) = config.problems()
    assert problem.path == ("sample_call", 1) and not problem.fatal

"""What tells how an assistant's file is written: the page, the schema for editors, the file to start from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from actors.providers.registry import Registry
from config.assistant import AssistantConfig, Model
from scripts.assistant_file import read_assistant
from scripts.assistant_page import assistant_page, inner_model
from scripts.assistant_schema import assistant_schema
from scripts.assistant_template import assistant_template

ROOT = Path(__file__).parents[2]
RECEPTION = ROOT / "assistants" / "reception.yaml"


def models(model: type[Any]) -> Iterator[type[Any]]:
    yield model
    for field in model.model_fields.values():
        if inner := inner_model(field):
            yield from models(inner)


ALL = [*models(AssistantConfig), *(model for spec in Registry().list() for model in models(spec.options))]


def test_the_page_is_current() -> None:
    """If not: the command that writes it stands in it."""
    assert (ROOT / "docs" / "assistant.md").read_text() == assistant_page()


@pytest.mark.parametrize("model", ALL, ids=lambda model: model.__name__)
def test_every_field_has_a_description_and_is_in_the_page(model: type[Model]) -> None:
    page = assistant_page()
    for name, field in model.model_fields.items():
        assert field.description, name
        assert re.search(rf"\| `[\w.\[\]]*\b{name}` \| .* \| .+ \| .+ \|", page), name


# --- the schema ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def complaints() -> Callable[..., list[str]]:
    """What an editor would mark in the reception's file with these changes."""
    schema = assistant_schema(Registry())
    Draft7Validator.check_schema(schema)

    def complaints(**changes: Any) -> list[str]:
        content = {**yaml.safe_load(RECEPTION.read_text()), **changes}
        return ["/".join(map(str, error.absolute_path)) for error in Draft7Validator(schema).iter_errors(content)]

    return complaints


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"stt": "embedded", "tts": ["cartesia", {"provider": "embedded", "pitch": 10}]},
        {"idle": {"prompts": "Hello?"}, "barge_in": {"ignored_words": "ok"}, "max_duration_s": 60},
        {"stt": [{"provider": "deepgram", "eager_eot_threshold": None, "keyterms": ["Callboard"]}]},
        {"stt": {"provider": "embedded", "pronunciations": {"x": "EH K S", "y": ["W AY", "Y"]}}},
        {"llm": {"provider": "openai", "base_url": "http://127.0.0.1/v1", "temperature": 0.5}},
    ],
)
def test_an_editor_marks_nothing_in_a_good_file(complaints: Callable[..., list[str]], changes: dict[str, Any]) -> None:
    assert complaints(**changes) == []
    AssistantConfig.model_validate({**yaml.safe_load(RECEPTION.read_text()), **changes})


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"greting": "Hello."}, ""),
        ({"greeting": 7}, "greeting"),
        ({"idle": {"timeout_s": 0}}, "idle/timeout_s"),
        ({"stt": "nobody"}, "stt"),
        ({"stt": {"provider": "deepgram", "pitch": 10}}, "stt"),
        ({"tts": {"provider": "embedded", "pitch": 100}}, "tts"),
        ({"tts": [{"provider": "cartesia"}, {"provider": "embedded", "speed": 1}]}, "tts"),
        ({"llm": {"provider": "script"}}, "llm"),
        ({"llm": {"provider": "script", "intents": [{"name": "x", "say": "hello"}]}}, "llm"),
        ({"llm": {"model": "x"}}, "llm"),
        ({"llm": []}, "llm"),
    ],
)
def test_an_editor_marks_what_is_wrong(
    complaints: Callable[..., list[str]], changes: dict[str, Any], place: str
) -> None:
    assert complaints(**changes) == [place]


def test_editors_explain_fields_and_offer_values() -> None:
    schema = assistant_schema(Registry())
    assert schema["properties"]["greeting"]["description"].startswith("the first words")
    assert schema["$defs"]["tts.embedded"]["properties"]["pitch"]["description"] == "how high it speaks"
    assert {"embedded", "deepgram"} <= set(schema["$defs"]["stt"]["anyOf"][0]["enum"])
    assert schema["properties"]["tts"]["examples"] == [{"provider": "embedded", "voice": "en-us"}]


# --- the file to start from ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["desk", "7", "no", "1e3", "a" * 63])
def test_the_file_to_start_from_is_right(tmp_path: Path, name: str) -> None:
    file = tmp_path / "new.yaml"
    file.write_text(assistant_template(name))
    assert read_assistant(file, strict=True).name == name


def test_it_shows_every_option_with_its_default(tmp_path: Path) -> None:
    text = assistant_template("desk")
    file = tmp_path / "new.yaml"
    options = re.compile(r"^#( *\w+:)(?!.*provider:)", re.M)  # but not the other providers
    file.write_text(options.sub(r"\1", text))
    plain, full = AssistantConfig.model_validate(yaml.safe_load(text)), read_assistant(file, strict=True)
    assert full == plain
    assert full.model_fields_set == set(AssistantConfig.model_fields)
    assert all(getattr(full, name).model_fields_set == set(type(getattr(full, name)).model_fields) for name in GROUPS)
    assert max(map(len, text.splitlines())) <= 160


GROUPS = ("endpointing", "barge_in", "idle", "stalls")

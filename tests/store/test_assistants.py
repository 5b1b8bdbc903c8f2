"""Assistants and their versions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from config.errors import ConfigError
from store.assistants import AssistantRepository
from store.engine import Database
from store.errors import UnknownAssistant
from tests.store.factories import START, Clock, assistant_config


def test_apply_makes_the_first_version(database: Database) -> None:
    config = assistant_config(greeting="Hello")
    made = AssistantRepository(database, Clock()).apply(config)
    assert (made.version, made.config, made.project_id, made.created_at) == (1, config, 1, START)
    assert AssistantRepository(database).get("reception") == made


def test_the_same_file_again_is_the_same_version(database: Database) -> None:
    repository = AssistantRepository(database)
    assert repository.apply(assistant_config()) == repository.apply(assistant_config())


def test_a_changed_file_is_a_new_version_and_the_old_one_stays(database: Database) -> None:
    repository = AssistantRepository(database)
    old = repository.apply(assistant_config(greeting="Hello"))
    new = repository.apply(assistant_config(greeting="Good day"))
    assert (new.id, new.version) == (old.id, 2)
    assert repository.get(old.id) == new
    assert repository.get_version(old.id, 1) == old


def test_many_at_once_make_each_version_once(database: Database) -> None:
    repository = AssistantRepository(database)
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda n: repository.apply(assistant_config(greeting=str(n))), range(8)))
    assert sorted(assistant.version for assistant in made) == list(range(1, 9))


def test_list_is_by_name(database: Database) -> None:
    repository = AssistantRepository(database)
    for name in ("zoo", "airport"):
        repository.apply(assistant_config(name))
    assert [assistant.config.name for assistant in repository.list()] == ["airport", "zoo"]


def test_get_takes_number_text_and_name(database: Database) -> None:
    repository = AssistantRepository(database)
    first, digits = repository.apply(assistant_config()), repository.apply(assistant_config("4711"))
    assert repository.get(first.id) == repository.get(str(first.id)) == repository.get("reception") == first
    assert repository.get("4711") == digits


def test_another_projects_assistant_is_not_there(database: Database) -> None:
    with database.write() as session:
        session.execute(
            text("INSERT INTO projects (organisation_id, name, created_at) VALUES (1, 'b', CURRENT_TIMESTAMP)")
        )
    repository = AssistantRepository(database)
    made = repository.apply(assistant_config(), project_id=2)
    assert repository.get("reception", project_id=2) == made
    for which in ("reception", made.id):
        with pytest.raises(UnknownAssistant):
            repository.get(which)


@pytest.mark.parametrize(
    "which", ["nobody", "", "0", "9" * 40, "\0", "\u0661", "\ud800", "x'; DROP TABLE assistants --"]
)
def test_unknown_assistants(database: Database, which: str) -> None:
    with pytest.raises(UnknownAssistant):
        AssistantRepository(database).get(which)


def test_an_unknown_version(database: Database) -> None:
    made = AssistantRepository(database).apply(assistant_config())
    with pytest.raises(UnknownAssistant, match="version 7"):
        AssistantRepository(database).get_version(made.id, 7)


def test_a_version_that_cannot_be_read_any_more_says_what_to_do(database: Database) -> None:
    repository = AssistantRepository(database)
    made = repository.apply(assistant_config())
    with database.write() as session:
        session.execute(text("UPDATE assistant_versions SET config = '{}'"))
    with pytest.raises(ConfigError, match=r"\(name: Field required; legal: .*\); apply its file again"):
        repository.get(made.id)
    repository.apply(assistant_config("zoo"))
    assert [assistant.config.name for assistant in repository.list()] == ["zoo"]  # one does not hide the others
    assert repository.apply(assistant_config()).version == 2

"""Assistants and their versions."""

from __future__ import annotations

import logging
import re
from typing import Any

from pydantic import ValidationError
from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from config.assistant import AssistantConfig
from config.errors import ConfigError
from config.problems import problems_of, shown
from store.engine import Clock, Database, utc_now
from store.errors import UnknownAssistant
from store.records import DEFAULT_PROJECT_ID, Assistant
from store.tables import AssistantTable, AssistantVersionTable

log = logging.getLogger(__name__)

_NUMBER = re.compile(r"[0-9]{1,18}")  # fits PostgreSQL's bigint


class AssistantRepository:
    """The assistants of each project."""

    def __init__(self, database: Database, now: Clock = utc_now) -> None:
        self._database, self._now = database, now

    def apply(self, config: AssistantConfig, project_id: int = DEFAULT_PROJECT_ID) -> Assistant:
        """Make the assistant of this name, or its next version where `config` differs from the current one."""
        try:
            return self._apply(config, project_id)
        except IntegrityError:  # another process has made it since we looked
            return self._apply(config, project_id)

    def get(self, which: int | str, project_id: int = DEFAULT_PROJECT_ID) -> Assistant:
        """The assistant with this number or name (digits: a number first, then a name), at its current version.

        Raises `UnknownAssistant`.
        """
        with self._database.read() as session:
            for condition in _conditions(str(which)):
                if found := session.execute(_select().where(_is_of(project_id), condition)).one_or_none():
                    return _record(*found)
        raise UnknownAssistant(f"assistant {str(which)[:64]!r}: not there; give the number or name of one that is")

    def get_version(self, assistant_id: int, version: int) -> Assistant:
        """The version that a call context names. Raises `UnknownAssistant`."""
        with self._database.read() as session:
            found = session.execute(_select(version).where(AssistantTable.id == assistant_id)).one_or_none()
            if found is None:
                raise UnknownAssistant(f"assistant {assistant_id}, version {version}: not there")
            return _record(*found)

    def list(self, project_id: int = DEFAULT_PROJECT_ID) -> list[Assistant]:
        """Every assistant at its current version, by name; one that cannot be read any more is left out."""
        query = _select().where(_is_of(project_id)).order_by(AssistantTable.name)
        assistants: list[Assistant] = []
        with self._database.read() as session:
            for found in session.execute(query):
                try:
                    assistants.append(_record(*found))
                except ConfigError as error:
                    log.warning("%s", error)
        return assistants

    def _apply(self, config: AssistantConfig, project_id: int) -> Assistant:
        # The lock comes first: a version read beside it could be older than what a lock had to wait for.
        locked = select(AssistantTable).where(_is_of(project_id), AssistantTable.name == config.name).with_for_update()
        with self._database.write() as session:
            assistant = session.scalars(locked).one_or_none()
            if assistant is None:
                return self._create(session, config, project_id)
            version = session.get_one(AssistantVersionTable, (assistant.id, assistant.version))
            if _reads_as(version.config, config):
                return _record(assistant, version)
            assistant.version += 1
            return self._add_version(session, assistant, config)

    def _create(self, session: Session, config: AssistantConfig, project_id: int) -> Assistant:
        row = AssistantTable(project_id=project_id, name=config.name, version=1, created_at=self._now())
        session.add(row)
        session.flush()
        return self._add_version(session, row, config)

    def _add_version(self, session: Session, assistant: AssistantTable, config: AssistantConfig) -> Assistant:
        now = self._now()
        content = config.model_dump(mode="json")
        session.add(
            AssistantVersionTable(assistant_id=assistant.id, version=assistant.version, config=content, created_at=now)
        )
        return Assistant(assistant.id, assistant.project_id, assistant.version, config, now)


def _select(version: int | None = None) -> Select[AssistantTable, AssistantVersionTable]:
    """Assistants with one of their versions, the current one if none is given."""
    wanted = AssistantTable.version if version is None else version
    is_version = (AssistantVersionTable.assistant_id == AssistantTable.id) & (AssistantVersionTable.version == wanted)
    return select(AssistantTable, AssistantVersionTable).join(AssistantVersionTable, is_version)


def _is_of(project_id: int) -> ColumnElement[bool]:
    return AssistantTable.project_id == project_id


def _conditions(which: str) -> list[ColumnElement[bool]]:
    by_number = [AssistantTable.id == int(which)] if _NUMBER.fullmatch(which) else []
    return [*by_number, AssistantTable.name == which]


def _reads_as(stored: dict[str, Any], config: AssistantConfig) -> bool:
    try:
        return AssistantConfig.model_validate(stored) == config
    except ValidationError:  # written by an older Callboard
        return False


def _record(assistant: AssistantTable, version: AssistantVersionTable) -> Assistant:
    try:
        config = AssistantConfig.model_validate(version.config)
    except ValidationError as error:
        first = next(problems_of(error, AssistantConfig))
        raise ConfigError(
            f"assistant {assistant.name!r}, version {version.version}: not readable any more "
            f"({shown(first.path)}: {first.text}); apply its file again"
        ) from None
    return Assistant(assistant.id, assistant.project_id, version.version, config, version.created_at)

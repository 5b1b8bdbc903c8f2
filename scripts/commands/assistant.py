"""`callboard assistant`: what answers the calls, applied from YAML files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.command import OK, add_command, add_group, add_json_flag
from scripts.output import console, print_json, print_table
from scripts.storage import load_environment, open_database

if TYPE_CHECKING:
    from config.assistant import ProviderChoice
    from scripts.command import Commands

_EXAMPLES = """
callboard assistant new front-desk
callboard assistant apply front-desk.yaml
callboard assistant apply assistants/reception.yaml --strict
callboard assistant schema > assistant.schema.json
callboard assistant list
callboard assistant show reception
"""


def register(commands: Commands) -> None:
    group = add_group(commands, "assistant", "write, apply, list and show assistants", _EXAMPLES)
    new = add_command(group, "new", "write a file to start from: NAME.yaml", _EXAMPLES, write_new)
    new.add_argument("name", metavar="NAME", help="the assistant's name: lower-case letters, digits, - and _")
    new.add_argument("--output", metavar="FILE", type=Path, help="write this file; it must not be there yet")
    apply = add_command(group, "apply", "make a YAML file the assistant's next version", _EXAMPLES, apply_file)
    apply.add_argument("file", metavar="FILE", type=Path, help="the assistant's YAML file")
    apply.add_argument("--strict", action="store_true", help="refuse what is doubtful, too, instead of warning")
    add_json_flag(apply)
    add_command(group, "schema", "print the file's JSON Schema, for editors", _EXAMPLES, print_schema)
    add_json_flag(add_command(group, "list", "list the assistants", _EXAMPLES, list_assistants))
    show = add_command(group, "show", "show an assistant's newest version as YAML", _EXAMPLES, show_assistant)
    show.add_argument("name", metavar="NAME", help="the assistant's name or number")
    add_json_flag(show)


def write_new(args: argparse.Namespace) -> int:
    import re

    from config.assistant import LEGAL_NAME, NAME
    from config.errors import ConfigError
    from scripts.assistant_template import assistant_template

    if not re.fullmatch(NAME, args.name):
        raise ConfigError(f"NAME {args.name!r:.70}: legal: {LEGAL_NAME.text}")
    path = args.output or Path(f"{args.name}.yaml")
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError:
        raise ConfigError(f"{path}: is there already, and is not overwritten") from None
    except FileNotFoundError:
        raise ConfigError(f"{path}: {path.parent} is not there") from None
    try:
        with file:
            file.write(assistant_template(args.name))
    except OSError as error:
        path.unlink()  # half a file would be in the way of the next try
        raise OSError(error.errno, error.strerror, str(path)) from None
    console().print(f"{path}: change it, then: callboard assistant apply {path}", markup=False)
    return OK


def print_schema(args: argparse.Namespace) -> int:
    from actors.providers.registry import Registry
    from scripts.assistant_schema import assistant_schema

    print_json(assistant_schema(Registry(load_environment().extra_providers)))
    return OK


def apply_file(args: argparse.Namespace) -> int:
    from scripts.assistant_file import read_assistant
    from store.assistants import AssistantRepository

    settings = load_environment()
    config = read_assistant(args.file, settings.extra_providers, _warn, strict=args.strict)
    with open_database(settings) as database:
        assistant = AssistantRepository(database).apply(config)
    if args.json:
        print_json(assistant)
    else:
        console().print(f"{config.name}: assistant {assistant.id}, version {assistant.version}")
    return OK


def _warn(text: str) -> None:
    import sys

    print(f"callboard: warning: {text}", file=sys.stderr)


def list_assistants(args: argparse.Namespace) -> int:
    from store.assistants import AssistantRepository

    with open_database(load_environment()) as database:
        assistants = AssistantRepository(database).list()
    if args.json:
        print_json(assistants)
        return OK
    rows = (
        (str(a.id), a.config.name, str(a.version), _chain(a.config.stt), _chain(a.config.llm), _chain(a.config.tts))
        for a in assistants
    )
    columns = ("id", "name", "version", "hears with", "thinks with", "speaks with")
    print_table(columns, rows, empty="no assistants yet: `callboard assistant new NAME` writes a file to start from")
    return OK


def show_assistant(args: argparse.Namespace) -> int:
    from store.assistants import AssistantRepository

    with open_database(load_environment()) as database:
        assistant = AssistantRepository(database).get(args.name)
    if args.json:
        print_json(assistant)
        return OK
    import yaml

    content = assistant.config.model_dump(mode="json")
    print(f"# assistant {assistant.id}, version {assistant.version}, {assistant.created_at:%Y-%m-%d %H:%M}")
    print(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120), end="")
    return OK


def _chain(choices: tuple[ProviderChoice, ...]) -> str:
    return ", ".join(choice.provider for choice in choices)

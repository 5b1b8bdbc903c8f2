"""`callboard key`: API keys, whose secrets are shown once."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import TYPE_CHECKING

from scripts.command import OK, add_command, add_group, add_json_flag
from scripts.output import console, print_json, print_table
from scripts.storage import load_environment, open_database

if TYPE_CHECKING:
    from scripts.command import Commands

_EXAMPLES = """
callboard key create laptop
callboard key list --json
callboard key revoke rpd-1a2b
"""


def register(commands: Commands) -> None:
    keys = add_group(commands, "key", "create, list and revoke API keys", _EXAMPLES)
    create = add_command(keys, "create", "make a key; its secret is shown only now", _EXAMPLES, create_key)
    create.add_argument("name", metavar="NAME", help="what the key is for")
    add_json_flag(create)
    add_json_flag(add_command(keys, "list", "list the keys, without their secrets", _EXAMPLES, list_keys))
    revoke = add_command(keys, "revoke", "refuse a key from now on", _EXAMPLES, revoke_key)
    revoke.add_argument("key", metavar="ID|HINT", help="the key's number, or the hint that `list` shows")
    add_json_flag(revoke)


def create_key(args: argparse.Namespace) -> int:
    from store.keys import KeyRepository

    with open_database(load_environment()) as database:
        key, secret = KeyRepository(database).create(args.name)
    if args.json:
        print_json({"id": key.id, "name": key.name, "hint": key.hint, "secret": secret})
    else:
        console().print(f"Key {key.id} ({key.name}). Keep its secret, it is not shown again:\n")
        print(secret)
    return OK


def list_keys(args: argparse.Namespace) -> int:
    from store.keys import KeyRepository

    with open_database(load_environment()) as database:
        keys = KeyRepository(database).list()
    if args.json:
        print_json(keys)
    else:
        rows = ((str(k.id), k.name, k.hint, _day(k.created_at), _day(k.last_used_at), _day(k.revoked_at)) for k in keys)
        columns = ("id", "name", "hint", "created", "last used", "revoked")
        print_table(columns, rows, empty="no keys yet: `callboard key create NAME` makes one")
    return OK


def revoke_key(args: argparse.Namespace) -> int:
    from store.keys import KeyRepository

    with open_database(load_environment()) as database:
        key = KeyRepository(database).revoke(args.key)
    if args.json:
        print_json(key)
    else:
        console().print(f"Key {key.id} ({key.name}, {key.hint}) is revoked.")
    return OK


def _day(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M") if moment else ""

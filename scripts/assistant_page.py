"""Writes docs/assistant.md from the models: every field of an assistant's file, and every provider's options."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from actors.providers.embedded import ARPABET
from actors.providers.registry import Registry
from config.assistant import AssistantConfig
from config.options import legal

KIND_TITLES = {"stt": "who hears", "llm": "who thinks", "tts": "who speaks"}
_HEAD = "| field | default | legal | what it does |\n|---|---|---|---|"


def assistant_page() -> str:
    """The text of docs/assistant.md."""
    return "\n".join([_INTRODUCTION, *_model("", AssistantConfig), _PROVIDERS, *_providers(), _PRONUNCIATIONS])


def default_of(field: FieldInfo) -> str:
    """As YAML has it on one line; empty for a field that must be there."""
    if field.is_required():
        return ""
    text = yaml.safe_dump(_plain(field.default), default_flow_style=True, width=1000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def inner_model(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a group of fields, or of each entry of a list."""
    kinds = (field.annotation, *get_args(field.annotation))
    found = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
    return None if found is None or "provider" in found.model_fields else found


def _model(prefix: str, model: type[BaseModel]) -> Iterator[str]:
    yield _HEAD
    groups: list[tuple[str, str, type[BaseModel]]] = []
    for name, field in model.model_fields.items():
        inner = inner_model(field)
        if inner:
            groups.append((name, field.description or "", inner))
        default = "**required**" if field.is_required() else "see below" if inner else _code(default_of(field))
        yield f"| `{prefix}{name}` | {default} | {_cell(legal(field))} | {_cell(field.description or '')} |"
    for name, description, inner in groups:
        yield f"\n### `{prefix}{name}`: {description}\n"
        yield from _model(f"{prefix}{name}[]." if _is_list(model, name) else f"{prefix}{name}.", inner)


def _is_list(model: type[BaseModel], name: str) -> bool:
    return bool(get_args(model.model_fields[name].annotation))


def _providers() -> Iterator[str]:
    for spec in Registry().list():
        yield f"\n## `{spec.kind}: {{provider: {spec.name}}}` ({KIND_TITLES[spec.kind]})\n"
        key = getattr(spec.options, "key_variable", "")
        yield f"{spec.summary}." + (f" Its key: `{key}`." if key else "") + "\n"
        yield from _model("", spec.options)


def _code(text: str) -> str:
    return f"`{_cell(text)}`" if text else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


_INTRODUCTION = """# An assistant's file

One YAML file says what an assistant says, hears and thinks, and with whom. `callboard assistant new NAME` writes one to
start from, `callboard assistant apply FILE` checks it and makes it the assistant's next version: calls that begin from
now on get it. Written from the models by
`python -c "from scripts.assistant_page import assistant_page; print(assistant_page(), end='')" > docs/assistant.md`.

`apply` names all that is wrong at once, each with its line and with what is legal. Refused is what can never work: an
unknown field or provider, a value out of its range, a voice or language that the embedded engines do not have, a word
that the recognizer does not know, a name in `next` or in braces that names nothing, a key that stands twice. What may
work is a warning: a provider whose key is not set here (the server's environment may have it), a sentence that another
intent always takes, a slot that nothing uses. `--strict` refuses these, too. `callboard serve --assistant FILE` and
`callboard providers check --assistant FILE` check the same.

YAML reads some plain words as something else: `yes`, `no`, `on`, `off` as true and false, `12:30` as a number, and
`2026-01-02` as a date. Put them in quotes where they are meant as text.

A file has at most 2 MB and 200,000 values, aliases (`*name`) counted as what they stand for. Where a list of texts is
legal, one text will do.

## In an editor

`callboard assistant schema > assistant.schema.json` writes a JSON Schema. An editor with the YAML language server
(VS Code with the YAML extension, Neovim, Emacs, JetBrains) offers the fields and marks what is wrong while you type, if
the assistant's file begins with

```yaml
# yaml-language-server: $schema=assistant.schema.json
```

## The fields
"""

_PROVIDERS = """
## Providers

`stt`, `llm` and `tts` each name a provider, with its options beside its name, or a list of providers: a chain, whose
next member takes over when one is exhausted.

```yaml
stt: embedded                                     # a name alone: without options
tts: {provider: embedded, voice: en-us+f3}
llm:
  - {provider: openai, model: gpt-4.1-mini}
  - {provider: script, intents: [...]}            # takes over
```

A key never stands in the file: `api_key: ${MY_KEY}` names the environment variable that holds it."""

_PRONUNCIATIONS = f"""
## What a script understands

A caller of `llm: {{provider: script}}` need not know the sentences of the file: in English, what he says is compared
with `say` and `also`, as a whole and word by word (a static embedding; the words alone in other languages, and where
the package wordllama has no wheel). What is near enough is answered. What is half understood is asked about
(`unsure`; `confirm: false` leaves that out), all else is answered with `sorry`. Three or four ways to say it, in
different words, make an intent safe.

```yaml
- name: book
  slots: {{day: [Friday, Saturday]}}                  # one of a list
  finds: {{party: number}}                            # or found: number, digits, time, date ("19:30", "May 3")
  say: ["book a table for {{day}}", i would like a table]
  also: ["dinner for {{party}} on {{day}}"]             # a recognizer with a grammar does not hear these
  ask: {{day: "For which day?"}}                      # where `reply` needs what was not said
  reply: ["A table on {{day}}. Right?", "A table for {{party}} on {{day}}. Right?"]
```

A slot holds what the caller has said, and nothing else: "for Tuesday" is asked about, and so is "Friday or Saturday".
Of several answers the one that repeats most of what he has told is said. "No, Saturday", "not Friday, Saturday", or
"Saturday" alone changes the slot and answers again, as long as the talk is about that intent. A recognizer with a
grammar (`embedded-grammar`) hears the sentences of `say` without slots that `finds` fills, each with every value of
its `slots`.

Files of before keep their meaning with two differences: a slot's value that was not said is no longer guessed (name a
question in `ask`), and what was nothing before may now be understood, or asked about.

`scripts/understanding` measures the demo's assistant with sentences of which half chose the thresholds (`tune`); the
other half is reported. As typed text: of 102 foreign sentences 3 were answered as if they were known (2.9 %), of 69
that it knows in other words 3 were turned down (4.3 %), none of 30 slots was wrong. We wrote them ourselves, and saw
the reported totals of three designs before we kept one, so expect a little worse. Heard by `embedded` from recordings,
once: 3.9 and 7.2 %; with noise or music 15 dB below the voice 13 to 16 % turned down, and 2 of some 26 slots wrong.

## Words that the recognizer does not know

`embedded` hears English in the caller's own words (docs/hearing.md). Where it cannot run, and by its own name,
`embedded-grammar` hears the sentences of the `script` and nothing else. It knows how some 126,000 English words sound.
For any other word, say how it sounds; the same replaces what the dictionary says:

```yaml
stt:
  provider: embedded-grammar
  pronunciations:
    callboard: K AO L B AO R D
    zorblax: [Z AO R B L AE K S, Z ER B L AH K S]     # said in two ways
```

The sounds are those of ARPAbet (`AA1` and `AA0` count as `AA`): {ARPABET}. The
[CMU dictionary](http://www.speech.cs.cmu.edu/cgi-bin/cmudict) shows them for words that sound alike. Write numbers and
abbreviations as words: `room twelve`, not `room 12`.
"""

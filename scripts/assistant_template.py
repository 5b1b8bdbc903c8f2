"""Writes the file that a new assistant starts from: a small conversation, and every option with its default."""

from __future__ import annotations

from collections.abc import Iterator

import yaml
from pydantic import BaseModel

from config.assistant import AssistantConfig
from config.options import legal
from scripts.assistant_page import default_of, inner_model

_SET = ("name", "language", "greeting", "not_understood", "stt", "llm", "tts")


def assistant_template(name: str) -> str:
    """The text of NAME.yaml; it applies as it stands, and with any of its commented options, too."""
    head = _TEXT.format(name=name, quoted=yaml.safe_dump(name).splitlines()[0])
    return "\n".join([head, *_commented(AssistantConfig, "", skip=_SET)])


def _commented(model: type[BaseModel], indent: str, skip: tuple[str, ...] = ()) -> Iterator[str]:
    """Two lines an option: what it does, and the option itself, which holds once its mark is taken away."""
    for name, field in model.model_fields.items():
        if name in skip:
            continue
        inner, is_text = inner_model(field), field.annotation is str
        legal_words = "" if inner or is_text else f" ({legal(field)})"
        yield f"# {indent}  {field.description}{legal_words}"
        yield f"#{indent}{name}:" + ("" if inner else f" {default_of(field)}")
        if inner:
            yield from _commented(inner, f"{indent}  ")
    yield ""


_TEXT = """\
# An assistant for Callboard. Check it and put it into service by: callboard assistant apply {name}.yaml
# All fields and all providers: docs/assistant.md. Put words such as yes, no, on and off in quotes.
name: {quoted}
language: en-US
greeting: Hello, you have reached {name}. How may I help you?
not_understood: Sorry, I did not get that. You can ask when we are open.

# Who hears, who thinks, who speaks. "embedded" and "script" need no account; others: callboard providers.
stt: embedded  # English; what else is said than the sentences below, the script has no answer to
#stt: {{provider: deepgram, model: nova-3}}  # any sentence; needs DEEPGRAM_API_KEY
tts: {{provider: embedded, voice: en-us}}
#tts: {{provider: cartesia}}  # needs CARTESIA_API_KEY
#llm: {{provider: openai, model: gpt-4.1-mini}}  # in place of the script; needs OPENAI_API_KEY, and a system_prompt
llm:
  provider: script
  sorry: [Sorry, I did not get that., Please ask me when we are open.]
  intents:
    - name: hours
      say:  # how callers put it
        - when are you open
        - what are your opening hours
      reply: We are open from nine to five. Is there anything else?
      next: [nothing_else]  # what is probably said next

    - name: book
      slots:
        day: [Monday, Wednesday, Friday]  # what may stand for {{day}}
      say: ["i would like to come on {{day}}", "book a table for {{day}}"]
      reply: I have noted {{day}}. Is there anything else?
      next: [nothing_else]

    - name: nothing_else
      say: [no thank you, that is all thank you]
      reply: Thank you for calling. Goodbye!
      hang_up: true

    - name: goodbye
      say: [goodbye, bye bye]
      reply: Goodbye!
      hang_up: true

# What holds if nothing is said. Take the mark from a line that you change, and from the group that it stands in.
"""

"""A conversation that a script is made for: what a simulated caller may say, where nobody has written that down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from actors.providers.grammar import fill
from actors.providers.script_problems import LAST_REPLY
from actors.providers.spoken_values import SAMPLES, FoundKind

MOST_TURNS = 4  # before the goodbye


class Intent(Protocol):
    """What is asked of an intent."""

    @property
    def name(self) -> str: ...
    @property
    def say(self) -> tuple[str, ...]: ...
    @property
    def slots(self) -> Mapping[str, Sequence[str]]: ...
    @property
    def finds(self) -> Mapping[str, FoundKind]: ...
    @property
    def reply(self) -> tuple[str, ...]: ...
    @property
    def next(self) -> tuple[str, ...]: ...
    @property
    def hang_up(self) -> bool: ...


def sample_call(intents: Sequence[Intent]) -> tuple[str, ...]:
    """The sentences of one way through the script, in its own words, to its end where it has one."""
    return tuple(filter(None, (_sentence(intent) for intent in _way(intents))))


def _way(intents: Sequence[Intent]) -> Iterator[Intent]:
    """A question that leads nowhere, one that leads on, what it leads to, and the end."""
    named = {intent.name: intent for intent in intents}
    followers = {name for intent in intents for name in intent.next}
    open_ = [intent for intent in intents if not intent.hang_up and intent.name not in followers and _stands(intent)]
    leading = next((intent for intent in open_ if intent.next), None)
    chain = [intent for intent in open_ if intent is not leading and not (intent.slots or intent.finds)][:1]
    step = leading
    while step is not None and step not in chain and len(chain) < MOST_TURNS:
        chain.append(step)
        step = next((named[name] for name in step.next if name in named), None)
    yield from chain
    if not (chain and chain[-1].hang_up):
        yield from [intent for intent in intents if intent.hang_up][:1]


def _stands(intent: Intent) -> bool:
    """Its answer needs nothing that was said before."""
    return f"{{{LAST_REPLY}}}" not in "".join(intent.reply)


def _sentence(intent: Intent) -> str:
    """The first of its sentences, each slot with its first value; "" where a slot has none."""
    listed = {name: values[0] for name, values in intent.slots.items() if values}
    return fill(intent.say[0], {**{name: SAMPLES[kind] for name, kind in intent.finds.items()}, **listed}) or ""

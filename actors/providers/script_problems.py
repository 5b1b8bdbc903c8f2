"""What is wrong with the intents of a `script`, or hardly meant so: sentences that cannot be understood, names that
name nothing, sentences that another intent always takes.

Linear in the number of sentences.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from actors.providers.grammar import MAX_SENTENCES, count, normalise, slot_names
from config.problems import Problem, unknown

if TYPE_CHECKING:
    from actors.providers.script import Intent

GUESS = "guess"  # in `unsure`: what was perhaps meant
LAST_REPLY = "last_reply"  # in a reply: what was said before, for "could you repeat that"
_BRACE = re.compile(r"\{(?!\w*\})|(?<!\w)(?<!\{)\}")


def script_problems(intents: Sequence[Intent], sorry: Sequence[str], unsure: Sequence[str]) -> Iterator[Problem]:
    """Paths begin at the options."""
    yield from _names(intents)
    sentences = legal = 0
    for number, intent in enumerate(intents):
        known = {**{name: (name,) for name in intent.finds}, **intent.slots}
        for place, pattern in enumerate(intent.also):
            try:
                count(pattern, known)
            except ValueError as error:
                yield Problem(("intents", number, "also", place), str(error))
        for place, pattern in enumerate(intent.say):
            try:
                sentences += count(pattern, known)
                legal += 1
            except ValueError as error:
                yield Problem(("intents", number, "say", place), str(error))
    yield from _slots(intents)
    for index, text in enumerate(sorry):
        yield from _texts(("sorry", index), text, ())
    for index, text in enumerate(unsure):
        yield from _texts(("unsure", index), text, (GUESS,))
    if (patterns := sum(len(intent.also) for intent in intents)) > MAX_SENTENCES:
        yield Problem(("intents",), f"{patterns} texts in `also`; at most {MAX_SENTENCES} are legal")
    if sentences > MAX_SENTENCES:
        yield Problem(("intents",), f"{sentences} sentences; at most {MAX_SENTENCES} are legal")
    elif legal == sum(len(intent.say) for intent in intents):
        yield from _shadowed(intents)


def _names(intents: Sequence[Intent]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for number, intent in enumerate(intents):
        if first.setdefault(intent.name, number) != number:
            text = f"the name {intent.name!r} is used twice, first by intents[{first[intent.name]}]"
            yield Problem(("intents", number, "name"), text)
    for number, intent in enumerate(intents):
        for place, name in enumerate(intent.next):
            if name not in first:
                yield Problem(("intents", number, "next", place), unknown("intent", name, first))


def _slots(intents: Sequence[Intent]) -> Iterator[Problem]:
    """Slots that nothing fills, or that nothing uses; a reply may use those of every intent."""
    known = dict.fromkeys([*(slot for intent in intents for slot in (*intent.slots, *intent.finds)), LAST_REPLY])
    used = {name for intent in intents for text in (*intent.patterns, *intent.reply) for name in slot_names(text)}
    for number, intent in enumerate(intents):
        at = ("intents", number)
        for place, text in enumerate(intent.reply):
            yield from _texts((*at, "reply", place), text, known)
        yield from _asked(at, intent, known)
        said = {name for text in intent.patterns for name in slot_names(text)}
        for kind, name in [*(("slots", name) for name in intent.slots), *(("finds", name) for name in intent.finds)]:
            if name not in said:
                where = "here" if name in used else "anywhere"
                yield Problem((*at, kind, name), f"is not used {where}: write {{{name}}} in `say`", fatal=False)
        for name, values in intent.slots.items():
            for place, value in enumerate(values):
                if not normalise(value):
                    yield Problem((*at, "slots", name, place), f"{value!r:.40} has no word that could be heard")


def _asked(at: tuple[str | int, ...], intent: Intent, known: dict[str, None]) -> Iterator[Problem]:
    """Questions for slots that the intent has, each slot either listed or found."""
    own = dict.fromkeys([*intent.slots, *intent.finds])
    for name, text in intent.ask.items():
        if name not in own:
            yield Problem((*at, "ask", name), unknown("slot", name, own))
        if slot_names(text):
            yield Problem((*at, "ask", name), "is said as it stands: a slot is not legal here")
        else:
            yield from _texts((*at, "ask", name), text, known)
    for name in intent.finds:
        if name in intent.slots:
            yield Problem((*at, "finds", name), "stands in `slots`, too: a slot has a list or is found")
        if not re.fullmatch(r"\w+", name):
            yield Problem((*at, "finds", name), "letters, digits and _ are legal in a slot's name")


def _texts(path: tuple[str | int, ...], text: str, known: Sequence[str] | dict[str, None]) -> Iterator[Problem]:
    for name in slot_names(text):
        if name not in known:
            yield Problem(path, unknown("slot", name, known))
    if not normalise(text):
        yield Problem(path, "has no word that could be said: the caller will hear nothing", fatal=False)
    elif _BRACE.search(text):
        yield Problem(path, "a brace that belongs to no slot: it is said as it stands", fatal=False)


def _shadowed(intents: Sequence[Intent]) -> Iterator[Problem]:
    """A sentence of two intents means the first, unless the answer before names only the second in its `next`."""
    owners: defaultdict[str, list[int]] = defaultdict(list)
    for number, intent in enumerate(intents):
        for text in dict.fromkeys(sentence.text for sentence in intent.sentences):
            owners[text].append(number)
    preferred = [frozenset(intent.next) for intent in intents]
    wanted = Counter(name for names in preferred for name in names)
    for text, (first, *others) in owners.items():
        for other in others:
            one, two = intents[first].name, intents[other].name
            if not wanted[two] or all(one in names for names in preferred if two in names):
                fault = f"{text!r:.60} always means intent {one!r}, which says it too: name {two!r} in some `next`"
                yield Problem(("intents", other, "say"), fault, fatal=False)

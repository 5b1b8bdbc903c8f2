"""What a script answers: finds the intent, fills the slots with what was said, asks when it is unsure.

A slot holds what the caller said and nothing else; what he takes back ("no, Saturday") is answered anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from actors.providers.grammar import fill, slot_names
from actors.providers.meaning import Guess, folded
from actors.providers.script_problems import GUESS, LAST_REPLY
from actors.providers.spec import ChatMessage
from actors.providers.spoken_values import Found

if TYPE_CHECKING:
    from actors.providers.script import Intent, ScriptOptions

_YES = frozenset("yes yup sure right correct exactly ok please".split())  # noqa: SIM905
_NO = frozenset("no nope not wrong".split())  # noqa: SIM905
_TAKES_BACK = frozenset("no nope sorry actually not wait rather instead mean meant".split())  # noqa: SIM905
_FILLER = _TAKES_BACK.union(
    "a an and at be better but for i in is it let's make on oh or people please said say that the then this to um uh "  # noqa: SIM905
    "well would yes evening night morning change can you we".split(" ")
)


class Reply(NamedTuple):
    """An answer, and whether it is the last."""

    text: str
    hang_up: bool


class Understood(NamedTuple):
    """What the last line meant: an intent, for certain or asked about, and the slots that it is to be done with."""

    intent: str | None
    asked: bool
    slots: dict[str, str]


@dataclass(slots=True)
class _Memory:
    """Where the conversation stands. Intents by their number."""

    last_reply: str | None
    slots: dict[str, str] = field(default_factory=dict)
    expected: tuple[str, ...] = ()
    uses: Counter[int | str] = field(default_factory=Counter)  # by intent; texts count the sorries and the doubts
    topic: int | None = None  # the intent whose slots may be corrected
    said: dict[str, str] = field(default_factory=dict)  # its slots
    doubt: tuple[int, dict[str, str]] | None = None  # what we have asked about
    done: int | None = None  # the last line's intent


class Script:
    """Finds the answer to a conversation; knows nothing of time or sessions."""

    def __init__(self, options: ScriptOptions, language: str = "en") -> None:
        self._options = options
        self._intents = options.intents
        self._meaning = options.meaning(language)
        self._guesses: dict[tuple[str, tuple[str, ...]], Guess | None] = {}

    def answer(self, history: Sequence[ChatMessage]) -> Reply:
        """What to say after the last line of `history`."""
        return self._through(history)[0]

    def understood(self, history: Sequence[ChatMessage]) -> Understood:
        """What the last line of `history` was taken for; with the slots that are known to belong to it."""
        memory = self._through(history)[1]
        if memory.doubt:
            return Understood(self._intents[memory.doubt[0]].name, True, memory.doubt[1])
        if memory.done is None:
            return Understood(None, False, {})
        intent = self._intents[memory.done]
        used = {*intent.slots, *intent.finds, *(name for text in intent.reply for name in slot_names(text))}
        return Understood(intent.name, False, {name: text for name, text in memory.said.items() if name in used})

    def _through(self, history: Sequence[ChatMessage]) -> tuple[Reply, _Memory]:
        memory = _Memory(last_reply=next((m.text for m in history if m.role == "assistant"), None))
        reply = Reply(self._options.sorry[0], False)
        for message in history:
            if message.role == "user":
                memory.done = None
                reply = self._reply(message.text, memory)
        return reply, memory

    def _reply(self, text: str, memory: _Memory) -> Reply:
        heard = folded(text)
        words = heard.split()
        doubt, memory.doubt = memory.doubt, None
        if doubt and words and not _NO.intersection(words) and words[0] in _YES:
            return self._run(doubt[0], doubt[1], memory)
        if doubt and words and words[0] in _NO and _FILLER.union(_NO, ("thank", "thanks")).issuperset(words):
            return self._apologise(memory)
        guess = self._guess(heard, memory.expected)
        if change := self._continued(words, guess, memory):
            return self._run(*change, memory)
        if guess is None:
            return self._apologise(memory)
        said = self._said(guess.intent, words)
        if guess.score >= self._meaning.sure:
            return self._run(guess.intent, said, memory)
        if not self._options.confirm:
            return self._apologise(memory)
        return self._doubt(guess, said, memory)

    def _guess(self, heard: str, expected: tuple[str, ...]) -> Guess | None:
        key = (heard, expected)
        if key not in self._guesses:
            self._guesses[key] = next(iter(self._meaning.guesses(heard, expected)), None)
        return self._guesses[key]

    def _said(self, number: int, words: Sequence[str]) -> dict[str, str]:
        """The intent's slots that these words fill beyond doubt."""
        found = self._meaning.values[number].all(words)
        chosen = {name: _meant(words, values) for name, values in found.items()}
        return {name: value for name, value in chosen.items() if value is not None}

    def _continued(
        self, words: Sequence[str], guess: Guess | None, memory: _Memory
    ) -> tuple[int, dict[str, str]] | None:
        """A value alone, or one that takes another back: for the intent talked of, or for one that is expected."""
        expected = [n for n, intent in enumerate(self._intents) if intent.name in memory.expected]
        for number in dict.fromkeys([*([] if memory.topic is None else [memory.topic]), *expected]):
            if not (said := self._said(number, words)):
                continue
            values = self._meaning.values[number]
            rest = set(values.masked(words, values.all(words)).split()) - {name.lower() for name in values.names}
            another = guess is not None and guess.score >= self._meaning.sure and guess.intent != number
            takes_back = number == memory.topic and words[0] in _TAKES_BACK and not another
            if rest <= _FILLER or takes_back:
                return number, {**(memory.said if number == memory.topic else {}), **said}
        return None

    def _run(self, number: int, said: dict[str, str], memory: _Memory) -> Reply:
        intent = self._intents[number]
        own = {*intent.slots, *intent.finds}
        memory.done = number
        self._keep_topic(number, said, memory)
        memory.slots.update(said)
        values = {name: value for name, value in memory.slots.items() if name not in own or name in said}
        if memory.last_reply is not None:
            values[LAST_REPLY] = memory.last_reply
        replies = _fullest(intent.reply, values, own)
        if not replies:
            return self._ask(intent, values, memory)
        template = _rotated(replies, memory, number)
        reply = fill(template, values) or ""
        if LAST_REPLY not in slot_names(template):  # a repetition leaves the conversation where it was
            memory.last_reply, memory.expected = reply, intent.next
        return Reply(reply, intent.hang_up)

    def _keep_topic(self, number: int, said: dict[str, str], memory: _Memory) -> None:
        """It stays while the caller says what belongs to it, or wants to hear it again."""
        intent = self._intents[number]
        if intent.slots or intent.finds:
            memory.topic, memory.said = number, said
        elif intent.name not in memory.expected and not any(LAST_REPLY in slot_names(text) for text in intent.reply):
            memory.topic, memory.said = None, {}

    def _ask(self, intent: Intent, values: Mapping[str, str], memory: _Memory) -> Reply:
        """For the slot that the reply lacks."""
        lacking = [name for text in intent.reply for name in slot_names(text) if name not in values]
        question = next((intent.ask[name] for name in lacking if name in intent.ask), None)
        if question is None:
            return self._apologise(memory)
        memory.last_reply, memory.expected = question, (intent.name,)
        return Reply(question, False)

    def _doubt(self, guess: Guess, said: dict[str, str], memory: _Memory) -> Reply:
        intent = self._intents[guess.intent]
        sentences = (fill(pattern, said) for pattern in (guess.pattern, *intent.patterns))
        meant = next(filter(None, sentences), intent.name.replace("_", " "))
        memory.doubt = guess.intent, said
        memory.last_reply = fill(_rotated(self._options.unsure, memory, GUESS), {GUESS: meant})
        return Reply(memory.last_reply or "", False)

    def _apologise(self, memory: _Memory) -> Reply:
        return Reply(_rotated(self._options.sorry, memory, "sorry"), False)


def _meant(words: Sequence[str], values: Sequence[Found]) -> str | None:
    """The one value of several: not one that was denied, the last if the caller took the others back."""
    left = [value for value in values if value.begin == 0 or words[value.begin - 1] != "not"]
    if len({value.value for value in left}) <= 1:
        return left[0].value if left else None
    between = words[left[-2].end : left[-1].begin]
    return left[-1].value if _TAKES_BACK.intersection(between) else None


def _fullest(replies: Sequence[str], values: Mapping[str, str], own: set[str]) -> tuple[str, ...]:
    """Those that can be said, and of these the ones with the most of what the caller has just told."""
    legal = [text for text in replies if all(name in values for name in slot_names(text))]
    most = max((len(own.intersection(slot_names(text))) for text in legal), default=0)
    return tuple(text for text in legal if len(own.intersection(slot_names(text))) == most)


def _rotated(texts: Sequence[str], memory: _Memory, name: int | str) -> str:
    memory.uses[name] += 1
    return texts[(memory.uses[name] - 1) % len(texts)]

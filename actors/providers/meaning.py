"""Which intent a sentence means: by what it and the listed ones are about as a whole, and word by word.

A slot's value counts as the slot: "for Friday" and "for Saturday" are as near to "for {day}" as can be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from actors.providers.grammar import normalise
from actors.providers.sentence_vectors import SentenceVectors
from actors.providers.spoken_values import Found, FoundKind, listed_in, values_in

# Chosen on tests/understanding/tune.txt by scripts/understanding.
SURE = 0.48  # as near as this: it is meant
LIKELY = 0.40  # as near as this: we ask
MOST_WORDS = 60  # of what was heard: more are no sentence
MATCH = 0.3  # without vectors: shared words / all words of two sentences; below this they do not mean the same
EXPECTED = 0.25  # what it counts to be named in the `next` of the intent before, among those that are near enough
ABOUT = 0.5  # the part of the whole sentence in the score; the rest is the words'
ALIKE = 0.3  # words that are further from each other have nothing in common

_FOLDS = (
    ("good bye", "goodbye"),
    ("okay", "ok"),
    ("to day", "today"),
    ("to night", "tonight"),
    ("to morrow", "tomorrow"),
)
_SHORT = {
    "i'd": "i would", "i'm": "i am", "i'll": "i will", "we'd": "we would", "we're": "we are", "what's": "what is",
    "that's": "that is", "where's": "where is", "it's": "it is", "there's": "there is", "yeah": "yes", "yep": "yes",
    "didn't": "did not", "don't": "do not", "can't": "can not", "couldn't": "could not",
}  # fmt: skip
_COMMON = frozenset(
    "a an the i we you it me us my your our to of for on at in is are am be was do does did can could would will may "  # noqa: SIM905
    "please that this what how and or with so have has get there any some like want need".split(" ")  # noqa: RUF100, SIM905
)
_COMMON_WEIGHT = 0.2
_SLOT_WEIGHT = 0.6  # any number would else be a table for so many
_SLOT = re.compile(r"\{(\w*)\}")


class Intent(Protocol):
    """What is asked of an intent."""

    @property
    def name(self) -> str: ...
    @property
    def patterns(self) -> tuple[str, ...]: ...
    @property
    def slots(self) -> Mapping[str, Sequence[str]]: ...
    @property
    def finds(self) -> Mapping[str, FoundKind]: ...


class Guess(NamedTuple):
    """What was heard may mean this intent: how near it is, 0 to 1, and the listed sentence that is nearest."""

    intent: int
    score: float
    pattern: str


class _Listed(NamedTuple):
    intent: int
    pattern: str
    words: frozenset[str]


def folded(text: str) -> str:
    """Words as they are compared: short forms written out, one spelling for each."""
    words = " ".join(_SHORT.get(word, word) for word in normalise(text).split())
    for one, other in _FOLDS:
        words = re.sub(rf"\b{one}\b", other, words)
    return words


class Values:
    """Finds the values of an intent's slots in what was heard."""

    def __init__(self, intent: Intent) -> None:
        self._lists = {
            name: [(tuple(folded(value).split()), value) for value in values] for name, values in intent.slots.items()
        }
        self._kinds = intent.finds
        self.names = (*intent.slots, *intent.finds)

    def all(self, words: Sequence[str]) -> dict[str, list[Found]]:
        """By slot, in the order of the words; slots without any are left out."""
        found = {name: list(listed_in(words, values)) for name, values in self._lists.items()}
        found |= {name: values_in(words, kind) for name, kind in self._kinds.items()}
        return {name: values for name, values in found.items() if values}

    def masked(self, words: Sequence[str], found: Mapping[str, Sequence[Found]]) -> str:
        """The words, each value by its slot's name."""
        out = list(words)
        for name, values in found.items():
            for value in values:
                out[value.begin : value.end] = [name.lower(), *[""] * (value.end - value.begin - 1)]
        return " ".join(filter(None, out))


class _Nearness:
    """How near a sentence is to each of a list. Words count as much as they say: "the" little."""

    def __init__(self, sentences: Sequence[Sequence[str]], slots: Iterable[str], vectors: SentenceVectors) -> None:
        self._vectors = vectors
        self._weight = {**dict.fromkeys(slots, _SLOT_WEIGHT), **dict.fromkeys(_COMMON, _COMMON_WEIGHT)}
        self._wholes = np.array([vectors.of(words, self._weights_of(words)) for words in sentences])
        flat = [word for words in sentences for word in words]
        words, self._places = np.unique(np.array(flat), return_inverse=True)
        self._words = vectors.each(words.tolist())
        self._starts = np.cumsum([0, *(len(words) for words in sentences)])[:-1]
        self._weights = np.array(self._weights_of(flat))
        self._totals = np.add.reduceat(self._weights, self._starts)

    def scores(self, words: Sequence[str]) -> list[float]:
        """0 to 1 for each sentence of the list; 0.2 ms for 100 of them."""
        if not words:
            return [0.0] * len(self._starts)
        weights = np.array(self._weights_of(words))
        alike = self._vectors.each(words) @ self._words.T
        alike = np.where(alike < ALIKE, 0, alike)[:, self._places]
        heard = weights @ np.maximum.reduceat(alike, self._starts, axis=1)  # each heard word with its nearest
        listed = np.add.reduceat(self._weights * alike.max(axis=0), self._starts)  # and each listed word
        by_word = (heard + listed) / (weights.sum() + self._totals)
        about = self._wholes @ self._vectors.of(words, weights.tolist())
        scores: list[float] = (ABOUT * about + (1 - ABOUT) * by_word).tolist()
        return scores

    def _weights_of(self, words: Sequence[str]) -> list[float]:
        return [self._weight.get(word, 1.0) for word in words]


class Meaning:
    """The intents of one script. Made once for a version of an assistant; `vectors` None: words alone."""

    def __init__(self, intents: Sequence[Intent], vectors: SentenceVectors | None) -> None:
        self._names = [intent.name for intent in intents]
        self.values = [Values(intent) for intent in intents]
        self._listed = list(_listed(intents))
        self._exact: dict[str, list[int]] = {}
        for at, (_, pattern, _) in enumerate(self._listed):
            self._exact.setdefault(_plain(pattern), []).append(at)
        sentences = [_plain(pattern).split() for _, pattern, _ in self._listed]
        slots = {name.lower() for values in self.values for name in values.names}
        self._near = _Nearness(sentences, slots, vectors) if vectors else None

    @property
    def sure(self) -> float:
        return SURE if self._near else MATCH + 1e-9

    @property
    def likely(self) -> float:
        return LIKELY if self._near else MATCH + 1e-9

    def guesses(self, text: str, expected: Sequence[str]) -> list[Guess]:
        """The best of each intent that is near enough to ask, the most likely first."""
        words = text.split()
        best: dict[int, Guess] = {}
        masks = [values.masked(words, values.all(words)) for values in self.values]
        scores = {mask: self._scores(mask) for mask in dict.fromkeys(masks)}
        for at, (intent, pattern, _) in enumerate(self._listed):
            score = scores[masks[intent]][at]
            if score >= self.likely and (intent not in best or score > best[intent].score):
                best[intent] = Guess(intent, score, pattern)
        return sorted(best.values(), key=lambda guess: -self._preference(guess, expected))

    def _preference(self, guess: Guess, expected: Sequence[str]) -> float:
        return guess.score + EXPECTED * (self._names[guess.intent] in expected)

    def _scores(self, mask: str) -> list[float]:
        if self._near is None:
            words = frozenset(mask.split())
            scores = [len(words & listed.words) / len(words | listed.words) for listed in self._listed]
        else:
            scores = self._near.scores(mask.split()[:MOST_WORDS])
        for at in self._exact.get(mask, ()):
            scores[at] = 1.0
        return scores


def _listed(intents: Sequence[Intent]) -> Iterator[_Listed]:
    for number, intent in enumerate(intents):
        for pattern in dict.fromkeys(intent.patterns):
            yield _Listed(number, pattern, frozenset(_plain(pattern).split()))


def _plain(pattern: str) -> str:
    """The pattern's words, a slot by its name."""
    return folded(_SLOT.sub(lambda match: f" {match[1]} ", pattern))

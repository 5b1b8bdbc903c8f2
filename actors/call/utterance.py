"""Something that the assistant says: its segments, how much of each became audio, and what of it was heard.

The history of a call holds what the caller *heard*. The transport knows how many milliseconds of an utterance were
played; this class turns them into words: exactly, where the voice tells when each word is spoken, else in proportion
to the letters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from actors.providers.spec import Word

MS_PER_CHAR = 70.0  # an unhurried voice, for segments whose length is not known yet


class Purpose(Enum):
    """Why the assistant speaks."""

    GREETING = "greeting"
    ANSWER = "answer"
    PROMPT = "prompt"  # idle prompts, "I did not understand"
    CLOSING = "closing"  # the last words: the call ends when they were heard


@dataclass(slots=True)
class Segment:
    """One clause; `delivered_ms` of it is audio in the transport, whether heard or not."""

    number: int
    text: str
    delivered_ms: float = 0.0
    words: list[Word] = field(default_factory=list)
    done: bool = False
    aside: bool = False  # said to pass the time: no part of the text

    @property
    def length_ms(self) -> float:
        """The segment's length: measured when it is done, else estimated."""
        return self.delivered_ms if self.done else max(self.delivered_ms, len(self.text) * MS_PER_CHAR)

    def words_within(self, ms: float, share: float = 1.0) -> int:
        """How many words are spoken, each to this share at least, in the first `ms`."""
        tokens = self.text.split()
        if self.done and ms >= self.length_ms:
            return len(tokens)
        if self.words:
            heard = [w for w in self.words if w.start_ms + share * (w.end_ms - w.start_ms) <= ms]
            return min(len(tokens), len(heard))
        reach = len(self.text) * ms / self.length_ms if self.length_ms else 0.0
        count, end = 0, 0
        for token in tokens:
            end += len(token) + 1
            if end - 1 > reach:
                break
            count += 1
        return count


class Utterance:
    """What the assistant says in one go. Segment numbers are unique in a call and given by whoever adds the text."""

    def __init__(self, number: int, purpose: Purpose, turn: int = 0) -> None:
        self.number, self.purpose, self.turn = number, purpose, turn
        self.segments: list[Segment] = []
        self.complete = False  # no further text will come
        self.started = False  # the caller hears it
        self.started_s = 0.0  # since then, on the conversation's clock

    @property
    def text(self) -> str:
        return " ".join(segment.text for segment in self.segments if not segment.aside)

    def add(self, number: int, text: str, aside: bool = False) -> Segment:
        segment = Segment(number, text, aside=aside)
        self.segments.append(segment)
        return segment

    def delivered(self, number: int, ms: float, words: Iterable[Word], done: bool) -> None:
        """The voice has delivered `ms` more of segment `number`; an unknown number is of a voice that was replaced."""
        for segment in self.segments:
            if segment.number == number:
                segment.delivered_ms += ms
                segment.words.extend(words)
                segment.done = done

    @property
    def pending(self) -> Segment | None:
        """The segment that the voice owes next."""
        return next((segment for segment in self.segments if not segment.done), None)

    def heard_text(self, heard_ms: float) -> str:
        """The words that the caller has heard in the first `heard_ms` of the utterance's audio."""
        heard: list[str] = []
        for segment in self.segments:
            if heard_ms <= 0:
                break
            if not segment.aside:
                heard += segment.text.split()[: segment.words_within(heard_ms, share=0.5)]
            heard_ms -= segment.length_ms
        return " ".join(heard)

    def cut(self, skip: str = "") -> list[str]:
        """The voice has died: close what it delivered, take back and return the texts that must be spoken again.

        The segment under way is spoken again from its first word that is not complete; `skip` is the text of a segment
        that has killed the voice too often, and is left out.
        """
        owed = [segment for segment in self.segments if not segment.done]
        self.segments = [segment for segment in self.segments if segment.done]
        texts = ["" if segment.text == skip or segment.aside else segment.text for segment in owed]
        if owed and owed[0].delivered_ms:
            count = owed[0].words_within(owed[0].delivered_ms)
            tokens = owed[0].text.split()
            owed[0].text = " ".join(tokens[:count])
            texts[0] = texts[0] and " ".join(tokens[count:])
            owed[0].done = True
            self.segments.append(owed[0])
        return [text for text in texts if text]

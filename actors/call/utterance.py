"""Something that the assistant says: its segments, how much of each became audio, and what of it was heard.

The history of a call holds what the caller *heard*. The transport knows how many milliseconds of an utterance were
played; this class turns them into text (`heard.py`): exactly, where the voice tells when each word is spoken, else in
proportion to the letters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice

from actors.call.clauses import letters
from actors.call.heard import MS_PER_CHAR, heard_until, joined
from actors.providers.spec import MOST_WORDS, Word


class Purpose(Enum):
    """Why the assistant speaks."""

    GREETING = "greeting"
    ANSWER = "answer"
    PROMPT = "prompt"  # idle prompts, "I did not understand"
    REPEAT = "repeat"  # what an interruption that came to nothing has cut
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
    waits: bool = False  # the voice has not been given it yet

    @property
    def length_ms(self) -> float:
        """The segment's length: measured when it is done, else estimated."""
        return self.delivered_ms if self.done else max(self.delivered_ms, letters(self.text) * MS_PER_CHAR)

    def until(self, ms: float, share: float = 1.0) -> int:
        """The end of what of the text is spoken, each word to this share at least, in the first `ms`."""
        return heard_until(self.text, self.words, ms, self.length_ms, self.done, share)


class Utterance:
    """What the assistant says in one go. Segment numbers are unique in a call and given by whoever adds the text."""

    def __init__(self, number: int, purpose: Purpose, turn: int = 0) -> None:
        self.number, self.purpose, self.turn = number, purpose, turn
        self.segments: list[Segment] = []
        self.before = ""  # what of the same answer an utterance before has said
        self.complete = False  # no further text will come
        self.started = False  # the caller hears it
        self.started_s = 0.0  # since then, on the conversation's clock

    @property
    def text(self) -> str:
        return joined([segment.text for segment in self.segments if not segment.aside])

    def add(self, number: int, text: str, aside: bool = False) -> Segment:
        segment = Segment(number, text, aside=aside)
        self.segments.append(segment)
        return segment

    def delivered(self, number: int, ms: float, words: Iterable[Word], done: bool) -> None:
        """The voice has delivered `ms` more of segment `number`; an unknown number is of a voice that was replaced."""
        for segment in self.segments:
            if segment.number == number:
                segment.delivered_ms += ms
                segment.words.extend(islice(words, MOST_WORDS - len(segment.words)))
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
                heard.append(segment.text[: segment.until(heard_ms, share=0.5)].strip())
            heard_ms -= segment.length_ms
        return joined(heard)

    def cut(self, skip: str = "") -> list[str]:
        """The voice has died: close what it delivered, take back and return the texts that must be spoken again.

        The segment under way is spoken again from its first word that is not complete; `skip` is the text of a segment
        that has killed the voice too often, and is left out.
        """
        owed = [segment for segment in self.segments if not segment.done]
        self.segments = [segment for segment in self.segments if segment.done]
        texts = ["" if segment.text == skip or segment.aside else segment.text for segment in owed]
        if owed and owed[0].delivered_ms:
            until = owed[0].until(owed[0].delivered_ms)
            texts[0] = texts[0] and owed[0].text[until:].strip()
            owed[0].text = owed[0].text[:until].strip()
            owed[0].done = True
            self.segments.append(owed[0])
        return [text for text in texts if text]

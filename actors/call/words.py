"""The caller's words of the turn that is under way, as the transcriber reports them."""

from __future__ import annotations

from actors.call.listening import Listening


class Words:
    """Finals are added up; an interim stands for what follows the last final, until it is replaced."""

    def __init__(self) -> None:
        self._finals: list[str] = []
        self._begins_s: list[float] = []  # of each final
        self._next_s = 0.0  # when the voice began that says the words under way
        self._voice_s: float | None = None  # the last voice of this turn began
        self._interim = ""
        self.finals = 0  # in the whole call
        self.until_ms = 0.0  # of the caller's audio, they are known
        self.began_s: float | None = None  # when the caller began to say them, on the conversation's clock

    def voice_began(self, now: float) -> None:
        """The first words that come next, if any do, are this voice's."""
        if not self.text:
            self.began_s = now
        self._voice_s = now

    def heard(self, text: str, final: bool, until_ms: float, now: float) -> None:
        self.until_ms = until_ms
        if self.began_s is None and text:  # typed, or said in a voice that the VAD has missed
            self.began_s = now
        if not self._interim:
            self._next_s = now if self._voice_s is None else self._voice_s
        if final:
            self.finals += 1
            self._finals.append(text or self._interim)  # an empty one takes no words back
            self._begins_s.append(self._next_s)
        self._interim = "" if final else text

    def typed(self, text: str, now: float) -> None:
        """At this moment, whatever is heard. What is not confirmed yet will be said once more, behind it."""
        if not self.text:
            self.began_s = now
        self._finals.append(text)
        self._begins_s.append(now)
        self._interim = ""

    def forget_interim(self) -> None:
        """Who said it will not confirm it any more."""
        self._interim = ""

    @property
    def is_unconfirmed(self) -> bool:
        """Some of them are not final."""
        return bool(self._interim)

    @property
    def text(self) -> str:
        return " ".join(filter(None, (*self._finals, self._interim)))

    def begun_before(self, moment_s: float) -> str:
        """Those that the caller began to say before this moment: all is what a recognizer has told in one piece."""
        begun = [text for text, began_s in zip(self._finals, self._begins_s, strict=True) if began_s < moment_s]
        if self._interim and len(begun) == len(self._finals) and self._next_s < moment_s:
            begun.append(self._interim)
        return " ".join(filter(None, begun))

    def take(self) -> str:
        """The words, which are forgotten here."""
        text = self.text
        self._finals, self._begins_s, self._interim, self.began_s, self._voice_s = [], [], "", None, None
        return text

    @property
    def confirmed(self) -> str:
        """Of a transcriber that confirms nothing, all."""
        return " ".join(filter(None, self._finals)) if self._finals else self._interim

    def take_confirmed(self, now: float, voice: bool) -> str:
        """What is not confirmed is the beginning of more words, and will come again with them. `voice`: it is heard"""
        text, rest = self.confirmed, self._interim if self._finals else ""
        voice_s = self._voice_s if voice or rest else None
        self.take()
        self._voice_s = voice_s
        self._interim, self.began_s = rest, now if rest else None
        return text

    def count(self, listening: Listening) -> int:
        """How many words there are beside those that only show that somebody listens."""
        finals = sum(listening.count(text) for text in self._finals)
        return finals + listening.count(self._interim, unfinished=True)

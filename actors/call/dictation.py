"""What one recognizer was given, was asked for and still owes: a pure machine without a clock.

Theory of operation. The session of a transcriber that takes over opens while the caller speaks on, and is then given
in one go what its predecessor left. So its clock is not the caller's (silence is left out: a list of *seams* tells
where the two part), a `Finalize` may come before the audio that it ends, and what is owed counts from the moment at
which the session was open and had it all. A `Finalize` that still waits is dropped when the caller goes on.

A session that has words for all of the audio and does not confirm them is believed (`settle`), as is one that ends a
turn without having confirmed its words. What it says about that audio later is swallowed, however it is written then,
and so is an end of turn that answers an earlier `Finalize`: the turn is over. Only what goes on behind those words is
the caller's next turn: who says no times may not have heard all of the audio yet.
"""

from __future__ import annotations

import re

from actors.call.listening import is_unspaced
from actors.messages import Heard, Transcript, TurnEnded
from actors.providers.spec import Interim

SLACK_MS = 100.0  # a voice is reported as ended so long after its end: words that reach up to here are all
MOST_CHARACTERS = 10_000  # of one result; of more the end counts
LATE_MS = 250.0  # a final that ends so little after a settled turn belongs to it

_NO_WORDS = re.compile(r"[\W_]*|\s*(?:\[[^\]]*\]|\([^)]*\)|<[^>]*>|\*[^*]*\*|[♪♫][^♪♫]*[♪♫])[\s.]*")
_BETWEEN = " \t\n,.;:!?\u3001\u3002\uff0c\uff01\uff1f"  # two parts of a text

Told = Transcript | TurnEnded


class Dictation:
    """Times `*_ms` are on the caller's clock, but for what is said to be the session's."""

    def __init__(self) -> None:
        self.open = False
        self.voiced = False  # the audio given last
        self.owes = False  # it was asked, and has not answered
        self.fed_ms = 0.0  # on the session's clock
        self._seams: list[tuple[float, float]] = []  # (session ms, what to add for the caller's ms), ascending
        self._shift_ms = float("inf")  # of the last seam
        self._until_ms = float("-inf")  # it was given all audio before
        self._asked_ms: float | None = None  # a `Finalize` that waits for the session, or for its audio
        self._owed_ms = float("-inf")  # the `Finalize` that it has
        self._before_ms = float("-inf")  # the one before, which it may answer yet
        self._unanswered = 0  # so many of them, if the caller went on behind the last ones
        self._voice_ms = float("-inf")  # the voice that it was given lasts until there
        self._interim, self._interim_ms = "", float("-inf")
        self._finals = 0  # since the last end of a turn
        self._final = ("", float("-inf"))  # the last one, and its end
        self._settled_ms: float | None = None  # the turn that we have ended without it
        self._settled_text = ""
        self._is_answered = False  # and it has said the end of that turn since, without its words
        self._voice_since_ms = float("inf")  # a voice was heard behind it, from there on
        self._confirmed = ""  # by an empty final: what comes next may have it once more
        self._alive = self._moved = False  # has said something, or something new, since `settle` was asked last

    @property
    def replays(self) -> int:
        return max(0, len(self._seams) - 1)

    @property
    def is_asked(self) -> bool:
        """A question waits for the session, or for its audio."""
        return self._asked_ms is not None

    # --- what it is given -----------------------------------------------------------------------------------------

    def feed(self, chunk: Heard) -> None:
        start_ms, end_ms = chunk.start_ms, chunk.end_ms
        shift_ms = start_ms - self.fed_ms
        if not -1.0 <= shift_ms - self._shift_ms <= 1.0:
            self._shift_ms = shift_ms
            self._seams.append((self.fed_ms, shift_ms))
        self.fed_ms += end_ms - start_ms
        self._until_ms = end_ms
        self.voiced = voiced = chunk.voiced
        if voiced:
            self._voice_ms = end_ms
            if self._settled_ms is not None and start_ms > self._settled_ms + SLACK_MS:
                self._voice_since_ms = min(self._voice_since_ms, start_ms)
            if self._asked_ms is not None and start_ms > self._asked_ms + SLACK_MS:
                self._asked_ms = None  # the caller goes on

    def ask(self, until_ms: float) -> None:
        self._asked_ms = until_ms

    def take_question(self) -> bool:
        """Whether the session is to be asked to finalize now."""
        if self._asked_ms is None or not self.open or self._until_ms < self._asked_ms:
            return False
        self._before_ms = self._owed_ms if self._unanswered else float("-inf")
        self._owed_ms, self._asked_ms = self._asked_ms, None
        self.owes, self._alive, self._moved = True, False, False
        self._unanswered += 1
        return True

    # --- what it says ---------------------------------------------------------------------------------------------

    def interim(self, event: Interim, unsent_ms: float = 0.0) -> list[Told]:
        end_ms = self._callers_ms(self.fed_ms - unsent_ms if event.end_ms is None else event.end_ms)
        self._alive = True
        text = heard_words(event.text)
        if text and self._is_settled(end_ms, text, event.end_ms is not None):
            return []
        text = self._without_known(text)
        self._moved = self._moved or text != self._interim
        self._interim, self._interim_ms = text, end_ms
        return [Transcript(text, False, end_ms)]

    def final(self, text: str, session_ms: float) -> list[Told]:
        """An empty one confirms the words that there are."""
        end_ms, text = self._callers_ms(session_ms), heard_words(text)
        if text and text == self._final[0] and end_ms <= self._final[1]:
            return []  # said twice
        self._final = (text, end_ms)
        self._alive = self._moved = True
        is_late, words = self._is_settled(end_ms, text), self._without_known(text) if text else self._interim
        if is_late and text and plain_words(text) == plain_words(self._settled_text):
            self._settled_ms = min(self._settled_ms or end_ms, end_ms)  # it says where they end
        self._settled_text = _behind(text, self._settled_text) if is_late and text else ""
        if is_late:
            return []
        self._confirmed, self._interim, self._settled_ms = "" if text else words, "", None
        self._finals += 1
        return [Transcript(words, True, end_ms)]

    def end_of_turn(self, session_ms: float | None = None) -> list[Told]:
        end_ms = self._until_ms if session_ms is None else self._callers_ms(session_ms)
        if session_ms is not None and self._answers_another(end_ms):  # the words before it may never be confirmed
            return self._believe(self._interim_ms) if self._interim_ms <= end_ms + LATE_MS else []
        overtaken = self._is_overtaken()
        is_late = self._settled_ms is not None and not (self.owes or self._finals or self._is_answered)
        is_late = overtaken or (is_late and not (self._interim and session_ms is not None))
        self._unanswered = max(0, self._unanswered - 1) if overtaken else 0
        until_ms = max(min(self._owed_ms, end_ms) if self.owes else float("-inf"), self._interim_ms)
        self.owes, self._confirmed, self._finals = False, "", 0
        self._is_answered = is_late and not overtaken
        if not self._is_answered:
            self._settled_ms, self._settled_text = None, ""
        self._alive = True
        if overtaken:  # the turn goes on behind these words, which may never be confirmed
            return self._believe(self._interim_ms)
        if is_late:
            return []
        # without a time they may be the beginning of what the caller says now
        goes_on = session_ms is None and self._voice_ms > until_ms + LATE_MS
        return [*(self._believe(until_ms) if not goes_on else ()), TurnEnded()]

    def _answers_another(self, end_ms: float) -> bool:
        """Whether an end of turn, which is of the audio up to `end_ms`, answers a `Finalize` whose turn is over."""
        over_ms = max(self._before_ms, float("-inf") if self._settled_ms is None else self._settled_ms)
        return self.owes and end_ms <= over_ms + LATE_MS < self._owed_ms

    def settle(self) -> list[Told]:
        """The answer is late: the words that there are, if they are all and have not changed since; else nothing. Of a
        caller who has gone on it is not waited for any longer: he will be asked about again."""
        moved, self._moved = self._moved, False
        if self._is_overtaken():
            self.owes = False
            return []
        known_ms = self._interim_ms if self._interim else self._final[1]
        if moved or known_ms + SLACK_MS < self._owed_ms:
            return []
        self.owes, self._finals, self._unanswered = False, 0, 0
        return [*self._believe(self._owed_ms), TurnEnded()]

    def _believe(self, until_ms: float) -> list[Told]:
        """The words that there are, which nobody has confirmed, if there are any: they are those before `until_ms`."""
        text, self._interim = self._interim, ""
        if not text:
            return []
        self._settled_ms, self._settled_text, self._voice_since_ms = until_ms, text, float("inf")
        self._is_answered = False
        return [Transcript(text, True, until_ms)]

    def lives(self) -> None:
        """It has said something that carries no words."""
        self._alive = True

    def take_life(self) -> bool:
        """Whether it has said anything since this was asked last."""
        alive, self._alive = self._alive, False
        return alive

    def _is_overtaken(self) -> bool:
        """Whether the caller has gone on behind what it was asked about, with words that it has not confirmed: the turn
        is not over, and whoever asked will ask again."""
        return self._unanswered > 0 and self._voice_ms > max(self._owed_ms, self._final[1]) + SLACK_MS

    def _is_settled(self, end_ms: float, text: str, says_when: bool = True) -> bool:
        """Whether these words are those of a turn that was ended without them. Whoever goes on behind them says
        something new, as does who says the same behind a further voice, if it is known that the words reach that
        far."""
        if self._settled_ms is None:
            return False
        if end_ms <= self._settled_ms + LATE_MS:
            return not (text and _behind(self._settled_text, text))
        are_new = says_when and end_ms > self._voice_since_ms
        return bool(text) and plain_words(text) == plain_words(self._settled_text) and not are_new

    def _without_known(self, text: str) -> str:
        """A segment that goes on behind words that were taken without it begins with them, perhaps in another
        spelling; those of a turn that is over do not make all of it."""
        if rest := _behind(self._settled_text, text):
            return rest
        is_said = self._confirmed and plain_words(text) == plain_words(self._confirmed)
        return "" if is_said else _behind(self._confirmed, text) or text

    def _callers_ms(self, session_ms: float) -> float:
        shift = 0.0
        for at_ms, shift_ms in self._seams:
            if at_ms > session_ms:
                break
            shift = shift_ms
        return session_ms + shift


def heard_words(text: str) -> str:
    """The words of a result: marks alone are none, nor is what a recognizer notes down, such as `[BLANK_AUDIO]`."""
    return "" if _NO_WORDS.fullmatch(text[-MOST_CHARACTERS:]) else text[-MOST_CHARACTERS:].strip()


def _behind(known: str, text: str) -> str:
    """What the text says behind the words that are known, with which it begins; empty if there is nothing, or it does
    not begin with them."""
    if not known:
        return ""
    parts, before = _parts(text), [part for part, _ in _parts(known)]
    if not before or [part for part, _ in parts[: len(before)]] != before:
        return ""
    return text[parts[len(before) - 1][1] :].lstrip(_BETWEEN)


def plain_words(text: str) -> list[str]:
    """The words as they sound: an interim and its final differ in capitals and marks."""
    return [part for part, _ in _parts(text)]


def _parts(text: str) -> list[tuple[str, int]]:
    """The words as they sound, and where each ends in the text; of scripts without blanks the letters."""
    found: list[tuple[str, int]] = []
    for match in re.finditer(r"\S+", text):
        letters = [(letter[0].casefold(), match.start() + letter.end()) for letter in re.finditer(r"\w", match[0])]
        if is_unspaced(match[0]):
            found += letters
        elif letters:
            found.append(("".join(letter for letter, _ in letters), match.end()))
    return found

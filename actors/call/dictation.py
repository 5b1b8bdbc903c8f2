"""What one recognizer was given, was asked for and still owes: a pure machine without a clock.

Theory of operation. The session of a transcriber that takes over opens while the caller speaks on, and is then given
in one go what its predecessor left. So its clock is not the caller's (silence is left out: a list of *seams* tells
where the two part), a `Finalize` may come before the audio that it ends, and what is owed counts from the moment at
which the session was open and had it all. A `Finalize` that still waits is dropped when the caller goes on.

A session that has words for all of the audio and does not confirm them is believed (`settle`). What it says about that
audio later is swallowed: the turn is over.
"""

from __future__ import annotations

from actors.messages import Heard, Transcript, TurnEnded
from actors.providers.spec import Interim

SLACK_MS = 100.0  # a voice is reported as ended so long after its end: words that reach up to here are all
LATE_MS = 250.0  # a final that ends so little after a settled turn belongs to it

Told = Transcript | TurnEnded


class Dictation:
    """Times `*_ms` are on the caller's clock, but for what is said to be the session's."""

    def __init__(self) -> None:
        self.open = False
        self.voiced = False  # the audio given last
        self.owes = False  # it was asked, and has not answered
        self.fed_ms = 0.0  # on the session's clock
        self._seams: list[tuple[float, float]] = []  # (session ms, what to add for the caller's ms), ascending
        self._until_ms = float("-inf")  # it was given all audio before
        self._asked_ms: float | None = None  # a `Finalize` that waits for the session, or for its audio
        self._owed_ms = float("-inf")  # the `Finalize` that it has
        self._unanswered = 0  # so many of them, if the caller went on behind the last ones
        self._voice_ms = float("-inf")  # the voice that it was given lasts until there
        self._interim, self._interim_ms = "", float("-inf")
        self._finals = 0  # since the last end of a turn
        self._final = ("", float("-inf"))  # the last one, and its end
        self._settled_ms: float | None = None  # the turn that we have ended without it
        self._settled_text = ""
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
        shift = chunk.start_ms - self.fed_ms
        if not self._seams or abs(self._seams[-1][1] - shift) > 1.0:
            self._seams.append((self.fed_ms, shift))
        self.fed_ms += chunk.end_ms - chunk.start_ms
        self._until_ms, self.voiced = chunk.end_ms, chunk.voiced
        if chunk.voiced and self._asked_ms is not None and chunk.start_ms > self._asked_ms + SLACK_MS:
            self._asked_ms = None  # the caller goes on
        if chunk.voiced:
            self._voice_ms = chunk.end_ms

    def ask(self, until_ms: float) -> None:
        self._asked_ms = until_ms

    def take_question(self) -> bool:
        """Whether the session is to be asked to finalize now."""
        if self._asked_ms is None or not self.open or self._until_ms < self._asked_ms:
            return False
        self._owed_ms, self._asked_ms = self._asked_ms, None
        self.owes, self._alive, self._moved = True, False, False
        self._unanswered += 1
        return True

    # --- what it says ---------------------------------------------------------------------------------------------

    def interim(self, event: Interim, unsent_ms: float = 0.0) -> list[Told]:
        end_ms = self._callers_ms(self.fed_ms - unsent_ms if event.end_ms is None else event.end_ms)
        self._alive = True
        if event.text and self._is_settled(end_ms, event.text):
            return []
        self._moved = self._moved or event.text != self._interim
        self._interim, self._interim_ms = event.text, end_ms
        return [Transcript(self._without_settled(event.text), False, end_ms)]

    def final(self, text: str, session_ms: float) -> list[Told]:
        end_ms = self._callers_ms(session_ms)
        if text and text == self._final[0] and end_ms <= self._final[1]:
            return []  # said twice
        self._final = (text, end_ms)
        self._alive = self._moved = True
        self._interim = ""
        if self._settled_ms is not None:
            is_late, text = self._is_settled(end_ms, text), self._without_settled(text)
            self._settled_text = ""
            if is_late:
                return []
            self._settled_ms = None
        self._finals += 1
        return [Transcript(text, True, end_ms)]

    def end_of_turn(self) -> list[Told]:
        overtaken = self._is_overtaken()
        is_late = overtaken or (self._settled_ms is not None and not self.owes and not self._finals)
        self._unanswered = max(0, self._unanswered - 1) if overtaken else 0
        self.owes, self._settled_ms, self._settled_text = False, None, ""
        self._finals = 0
        self._alive = True
        return [] if is_late else [TurnEnded()]

    def settle(self) -> list[Told]:
        """The answer is late: the words that there are, if they are all and have not changed since; else nothing."""
        known_ms = self._interim_ms if self._interim else float("-inf")
        moved, self._moved = self._moved, False
        if moved or not self._interim or known_ms + SLACK_MS < self._owed_ms:
            return []
        text, self._interim = self._interim, ""
        self.owes, self._finals, self._unanswered = False, 0, 0
        self._settled_ms, self._settled_text = self._owed_ms, text
        return [Transcript(text, True, self._owed_ms), TurnEnded()]

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

    def _is_settled(self, end_ms: float, text: str) -> bool:
        """Whether these words are those of the turn that was ended without them."""
        return self._settled_ms is not None and (end_ms <= self._settled_ms + LATE_MS or text == self._settled_text)

    def _without_settled(self, text: str) -> str:
        """A segment that goes on behind a turn that was ended without it begins with what is known of it."""
        return text.removeprefix(self._settled_text).strip() if self._settled_ms is not None else text

    def _callers_ms(self, session_ms: float) -> float:
        shift = 0.0
        for at_ms, shift_ms in self._seams:
            if at_ms > session_ms:
                break
            shift = shift_ms
        return session_ms + shift

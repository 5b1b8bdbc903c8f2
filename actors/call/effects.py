"""What a conversation wants done; the call does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from actors.errors import Termination

Role = Literal["transport", "transcriber", "responder", "speaker"]


@dataclass(frozen=True, slots=True)
class To:
    """Give `message` to the member; a member that is being replaced is told later, by `Conversation.replaced`."""

    role: Role
    message: Any


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Call `Conversation.timer(name)` in `delay_s`; replaces a timer of that name."""

    name: str
    delay_s: float


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Forget the timer, if it runs."""

    name: str


@dataclass(frozen=True, slots=True)
class Said:
    """A line of the history, as it was heard; it began to be said at `began_s` of the conversation's clock."""

    role: Literal["user", "assistant"]
    turn: int
    text: str
    began_s: float
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure of this turn; the name ends in its unit."""

    name: str
    turn: int
    value: float


@dataclass(frozen=True, slots=True)
class Speculated:
    """An answer that was begun before the caller had surely finished is used, or thrown away."""

    kept: bool


@dataclass(frozen=True, slots=True)
class Filled:
    """The caller, who waits for the answer to question `turn` or for a later one, was asked for a moment's patience."""

    turn: int


@dataclass(frozen=True, slots=True)
class Unasked:
    """A question was not asked, as the call would cost more than it may; `reason` is for the caller."""

    reason: str


@dataclass(frozen=True, slots=True)
class Flawed:
    """The answer to question `turn` is not whole, or there is none: `reason` is a word such as length or empty."""

    turn: int
    reason: str


@dataclass(frozen=True, slots=True)
class End:
    """Hang up: the conversation is over."""

    termination: Termination


Effect = To | SetTimer | CancelTimer | Said | Measured | Speculated | Filled | Unasked | Flawed | End

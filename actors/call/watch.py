"""Notices a provider that owes something and is silent."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.errors import ProviderStalled

if TYPE_CHECKING:
    from actors.call.member import SessionMember


@dataclass(frozen=True, slots=True)
class StallCheck:
    """member -> itself: is it still alive?"""


class StallWatch:
    """One deadline that moves with every sign of life. Tokens come by the hundred a second, timers are dear: the timer
    that runs stays as it is, and looks at the deadline again when it fires."""

    def __init__(self, member: SessionMember) -> None:
        self._member = member
        self._deadline_s: float | None = None
        self._armed_s: float | None = None  # when the timer fires
        self._detail = ""

    def expect(self, within_ms: float, detail: str) -> None:
        """From now on silence for `within_ms` is a stall."""
        self._deadline_s, self._detail = time.monotonic() + within_ms / 1000, detail
        if self._armed_s is None or self._armed_s > self._deadline_s:
            self._arm(self._deadline_s)

    def relax(self) -> None:
        """Nothing is owed."""
        self._deadline_s = None

    def check(self) -> None:
        """The timer has fired. Raises `ProviderStalled` if the deadline has passed."""
        now = time.monotonic()
        if self._armed_s is not None and now + 0.001 < self._armed_s:
            return  # a timer that an earlier deadline has overtaken
        self._armed_s = None
        if self._deadline_s is None:
            return
        if now + 0.001 >= self._deadline_s:
            raise ProviderStalled(self._member.provider, self._detail)
        self._arm(self._deadline_s)

    def _arm(self, at_s: float) -> None:
        self._armed_s = at_s
        self._member.call_later(max(0.0, at_s - time.monotonic()), StallCheck())

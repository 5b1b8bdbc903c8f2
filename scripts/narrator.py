"""Tells a simulated call on the terminal as it happens: who said what, and how long each answer took."""

from __future__ import annotations

import time

from scripts.caller.plan import (
    CallerSays,
    CallEvent,
    CallPlan,
    CallReport,
    Connected,
    MessageSeen,
    NotFollowed,
    TurnOver,
    TurnReport,
)
from scripts.output import console

_NAME_WIDTH = 12
_BETTER = {"espeak-ng": ", which recognizers mishear; apt-get install flite for a voice that they understand better"}


class Narrator:
    """`tell` takes each event of the call; `sum_up` says how it went."""

    def __init__(self, plan: CallPlan) -> None:
        self._plan = plan
        self._started_s = time.monotonic()

    def tell(self, event: CallEvent) -> None:
        match event:
            case Connected(context_id):
                self._started_s = time.monotonic()
                self._line("", f"connected by {self._plan.via}, context {context_id}", "dim")
                if voice := self._plan.sentences[0].voice:
                    self._line("", f"the caller speaks with {voice}{_BETTER.get(voice.split('/')[0], '')}", "dim")
            case CallerSays(_, text, interrupting):
                self._line("caller", f"{text}{'   (interrupts)' if interrupting else ''}", "cyan")
            case MessageSeen("user", text, _):
                self._line("", f"heard: {text}", "dim")
            case MessageSeen(_, text, interrupted):
                self._line(self._plan.assistant, f"{text}{' ...   (interrupted)' if interrupted else ''}", "green")
            case TurnOver(report):
                self._line("", _outcome(report), "yellow" if report.latency_ms is not None else "bold red")
            case NotFollowed(reason):
                self._line("", f"the conversation cannot be read: {reason}", "red")

    def sum_up(self, report: CallReport) -> None:
        answered = [turn.latency_ms for turn in report.turns if turn.latency_ms is not None]
        parts = [f"{len(answered)} of {len(report.turns)} turns answered"]
        if answered:
            parts.append(f"slowest answer {max(answered):.0f} ms")
        if self._plan.barge_in:
            parts.append(_barge_in(report.barge_in_ms))
        parts.append(f"{report.ended_by} hung up")
        self._line("", "; ".join(parts), "bold")
        self._line("", _audio(report), "dim")
        if self._plan.record:
            self._line("", f"recorded in {self._plan.record} (caller left, assistant right)", "dim")

    def _line(self, who: str, text: str, style: str) -> None:
        clock = f"{time.monotonic() - self._started_s:6.1f} s  "
        console().print(f"{clock}{who:<{_NAME_WIDTH}} {text}", style=style, markup=False)


def _outcome(report: TurnReport) -> str:
    if report.latency_ms is None:
        return f"turn {report.number}: no answer"
    return f"turn {report.number}: answered after {report.latency_ms:.0f} ms"


def _barge_in(ms: float | None) -> str:
    return (
        "the second answer was too short to interrupt" if ms is None else f"silent {ms:.0f} ms after the interruption"
    )


def _audio(report: CallReport) -> str:
    parts = [] if report.greeting_ms is None else [f"greeting after {report.greeting_ms:.0f} ms"]
    parts.append(f"{report.audio.late_frames} of {report.audio.frames} frames late")
    if report.audio.max_gap_ms is not None:
        parts.append(f"longest gap {report.audio.max_gap_ms:.0f} ms")
    return "; ".join(parts)

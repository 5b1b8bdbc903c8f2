"""Sentences with what they mean, and how well a script understands them: the campaign `scripts/understanding`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import yaml

from actors.providers.dialogue import Script
from actors.providers.script import ScriptOptions
from actors.providers.spec import ChatMessage

ROOT = Path(__file__).parent.parent
FOREIGN = "-"
GOALS = (3, 5, 2)  # per cent: false accepts, false rejects, slot errors


class Sample(NamedTuple):
    """What a caller says, turn by turn; the last turn means `intent` and says these slots."""

    intent: str
    turns: tuple[str, ...]
    slots: dict[str, str]


@dataclass(slots=True)
class Score:
    """Counts, and the sentences that were understood wrongly."""

    known: int = 0
    foreign: int = 0
    asked: int = 0  # known ones: "did you mean" the right thing
    asked_foreign: int = 0
    slots: int = 0
    false_accepts: list[str] = field(default_factory=list)  # foreign ones that were answered, known ones taken wrongly
    false_rejects: list[str] = field(default_factory=list)
    slot_errors: list[str] = field(default_factory=list)

    def shares(self) -> tuple[tuple[str, int, int], ...]:
        """What is counted: errors, of how many."""
        return (
            ("false accepts", len(self.false_accepts), self.known + self.foreign),
            ("false rejects", len(self.false_rejects), self.known),
            ("slot errors", len(self.slot_errors), self.slots),
        )

    @property
    def is_good(self) -> bool:
        """No goal is missed."""
        return all(100 * part <= goal * whole for (_, part, whole), goal in zip(self.shares(), GOALS, strict=True))

    def lines(self, name: str) -> Iterator[str]:
        """For people, shares in per cent."""
        yield f"{name}: {self.known} sentences that it knows, {self.foreign} foreign ones, {self.slots} slots"
        for (what, part, whole), goal in zip(self.shares(), GOALS, strict=True):
            yield f"  {what:13} {part:3} of {whole:3}: {100 * part / max(whole, 1):4.1f} % (goal: at most {goal} %)"
        yield f"  asked back: {self.asked} known, {self.asked_foreign} foreign (neither accepted nor rejected)"


def read_samples(path: Path) -> list[Sample]:
    """Lines `INTENT | turn / turn | slot=value, ...`."""
    lines = (line.strip() for line in path.read_text("utf-8").splitlines())
    return [_sample(line) for line in lines if line and not line.startswith("#")]


def reception() -> ScriptOptions:
    """The script of the demo's assistant."""
    assistant = yaml.safe_load((ROOT / "assistants" / "reception.yaml").read_text("utf-8"))
    return ScriptOptions.model_validate({k: v for k, v in assistant["llm"].items() if k != "provider"})


def judge(script: Script, samples: Iterable[Sample], hear: Callable[[str], str] = str) -> Score:
    """Each sample is a call of its own. `hear` stands for a recognizer, which makes another text of the last turn."""
    score = Score()
    for sample in samples:
        *before, last = sample.turns
        meant = script.understood([ChatMessage("user", text) for text in (*before, hear(last))])
        _count(score, sample, meant.intent, meant.asked, meant.slots)
    return score


def _count(score: Score, sample: Sample, intent: str | None, asked: bool, slots: dict[str, str]) -> None:
    text = f"{' / '.join(sample.turns)} -> {intent}{' ?' * asked} {slots or ''}"
    if sample.intent == FOREIGN:
        score.foreign += 1
        score.asked_foreign += asked
        if intent and not asked:
            score.false_accepts.append(text)
        return
    score.known += 1
    score.asked += asked and intent == sample.intent
    if intent is None or (asked and intent != sample.intent):
        score.false_rejects.append(text)
    elif intent != sample.intent:
        score.false_accepts.append(text)
    elif not asked:
        _count_slots(score, sample.slots, slots, text)


def _count_slots(score: Score, meant: dict[str, str], found: dict[str, str], text: str) -> None:
    """Missing, wrong, and those that were never said."""
    score.slots += len(meant)
    score.slot_errors += [f"{name}: {text}" for name in sorted({*meant, *found}) if meant.get(name) != found.get(name)]


def _sample(line: str) -> Sample:
    intent, said, *rest = (part.strip() for part in line.split("|"))
    pairs = [pair.split("=") for pair in "".join(rest).split(",") if "=" in pair]
    turns: Sequence[str] = said.split(" / ")
    return Sample(intent, tuple(turns), {name.strip(): value.strip() for name, value in pairs})


def main(arguments: Sequence[str]) -> int:
    """Prints both halves; 1 if the reported one misses a goal."""
    script = Script(reception(), "xx" if "--words" in arguments else "en")
    score = Score()
    for half in ("tune", "report"):
        score = judge(script, read_samples(ROOT / "tests" / "understanding" / f"{half}.txt"))
        print(*score.lines(half), sep="\n")
        if half == "tune" and "--errors" in arguments:
            print(*score.false_accepts, *score.false_rejects, *score.slot_errors, sep="\n")
    return 0 if score.is_good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

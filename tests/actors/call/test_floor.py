"""The table of who has the floor is complete, names only what there is, and no cell of it can be changed unnoticed."""

from __future__ import annotations

import inspect
import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from actors.call.conversation import Conversation
from actors.call.floor import FACTS, TABLE, Cell, Floor, FloorMachine, Input
from actors.errors import Result, Termination, UnlistedPair
from actors.messages import AnswerDone, Ask, Clause, Finalize, FlushPlayout, Transcript
from tests.actors.call import (
    test_conversation,
    test_floor_cells,
    test_interruption,
    test_keys,
    test_late_events,
    test_outages,
    test_spending,
    test_stalls,
    test_thinking_ahead,
)
from tests.actors.call.stage import Stage, assistant

MODULES = (
    test_floor_cells,
    test_interruption,
    test_keys,
    test_conversation,
    test_late_events,
    test_outages,
    test_spending,
    test_stalls,
    test_thinking_ahead,
)
Pair = tuple[Floor, Input]


@pytest.mark.parametrize("floor", Floor)
def test_every_fact_is_listed_and_every_action_is_there(floor: Floor):
    assert set(TABLE[floor]) >= FACTS
    conversation = Conversation(assistant())
    for action in {cell.action for cell in TABLE[floor].values()} - {""}:
        machine, _, method = action.partition(".")
        assert callable(getattr(getattr(conversation, machine), method))


def test_an_unlisted_pair_is_an_error():
    machine = FloorMachine(lambda action: None)
    with pytest.raises(UnlistedPair, match="RESUME_SPEECH while LISTENING"):
        machine.feed(Input.RESUME_SPEECH)


# --- no cell can be changed unnoticed --------------------------------------------------------------------------------


def cases() -> Iterator[Callable[[], None]]:
    """The tests of conversations in virtual time, with their parameters."""
    for module in MODULES:
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("test_") and not inspect.iscoroutinefunction(function):
                yield from _cases_of(function)


def _cases_of(function: Callable[..., None]) -> Iterator[Callable[[], None]]:
    marks = [m.args for m in getattr(function, "pytestmark", []) if m.name == "parametrize"]
    wanted = set(inspect.signature(function).parameters)
    for values in itertools.product(*(list(values) for _, values in marks)):
        given: dict[str, Any] = {}
        for (names, _), value in zip(marks, values, strict=True):
            named = names.split(",") if isinstance(names, str) else names
            given.update(zip(map(str.strip, named), value if len(named) > 1 else (value,), strict=True))
        if wanted - set(given) <= {"stage"}:
            yield lambda given=given: function(**given, **({"stage": _stage()} if "stage" in wanted else {}))  # type: ignore[misc]


def _stage() -> Stage:
    stage = Stage()
    stage.speak_out()
    return stage


class Noted(dict[Input, Cell]):
    """A row of the table that notes which of its cells are used."""

    def __init__(self, floor: Floor, used: set[Pair]) -> None:
        super().__init__(TABLE[floor])
        self._floor, self._used = floor, used

    def get(self, event: Input, default: Any = None) -> Any:
        self._used.add((self._floor, event))
        return super().get(event, default)


def mutants(pair: Pair) -> Iterator[Cell]:
    """What the cell might be instead: nothing, without its action, without its next floor."""
    cell = TABLE[pair[0]][pair[1]]
    changed = {Cell("", pair[0]), Cell("", cell.next), Cell(cell.action, pair[0])} - {cell}
    return iter(changed)


def survives(case: Callable[[], None]) -> bool:
    try:
        case()
    except Exception:
        return False
    return True


def test_no_cell_can_be_changed_unnoticed(monkeypatch: pytest.MonkeyPatch):
    used_by: dict[Pair, list[Callable[[], None]]] = {}
    for case in cases():
        used: set[Pair] = set()
        with monkeypatch.context() as patch:
            for floor in Floor:
                patch.setitem(TABLE, floor, Noted(floor, used))
            case()
        for pair in used:
            used_by.setdefault(pair, []).append(case)
    unnoticed = []
    for pair in ((floor, event) for floor in Floor for event in TABLE[floor]):
        for mutant in mutants(pair):
            with monkeypatch.context() as patch:
                patch.setitem(TABLE[pair[0]], pair[1], mutant)
                if all(survives(case) for case in used_by.get(pair, ())):
                    unnoticed.append(f"{pair[0].name} {pair[1].name}: {mutant}")
    assert not unnoticed, "\n".join(unnoticed)


# --- whatever comes, the table knows it ------------------------------------------------------------------------------

ANYTHING: tuple[Callable[[Stage], Any], ...] = (
    lambda s: s.do("voice_started", s.now * 1000) if not s.conversation.hearing.voice else None,
    lambda s: s.do("voice_ended", s.now * 1000) if s.conversation.hearing.voice else None,
    lambda s: s.do("heard", Transcript("uh-huh", False, s.now * 1000)),
    lambda s: s.do("heard", Transcript("stop", True, s.now * 1000)),
    lambda s: s.do("heard", Transcript("", True, s.now * 1000)),
    lambda s: s.do("hearing_stalled"),
    lambda s: s.do("hearing_resumed"),
    lambda s: s.do("turn_ended"),
    lambda s: s.do("turn_ending"),
    lambda s: s.do("turn_resumed"),
    lambda s: s.do("dtmf", "1"),
    lambda s: s.do("dtmf", "#"),
    lambda s: s.do("typed", "hello"),
    lambda s: s.do("typed", ""),
    lambda s: s.wait(0.05),
    lambda s: s.do("answered", Clause(_asked(s), "Yes.")),
    lambda s: s.do("answered", AnswerDone(_asked(s), False)),
    lambda s: s.do("playout_started", _playing(s)),
    lambda s: s.do("playout_dry", _playing(s)),
    lambda s: s.do("playout_done", _playing(s) if _complete(s) else 0),
    lambda s: [s.do("playout_stopped", flush.utterance, 200.0, True) for flush in s.sent(FlushPlayout)],
    lambda s: s.do("lost", "transcriber"),
    lambda s: s.do("ready", "transcriber"),
    *((lambda s, role=role: s.do("replaced", role)) for role in ("transcriber", "responder", "speaker")),
    lambda s: s.wait(0.2),
    lambda s: s.wait(1.0),
    lambda s: s.wait(11.0),
)
ENDS: tuple[Callable[[Stage], Any], ...] = (
    lambda s: s.do("hang_up", Termination(Result.SUCCESS, "operator"), "Bye."),
    lambda s: s.do("hang_up", Termination(Result.SUCCESS, "operator")),
    lambda s: s.do("exhausted", "speaker", "none left"),
    lambda s: s.do("wire_closed"),
    lambda s: s.do("timer", "max_duration"),
)


def _asked(stage: Stage) -> int:
    return stage.sent(Ask)[-1].question.turn if stage.sent(Ask) else 0


def _playing(stage: Stage) -> int:
    utterance = stage.conversation.delivery.utterance
    return utterance.number if utterance else 0


def _complete(stage: Stage) -> bool:
    utterance = stage.conversation.delivery.utterance
    return utterance is not None and utterance.complete


@pytest.mark.parametrize("seed", range(40))
def test_whatever_comes_the_floor_knows_what_to_do(seed: int):
    chance = random.Random(seed)
    stage = Stage(barge_in={"enabled": seed % 4 != 0})
    stage.heard_on_flush = 200.0 if seed % 2 else None
    for _ in range(150):
        chance.choice(ANYTHING)(stage)
        voice = stage.conversation.hearing.voice
        assert stage.floor is not Floor.HEARING or voice
        assert stage.floor not in (Floor.LISTENING, Floor.SETTLING) or not voice
    for event in chance.sample(ENDS, len(ENDS)):
        event(stage)
    assert stage.floor is Floor.ENDED


# --- and finds back --------------------------------------------------------------------------------------------------


def answer_everything(stage: Stage, effects: list[Any]) -> None:
    """Every member does what these effects ask of him."""
    for finalize in stage.sent(Finalize, effects):
        stage.do("heard", Transcript("", True, finalize.until_ms))
        stage.do("turn_ended")
    for ask in stage.sent(Ask, effects):
        stage.do("answered", Clause(ask.question.turn, "Yes."))
        stage.do("answered", AnswerDone(ask.question.turn, False))
    if _complete(stage) and stage.floor is not Floor.DECIDING:
        stage.speak_out()


def all_is_well(stage: Stage, within_s: float = 10.0) -> bool:
    """The caller says nothing more and everybody does his part: whether it is the caller's turn in the end."""
    seen, end = len(stage.effects), stage.now + within_s
    stage.heard_on_flush = 200.0
    for flush in stage.sent(FlushPlayout):
        stage.do("playout_stopped", flush.utterance, 200.0, True)
    if stage.conversation.hearing.voice:
        stage.do("voice_ended", stage.now * 1000)
    stage.do("hearing_resumed")
    for role in ("transcriber", "responder", "speaker"):
        stage.do("ready", role)
        stage.do("replaced", role)  # it is given what its predecessor owed
    while stage.floor is not Floor.LISTENING and stage.now < end:
        new, seen = stage.effects[seen:], len(stage.effects)
        answer_everything(stage, new)
        stage.wait(0.25)
    return stage.floor is Floor.LISTENING and "idle" in stage.timers


@pytest.mark.parametrize("seed", range(100))
def test_whatever_has_happened_it_is_the_callers_turn_in_the_end(seed: int):
    chance = random.Random(seed)
    stage = Stage(barge_in={"enabled": seed % 4 != 0}, not_understood="Pardon?" if seed % 5 == 0 else "")
    stage.heard_on_flush = 200.0 if seed % 2 else None
    for _ in range(chance.randint(1, 60)):
        chance.choice(ANYTHING)(stage)
    if stage.floor not in (Floor.ENDING, Floor.ENDED):
        assert all_is_well(stage), f"{stage.floor.name}: {stage.conversation.inspect()} {stage.timers}"

"""Slow is not dead: what the main process concludes from a process's state and silence."""

from __future__ import annotations

import pytest

from actors.node.vitals import HUNG, STOPPED, Vitals


def looks(state: str, waited_s: float, number: int, answers: bool = False) -> list[str]:
    """What so many looks, a second apart, say of a process that waits `waited_s` of each second for a CPU."""
    vitals = Vitals(1, stopped_limit_s=3.0, hung_limit_s=9.0)
    said = []
    for second in range(1, number + 1):
        said.append(vitals.judge(state, second * waited_s, 1.0))
        if answers:
            vitals.answered()
    return said


def test_a_stopped_process_is_told_after_its_limit_even_if_it_had_answered() -> None:
    assert looks("T", 0.0, 4, answers=True) == ["", "", "", STOPPED]


def test_a_process_that_goes_on_in_time_is_not_accused() -> None:
    vitals = Vitals(1, 3.0, 9.0)
    for _ in range(20):
        assert [vitals.judge(state, 0.0, 1.0) for state in "TTTS"] == [""] * 4
        vitals.answered()


@pytest.mark.parametrize("state", ["R", "S"])
def test_a_process_that_could_answer_and_does_not_hangs(state: str) -> None:
    assert looks(state, 0.0, 10) == [""] * 9 + [HUNG]


def test_waiting_for_a_cpu_is_no_silence() -> None:
    assert set(looks("R", 1.0, 1000)) == {""}
    assert looks("R", 0.5, 19) == [""] * 18 + [HUNG]


@pytest.mark.parametrize("state", ["D", "t", "", "Z"])
def test_waiting_for_a_disk_or_a_debugger_is_no_silence(state: str) -> None:
    assert set(looks(state, 0.0, 1000)) == {""}


def test_who_answers_lives() -> None:
    assert set(looks("R", 0.0, 1000, answers=True)) == {""}

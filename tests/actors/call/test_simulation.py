"""What holds in every call, whoever is late: each word once and in order, keys told to the model alone, no silence."""

from __future__ import annotations

import re

import pytest

from actors.call.floor import Floor
from actors.messages import Ask
from tests.actors.call.simulation import Simulation

SEEDS = range(30)
FOUND_WRONG = (317, 643, 669, 710)  # words were lost or said twice in these
ENDS_FIRST = (61, 199, 202, 212, 235, 247, 454, 481, 983)  # or with half a mend: its end before its final
LOSES = (501, 1302, *range(510, 516))  # finals that never come


@pytest.mark.parametrize(
    ("seed", "ends_first", "loses"),
    [
        *((seed, False, False) for seed in (*SEEDS, *FOUND_WRONG)),
        *((seed, True, False) for seed in ENDS_FIRST),
        *((seed, True, True) for seed in LOSES),
    ],
)
def test_each_word_and_each_key_reaches_the_model_once_and_in_order(seed: int, ends_first: bool, loses: bool):
    call = Simulation(seed, ends_first, loses)
    call.run(seed % 4)
    for _ in range(3 + seed % 8):
        call.act()
    call.run(12.0)
    for _ in range(40):  # an idle prompt or the goodbye may be under way
        if not (at_rest := call.over or call.floor in (Floor.LISTENING, Floor.ENDING)):
            call.run(0.5)
    assert at_rest, "silent for ever"
    stored = " ".join(text for role, text, _ in call.said() if role == "user")
    assert re.findall(r"\bw[a-z]{2}x\b", stored) == call.words
    assert re.findall(r"\bt[a-z]{2}x\b", stored) == call.typed
    assert sum(int(count) for count in re.findall(r"\[pressed (\d+) keys\]", stored)) == len(call.keys)
    assert not re.search(r"pressed (?!\d+ keys\])", repr((call.effects, call.conversation.inspect())))
    if not call.over and (asks := call.sent(Ask)):
        told = " ".join(line.text for line in asks[-1].question.history if line.role == "user")
        assert re.findall(r"(?<!\S)\d(?!\S)", told) == list(call.keys)

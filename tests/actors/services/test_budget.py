"""Replacements take turns."""

from __future__ import annotations

import pytest

from actors.services.budget import Budget


class Wall:
    now = 50.0


def test_a_crowd_is_spread_and_nobody_is_refused() -> None:
    wall = Wall()
    budget = Budget(10.0, lambda: wall.now)
    waits = [budget.take() for _ in range(30)]
    assert waits[:10] == [0.0] * 10
    assert waits[10:] == pytest.approx([(n + 1) / 10 for n in range(20)])
    assert budget.waiting == 20
    wall.now += 2.0
    assert budget.waiting == 0
    assert budget.take() == pytest.approx(0.1)


def test_it_fills_up_again_and_not_beyond() -> None:
    wall = Wall()
    budget = Budget(10.0, lambda: wall.now)
    for _ in range(10):
        budget.take()
    wall.now += 3600.0
    assert [budget.take() for _ in range(11)] == pytest.approx([0.0] * 10 + [0.1])


def test_what_comes_slowly_never_waits() -> None:
    wall = Wall()
    budget = Budget(10.0, lambda: wall.now)
    for _ in range(100):
        wall.now += 0.1
        assert budget.take() == 0.0

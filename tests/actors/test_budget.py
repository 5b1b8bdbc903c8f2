from __future__ import annotations

import pytest

from actors.budget import Bucket


def test_a_burst_at_once_and_a_rate_in_the_long_run() -> None:
    bucket = Bucket(per_s=2, burst=3)
    assert [bucket.take(1, 100.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(1, 100.5), bucket.take(1, 100.5)] == [True, False]
    assert bucket.level(1000.0) == 3  # never more than the burst


def test_what_has_happened_is_owed() -> None:
    bucket = Bucket(per_s=1, burst=5)
    assert bucket.spend(5, 0.0) and not bucket.spend(5, 0.0)
    assert not bucket.spend(0, 4.9)
    assert bucket.spend(0, 5.0)


def test_what_is_refused_costs_nothing() -> None:
    bucket = Bucket.per_minute(60)
    assert not bucket.take(61, 0.0)
    assert bucket.take(60, 0.0)
    assert bucket.level(30.0) == pytest.approx(30)

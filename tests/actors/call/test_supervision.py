from __future__ import annotations

from actors.errors import Remedy
from actors.supervision import ChildSpec, GiveUp, Leave, Recovery, Restart, RestartIntensity, RestartType, Shutdown


def spec(**changes: object) -> ChildSpec:
    return ChildSpec("speaker", object, **changes)


def test_the_first_restart_is_immediate_and_the_next_ones_back_off():
    recovery = Recovery(spec(intensity=RestartIntensity(5, 60.0, (0.0, 0.1, 0.4))))
    delays = [recovery.ended(now).delay_s for now in (1.0, 2.0, 3.0, 4.0)]
    assert delays == [0.0, 0.1, 0.4, 0.4]


def test_more_restarts_than_the_intensity_give_up():
    recovery = Recovery(spec(intensity=RestartIntensity(2, 10.0)))
    assert isinstance(recovery.ended(1.0), Restart)
    assert isinstance(recovery.ended(2.0), Restart)
    assert recovery.ended(3.0) == GiveUp()


def test_restarts_that_are_longer_ago_than_the_period_do_not_count():
    recovery = Recovery(spec(intensity=RestartIntensity(2, 10.0)))
    assert all(isinstance(recovery.ended(now), Restart) for now in (1.0, 8.0, 12.0, 19.5, 30.0))


def test_an_exhausted_provider_hands_over_to_the_next_with_a_fresh_count():
    recovery = Recovery(spec(intensity=RestartIntensity(1, 10.0)), providers=2)
    assert [recovery.ended(now).provider for now in (1.0, 2.0, 3.0)] == [0, 1, 1]
    assert recovery.ended(4.0) == GiveUp()


def test_what_a_restart_cannot_mend_moves_on_at_once():
    recovery = Recovery(spec(), providers=2)
    assert recovery.ended(1.0, remedy=Remedy.CONFIG) == Restart(0.0, 1, True)
    assert recovery.ended(2.0, remedy=Remedy.QUOTA) == GiveUp()


def test_work_that_kills_twice_is_given_to_the_next_provider_and_then_not_again():
    recovery = Recovery(spec(), providers=2)
    decisions = [recovery.ended(float(n), work="a poisonous question") for n in range(4)]
    assert [(d.provider, d.with_work) for d in decisions] == [(0, True), (1, True), (1, True), (1, False)]


def test_other_work_is_not_blamed():
    recovery = Recovery(spec())
    assert recovery.ended(1.0, work="one").with_work
    assert recovery.ended(2.0, work="two").with_work
    assert recovery.ended(3.0).with_work
    assert recovery.ended(4.0, work="two").with_work


def test_restart_types_and_significance():
    assert Recovery(spec(restart=RestartType.TEMPORARY)).ended(1.0) == Leave()
    assert Recovery(spec(restart=RestartType.TRANSIENT)).ended(1.0, normal=True) == Leave()
    assert isinstance(Recovery(spec(restart=RestartType.TRANSIENT)).ended(1.0), Restart)
    assert isinstance(Recovery(spec()).ended(1.0, normal=True), Restart)
    assert Recovery(spec(significant=True, restart=RestartType.TEMPORARY)).ended(1.0) == Shutdown()

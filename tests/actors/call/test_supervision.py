from __future__ import annotations

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


def test_restart_types_and_significance():
    assert Recovery(spec(restart=RestartType.TEMPORARY)).ended(1.0) == Leave()
    assert Recovery(spec(restart=RestartType.TRANSIENT)).ended(1.0, normal=True) == Leave()
    assert isinstance(Recovery(spec(restart=RestartType.TRANSIENT)).ended(1.0), Restart)
    assert isinstance(Recovery(spec()).ended(1.0, normal=True), Restart)
    assert Recovery(spec(significant=True, restart=RestartType.TEMPORARY)).ended(1.0) == Shutdown()

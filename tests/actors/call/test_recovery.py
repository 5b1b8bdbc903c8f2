"""What a call does when a member of it ends: tried again while the outage lasts, round the chain."""

from __future__ import annotations

import pytest

from actors.call.recovery import NOT_STARTED_S, MemberRecovery
from actors.errors import EngineNotStarted, ProviderCrashed, ProviderError, ProviderStalled, Remedy
from actors.supervision import ChildSpec, GiveUp, Leave, Restart, RestartIntensity, RestartType, Shutdown

LOST = ProviderError("fake", "the connection was lost")
STALLED = ProviderStalled("fake", "silent")
CRASHED = ProviderCrashed("fake", "exited")
BACKOFF_S = (0.0, 0.1, 0.5, 1.0)


def recovery(providers: int = 1, patience_s: float = 15.0, most: int = 3, **spec: object) -> MemberRecovery:
    intensity = RestartIntensity(most, 60.0, BACKOFF_S)
    return MemberRecovery(ChildSpec("speaker", object, intensity=intensity, **spec), providers, patience_s)


def refused(remedy: Remedy) -> ProviderError:
    return ProviderError("fake", "refused", remedy)


def test_the_first_try_is_immediate_and_the_next_ones_back_off():
    tried = recovery()
    assert [tried.ended(now, LOST).delay_s for now in (1.0, 2.0, 3.0, 4.0, 5.0)] == [0.0, 0.1, 0.5, 1.0, 1.0]


@pytest.mark.parametrize("error", [LOST, STALLED], ids=["lost", "stalled"])
def test_an_outage_is_sat_out_up_to_the_patience_and_its_work_is_kept(error: ProviderError):
    tried, now = recovery(patience_s=10.0), 100.0
    decisions = []
    while not isinstance(decision := tried.ended(now, error, "a sentence"), GiveUp):
        decisions.append(decision)
        now += 0.3 + decision.delay_s
    assert 110.0 <= now < 111.5
    assert all(decision.with_work for decision in decisions)


def test_an_engine_that_cannot_be_started_is_not_waited_for_as_long_as_a_service_that_is_away():
    error = EngineNotStarted("embedded", "no process")
    lonely, chain = recovery(), recovery(providers=2)
    for now in (0.0, NOT_STARTED_S - 0.1):
        assert isinstance(lonely.ended(now, error), Restart)
        lonely.is_there()  # nothing is asked of it any more: that does not start it
        assert isinstance(chain.ended(now, error), Restart)
    assert lonely.ended(NOT_STARTED_S, error) == GiveUp()
    assert isinstance(chain.ended(NOT_STARTED_S, error), Restart)
    lonely = recovery()
    lonely.ended(0.0, error)
    lonely.worked()
    assert isinstance(lonely.ended(NOT_STARTED_S, error), Restart)


def test_a_member_that_works_ends_the_outage():
    tried = recovery(patience_s=10.0, most=99)
    for now in range(0, 60, 6):
        assert tried.ended(float(now), LOST).delay_s == 0.0
        tried.worked()


def test_a_lost_connection_is_tried_there_first_and_then_round_the_chain_with_a_step_of_back_off_for_each_lap():
    tried = recovery(providers=3)
    decisions = [tried.ended(float(n), LOST) for n in range(7)]
    assert [d.provider for d in decisions] == [0, 1, 2, 0, 1, 2, 0]
    assert [d.delay_s for d in decisions] == [0.0, 0.0, 0.0, 0.1, 0.1, 0.1, 0.5]


@pytest.mark.parametrize("error", [STALLED, refused(Remedy.THROTTLED)], ids=["stalled", "throttled"])
def test_who_is_slow_or_busy_is_passed_over_at_once_and_may_come_back(error: ProviderError):
    tried = recovery(providers=2)
    assert [tried.ended(float(n), error).provider for n in range(3)] == [1, 0, 1]


@pytest.mark.parametrize("remedy", [Remedy.CONFIG, Remedy.QUOTA])
def test_what_a_restart_cannot_mend_is_out_for_good(remedy: Remedy):
    tried = recovery(providers=2)
    assert tried.ended(1.0, refused(remedy)) == Restart(0.0, 1, True)
    assert [tried.ended(now, STALLED).provider for now in (2.0, 3.0)] == [1, 1]
    assert tried.ended(4.0, refused(remedy)) == GiveUp()


def test_who_fails_again_and_again_after_having_worked_is_passed_over():
    tried = recovery(providers=2, most=2)
    found = []
    for now in (1.0, 2.0, 3.0, 4.0):
        found.append(tried.ended(now, LOST).provider)
        tried.worked()
    assert found == [0, 0, 1, 1]


def test_the_last_of_the_chain_may_fail_often_but_not_for_longer_than_an_outage():
    tried, now = recovery(most=2, patience_s=10.0), 0.0
    while not isinstance(decision := tried.ended(now, LOST), GiveUp):
        tried.worked()
        now += 1.0 + decision.delay_s
    assert 10.0 < now < 15.0


def test_who_has_pulled_himself_together_is_not_given_up_for_what_was():
    tried = recovery(most=2, patience_s=10.0)
    for now in (0.0, 1.0, 2.0, 3.0, 20.0, 40.0):
        assert isinstance(tried.ended(now, LOST), Restart)
        tried.worked()


def test_failures_that_are_longer_ago_than_the_period_do_not_count():
    tried = recovery(most=2)
    for now in range(0, 400, 31):
        assert isinstance(tried.ended(float(now), LOST), Restart)
        tried.worked()


def test_slowness_is_no_failure():
    tried = recovery(most=1)
    for now in range(20):
        assert isinstance(tried.ended(float(now), STALLED, "the same words"), Restart)
        tried.worked()


@pytest.mark.parametrize(("providers", "given"), [(1, [True, False]), (2, [True, True, True, False])])
def test_work_that_crashes_every_provider_twice_is_not_given_again(providers: int, given: list[bool]):
    tried = recovery(providers)
    assert [tried.ended(n / 10, CRASHED, "a poisonous question").with_work for n in range(len(given))] == given


@pytest.mark.parametrize("error", [LOST, STALLED], ids=["lost", "stalled"])
def test_only_a_crash_is_blamed_on_the_work(error: ProviderError):
    tried = recovery()
    assert all(tried.ended(n / 10, error, "the same words").with_work for n in range(9))


def test_other_work_is_not_blamed():
    tried = recovery(most=9)
    assert all(tried.ended(n / 10, CRASHED, work).with_work for n, work in enumerate(["one", "two", "", "two"]))


def busy(retry_after_s: float) -> ProviderError:
    return ProviderError("fake", "answered 429", Remedy.THROTTLED, retry_after_s)


def test_who_asks_for_patience_is_asked_again_when_he_says_and_another_one_now():
    assert recovery().ended(1.0, busy(3.0), "a question") == Restart(3.0, 0, True)
    tried = recovery(providers=2)
    assert tried.ended(1.0, busy(3.0)) == Restart(0.0, 1, True)
    assert tried.ended(2.0, busy(9.0)) == Restart(2.0, 0, True)  # both: the one that is free first
    tried.worked()
    assert tried.ended(10.0, LOST) == Restart(0.0, 0, True)


def test_an_outage_of_busy_answers_is_sat_out_like_any_other():
    tried = recovery(patience_s=10.0)
    assert [tried.ended(now, busy(4.0)) for now in (0.0, 4.0, 8.0)] == [Restart(4.0, 0, True)] * 3
    assert tried.ended(12.0, busy(4.0)) == GiveUp()


REFUSED = refused(Remedy.REFUSED)


def test_what_is_refused_is_dropped_and_the_provider_stays():
    tried = recovery()
    for turn in range(9):
        assert tried.ended(turn * 10.0, REFUSED, f"question {turn}") == Restart(0.0, 0, False)
        tried.worked()


def test_what_one_refuses_the_next_may_take():
    tried = recovery(providers=2)
    assert tried.ended(1.0, REFUSED, "question 1") == Restart(0.0, 1, True)
    assert tried.ended(2.0, REFUSED, "question 1") == Restart(0.0, 1, False)
    assert tried.ended(3.0, REFUSED, "question 2") == Restart(0.0, 0, True)


def test_who_refuses_everything_is_out():
    tried = recovery()
    decisions = []
    for turn in range(3):
        decisions.append(tried.ended(float(turn), REFUSED, f"question {turn}"))
        tried.is_there()
    assert decisions == [Restart(0.0, 0, False), Restart(0.1, 0, False), GiveUp()]


def test_a_refusal_is_no_outage():
    tried = recovery(patience_s=10.0)
    assert tried.ended(0.0, LOST) == Restart(0.0, 0, True)
    tried.worked()
    assert tried.ended(100.0, REFUSED, "question 1") == Restart(0.0, 0, False)
    assert tried.ended(200.0, LOST) == Restart(0.0, 0, True)


def test_restart_types_and_significance():
    assert recovery(restart=RestartType.TEMPORARY).ended(1.0, LOST) == Leave()
    assert recovery(significant=True, restart=RestartType.TEMPORARY).ended(1.0, LOST) == Shutdown()

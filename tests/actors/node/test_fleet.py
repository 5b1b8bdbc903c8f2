"""What is decided when a worker's process ends."""

from __future__ import annotations

from actors.node.fleet import KEPT_EXITS, Fleet, Member, State
from actors.node.worker import Watchdog
from actors.supervision import GiveUp, Restart


def member(fleet: Fleet, number: int, state: State = State.UP, born_s: float = 0.0) -> Member:
    made = Member(number, fleet.incarnation(number), object(), 1000 + number, born_s, Watchdog(3), Watchdog(20), state)
    fleet.members.append(made)
    return made


def test_a_killed_worker_is_restarted_at_once_and_its_calls_are_lost() -> None:
    fleet = Fleet("node", 2)
    victim = member(fleet, 0)
    member(fleet, 1)
    assert fleet.complete
    decision = fleet.ended(victim, "SIGKILL", 10.0, 1000.0)
    assert isinstance(decision, Restart) and decision.delay_s == 0
    assert fleet.lost == {victim.incarnation}
    assert not fleet.complete
    (row,) = fleet.exit_rows()
    assert row == {
        "at_s": 1000.0,
        "worker": 0,
        "incarnation": victim.incarnation,
        "pid": 1000,
        "reason": "killed",
        "ending": "SIGKILL",
        "age_s": 10.0,
        "decision": "restarted at once",
    }


def test_restarts_back_off_and_a_node_without_workers_ends() -> None:
    fleet = Fleet("node", 1)
    decisions = [fleet.ended(member(fleet, 0), "exit 70", float(n), 0.0) for n in range(11)]
    delays = [decision.delay_s for decision in decisions if isinstance(decision, Restart)]
    assert delays == sorted(delays) and delays[0] == 0 and len(delays) == 10
    assert isinstance(decisions[-1], GiveUp)
    assert fleet.exits[0].reason == "crashed"
    assert fleet.exits[-1].decision == "given up: the node ends"


def test_while_others_have_calls_a_worker_is_not_given_up() -> None:
    fleet = Fleet("node", 2)
    member(fleet, 1)
    decisions = [fleet.ended(member(fleet, 0), "exit 70", float(n), 0.0) for n in range(30)]
    assert all(isinstance(decision, Restart) for decision in decisions)
    assert decisions[-1].delay_s >= 5


def test_a_draining_node_restarts_nothing() -> None:
    fleet = Fleet("node", 1)
    one = member(fleet, 0)
    fleet.draining, one.leaving = True, "drained"
    assert fleet.ended(one, "exit 0", 5.0, 0.0) is None
    assert (fleet.exits[-1].reason, fleet.exits[-1].decision) == ("drained", "the node drains")
    assert fleet.lost == set()


def test_a_worker_that_was_replaced_before_is_not_replaced_again() -> None:
    fleet = Fleet("node", 1)
    old = member(fleet, 0, State.DRAINING)
    old.leaving = "memory"
    member(fleet, 0)
    assert fleet.ended(old, "exit 0", 5.0, 0.0) is None
    assert fleet.exits[-1].decision == "was replaced before"


def test_a_hung_loop_has_a_name_of_its_own() -> None:
    fleet = Fleet("node", 1)
    fleet.ended(member(fleet, 0), "exit 75", 5.0, 0.0)
    assert fleet.exits[-1].reason == "loop_hung"


def test_only_the_last_exits_are_kept() -> None:
    fleet = Fleet("node", 1)
    for second in range(100):
        fleet.ended(member(fleet, 0), "SIGSEGV", second * 100.0, float(second))
    assert [ending.at_s for ending in fleet.exits] == list(range(100 - KEPT_EXITS, 100))


def test_incarnations_are_unique_for_ever() -> None:
    fleet = Fleet("node", 1)
    names = {fleet.incarnation(0) for _ in range(100)}
    assert len(names) == 100 and all(name.startswith("node/0/") for name in names)


def test_a_watchdog_counts_unanswered_questions() -> None:
    dog = Watchdog.within(3.0, 1.0)
    assert [dog.asked() for _ in range(4)] == [True, True, True, False]
    dog.answered()
    assert dog.asked()


def test_a_worker_without_a_process_is_tried_again_with_back_off_and_two_lines(caplog) -> None:
    fleet = Fleet("callboard", 2)
    assert fleet.due(0.0) == [0, 1]
    delays_s = []
    for _ in range(8):
        delays_s.append(fleet.not_started(0, 0.0))
        fleet.put_off(0, 100.0)
    assert delays_s == [0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 10.0, 10.0]
    assert fleet.due(99.0) == [1]
    assert fleet.due(100.0) == [0, 1]
    fleet.started(0)
    member(fleet, 0)
    assert fleet.due(200.0) == [1]
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_orphans_are_known_until_they_have_ended() -> None:
    fleet = Fleet("callboard", 1, {7: "callboard/0/x", 8: "callboard/1/y"})
    member(fleet, 0)
    assert [(row["pid"], row["worker"], row["state"]) for row in fleet.rows(1.0)] == [
        (7, 0, "orphaned"),
        (8, 1, "orphaned"),
        (1000, 0, "up"),
    ]
    fleet.lose_orphans(lambda pid: pid == 8)
    assert fleet.orphans == {7: "callboard/0/x"}
    assert fleet.lost == {"callboard/1/y"}

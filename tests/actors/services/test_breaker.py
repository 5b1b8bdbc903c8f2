"""What one call found dead the next does not try again; a probe closes the breaker. In virtual time."""

from __future__ import annotations

from itertools import pairwise

import pytest

from actors.errors import ProviderCrashed, ProviderError, ProviderStalled, Remedy
from actors.providers.registry import Registry
from actors.providers.spec import Kind
from actors.services.breaker import FAILURES, FIRST_PAUSE_S, LONGEST_PAUSE_S, PROBE_S, Breakers, breaker_key
from config.assistant import ProviderChoice

KEY = "stt deepgram"
DEAD = ProviderStalled("deepgram", "did not open within 3000 ms")


class Node:
    """Breakers of two workers that tell each other, and a clock."""

    def __init__(self) -> None:
        self.now, self.lag_s = 100.0, 0.0
        self.here = Breakers(lambda: self.lag_s, lambda: self.now)
        self.there = Breakers(now=lambda: self.now)
        self.here.tell, self.there.tell = self.there.heard, self.here.heard

    def die(self, times: int = FAILURES, error: ProviderError = DEAD, was_open: bool = False) -> None:
        for _ in range(times):
            self.here.failed(KEY, error, was_open)

    def states(self) -> list[str]:
        return [row["state"] for row in self.here.rows()]


@pytest.fixture
def node() -> Node:
    return Node()


def test_who_comes_after_the_first_deaths_goes_elsewhere(node: Node) -> None:
    node.die(FAILURES - 1)
    assert node.here.allows(KEY)
    node.die(1)
    assert not node.here.allows(KEY)
    assert node.here.allows("stt other")
    assert node.states() == ["open"] and node.here.trips == 1


def test_an_opening_in_between_forgives(node: Node) -> None:
    for _ in range(5):
        node.die(FAILURES - 1)
        node.here.opened(KEY)
    assert node.here.allows(KEY)


def test_one_probe_at_a_time_closes_it_again(node: Node) -> None:
    node.die()
    node.now += FIRST_PAUSE_S
    assert [node.here.allows(KEY) for _ in range(5)] == [True, False, False, False, False]
    assert node.states() == ["probing"]
    node.here.opened(KEY)
    assert all(node.here.allows(KEY) for _ in range(5))
    assert node.states() == []


def test_the_pause_grows_with_each_probe_that_fails_up_to_a_limit(node: Node) -> None:
    node.die()
    probes = [node.now]
    while len(probes) < 10:
        node.now += 0.5
        if node.here.allows(KEY):
            probes.append(node.now)
            node.die(1)
    pauses = [later - earlier for earlier, later in pairwise(probes)]
    assert pauses[0] == FIRST_PAUSE_S
    assert pauses == sorted(pauses) and pauses[-1] == LONGEST_PAUSE_S
    node.here.opened(KEY)
    node.die()
    node.now += FIRST_PAUSE_S
    assert node.here.allows(KEY), "what was found alive begins anew"


def test_a_probe_that_goes_with_its_call_holds_nobody_up(node: Node) -> None:
    node.die()
    node.now += FIRST_PAUSE_S
    assert node.here.allows(KEY)
    node.now += PROBE_S
    assert node.here.allows(KEY)


def test_the_nodes_other_workers_know_it_at_once(node: Node) -> None:
    node.die()
    assert not node.there.allows(KEY)
    node.now += FIRST_PAUSE_S
    assert node.there.allows(KEY)
    node.there.opened(KEY)
    assert node.here.allows(KEY) and node.here.allows(KEY)


def test_slowness_of_this_worker_is_nobodys_fault(node: Node) -> None:
    node.lag_s = 1.0
    node.die(20)
    assert node.here.allows(KEY)


def test_what_crashed_here_is_nobodys_fault(node: Node) -> None:
    node.die(20, error=ProviderCrashed("deepgram", "KeyError: 'x'"))
    assert node.here.allows(KEY)


@pytest.mark.parametrize("remedy", [Remedy.RETRY, Remedy.THROTTLED, Remedy.QUOTA])
def test_failed_openings_count(node: Node, remedy: Remedy) -> None:
    node.die(error=ProviderError("deepgram", "no", remedy))
    assert not node.here.allows(KEY)


def test_a_wrong_voice_is_one_assistants(node: Node) -> None:
    node.die(error=ProviderError("cartesia", "no such voice", Remedy.CONFIG))
    assert node.here.allows(KEY)


def test_what_has_worked_and_then_fails_is_reachable(node: Node) -> None:
    """A session that was open and broke: a poisonous question of one caller must not close the door to all others."""
    node.die(20, was_open=True)
    assert node.here.allows(KEY)
    node.die(error=ProviderError("openai", "no credit", Remedy.QUOTA), was_open=True)
    assert not node.here.allows(KEY), "without credit it is of no use to anybody"


def test_a_key_is_per_provider_server_and_credential_and_shows_no_secret() -> None:
    registry = Registry()

    def key(kind: Kind, **fields: str) -> str:
        choice = ProviderChoice.model_validate({"provider": "deepgram", **fields})
        return breaker_key(kind, choice, registry)

    plain = key("stt")
    assert plain == "stt deepgram"
    keys = {plain, key("stt", base_url="wss://eu.example.com"), key("stt", api_key="${SECOND}")}
    assert len(keys) == 3
    assert key("stt", model="nova-2") == plain
    assert key("stt", base_url="wss://me:secret@eu.example.com/x") == "stt deepgram eu.example.com"
    assert key("stt", provider="embedded") == "" and key("stt", provider="nobody") == ""
    here = Breakers()
    for _ in range(9):
        here.failed("", DEAD, False)
    assert here.allows("") and not list(here.rows())

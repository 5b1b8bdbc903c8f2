"""The figures of a worker: told, read, merged, and described in docs/metrics.md."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from actors.services.metrics import CATALOGUE, PREFIX, Metrics, merge, metrics_page


def _samples(text: str) -> dict[tuple[str, ...], float]:
    """Value by name and the labels' values, in the alphabetical order of the labels' names."""
    return {
        (sample.name.removeprefix(PREFIX), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_calls_are_counted_by_how_they_end() -> None:
    metrics = Metrics()
    for _ in range(3):
        metrics.call_set_up("twilio")
        metrics.call_started("twilio")
    metrics.call_ended("twilio", "success", "caller_hung_up")
    metrics.call_refused("twilio", "invalid_key")
    found = _samples(metrics.exposition())
    assert found["call_setups_total", "twilio"] == 3
    assert found["calls_active", "twilio"] == 2
    assert found["calls_total", "twilio", "caller_hung_up", "success"] == 1
    assert found["call_refusals_total", "invalid_key", "twilio"] == 1


def test_members_and_turns() -> None:
    metrics = Metrics()
    metrics.member_failed("speaker", "cartesia", "provider_stalled")
    metrics.member_restarted("speaker")
    metrics.turn_measured("turn_latency_ms", 120.0)
    metrics.loop_lagged(0.003)
    found = _samples(metrics.exposition())
    assert found["provider_errors_total", "provider_stalled", "cartesia", "speaker"] == 1
    assert found["actor_restarts_total", "speaker"] == 1
    assert found["turn_latency_seconds_sum", "turn"] == pytest.approx(0.12)
    assert found["turn_latency_seconds_bucket", "0.1", "turn"] == 0
    assert found["turn_latency_seconds_bucket", "0.25", "turn"] == 1
    assert found["loop_lag_seconds_count",] == 1


def test_what_others_count_is_read_at_each_scrape() -> None:
    metrics, letters = Metrics(), [1.0]
    metrics.watch(lambda: [("dead_letters_total", (), letters[0]), ("actors", ("Call",), 7)])
    assert _samples(metrics.exposition())["dead_letters_total",] == 1
    letters[0] = 5
    found = _samples(metrics.exposition())
    assert (found["dead_letters_total",], found["actors", "Call"]) == (5, 7)


def test_workers_are_merged_into_one_answer() -> None:
    workers = {}
    for number in range(2):
        metrics = workers[number] = Metrics()
        metrics.call_started("twilio")
        metrics.turn_measured("turn_latency_ms", 100.0 * (number + 1))
    text = merge({number: metrics.exposition() for number, metrics in workers.items()})
    found = _samples(text)
    assert found["calls_active", "twilio", "0"] == found["calls_active", "twilio", "1"] == 1
    assert found["turn_latency_seconds_sum", "turn", "1"] == pytest.approx(0.2)
    types = [line for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(types) == len(set(types)) == len(CATALOGUE)


def test_each_worker_has_figures_of_its_own() -> None:
    one, other = Metrics(), Metrics()
    one.call_started("twilio")
    assert "calls_active{" not in other.exposition()


def test_the_page_is_written_from_the_catalogue() -> None:
    assert Path("docs/metrics.md").read_text() == metrics_page(), "write docs/metrics.md again, as it says"


def test_an_exposition_has_the_catalogue_and_nothing_else() -> None:
    families = {
        family.name + ("_total" if family.type == "counter" else ""): family.type
        for family in text_string_to_metric_families(Metrics().exposition())
    }
    assert families == {PREFIX + name: entry.kind for name, entry in CATALOGUE.items()}

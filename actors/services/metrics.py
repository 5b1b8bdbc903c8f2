"""What a worker counts and measures, for Prometheus. `CATALOGUE` is all of it; docs/metrics.md is written from it.

Calls and their members tell it what happened (`call_ended`, `turn_measured` ...); what others count anyway is read when
somebody asks (`watch`). Each worker has its own figures, and `merge` makes one answer of a node's workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series per counter that nobody reads

PREFIX = "callboard_"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
_LAG_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)


@dataclass(frozen=True, slots=True)
class Entry:
    """One metric; its name stands in `CATALOGUE` without the prefix. `read`: asked for at each scrape."""

    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    read: bool = False
    buckets: tuple[float, ...] = ()


CATALOGUE: dict[str, Entry] = {
    "call_setups_total": Entry("counter", ("provider",), "Calls announced by a carrier and given a context"),
    "call_refusals_total": Entry("counter", ("provider", "code"), "Calls and connections that were refused"),
    "peers_dropped_total": Entry("counter", ("provider", "code"), "Media connections that broke a rule or a limit"),
    "inputs_ignored_total": Entry(
        "counter", ("provider", "kind"), "Keys and texts of callers that were not heard, as they came too fast"
    ),
    "http_refusals_total": Entry("counter", ("code",), "HTTP requests that were refused, whatever they wanted"),
    "connections_shed_total": Entry(
        "counter", (), "Connections without a call that had to go, or could not stay, as all places were taken"
    ),
    "calls_active": Entry("gauge", ("provider",), "Calls under way"),
    "calls_total": Entry("counter", ("provider", "result", "reason"), "Calls that have ended"),
    "turn_latency_seconds": Entry(
        "histogram", ("stage",), "Time of a turn, from the end of the caller's voice, by stage", buckets=_SECONDS
    ),
    "speculations_total": Entry(
        "counter", ("outcome",), "Answers begun before the caller had surely finished, kept or dropped"
    ),
    "provider_errors_total": Entry("counter", ("role", "provider", "code"), "Members of calls that have failed"),
    "actor_restarts_total": Entry("counter", ("role",), "Members of calls that were replaced"),
    "actors": Entry("gauge", ("class",), "Living actors", read=True),
    "mailbox_depth": Entry("gauge", (), "Messages that wait in the fullest mailbox", read=True),
    "dead_letters_total": Entry("counter", (), "Messages that found nobody at their address", read=True),
    "loop_lag_seconds": Entry(
        "histogram", (), "How late a message on a timer was handled: loop and mailboxes together", buckets=_LAG_SECONDS
    ),
    "overloaded": Entry("gauge", (), "1 while the worker refuses calls because it cannot keep up", read=True),
    "overloads_total": Entry("counter", (), "Times at which it began to refuse calls for that", read=True),
    "cpu_demand": Entry("gauge", (), "Share of a core that the loop uses and waits for, smoothed", read=True),
    "engine_lag_seconds": Entry("gauge", (), "How late the slowest speech engine answers", read=True),
    "replacements_waiting": Entry("gauge", (), "Members of calls that wait for their turn to be replaced", read=True),
    "breakers_open": Entry(
        "gauge", ("provider",), "1 for a provider that calls pass over: it does not open", read=True
    ),
    "breaker_trips_total": Entry("counter", (), "Times at which this worker found a provider dead", read=True),
    "media_ticks_total": Entry("counter", (), "20 ms ticks of the media clock", read=True),
    "media_ticks_late_total": Entry("counter", (), "Ticks that began over 10 ms late", read=True),
    "media_ticks_skipped_total": Entry("counter", (), "Ticks that never happened: frames were late", read=True),
    "media_legs": Entry("gauge", (), "Wires on the media clock", read=True),
    "ledger_rows_waiting": Entry("gauge", (), "Rows in memory that are not yet in the database", read=True),
    "ledger_spool_bytes": Entry("gauge", (), "Rows on disk, because the database is away", read=True),
    "ledger_rows_written_total": Entry("counter", (), "Rows written to the database", read=True),
    "ledger_rows_lost_total": Entry("counter", (), "Rows given up: the database was away for too long", read=True),
}

Figure = tuple[str, tuple[str, ...], float]  # name in the catalogue, labels' values, value
Source = Callable[[], Iterable[Figure]]


class Metrics:
    """The figures of one worker, in a registry of their own. Loop thread only."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._told: dict[str, Any] = {
            name: _make(name, entry, self._registry) for name, entry in CATALOGUE.items() if not entry.read
        }
        self._sources: list[Source] = []
        self._registry.register(self)

    # --- told ----------------------------------------------------------------------------------------------------

    def call_set_up(self, provider: str) -> None:
        """A webhook was answered with a context."""
        self._told["call_setups_total"].labels(provider).inc()

    def call_refused(self, provider: str, code: str) -> None:
        """`provider` is one of ours, never the path's word; `code` is the error's."""
        self._told["call_refusals_total"].labels(provider, code).inc()

    def peer_dropped(self, provider: str, code: str) -> None:
        """`code` is the error's."""
        self._told["peers_dropped_total"].labels(provider, code).inc()

    def input_ignored(self, provider: str, kind: str, count: int) -> None:
        """`kind` is keys or text."""
        self._told["inputs_ignored_total"].labels(provider, kind).inc(count)

    def request_refused(self, code: str) -> None:
        """As `call_refused`, of any HTTP request."""
        self._told["http_refusals_total"].labels(code).inc()

    def connection_shed(self) -> None:
        """A connection without a call was closed for want of a place."""
        self._told["connections_shed_total"].inc()

    def call_started(self, provider: str) -> None:
        self._told["calls_active"].labels(provider).inc()

    def call_ended(self, provider: str, result: str, reason: str) -> None:
        """After `call_started`, once."""
        self._told["calls_active"].labels(provider).dec()
        self._told["calls_total"].labels(provider, result, reason).inc()

    def turn_measured(self, name: str, ms: float) -> None:
        """`name` as in the ledger: llm_first_token_ms is the stage llm_first_token, turn_latency_ms the whole turn."""
        stage = name.removesuffix("_ms").removesuffix("_latency")
        self._told["turn_latency_seconds"].labels(stage).observe(ms / 1000)

    def answer_speculated(self, kept: bool) -> None:
        self._told["speculations_total"].labels("kept" if kept else "dropped").inc()

    def member_failed(self, role: str, provider: str, code: str) -> None:
        self._told["provider_errors_total"].labels(role, provider, code).inc()

    def member_restarted(self, role: str) -> None:
        self._told["actor_restarts_total"].labels(role).inc()

    def loop_lagged(self, lag_s: float) -> None:
        self._told["loop_lag_seconds"].observe(lag_s)

    # --- asked ---------------------------------------------------------------------------------------------------

    def watch(self, source: Source) -> None:
        """Ask `source` at each scrape; it gives figures of entries that are `read`."""
        self._sources.append(source)

    def collect(self) -> Iterator[Metric]:
        """What prometheus_client asks its collectors for: the entries that are `read`."""
        families = {name: _family(name, entry) for name, entry in CATALOGUE.items() if entry.read}
        for source in self._sources:
            for name, labels, value in source():
                families[name].add_metric(labels, value)
        yield from families.values()

    def exposition(self) -> str:
        """All figures in Prometheus' text format."""
        return generate_latest(self._registry).decode()


def merge(expositions: Mapping[int, str]) -> str:
    """One exposition of several workers': every sample gets the label `worker`."""
    families: dict[str, Metric] = {}
    for worker, text in expositions.items():
        for family in text_string_to_metric_families(text):
            merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                merged.add_sample(sample.name, {**sample.labels, "worker": str(worker)}, sample.value)
    return generate_latest(_Families(families.values())).decode()


@dataclass(frozen=True, slots=True)
class _Families:
    """What `generate_latest` asks of a registry."""

    families: Iterable[Metric]

    def collect(self) -> Iterable[Metric]:
        return self.families


def _make(name: str, entry: Entry, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    full = PREFIX + name
    if entry.kind == "histogram":
        return Histogram(full, entry.help, entry.labels, registry=registry, buckets=entry.buckets)
    kind = Counter if entry.kind == "counter" else Gauge
    return kind(full, entry.help, entry.labels, registry=registry)


def _family(name: str, entry: Entry) -> CounterMetricFamily | GaugeMetricFamily:
    family = CounterMetricFamily if entry.kind == "counter" else GaugeMetricFamily
    return family(PREFIX + name, entry.help, labels=entry.labels)


def metrics_page() -> str:
    """The text of docs/metrics.md."""
    rows = (
        f"| `{PREFIX}{name}` | {entry.kind} | {' '.join(f'`{label}`' for label in (*entry.labels, 'worker'))} "
        f"| {entry.help} |"
        for name, entry in CATALOGUE.items()
    )
    return "\n".join([_PAGE_HEAD, *rows, ""])


_PAGE_HEAD = """# Metrics

`GET /metrics` on the operators' listener (`OPERATOR__HOST`, `OPERATOR__PORT`, default 127.0.0.1:9008) answers for all
workers of the node, in Prometheus' text format. It asks for the operators' token; in Prometheus' configuration:

```yaml
scrape_configs:
  - job_name: callboard
    static_configs: [{targets: ["127.0.0.1:9008"]}]
    authorization: {credentials_file: /etc/prometheus/callboard.token}
```

Written from `actors/services/metrics.py` by
`python -c "from actors.services.metrics import metrics_page; print(metrics_page(), end='')" > docs/metrics.md`.

| metric | type | labels | what it is |
|---|---|---|---|"""

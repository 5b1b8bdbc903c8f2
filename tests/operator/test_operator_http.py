"""The operators' HTTP: who may ask, how the workers' answers become one, what is written down."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.simple_httpclient import HTTPTimeoutError

from actors.services.metrics import CATALOGUE, PREFIX, Metrics
from store.audit import AuditRepository
from store.engine import Database
from store.migrations import migrate
from store.private import make_private_file
from tests.calls.conftest import until
from tests.operator.conftest import TOKEN, Office
from transports.operator import Desk, OperatorListener

Fetch = Callable[..., Any]
PATHS = [
    "/v1/actors",
    "/v1/tree",
    "/v1/actors/x",
    "/v1/trace/x",
    "/v1/exits",
    "/v1/deadletters",
    "/metrics",
    "/nowhere",
]
CHANGES = ["/v1/actors/x/restart", "/v1/calls/x/hangup", "/v1/drain"]


async def fetch(url: str, method: str = "GET", token: str | None = TOKEN, **headers: str) -> HTTPResponse:
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    body = b"" if method == "POST" else None
    client = AsyncHTTPClient(force_instance=True)
    try:
        return await client.fetch(url, method=method, headers=headers, body=body, raise_error=False)
    finally:
        client.close()


class TwoWorkers:
    """A node whose workers answer what the test says."""

    worker, incarnation = 0, "test/0/one"

    def __init__(self) -> None:
        self.answers: dict[str, dict[int, Any]] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []

    async def ask_workers(self, verb: str, arguments: dict[str, Any], timeout_s: float = 2.0) -> dict[int, Any]:
        self.asked.append((verb, arguments))
        return self.answers.get(verb, {})

    async def ask_manager(self, verb: str, arguments: dict[str, Any], timeout_s: float = 2.0) -> Any:
        self.asked.append((verb, arguments))
        if verb not in self.answers:
            raise TimeoutError
        return self.answers[verb]


class Bureau:
    """A listener over two workers, and a store."""

    def __init__(self, folder: Path, token: str = TOKEN) -> None:
        make_private_file(folder / "store.db")
        self.database = Database(f"sqlite:///{folder}/store.db")
        migrate(self.database)
        self.audit = AuditRepository(self.database)
        self.node = TwoWorkers()
        self.listener = OperatorListener(Desk(token, self.node, self.audit, self.database))
        self.listener.start("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.listener.port}"

    async def close(self) -> None:
        await self.listener.stop()
        self.database.close()

    async def get(self, path: str) -> Any:
        return json.loads((await fetch(self.url + path)).body)

    async def post(self, path: str, **headers: str) -> Any:
        return json.loads((await fetch(self.url + path, "POST", **headers)).body)


@pytest.fixture
async def bureau(tmp_path: Path) -> AsyncIterator[Bureau]:
    bureau = Bureau(tmp_path)
    yield bureau
    await bureau.close()


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", "opensesam\u00e9"])
async def test_nobody_gets_in_without_the_token(bureau: Bureau, token: str | None) -> None:
    for method, paths in (("GET", PATHS), ("POST", CHANGES)):
        for path in paths:
            response = await fetch(bureau.url + path, method, token)
            assert (path, response.code) == (path, 401)
            assert json.loads(response.body)["error"]["code"] == "invalid_token"
    assert bureau.node.asked == [] and bureau.audit.list() == []


async def test_where_there_is_no_token_nobody_gets_in(tmp_path: Path) -> None:
    bureau = Bureau(tmp_path, token="")
    assert (await fetch(bureau.url + "/v1/actors", token="")).code == 401
    await bureau.close()


async def test_another_scheme_is_no_token(bureau: Bureau) -> None:
    assert (await fetch(bureau.url + "/v1/actors", token=None, Authorization=f"Basic {TOKEN}")).code == 401
    assert (await fetch(bureau.url + "/v1/actors", token=None, Authorization=f"bearer  {TOKEN} ")).code == 200


async def test_unknown_paths_and_methods(bureau: Bureau) -> None:
    assert (await fetch(bureau.url + "/nowhere")).code == 404
    assert (await fetch(bureau.url + "/v1/drain")).code == 405
    assert (await fetch(bureau.url + "/v1/actors", "POST")).code == 405


async def test_rows_of_all_workers_come_in_their_order(bureau: Bureau) -> None:
    bureau.node.answers["ps"] = {1: [{"address": "b"}], 0: [{"address": "a"}]}
    assert await bureau.get("/v1/actors?window_s=0.5") == [{"address": "a"}, {"address": "b"}]
    assert bureau.node.asked == [("ps", {"window_s": 0.5, "call": ""})]


@pytest.mark.parametrize("window", ["-1", "61", "x", "nan", "inf"])
async def test_a_wrong_window(bureau: Bureau, window: str) -> None:
    response = await fetch(f"{bureau.url}/v1/actors?window_s={window}")
    assert response.code == 400
    assert f"window_s = '{window}': legal: 0 to 60" in json.loads(response.body)["error"]["message"]


async def test_a_beginning_is_looked_up_in_all_workers(bureau: Bureau) -> None:
    bureau.node.answers = {"calls": {0: ["3f2a-1"], 1: ["3f2a-2", "9b"]}, "hangup": {0: None, 1: {"call": "9b"}}}
    error = (await bureau.post("/v1/calls/3f2a/hangup"))["error"]
    assert error["code"] == "ambiguous_call" and "3f2a-1, 3f2a-2" in error["message"]
    bureau.node.answers["calls"] = {0: [], 1: ["9b"]}
    assert await bureau.post("/v1/calls/9/hangup") == {"call": "9b"}
    assert ("hangup", {"call": "9b"}) in bureau.node.asked
    assert [entry.verb for entry in bureau.audit.list()] == ["hangup"]


async def test_an_id_that_begins_another_is_itself(bureau: Bureau) -> None:
    bureau.node.answers = {"calls": {0: ["9", "9b"]}, "hangup": {0: {"call": "9"}}}
    assert await bureau.post("/v1/calls/9/hangup") == {"call": "9"}


async def test_what_has_just_gone(bureau: Bureau) -> None:
    bureau.node.answers = {"calls": {0: ["9b"]}}
    for path in ("/v1/calls/9/hangup", "/v1/actors/a/restart"):
        assert (await fetch(bureau.url + path, "POST")).code == 404
    assert [(entry.verb, entry.result) for entry in bureau.audit.list()] == [("hangup", "gone")]
    assert (await fetch(bureau.url + "/v1/trace/9")).code == 404


async def test_a_refused_restart_is_written_down(bureau: Bureau) -> None:
    bureau.node.answers = {"restart": {0: None, 1: {"role": "ledger", "restarting": False}}}
    response = await fetch(bureau.url + "/v1/actors/a/restart", "POST", **{"X-Operator": "ann.smith"})
    assert response.code == 409
    (entry,) = bureau.audit.list()
    assert (entry.who, entry.result) == ("ann.smith@127.0.0.1", "not_restartable")


async def test_a_name_that_is_none_is_not_written_down(bureau: Bureau) -> None:
    bureau.node.answers["drain"] = {"draining": True}  # type: ignore[dict-item]
    assert await bureau.post("/v1/drain", **{"X-Operator": "ann <script>"}) == {"draining": True}
    (entry,) = bureau.audit.list()
    assert (entry.who, entry.verb, entry.result) == ("operator@127.0.0.1", "drain", "ok")


async def test_an_operator_acts_while_the_database_is_away(bureau: Bureau, caplog: pytest.LogCaptureFixture) -> None:
    bureau.node.answers = {"calls": {0: ["9b"]}, "hangup": {0: {"call": "9b"}}}
    with bureau.database.write() as session:
        session.connection().exec_driver_sql("DROP TABLE operator_audit")
    assert await bureau.post("/v1/calls/9/hangup") == {"call": "9b"}
    assert "the audit of this could not be written" in caplog.text
    assert "operator@127.0.0.1 hangup {'call': '9b'}: ok" in caplog.text


async def test_a_manager_that_is_silent(bureau: Bureau) -> None:
    for method, path in (("GET", "/v1/exits"), ("GET", "/v1/nodes"), ("POST", "/v1/drain")):
        response = await fetch(bureau.url + path, method)
        assert response.code == 504
        assert json.loads(response.body)["error"]["code"] == "node_silent"
    assert [entry.result for entry in bureau.audit.list()] == ["node_silent"]


async def test_too_many_traces(bureau: Bureau) -> None:
    bureau.node.answers = {"calls": {1: ["9b"]}, "trace_start": {0: None, 1: {"trace": None}}}
    response = await fetch(bureau.url + "/v1/trace/9")
    assert (response.code, json.loads(response.body)["error"]["code"]) == (429, "too_many_traces")


async def test_what_the_manager_knows(bureau: Bureau) -> None:
    for verb in ("exits", "workers", "nodes"):
        bureau.node.answers[verb] = [{"verb": verb}]  # type: ignore[assignment]
        assert await bureau.get(f"/v1/{verb}") == [{"verb": verb}]


async def test_dead_letters_of_all_workers(bureau: Bureau) -> None:
    bureau.node.answers["deadletters"] = {
        0: {"count": 3, "last": [{"at": "2", "type": "A"}]},
        1: {"count": 4, "last": [{"at": "1", "type": "B"}]},
    }
    found = await bureau.get("/v1/deadletters")
    assert found["count"] == 7
    assert [(letter["worker"], letter["type"]) for letter in found["last"]] == [(1, "B"), (0, "A")]


async def test_a_trace_whose_worker_dies(bureau: Bureau) -> None:
    bureau.node.answers = {"calls": {1: ["9b"]}, "trace_start": {0: None, 1: {"trace": "t"}}}
    response = await fetch(bureau.url + "/v1/trace/9?limit=7")
    assert json.loads(response.body) == {"over": "worker_silent"}
    assert ("trace_start", {"call": "9b", "limit": 7}) in bureau.node.asked
    assert bureau.node.asked[-1] == ("trace_stop", {"trace": "t"})


async def test_metrics_of_all_workers(bureau: Bureau) -> None:
    metrics = Metrics()
    metrics.call_started("twilio")
    bureau.node.answers["metrics"] = {0: metrics.exposition(), 1: metrics.exposition()}
    response = await fetch(bureau.url + "/metrics")
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'callboard_calls_active{provider="twilio",worker="1"} 1.0' in response.body.decode()


# --- a real worker ---------------------------------------------------------------------------------------------


async def test_a_worker_exposes_what_the_catalogue_says(office: Office) -> None:
    await office.call()
    await until(lambda: office.house.worker.clock.stats.ticks > 0)
    text = (await fetch(office.url + "/metrics")).body.decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for name, entry in CATALOGUE.items():
        family = families[(PREFIX + name).removesuffix("_total")]
        assert (family.type, family.documentation) == (entry.kind, entry.help)
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == {*entry.labels, "worker"}
    actors = {sample.labels["class"]: sample.value for sample in families["callboard_actors"].samples}
    assert actors["Call"] == actors["Speaker"] == 1
    assert families["callboard_media_ticks"].samples[0].value > 0
    assert families["callboard_media_legs"].samples[0].value == 1
    assert families["callboard_ledger_rows_waiting"].samples and families["callboard_ledger_rows_lost"].samples


def ledger_figure(office: Office, name: str) -> int:
    (ledger,) = [c.instance for c in office.house.worker.system.cells() if c.class_name == "Ledger"]
    return ledger.inspect()[name]


async def test_a_call_leaves_its_figures(office: Office) -> None:
    call = await office.call()
    text = (await fetch(office.url + "/metrics")).body.decode()
    assert 'callboard_calls_active{provider="asterisk",worker="0"} 1.0' in text
    speaker = (await office.row(call, "speaker"))["address"]
    await fetch(f"{office.url}/v1/actors/{speaker}/restart", "POST")
    await fetch(f"{office.url}/v1/calls/{call}/hangup", "POST")
    await until(lambda: "Call" not in office.house.company())
    text = (await fetch(office.url + "/metrics")).body.decode()
    assert 'callboard_call_setups_total{provider="asterisk",worker="0"} 1.0' in text
    assert 'callboard_calls_active{provider="asterisk",worker="0"} 0.0' in text
    assert 'callboard_calls_total{provider="asterisk",reason="operator",result="success",worker="0"} 1.0' in text
    await until(lambda: ledger_figure(office, "waiting") == 0)
    assert ledger_figure(office, "written") > 0
    assert 'callboard_actor_restarts_total{role="speaker",worker="0"} 1.0' in text
    assert 'callboard_provider_errors_total{code="provider_crashed",provider="steady",role="speaker"' in text


async def test_a_trace_is_taken_off_when_its_reader_leaves(office: Office) -> None:
    call = await office.call()
    taps = office.house.worker.system._systemBase.taps
    client = AsyncHTTPClient(force_instance=True)
    got: list[bytes] = []
    request = client.fetch(
        f"{office.url}/v1/trace/{call}",
        headers={"Authorization": f"Bearer {TOKEN}"},
        streaming_callback=got.append,
        request_timeout=1.0,
        raise_error=False,
    )
    await until(lambda: len(taps) == 5)
    with pytest.raises(HTTPTimeoutError):
        await request
    client.close()
    assert got
    await until(lambda: not taps)


async def test_a_trace_ends_with_its_call(office: Office) -> None:
    call = await office.call()
    started = await office.house.worker.operate("trace_start", {"call": call})
    await fetch(f"{office.url}/v1/calls/{call}/hangup", "POST")
    await until(lambda: "Call" not in office.house.company())
    polled = await office.house.worker.operate("trace_poll", started)
    assert polled["over"] == "call_ended"
    assert "HangUp" in [line["type"] for line in polled["lines"]]
    assert await office.house.worker.operate("trace_poll", started) is None
    assert office.house.worker.system._systemBase.taps == {}
